"""What the files of the host loop share: its read-only context and its clock."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ternary_jax.engine.plan import Plan
from ternary_jax.engine.task import Task
from ternary_jax.metric import Metric


class Within(NamedTuple):
    """The place of a training in a sweep, for the progress line.

    label: such as "group_001, 1/4 groups done"
    later: samples that the trainings after this one have to train, of all their runs together
    """

    label: str
    later: int


class Training(NamedTuple):
    """Read-only context of the host loop.

    metrics: the metrics that the config measures, by name
    config: the resolved config, as in config.json, for the checkpoints
    again: the command that resumes the run, for the messages
    started: unix seconds from which wall_s counts
    observables: names of the values that have to be finite; `StopState.bad_term` is an index into them
    within: the place in a sweep; None for a training alone
    """

    task: Task
    static: Any
    hypers: Any
    plan: Plan
    metrics: dict[str, Metric]
    workdir: Path
    config: dict[str, Any]
    again: str
    started: float
    observables: Sequence[str] = ()
    within: Within | None = None


class Clock(NamedTuple):
    """Times and counts of a session, updated by `_replace`.

    compile_s: seconds of tracing and compiling
    first: the step at which this session began
    stepped: unix seconds of the first step; None before it
    since: unix seconds of the last row
    samples, busy_s: samples trained so far, and the seconds that they took
    printed: time.monotonic() of the last progress line
    rate: samples per second of all runs that train, by the last rows; 0 before them
    """

    compile_s: float
    first: int = 0
    stepped: float | None = None
    since: float = 0.0
    samples: int = 0
    busy_s: float = 0.0
    printed: float = 0.0
    rate: float = 0.0
