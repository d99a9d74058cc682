"""Gates that freeze groups of parameters and open again, by what an evaluation says of the model.

Three gates, each with groups of parameters and inputs of its own. A gate that has changed stays so for a while.

    coverage  open while coverage >= freeze_below; closed until coverage >= unfreeze_at and its order has stalled
    plateau   open until its order has not gained for `patience` evaluations; closed until the order falls by `relapse`
    quiet     open until the norm of its gradient has been under `quiet` for `quiet_patience` of them; closed until
              the norm is over twice its mean over the window

An order is a metric that is to grow. It stalls, or does not gain, where the last of a window of evaluations is not
`progress` above the first. A gate that closes again ends a cycle. Where q, a figure of quality, has risen since the
gate opened, the thresholds are relaxed by a step; where it has fallen by more than `WORSE`, they are tightened.

The machine is that of v5.12, where four things differed: the metrics of one branch decided for the other; the first
cycle was judged against a q of 0, which always relaxes; an order upside down counted as progress; and a change of state
made a new optimizer. Here a gate sets a freeze flag, and a coverage that was never reached does not close the gate:
from scratch, the encoder would be frozen before it has learned anything.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax.control.chain import Control

WORSE = 0.05  # of q, that a cycle may cost before the thresholds are tightened
GAP = 0.005  # that unfreeze_at stays above freeze_below
LONG_AGO = -(10**9)


class Rule(NamedTuple):
    """Numbers or arrays. Times are in steps, patience in evaluations.

    warmup: in which nothing changes; hysteresis: between two changes of a gate; ramp: from 0 to the full rate, once a
        gate has opened, 0: at once
    progress: of an order over a window
    freeze_below, unfreeze_at, stall: of the coverage gate, at the start; floor: freeze_below is not relaxed below it
    step: by which these two move
    patience, patience_most, relapse: of the plateau gate
    quiet, quiet_patience, quiet_most: of the quiet gate
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
    """What the three gates read of one evaluation, () each; 0 for a gate that does not exist."""

    coverage: Any
    order: Any
    q: Any
    plateau_order: Any
    plateau_q: Any
    norm: Any
    norm_q: Any


class Gate(NamedTuple):
    """State of one gate.

    closed: whether its groups are frozen; changed: the step of its last change; q: when it opened, inf where not known
    waited: evaluations without progress; past: of its order or norm, (window,), the newest last, inf before the first
    """

    closed: Array
    changed: Array
    q: Array
    waited: Array
    past: Array


class GatesState(NamedTuple):
    """The gates, None without groups; whether the coverage was ever reached; and the thresholds as annealed."""

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
    """The state of a run that begins. closed: whether the coverage gate is, at first."""
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


def decide(rule: Rule, anneal: bool, state: GatesState, seen: GateInputs, step: Array) -> GatesState:
    """The state after an evaluation, at this step."""
    awake = step >= rule.warmup
    if state.coverage is not None:
        state = _decide_coverage(rule, anneal, state, seen, step, awake)
    if state.plateau is not None:
        state = _decide_plateau(rule, anneal, state, seen, step, awake)
    if state.quiet is not None:
        state = _decide_quiet(rule, anneal, state, seen, step, awake)
    return state


def _decide_coverage(rule, anneal, state, seen, step, awake):
    state = state._replace(reached=state.reached | (seen.coverage >= state.unfreeze_at))
    gate = _heard(state.coverage, seen.order)
    gate = gate._replace(waited=_counted(awake & _stalls(gate, rule.progress), gate.waited))
    low, high = state.freeze_below, state.unfreeze_at
    closes = state.reached & (seen.coverage < low)
    opens = (seen.coverage >= high) & (gate.waited >= rule.stall)
    gate, cycle = _turned(gate, opens, closes, rule, step, awake, seen.q)
    if anneal:
        move = rule.step * -_verdict(cycle)  # down where it is relaxed
        allowed = (move > 0) | ((move < 0) & (low + move >= rule.floor))
        moved = jnp.minimum(low + move, 1 - GAP)
        lower = jnp.where(allowed, moved, low)
        upper = jnp.where(allowed, jnp.clip(high + move, moved + GAP, 1.0), high)
        state = state._replace(freeze_below=lower, unfreeze_at=upper)
    return state._replace(coverage=gate)


def _decide_plateau(rule, anneal, state, seen, step, awake):
    gate = _heard(state.plateau, seen.plateau_order)
    waits = awake & _stalls(gate, rule.progress) & ~gate.closed
    gate = gate._replace(waited=_counted(waits, gate.waited))
    before, last = gate.past[-2], gate.past[-1]
    fell = jnp.isfinite(before) & (before - last > rule.relapse)
    gate, cycle = _turned(gate, fell, gate.waited >= state.patience, rule, step, awake, seen.plateau_q)
    if anneal:
        patience = jnp.clip(state.patience + _verdict(cycle), rule.patience, rule.patience_most)
        state = state._replace(patience=patience.astype(jnp.int32))
    return state._replace(plateau=gate)


