"""Gates that freeze and unfreeze groups of parameters according to the metrics of each evaluation.

There are three gates, each with its own groups and inputs. A closed gate freezes its groups. A gate keeps its state
for at least `hysteresis` steps.

    coverage  closes when coverage < freeze_below; opens when coverage >= unfreeze_at and its order metric has stalled
    plateau   closes when its order metric has stalled for `patience` evaluations; opens when that falls by `relapse`
    quiet     closes when its gradient norm was below `quiet` for `quiet_patience` evaluations; opens when the norm
              exceeds twice its mean over the window

An order metric increases with progress. It stalls when the last value of a window of evaluations is less than
`progress` above the first. A cycle of a gate lasts from its opening to its next closing. With annealing, a cycle in
which the quality q has risen relaxes the thresholds by a step; one in which q has fallen by more than `WORSE` tightens
them.

The state machine follows v5.12, with four corrections. There, the metrics of one branch decided for the other branch;
the first cycle was compared with q = 0, which always relaxes; a reversed order counted as progress; and a change of
state created a new optimizer. Here, the coverage gate also stays open until coverage has once reached unfreeze_at: a
run from scratch would otherwise freeze its encoder before it has learned anything.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax.control.chain import Control

WORSE = 0.05  # a cycle in which q falls by more than this tightens the thresholds
GAP = 0.005  # least difference of unfreeze_at and freeze_below
LONG_AGO = -(10**9)


class Rule(NamedTuple):
    """The parameters of the gates, numbers or arrays; see the module. Times are in steps, patience in evaluations.

    warmup: steps before which no gate changes; hysteresis: least time between two changes of a gate
    ramp: time in which the rates rise from 0 to their full value after a gate has opened; 0: at once
    progress: least gain of an order metric over a window; a smaller gain is a stall
    freeze_below, unfreeze_at: initial coverage thresholds; step: of their annealing; floor: least freeze_below
    stall: evaluations without progress before the coverage gate may open
    patience, patience_most: initial and greatest patience of the plateau gate; relapse: fall of its order that opens it
    quiet: gradient norm of the quiet gate; quiet_patience, quiet_most: its initial and greatest patience
    """

    warmup: Any
    hysteresis: Any
    ramp: Any
    progress: Any
    freeze_below: Any
    unfreeze_at: Any
    stall: Any
    floor: Any
    step: Any
    patience: Any
    patience_most: Any
    relapse: Any
    quiet: Any
    quiet_patience: Any
    quiet_most: Any


class GateInputs(NamedTuple):
    """The inputs of the three gates from one evaluation, () each; 0 for a gate that does not exist."""

    coverage: Any
    order: Any
    q: Any
    plateau_order: Any
    plateau_q: Any
    norm: Any
    norm_q: Any


class Gate(NamedTuple):
    """State of one gate.

    closed: whether its groups are frozen; changed: the step of its last change; q: q at its last opening, inf: unknown
    waited: evaluations in a row that meet the condition which the gate counts
    past: window of its order metric or norm, (window,), the newest last; inf before the first evaluation
    """

    closed: Array
    changed: Array
    q: Array
    waited: Array
    past: Array


class GatesState(NamedTuple):
    """The gates (None: a gate without groups); whether coverage has reached unfreeze_at; the annealed thresholds."""

    coverage: Gate | None
    plateau: Gate | None
    quiet: Gate | None
    reached: Array
    freeze_below: Array
    unfreeze_at: Array
    patience: Array
    quiet_patience: Array


class Gates(NamedTuple):
    """The groups of each gate; () for a gate that does not exist."""

    coverage: tuple[str, ...]
    plateau: tuple[str, ...]
    quiet: tuple[str, ...]


def begin(rule: Rule, gates: Gates, window: int, closed: Any) -> GatesState:
    """The state at step 0. closed: whether the coverage gate is closed then."""
    never = jnp.full(window, jnp.inf, jnp.float32)
    gate = Gate(jnp.asarray(False), jnp.int32(LONG_AGO), jnp.float32(jnp.inf), jnp.int32(0), never)
    return GatesState(
        gate._replace(closed=jnp.asarray(closed)) if gates.coverage else None,
        gate if gates.plateau else None,
        gate if gates.quiet else None,
        jnp.asarray(False),
        jnp.float32(rule.freeze_below),
        jnp.float32(rule.unfreeze_at),
        jnp.int32(rule.patience),
        jnp.int32(rule.quiet_patience),
    )


def decide(rule: Rule, anneal: bool, state: GatesState, inputs: GateInputs, step: Array) -> GatesState:
    """The state after the evaluation at this step. anneal: whether a cycle changes the thresholds."""
    awake = step >= rule.warmup
    if state.coverage is not None:
        state = _decide_coverage(rule, anneal, state, inputs, step, awake)
    if state.plateau is not None:
        state = _decide_plateau(rule, anneal, state, inputs, step, awake)
    if state.quiet is not None:
        state = _decide_quiet(rule, anneal, state, inputs, step, awake)
    return state


def _decide_coverage(rule, anneal, state, inputs, step, awake):
    state = state._replace(reached=state.reached | (inputs.coverage >= state.unfreeze_at))
    gate = _observe(state.coverage, inputs.order)
    gate = _count(gate, awake & _stalls(gate, rule.progress))
    low, high = state.freeze_below, state.unfreeze_at
    closes = state.reached & (inputs.coverage < low)
    opens = (inputs.coverage >= high) & (gate.waited >= rule.stall)
    gate, gain = _transition(gate, opens, closes, rule, step, awake, inputs.q)
    if anneal:
        move = rule.step * -_relaxation(gain)  # relaxing lowers the thresholds
        allowed = (move > 0) | ((move < 0) & (low + move >= rule.floor))
        new_low = jnp.minimum(low + move, 1 - GAP)
        lower = jnp.where(allowed, new_low, low)
        upper = jnp.where(allowed, jnp.clip(high + move, new_low + GAP, 1.0), high)
        state = state._replace(freeze_below=lower, unfreeze_at=upper)
    return state._replace(coverage=gate)


def _decide_plateau(rule, anneal, state, inputs, step, awake):
    gate = _observe(state.plateau, inputs.plateau_order)
    gate = _count(gate, awake & _stalls(gate, rule.progress) & ~gate.closed)
    before, last = gate.past[-2], gate.past[-1]
    fell = jnp.isfinite(before) & (before - last > rule.relapse)
    gate, gain = _transition(gate, fell, gate.waited >= state.patience, rule, step, awake, inputs.plateau_q)
    if anneal:
        state = state._replace(patience=_annealed(state.patience, gain, rule.patience, rule.patience_most))
    return state._replace(plateau=gate)


def _decide_quiet(rule, anneal, state, inputs, step, awake):
    mean = _mean(state.quiet.past)
    gate = _observe(state.quiet, inputs.norm)
    gate = _count(gate, awake & (inputs.norm < rule.quiet) & ~gate.closed)
    loud = inputs.norm > 2 * mean
    gate, gain = _transition(gate, loud, gate.waited >= state.quiet_patience, rule, step, awake, inputs.norm_q)
    if anneal:
        patience = _annealed(state.quiet_patience, gain, rule.quiet_patience, rule.quiet_most)
        state = state._replace(quiet_patience=patience)
    return state._replace(quiet=gate)


def _observe(gate, value):
    return gate._replace(past=jnp.concatenate([gate.past[1:], jnp.asarray(value, gate.past.dtype)[None]]))


def _count(gate, condition):
    return gate._replace(waited=jnp.where(condition, gate.waited + 1, 0))


def _stalls(gate, progress):
    """False until there is a whole window."""
    first, last = gate.past[0], gate.past[-1]
    return jnp.isfinite(first) & (jnp.where(jnp.isfinite(first), last - first, 0) < progress)


def _mean(past):
    """The mean of the finite values of a window; inf if it has none."""
    known = jnp.isfinite(past)
    return jnp.where(known.any(), jnp.sum(jnp.where(known, past, 0)) / jnp.maximum(known.sum(), 1), jnp.inf)


def _transition(gate, opens, closes, rule, step, awake, q):
    """(gate, gain): gain is the change of q over the cycle if the gate closes now, else 0."""
    may = awake & (step - gate.changed >= rule.hysteresis)
    opens, closes = may & gate.closed & opens, may & ~gate.closed & closes
    gain = jnp.where(closes & jnp.isfinite(gate.q), q - jnp.where(jnp.isfinite(gate.q), gate.q, q), 0)
    learns_unknown = awake & ~gate.closed & ~jnp.isfinite(gate.q)
    gate = gate._replace(
        closed=(gate.closed | closes) & ~opens,
        changed=jnp.where(opens | closes, step, gate.changed),
        q=jnp.where(opens | (learns_unknown & ~closes), q, gate.q),
        waited=jnp.where(opens | closes, 0, gate.waited),
    )
    return gate, gain


def _annealed(patience, gain, least, most):
    return jnp.clip(patience + _relaxation(gain), least, most).astype(jnp.int32)


def _relaxation(gain):
    """1: relax; -1: tighten; 0: neither."""
    return jnp.where(gain > 0, 1, jnp.where(gain < -WORSE, -1, 0))


def gated(
    rule: Rule,
    gates: Gates,
    read: Callable[[Any], GateInputs],
    every: int,
    window: int,
    closed: bool,
    anneal: bool,
) -> Control:
    """Freeze the groups of closed gates, and set their rates to 0; the gates may change after every evaluation.

    read: Signals -> GateInputs; every: steps from one evaluation to the next; window: length, in evaluations
    closed: whether the coverage gate is closed at step 0; anneal: whether a cycle changes the thresholds
    """

    def update(state, signals, controls):
        due = (signals.step > 0) & (signals.step % every == 0)
        decided = lambda state: decide(rule, anneal, state, read(signals), signals.step)  # noqa: E731
        state = jax.lax.cond(due, decided, lambda state: state, state)
        frozen = dict(controls.frozen or dict.fromkeys(controls.rates, jnp.asarray(False)))
        rates = dict(controls.rates)
        for name, groups in gates._asdict().items():
            gate = getattr(state, name)
            for group in groups:
                factor = _rate_factor(gate, rule.ramp, signals.step)
                frozen[group] = frozen[group] | gate.closed
                rates[group] = rates[group] * factor
        return state, controls._replace(frozen=frozen, rates=rates), _info(state)

    return Control(lambda hypers: begin(rule, gates, window, closed), update)


def _info(state):
    """Each gate's closed flag and thresholds, float32."""
    thresholds = dict(coverage=("freeze_below", "unfreeze_at"), plateau=("patience",), quiet=("quiet_patience",))
    info = {}
    for name, own in thresholds.items():
        if (gate := getattr(state, name)) is not None:
            info |= {f"{name}_closed": gate.closed} | {threshold: getattr(state, threshold) for threshold in own}
    return {name: x.astype(jnp.float32) for name, x in info.items()}


def _rate_factor(gate, ramp, step):
    """Factor on the rates of a gate's groups: 0 while it is closed, then a ramp from 0 to 1."""
    rises = jnp.clip((step - gate.changed) / jnp.maximum(ramp, 1), 0, 1) if ramp else 1.0
    return jnp.where(gate.closed, 0.0, rises)
