"""The detector of a run under way: a controller that turns nothing, and reports what it has found.

A row of metrics.jsonl has its info as control/grokking/...: what was known in the steps since the evaluation before it.
For each held-out metric whose figure over what is trained on is known, the info has a verdict, as its place in
`generalisation.VERDICTS`, with t_fit and t_gen: null while there is none.
The last evaluation of a run has no step after it, and is not judged here; the analysis of the log judges it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax.control.chain import Control, Controls
from ternary_jax.grokking import definitions
from ternary_jax.grokking.definitions import Evaluation, Memory, Thresholds, Watched
from ternary_jax.grokking.generalisation import STANDARD, Levels, Pair
from ternary_jax.grokking.progress import Progress, begin, observe, verdict

REPORTED = ("plateau", "events", "confirmed", "severity", "excluded")
FROZEN = "frozen/"  # and a group: 1 where it was frozen. No other column says so, and the analysis asks


class Detector(NamedTuple):
    """memory: of the evaluations; progress: of each pair; the sums over the steps since the last evaluation: loss (),
    controls (C,), frozen (G,).
    """

    memory: Memory
    progress: tuple[Progress, ...]
    loss: Array
    controls: Array
    frozen: Array


def detector(
    turned: Callable[[Any], Controls],
    loss: str,
    metrics: tuple[Watched, ...],
    pairs: tuple[Pair, ...],
    every: int,
    thresholds: Thresholds,
    levels: Levels = STANDARD,
) -> Control:
    """See `definitions`; to be the last of a chain, as it sees what the ones before it have turned.

    turned: hypers -> Controls as the ones before it leave them, or their shapes: all rates, knobs and freezing are
        watched for what else explains a rise
    loss: the name of the total among the signals of the last step
    metrics: of the evaluations, for events; pairs: of them, for the verdict on generalisation
    every: steps from one evaluation to the next. Between these, it adds to sums, and no more
    """

    def init(hypers):
        rates, _, knobs = turned(hypers)
        memory = definitions.begin(thresholds, len(metrics), len(rates) + len(knobs), len(rates))
        progress = tuple(begin() for _ in pairs)
        return Detector(
            memory, progress, jnp.float32(0), jnp.zeros_like(memory.controls), jnp.zeros_like(memory.frozen)
        )

    def judged(state, step, measured):
        figures = jnp.stack([measured[one.name] for one in metrics])
        seen = Evaluation(state.loss / every, figures, state.controls / every, state.frozen / every)
        memory, _ = definitions.observe(state.memory, seen, metrics, thresholds)
        both = zip(state.progress, pairs, strict=True)
        progress = tuple(observe(known, step, *pair.curves(measured), levels) for known, pair in both)
        return Detector(memory, progress, *(jnp.zeros_like(x) for x in state[2:]))

    def update(state, signals, controls):
        signals, given = jax.lax.stop_gradient((signals, controls))
        seen = jnp.where(signals.step > 0, signals.last[loss], 0)  # before the first step, +inf
        state = state._replace(loss=state.loss + seen)
        due = (signals.step > 0) & (signals.step % every == 0)
        state = jax.lax.cond(due, judged, lambda state, *_: state, state, signals.step, signals.metrics)
        state = state._replace(
            controls=state.controls + _stacked([*_in_order(given.rates), *_in_order(given.knobs)]),
            frozen=state.frozen + (_stacked(_in_order(given.frozen)) if given.frozen is not None else 0),
        )
        return state, controls, _info(state, pairs, levels, given.frozen or {})

    return Control(init, update)


def _info(state, pairs, levels, frozen):
    m = state.memory
    found = dict(zip(REPORTED, (m.plateaus[-1], m.events, m.confirmed, m.severity, m.excluded), strict=True))
    for known, pair in zip(state.progress, pairs, strict=True):
        about = {"verdict": verdict(known, levels), "t_fit": known.fit.step, "t_gen": known.gen.step}
        found |= {f"{pair.held_out}/{name}": x for name, x in about.items()}
    found |= {f"{FROZEN}{group}": x for group, x in frozen.items()}
    return {name: jnp.asarray(x, jnp.float32) for name, x in found.items()}


def _in_order(values):
    return [values[name] for name in sorted(values)]


def _stacked(values):
    return jnp.stack([jnp.asarray(x, jnp.float32) for x in values])
