"""The state machine of the gates against a plain Python version, and its effect on rates and frozen groups."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ternary_jax.control import gates
from ternary_jax.control.chain import Controls, Signals
from ternary_jax.control.gates import GateInputs, Gates, Rule, gated

ALL = Gates(("a",), ("b",), ("c",))
RULE = Rule(
    warmup=2,
    hysteresis=2,
    ramp=0,
    progress=0.01,
    freeze_below=0.9,
    unfreeze_at=0.97,
    stall=2,
    floor=0.85,
    step=0.02,
    patience=2,
    patience_most=3,
    relapse=0.05,
    quiet=0.3,
    quiet_patience=2,
    quiet_most=3,
)
WINDOW = 3


class Plain:
    """The rules in plain Python: one call is one evaluation. Compared floats are float32, as in the machine."""

    def __init__(self, rule, closed, anneal=True):
        self.rule, self.anneal = rule, anneal
        self.gates: dict[str, Any] = {
            name: dict(closed=False, changed=None, q=None, waited=0, past=[]) for name in Gates._fields
        }
        self.gates["coverage"]["closed"] = closed
        self.reached, self.low, self.high = False, np.float32(rule.freeze_below), np.float32(rule.unfreeze_at)
        self.patience, self.quiet_patience = rule.patience, rule.quiet_patience

    def call(self, seen, step):
        r, awake = self.rule, step >= self.rule.warmup
        self.reached = self.reached or seen.coverage >= self.high
        gate = self.gates["coverage"]
        gate["past"].append(seen.order)
        gate["waited"] = gate["waited"] + 1 if awake and self.stalls(gate) else 0
        closes = self.reached and seen.coverage < self.low
        opens = seen.coverage >= self.high and gate["waited"] >= r.stall
        verdict = self.turn(gate, opens, closes, step, awake, seen.q)
        if verdict > 0 and self.low - np.float32(r.step) >= np.float32(r.floor):
            self.low -= np.float32(r.step)
            self.high = min(max(self.high - np.float32(r.step), self.low + np.float32(0.005)), np.float32(1))
        elif verdict < 0:
            self.low = min(self.low + np.float32(r.step), np.float32(0.995))
            self.high = min(max(self.high + np.float32(r.step), self.low + np.float32(0.005)), np.float32(1))

        gate = self.gates["plateau"]
        gate["past"].append(seen.plateau_order)
        gate["waited"] = gate["waited"] + 1 if awake and not gate["closed"] and self.stalls(gate) else 0
        fell = len(gate["past"]) > 1 and gate["past"][-2] - gate["past"][-1] > np.float32(r.relapse)
        verdict = self.turn(gate, fell, gate["waited"] >= self.patience, step, awake, seen.plateau_q)
        self.patience = min(max(self.patience + verdict, r.patience), r.patience_most)

        gate = self.gates["quiet"]
        window = gate["past"][-WINDOW:]
        loud = bool(window) and seen.norm > 2 * np.mean(window, dtype=np.float32)
        gate["past"].append(seen.norm)
        quiet = awake and not gate["closed"] and seen.norm < np.float32(r.quiet)
        gate["waited"] = gate["waited"] + 1 if quiet else 0
        verdict = self.turn(gate, loud, gate["waited"] >= self.quiet_patience, step, awake, seen.norm_q)
        self.quiet_patience = min(max(self.quiet_patience + verdict, r.quiet_patience), r.quiet_most)

    def stalls(self, gate: Any):
        window = gate["past"][-WINDOW:]
        return len(window) == WINDOW and window[-1] - window[0] < np.float32(self.rule.progress)

    def turn(self, gate: Any, opens, closes, step, awake, q):
        """Change the gate if hysteresis allows it; returns 1 to relax, -1 to tighten thresholds, or 0."""
        verdict = 0
        may = awake and (gate["changed"] is None or step - gate["changed"] >= self.rule.hysteresis)
        if may and gate["closed"] and opens:
            gate.update(closed=False, changed=step, q=q, waited=0)
        elif may and not gate["closed"] and closes:
            if gate["q"] is not None:
                rise = q - gate["q"]
                verdict = 1 if rise > 0 else -1 if rise < np.float32(-0.05) else 0
            gate.update(closed=True, changed=step, waited=0)
        elif awake and not gate["closed"] and gate["q"] is None:
            gate["q"] = q
        return verdict if self.anneal else 0

    def shown(self):
        gates = [x for gate in self.gates.values() for x in (gate["closed"], gate["waited"])]
        return [*gates, self.reached, self.low, self.high, self.patience, self.quiet_patience]


def shown(state):
    gates = [x for gate in (state.coverage, state.plateau, state.quiet) for x in (gate.closed, gate.waited)]
    values = [*gates, state.reached, state.freeze_below, state.unfreeze_at, state.patience, state.quiet_patience]
    return jnp.stack([jnp.asarray(x, jnp.float32) for x in values])


def rules(rng, n):
    """Random rules, (n,) each, with thresholds near the values of the histories."""
    between = dict(warmup=(0, 6), hysteresis=(0, 4), stall=(1, 4), patience=(1, 4), quiet_patience=(1, 4))
    drawn = {name: rng.integers(low, high, n) for name, (low, high) in between.items()}
    drawn |= {"patience_most": drawn["patience"] + rng.integers(0, 3, n), "ramp": np.zeros(n, int)}
    drawn |= {"quiet_most": drawn["quiet_patience"] + rng.integers(0, 3, n)}
    shares = dict(progress=(0, 0.1), floor=(0.8, 0.9), step=(0.002, 0.05), relapse=(0, 0.15), quiet=(0.1, 0.6))
    drawn |= {name: rng.uniform(*ends, n).astype(np.float32) for name, ends in shares.items()}
    drawn["freeze_below"] = rng.uniform(0.85, 0.95, n).astype(np.float32)
    drawn["unfreeze_at"] = (drawn["freeze_below"] + rng.uniform(0, 0.04, n)).astype(np.float32)
    return Rule(**{name: drawn[name] for name in Rule._fields})


def histories(rng, n, length):
    """Random inputs: coverage falls and rises, hierarchies stall and fall, gradients fade and return, q wanders."""

    def wander(scale, stop):
        return np.cumsum(rng.normal(0, scale, (n, length)) * (rng.random((n, length)) > stop), 1).astype(np.float32)

    coverage = np.clip(0.93 + wander(0.04, 0.3), 0.8, 1).astype(np.float32)
    norm = np.exp(wander(0.5, 0.3)).astype(np.float32) * 0.4
    return GateInputs(
        coverage, wander(0.05, 0.5), wander(0.1, 0.2), wander(0.05, 0.5), wander(0.1, 0.2), norm, wander(0.1, 0.2)
    )


@jax.jit
@jax.vmap
def run(rule, seen, closed):
    """The outputs of the machine after every evaluation, (R, LENGTH, ...), for histories (R, LENGTH)."""

    def step(state, x):
        state = gates.decide(rule, True, state, *x)
        return state, shown(state)

    state = gates.begin(rule, ALL, WINDOW, closed)
    return jax.lax.scan(step, state, (seen, jnp.arange(LENGTH)))[1]


LENGTH = 24


@pytest.mark.slow
@settings(max_examples=10, phases=(Phase.explicit, Phase.generate))  # a smaller seed is no smaller case
@given(seed=st.integers(0, 2**32 - 1))
def test_the_machine_is_the_plain_one_over_ten_thousand_histories(seed):
    """Ten seeds with a thousand histories each, and random thresholds for each history."""
    n, length, rng = 1_000, LENGTH, np.random.default_rng(seed)
    rule, seen, closed = rules(rng, n), histories(rng, n, length), rng.random(n) < 0.5
    found = np.asarray(run(rule, seen, closed))
    changes, moved = np.zeros(3, int), np.zeros(4, int)
    for k in range(n):
        plain, expected = Plain(Rule(*(x[k] for x in rule)), closed[k]), []
        for t in range(length):
            plain.call(GateInputs(*(x[k, t] for x in seen)), t)
            expected.append(plain.shown())
        np.testing.assert_allclose(found[k], np.array(expected, np.float32), rtol=1e-6, err_msg=str(k))
        changes += np.abs(np.diff(found[k][:, [0, 2, 4]], axis=0)).sum(0).astype(int)
        moved += np.ptp(found[k][:, 7:], axis=0) > 0
    assert changes.min() > n / 2  # every gate changes in many histories,
    assert moved.min() > n / 50  # and every threshold is annealed in many histories


@pytest.mark.parametrize("name", [name for name in Rule._fields if name != "ramp"])
def test_every_constant_changes_what_is_decided(name):
    """With another value of one constant, the outputs differ in at least one of 200 histories."""
    seen = histories(np.random.default_rng(1), 200, 60)
    value = getattr(RULE, name)
    other = RULE._replace(**{name: value + 2 if isinstance(value, int) else value * 1.06})
    assert (of_histories(RULE, seen, True) != of_histories(other, seen, True)).any()


def test_the_window_and_an_initially_closed_gate_change_what_is_decided():
    seen = histories(np.random.default_rng(1), 200, 60)
    usual = of_histories(RULE, seen, True)
    assert (usual != of_histories(RULE, seen, True, WINDOW + 1)).any()
    assert (usual != of_histories(RULE, seen, True, WINDOW, False)).any()


def test_without_annealing_thresholds_stay():
    seen = histories(np.random.default_rng(1), 200, 60)
    still, moved = (np.asarray(of_histories(RULE, seen, anneal)[:, -1, 7:]) for anneal in (False, True))
    given = np.array([RULE.freeze_below, RULE.unfreeze_at, RULE.patience, RULE.quiet_patience], np.float32)
    np.testing.assert_array_equal(still, np.broadcast_to(given, still.shape))
    assert (moved != given).any(0).all()


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def of_histories(rule, seen, anneal, window=WINDOW, closed=True):
    """The outputs of the machine after every evaluation, (histories, length, 11)."""

    def run(seen):
        def step(state, x):
            state = gates.decide(rule, anneal, state, *x)
            return state, shown(state)

        length = len(seen.coverage)
        return jax.lax.scan(step, gates.begin(rule, ALL, window, closed), (seen, jnp.arange(length)))[1]

    return jax.vmap(run)(seen)


def controlled(steps, coverage, ramp=0, before=None):
    """The Controls of each step, with coverage(step) at the latest evaluation; there is one every two steps."""
    rule = RULE._replace(warmup=0, hysteresis=0, stall=1, ramp=ramp)

    def see(signals):
        zero = jnp.zeros([])
        return GateInputs(signals.metrics["coverage"], zero, zero, zero, zero, zero, zero)

    control = gated(rule, Gates(("a",), (), ()), see, every=2, window=2, closed=True, anneal=True)
    state, found = control.init(None), []
    for step in range(steps):
        signals = Signals(jnp.int32(step), {}, {}, {"coverage": jnp.float32(coverage(step))})
        rates = {"a": jnp.float32(0.5), "b": jnp.float32(1.0)}
        state, controls, _ = control.update(state, signals, Controls(rates, before, {}))
        found.append(controls)
    return found


def test_it_freezes_its_groups_alone_and_decides_after_evaluations_alone():
    found = controlled(12, lambda step: 1.0)
    closed = [bool(c.frozen["a"]) for c in found]
    assert closed == [True] * 4 + [False] * 8  # after two evaluations of a window of two: at step 4
    assert [float(c.rates["a"]) for c in found] == [0.0] * 4 + [0.5] * 8
    assert all(not c.frozen["b"] and c.rates["b"] == 1 for c in found)


def test_what_is_frozen_before_it_stays_frozen():
    found = controlled(12, lambda step: 1.0, before={"a": jnp.asarray(True), "b": jnp.asarray(True)})
    assert all(c.frozen["a"] and c.frozen["b"] for c in found)


def test_a_coverage_that_falls_closes_the_gate_and_a_rate_rises_once_it_has_opened():
    found = controlled(12, lambda step: 1.0 if step < 9 else 0.5, ramp=4)
    assert [float(c.rates["a"]) for c in found] == [0, 0, 0, 0, 0, 0.125, 0.25, 0.375, 0.5, 0.5, 0, 0]
    assert [bool(c.frozen["a"]) for c in found[9:]] == [False, True, True]


def test_it_reports_whether_its_gates_are_closed_and_their_thresholds():
    """The info has entries only of the gates that exist."""

    def told(gates, **state):
        control = machine(gates)
        given = Signals(jnp.int32(1), {}, {}, {}), Controls(dict.fromkeys("abc", jnp.ones([])), None, {})
        info = control.update(control.init(None)._replace(**state), *given)[2]
        assert {x.dtype for x in info.values()} == {jnp.dtype("float32")}
        return {name: float(x) for name, x in info.items()}

    assert told(ALL, patience=jnp.int32(3)) == {
        "coverage_closed": 1,
        "freeze_below": pytest.approx(0.9),
        "unfreeze_at": pytest.approx(0.97),
        "plateau_closed": 0,
        "patience": 3,
        "quiet_closed": 0,
        "quiet_patience": 2,
    }
    assert told(Gates((), ("b",), ())) == {"plateau_closed": 0, "patience": 2}


def machine(gates):
    """The Control of these gates, on inputs that are all zero."""
    return gated(RULE, gates, lambda s: GateInputs(*(jnp.zeros([]),) * 7), 2, WINDOW, True, True)


def test_a_gate_without_groups_leaves_no_equation():
    """A machine of one gate has fewer equations than one of two, which has fewer than one of three."""

    def equations(gates):
        control = machine(gates)
        first = Signals(jnp.int32(0), {}, {}, {}), Controls(dict.fromkeys("abc", jnp.ones([])), None, {})
        return str(jax.make_jaxpr(control.update)(control.init(None), *first)).count("=")

    assert equations(Gates(("a",), (), ())) < equations(Gates(("a",), ("b",), ())) < equations(ALL)


def test_its_state_keeps_its_types_as_a_checkpoint_asks():
    control = machine(ALL)
    begun = control.init(None)
    given = Signals(jnp.int32(0), {}, {}, {}), Controls(dict.fromkeys("abc", jnp.ones([])), None, {})
    after, *_ = jax.eval_shape(control.update, begun, *given)
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(begun))
    assert jax.tree.map(lambda x: (x.shape, x.dtype), begun) == jax.tree.map(lambda x: (x.shape, x.dtype), after)
