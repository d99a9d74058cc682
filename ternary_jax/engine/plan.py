"""The plan of a run in steps: its length, chunks and cadences; and its open-loop schedules, one row a step."""

import math
from typing import Any, NamedTuple

import numpy as np

from ternary_jax.config import checks
from ternary_jax.config.checks import length
from ternary_jax.control import schedules
from ternary_jax.errors import ConfigError

MOST_STEPS = 10**8  # of a run: each schedule has 4 bytes a step, and its computation several times as many


class Plan(NamedTuple):
    """Lengths and cadences of a run, in steps.

    unit: steps of the unit in which the config counts: those of an epoch, or 1
    total: steps of the run; chunk: steps of one call of the program
    cheap, costly, checkpoint: steps between cheap evaluations, costly evaluations, checkpoints; costly is 0 where the
        costly metrics are never measured, or only after the last step
    """

    unit: int
    total: int
    chunk: int
    cheap: int
    costly: int
    checkpoint: int

    def due(self, end: Any, every: int) -> Any:
        """Whether an event of the cadence `every` is due after step `end`, a number or array; always after the last."""
        return (end % every == 0) | (end == self.total)


def plan(static: Any, samples_per_epoch: int | None) -> Plan:
    """The plan of a config. A chunk divides both `evaluate.cheap_every` and the length of the run.

    So all chunks run one program, also where the length is no multiple of the cadence. A chunk is the longest such of
    at most `train.chunk`, for any number of runs, so that a run alone and the same run among others agree. Costly
    metrics that are only measured after the last step are left out of that program: compiling them would delay the
    first step by seconds.
    """
    units, cheap, costly = length(static.train), static.evaluate.cheap_every, static.evaluate.costly_every
    unit = _steps_of_an_epoch(static.train, samples_per_epoch) if static.train.epochs else 1
    check_steps(static.train, unit * units)
    at_end = costly >= units > cheap and not static.stop.on_targets
    return Plan(
        unit=unit,
        total=unit * units,
        chunk=unit * _longest_chunk(math.gcd(cheap, units), static.train.chunk),
        cheap=unit * cheap,
        costly=0 if at_end else unit * costly,
        checkpoint=unit * static.checkpoint.every,
    )


def traced_steps(static: Any, steps: Plan) -> tuple[int, int] | None:
    """(first, end) of the steps of profile.steps, in whole chunks, as a chunk is one call; None without the key."""
    given = checks.profiled_steps(static.profile)
    if given is None:
        return None
    if given[1] > steps.total:
        raise ConfigError(
            f"config.profile.steps={static.profile.steps} ends after the last step of the run, {steps.total}: give a "
            f"STOP of at most {steps.total}"
        )
    return given[0] // steps.chunk * steps.chunk, math.ceil(given[1] / steps.chunk) * steps.chunk


def schedule_rows(task: Any, static: Any) -> dict[str, np.ndarray]:
    """All open-loop schedules, one row a step: that of the learning rate, and those of the task."""
    steps, t = plan(static, task.samples_per_epoch), static.train
    warmup, cycle = t.warmup_epochs * steps.unit, t.cycle_epochs * steps.unit
    phases = [schedules.Phase(t.schedule, steps.total, 1.0)]
    if t.schedule == "phases":
        lengths = [units * steps.unit for units in t.phase_epochs]
        phases = [schedules.Phase(*phase) for phase in zip(t.phase_shapes, lengths, t.phase_rates, strict=True)]
    rate = schedules.in_phases(phases, warmup, t.final_rate, cycle, t.cycle_growth)
    for name, row in task.schedules.items():
        if name == "learning_rate":
            raise ConfigError(f"{task.name} has a schedule called learning_rate, as the engine has: rename it")
        if len(row) != steps.total:
            raise ConfigError(f"schedule {name} has {len(row)} rows for {steps.total} steps: give one row a step")
    return {"learning_rate": rate, **task.schedules}


def check_steps(train: Any, total: int) -> None:
    """Refuse a run with more steps than its schedules, one row a step, can have in memory."""
    if total > MOST_STEPS:
        unit = checks.unit(train)
        raise ConfigError(
            f"config.train.{unit}={length(train)} are {total:,} steps, and a run has at most {MOST_STEPS:,}, as its "
            f"schedules have a row a step: give fewer {unit}"
        )


def _longest_chunk(common: int, most: int) -> int:
    """The greatest divisor of `common` that is at most `most`; `common` itself if `most` is 0."""
    return next(n for n in range(min(common, most or common), 0, -1) if common % n == 0)


def _steps_of_an_epoch(train: Any, samples_per_epoch: int | None) -> int:
    if samples_per_epoch is None:
        raise ConfigError(
            f"config.train.epochs={train.epochs}: runs of this task are counted in steps; set config.train.steps, and "
            "config.train.epochs=0"
        )
    return math.ceil(samples_per_epoch / train.batch_size)
