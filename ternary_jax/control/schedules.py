"""Open-loop schedules: arrays with one value a step, computed before the run, which enter the scan as unbatched xs.

A counter in the carried state would be batched under vmap, and jax would then evaluate both sides of every `cond` on
it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ternary_jax.control.chain import Control


class Phase(NamedTuple):
    """A part of a run. shape: of `learning_rate`; steps: length of the phase; rate: constant factor on the phase."""

    shape: str
    steps: int
    rate: float


def learning_rate(
    shape: str, steps: int, warmup_steps: int, final: float, cycle_steps: int = 0, growth: int = 1
) -> np.ndarray:
    """Factor on the learning rate, (steps,) float32: a linear warmup over `warmup_steps`, then one of these shapes.

    constant: 1
    linear: from 1 to final at the last step
    cosine: final + (1 - final) (1 + cos(pi t)) / 2, with t from 0 at the end of the warmup to 1 at the last step
    warm_restarts: the cosine with t from 0 to 1 in each of many cycles: the first has `cycle_steps`, each later cycle
        is `growth` times as long as the one before it, the last may be cut short. Loshchilov & Hutter, arXiv 1608.03983
    """
    n = np.arange(steps)
    t = np.clip((n - warmup_steps) / max(1, steps - 1 - warmup_steps), 0, 1)
    if shape == "warm_restarts":
        t = _cycles(np.maximum(n - warmup_steps, 0), cycle_steps, growth)
    share = {"constant": np.ones(steps), "linear": 1 - t}.get(shape, (1 + np.cos(np.pi * t)) / 2)
    level = share if shape == "constant" else final + (1 - final) * share
    return (np.minimum(1, (n + 1) / (warmup_steps + 1)) * level).astype(np.float32)


def falling(start: float, share: float, steps: int) -> np.ndarray:
    """(steps,) float32: linear from `start` at the first step to 0 after a share of the steps, then 0."""
    left = 1 - np.arange(steps) / max(1.0, share * steps)
    return (start * np.maximum(left, 0)).astype(np.float32)


def in_phases(phases: Sequence[Phase], warmup_steps: int, *rest: Any) -> np.ndarray:
    """Factor on the learning rate over consecutive phases; only the first has a warmup. rest: of `learning_rate`."""
    parts = [
        phase.rate * learning_rate(phase.shape, phase.steps, 0 if k else warmup_steps, *rest)
        for k, phase in enumerate(phases)
    ]
    return np.concatenate(parts).astype(np.float32)


def _cycles(n, length, growth):
    """Position of each of the steps n within its cycle, in [0, 1)."""
    ends = [length]
    while ends[-1] <= n[-1]:
        ends.append(ends[-1] + length * growth ** len(ends))
    cycle = np.searchsorted(ends, n, side="right")
    begins = np.array([0, *ends])[cycle]
    return (n - begins) / (np.array(ends)[cycle] - begins)


def follow(rate: str | None = None, /, **knob_of_schedule: str) -> Control:
    """Multiply the rates of all groups by the schedule `rate`, if given, and set knobs to schedules: knob="schedule".

    The engine applies "learning_rate" before the controllers of a task: a second `follow` of it would square it.
    """

    def update(state, signals, controls):
        if rate is not None:
            rates = jax.tree.map(lambda factor: factor * signals.schedule[rate], controls.rates)
            controls = controls._replace(rates=rates)
        knobs = controls.knobs | {knob: signals.schedule[name] for knob, name in knob_of_schedule.items()}
        return state, controls._replace(knobs=knobs), {}

    return Control(lambda hypers: (), update)
