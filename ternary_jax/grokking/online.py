"""The grokking detector in a run: a controller that leaves the Controls unchanged, and reports its findings as info.

A row of metrics.jsonl has the info as control/grokking/...: the findings up to the previous evaluation. For each
`generalisation.Pair`, the info has a verdict, as its index in `generalisation.VERDICTS`, with t_fit and t_gen: null
while there is none. The last evaluation of a run has no step after it: only the analysis of the log judges it.
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
FROZEN = "frozen/"  # frozen/GROUP is 1 if the group was frozen: the analysis needs it, and no other column has it


class Detector(NamedTuple):
    """The carried state.

    memory: of the evaluations; progress: of each pair
    loss (), controls (C,), frozen (G,): sums over the steps since the last evaluation
    """

    memory: Memory
    progress: tuple[Progress, ...]
    loss: Array
    controls: Array
    frozen: Array


def detector(
    controls: Callable[[Any], Controls],
    loss: str,
    metrics: tuple[Watched, ...],
    pairs: tuple[Pair, ...],
    every: int,
    thresholds: Thresholds,
    levels: Levels = STANDARD,
) -> Control:
    """The detector of the events in `definitions`. It has to be the last of a chain, to read the final Controls.

    controls: hypers -> the Controls after the preceding controllers, or their shapes. The detector checks all rates,
        knobs and frozen flags as other explanations of a rise
    loss: the signal of the last step with the total loss
    metrics: for events; pairs: for the verdict on generalisation
    every: steps from one evaluation to the next; between evaluations, the detector only adds to sums
    """

    def init(hypers):
        rates, _, knobs = controls(hypers)
        memory = definitions.begin(thresholds, len(metrics), len(rates) + len(knobs), len(rates))
        progress = tuple(begin() for _ in pairs)
        return Detector(
            memory, progress, jnp.float32(0), jnp.zeros_like(memory.controls), jnp.zeros_like(memory.frozen)
        )

    def evaluated(state, step, measured):
        figures = jnp.stack([measured[one.name] for one in metrics])
        means = Evaluation(state.loss / every, figures, state.controls / every, state.frozen / every)
        memory, _ = definitions.observe(state.memory, means, metrics, thresholds)
        both = zip(state.progress, pairs, strict=True)
        progress = tuple(observe(known, step, *pair.curves(measured), levels) for known, pair in both)
        return Detector(memory, progress, *(jnp.zeros_like(x) for x in state[2:]))

    def update(state, signals, controls):
        signals, (rates, frozen, knobs) = jax.lax.stop_gradient((signals, controls))
        last = jnp.where(signals.step > 0, signals.last[loss], 0)  # +inf before the first step
        state = state._replace(loss=state.loss + last)
        due = (signals.step > 0) & (signals.step % every == 0)
        state = jax.lax.cond(due, evaluated, lambda state, *_: state, state, signals.step, signals.metrics)
        state = state._replace(
            controls=state.controls + _vector(rates, knobs),
            frozen=state.frozen + (_vector(frozen) if frozen is not None else 0),
        )
        return state, controls, _info(state, pairs, levels, frozen or {})

    return Control(init, update)


def _info(state, pairs, levels, frozen):
    m = state.memory
    found = dict(zip(REPORTED, (m.plateaus[-1], m.events, m.confirmed, m.severity, m.excluded), strict=True))
    for known, pair in zip(state.progress, pairs, strict=True):
        about = {"verdict": verdict(known, levels), "t_fit": known.fit.step, "t_gen": known.gen.step}
        found |= {f"{pair.held_out}/{name}": x for name, x in about.items()}
    found |= {f"{FROZEN}{group}": x for group, x in frozen.items()}
    return {name: jnp.asarray(x, jnp.float32) for name, x in found.items()}


def _vector(*parts):
    """The values of dicts, each in the order of its names, as one float32 array."""
    return jnp.stack([jnp.asarray(part[name], jnp.float32) for part in parts for name in sorted(part)])
