"""What the files of the host share: the read-only context of its loop, and its clock."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ternary_jax.engine.plan import Plan
from ternary_jax.engine.task import Task
from ternary_jax.metric import Metric


class Training(NamedTuple):
    """Read-only context of the host loop.

    metrics: those that are measured, by name
    config: as resolved, for the checkpoints
    again: how the run is started once more, for the messages
    started: unix seconds from which wall_s counts
    observables: names of what has to be finite, in the order of `StopState.bad_term`
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


class Clock(NamedTuple):
    """Seconds and counts of a session, updated by `_replace`.

    compile_s: of tracing and compiling; stepped: unix seconds of the first step, None before it
    since: of the last row; samples, busy_s: trained so far, and in how long; printed: of the last line of progress
    """

    compile_s: float
    stepped: float | None = None
    since: float = 0.0
    samples: int = 0
    busy_s: float = 0.0
    printed: float = 0.0