def _decide_quiet(rule, anneal, state, seen, step, awake):
    mean = _mean(state.quiet.past)
    gate = _heard(state.quiet, seen.norm)
    gate = gate._replace(waited=_counted(awake & (seen.norm < rule.quiet) & ~gate.closed, gate.waited))
    loud = seen.norm > 2 * mean
    gate, cycle = _turned(gate, loud, gate.waited >= state.quiet_patience, rule, step, awake, seen.norm_q)
    if anneal:
        patience = jnp.clip(state.quiet_patience + _verdict(cycle), rule.quiet_patience, rule.quiet_most)
        state = state._replace(quiet_patience=patience.astype(jnp.int32))
    return state._replace(quiet=gate)


def _heard(gate, value):
    return gate._replace(past=jnp.concatenate([gate.past[1:], jnp.asarray(value, gate.past.dtype)[None]]))


def _counted(goes_on, waited):
    return jnp.where(goes_on, waited + 1, 0)


def _stalls(gate, progress):
    """False until there is a whole window."""
    first, last = gate.past[0], gate.past[-1]
    return jnp.isfinite(first) & (jnp.where(jnp.isfinite(first), last - first, 0) < progress)


def _mean(past):
    """The mean of the finite values of a window; inf if it has none."""
    known = jnp.isfinite(past)
    return jnp.where(known.any(), jnp.sum(jnp.where(known, past, 0)) / jnp.maximum(known.sum(), 1), jnp.inf)


def _turned(gate, opens, closes, rule, step, awake, q):
    """The gate, and by how much q has changed in the cycle that has just ended, 0 where none has."""
    may = awake & (step - gate.changed >= rule.hysteresis)
    opens, closes = may & gate.closed & opens, may & ~gate.closed & closes
    cycle = jnp.where(closes & jnp.isfinite(gate.q), q - jnp.where(jnp.isfinite(gate.q), gate.q, q), 0)
    learns_unknown = awake & ~gate.closed & ~jnp.isfinite(gate.q)
    gate = gate._replace(
        closed=(gate.closed | closes) & ~opens,
        changed=jnp.where(opens | closes, step, gate.changed),
        q=jnp.where(opens | (learns_unknown & ~closes), q, gate.q),
        waited=jnp.where(opens | closes, 0, gate.waited),
    )
    return gate, cycle


def _verdict(cycle):
    """1: relax; -1: tighten; 0: neither."""
    return jnp.where(cycle > 0, 1, jnp.where(cycle < -WORSE, -1, 0))


def gated(
    rule: Rule,
    gates: Gates,
    see: Callable[[Any], GateInputs],
    every: int,
    window: int,
    closed: bool,
    anneal: bool,
) -> Control:
    """Freeze the groups of closed gates, and set their rates to 0; gates are decided after every evaluation.

    see: Signals -> GateInputs; every: steps from one evaluation to the next; window: of evaluations
    closed: whether the coverage gate is at the start
    """

    def update(state, signals, controls):
        due = (signals.step > 0) & (signals.step % every == 0)
        decided = lambda state: decide(rule, anneal, state, see(signals), signals.step)  # noqa: E731
        state = jax.lax.cond(due, decided, lambda state: state, state)
        frozen = dict(controls.frozen or dict.fromkeys(controls.rates, jnp.asarray(False)))
        rates = dict(controls.rates)
        for name, groups in gates._asdict().items():
            gate = getattr(state, name)
            for group in groups:
                share = _opened(gate, rule.ramp, signals.step)
                frozen[group] = frozen[group] | gate.closed
                rates[group] = rates[group] * share
        return state, controls._replace(frozen=frozen, rates=rates), _reported(state)

    return Control(lambda hypers: begin(rule, gates, window, closed), update)


def _reported(state):
    """Of each gate whether it is closed, and its thresholds, float32."""
    thresholds = dict(coverage=("freeze_below", "unfreeze_at"), plateau=("patience",), quiet=("quiet_patience",))
    info = {}
    for name, own in thresholds.items():
        if (gate := getattr(state, name)) is not None:
            info |= {f"{name}_closed": gate.closed} | {threshold: getattr(state, threshold) for threshold in own}
    return {name: x.astype(jnp.float32) for name, x in info.items()}


def _opened(gate, ramp, step):
    """Factor on the rates of a gate: 0 where it is closed, then from 0 to 1."""
    rises = jnp.clip((step - gate.changed) / jnp.maximum(ramp, 1), 0, 1) if ramp else 1.0
    return jnp.where(gate.closed, 0.0, rises)
