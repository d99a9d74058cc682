"""The curves of a run: every metric with its references, the losses, and what happened when. Read from the log alone.

An evaluation that did not measure a costly metric has a nan in its curve.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ternary_jax.analysis import data as findings
from ternary_jax.config import stored
from ternary_jax.grokking.definitions import SEVERITIES
from ternary_jax.grokking.history import DETECTOR
from ternary_jax.grokking.online import FROZEN
from ternary_jax.workdir import Run


class Curve(NamedTuple):
    """A metric over time.

    name: of the metric; better: +1 where higher is better, -1 where lower is
    values (n,): float64, nan where it was not measured
    best, chance, target: reference values; nan where there is none
    tolerance: rounding of the metric
    """

    name: str
    better: int
    values: NDArray
    best: float
    chance: float
    target: float
    tolerance: float


class Span(NamedTuple):
    """A stretch of time: the shape of a phase of the rates, or the name of a group that is frozen."""

    name: str
    begin: float
    end: float


class Event(NamedTuple):
    """Something that happened: kind is "grokking" or "stop"."""

    kind: str
    at: float
    text: str


class Curves(NamedTuple):
    """The curves of a run. All times are in its unit, "epoch" or "step".

    task: its name; run: its number; unit: of time; length: that the config asks for
    at (n,): the evaluations, float64
    loss, gradient_norm (n,): means since the evaluation before
    terms: names of the parts of the loss, unweighted; term_values (m, n)
    metrics: those with a target first, in the order of a report
    phases: of the rates; freezes: of groups of parameters; events: in the order of time
    """

    task: str
    run: int
    unit: str
    length: float
    at: NDArray
    loss: NDArray
    gradient_norm: NDArray
    terms: tuple[str, ...]
    term_values: NDArray
    metrics: tuple[Curve, ...]
    phases: tuple[Span, ...]
    freezes: tuple[Span, ...]
    events: tuple[Event, ...]


def data(run: Run, k: int) -> Curves | None:
    """The curves of run k; None where it has no evaluation yet."""
    run = run._replace(config=stored.of_engine(run.config))
    rows, unit = run.rows(k), findings.unit_of(run.config)
    if unit not in rows:
        return None
    summary = run.summary
    at = np.asarray(rows[unit], np.float64)
    terms = tuple(name for name in rows if name.startswith("loss/"))
    return Curves(
        task=summary.get("task", run.config["task"]),
        run=k,
        unit=unit,
        length=float(run.config[f"train.{unit}s"]),
        at=at,
        loss=np.asarray(rows["loss"], np.float64),
        gradient_norm=np.asarray(rows["gradient_norm"], np.float64),
        terms=tuple(name.removeprefix("loss/") for name in terms),
        term_values=np.array([rows[name] for name in terms], np.float64).reshape(len(terms), len(at)),
        metrics=_metrics(run, rows, k),
        phases=phases(run.config),
        freezes=freezes(rows, at),
        events=tuple(sorted([*_grokked(rows, at), *_stopped(summary, rows, at, k)], key=lambda one: one.at)),
    )


def phases(config: Mapping[str, Any]) -> tuple[Span, ...]:
    """The phases of the rates; () where the schedule has none."""
    return tuple(Span(str(one["shape"]), float(one["begin"]), float(one["end"])) for one in findings.phases(config))


def freezes(rows: Mapping[str, NDArray], at: NDArray) -> tuple[Span, ...]:
    """The stretches in which a group of parameters is frozen: it is so from one evaluation to the next.

    The detector reports the share of frozen steps; without it, the rate of a frozen group is 0.
    """
    prefix = DETECTOR + FROZEN
    flags = {name.removeprefix(prefix): rows[name] > 0.5 for name in rows if name.startswith(prefix)}
    flags = flags or {name.removeprefix("rate/"): rows[name] == 0 for name in rows if name.startswith("rate/")}
    found, before = [], np.concatenate([[0.0], at[:-1]])
    for group, frozen in flags.items():
        edges = np.flatnonzero(np.diff(np.concatenate([[False], frozen, [False]])))
        for first, end in edges.reshape(-1, 2):
            found.append(Span(group, float(before[first]), float(at[end - 1])))
    return tuple(found)


# --- inside -----------------------------------------------------------------------------------------------------------


def _metrics(run: Run, rows: Mapping[str, NDArray], k: int) -> tuple[Curve, ...]:
    first = findings.watched_first(run.config)
    found = []
    for name, metric in run.metrics.items():
        if name not in rows or not np.isfinite(values := np.asarray(rows[name], np.float64)).any():
            continue
        key = f"targets.{name}"
        target = float(run.value(key, k)) if key in run.config else math.nan
        found.append(Curve(name, metric.better, values, metric.best, metric.chance, target, metric.tolerance))
    return tuple(sorted(found, key=lambda one: one.name not in first))


def _grokked(rows: Mapping[str, NDArray], at: NDArray) -> list[Event]:
    """Events that the detector of the run has found; each is reported from the evaluation on at which it is known."""
    counts = rows.get(f"{DETECTOR}events", np.zeros(len(at)))
    severity = rows.get(f"{DETECTOR}severity", np.zeros(len(at)))
    new = np.flatnonzero(np.diff(np.nan_to_num(counts), prepend=0) > 0)
    names = [SEVERITIES[min(3, max(0, int(severity[n])))] for n in new]
    return [Event("grokking", float(at[n]), f"grokking: {name}") for n, name in zip(new, names, strict=True)]


def _stopped(summary: Mapping[str, Any], rows: Mapping[str, NDArray], at: NDArray, k: int) -> list[Event]:
    """The end of a run that ended before its time."""
    stop = summary["runs"][k].get("stop", {}) if summary else {}
    if not stop or stop.get("reason") in (None, "epochs done", "steps done", "running"):
        return []
    step = np.asarray(rows["step"], np.float64)
    text = ", ".join(filter(None, (stop["reason"], stop.get("detail", ""))))
    return [Event("stop", float(np.interp(stop["step"], step, at)), text)]
