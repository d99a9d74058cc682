"""Metrics and losses over time, one panel for each column of the log, the runs of all settings in it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ternary_jax.analysis import curves as curves_of_run
from ternary_jax.analysis.page.content import Panel
from ternary_jax.grokking.history import History
from ternary_jax.metric import Metric
from ternary_jax.panels import curves
from ternary_jax.panels.curves import Curves, Group, Mark, Span

FEW = 4  # up to this many runs of one setting have a line each; more are thin lines with their median
MOST_GROUPS = 12  # settings that have a line; more could not be told apart
MOST_METRICS = 8
LOGARITHMIC = ("loss", "gradient_norm")  # columns that have a logarithmic axis, where all values are positive


class Setting(NamedTuple):
    """Runs that differ only by their seeds. members: (name, log) of each."""

    label: str
    members: Sequence[tuple[str, History]]


def panels(
    settings: Sequence[Setting],
    unit: str,
    metrics: Mapping[str, Metric],
    targets: Mapping[str, float],
    spans: Sequence[Span] = (),
    marks: Sequence[Mark] = (),
) -> list[Panel]:
    """The loss, the metrics and the norm of the gradient. metrics: those that are drawn, in order."""
    chosen = _split(settings)[:MOST_GROUPS]
    made = []
    for name in ("loss", *metrics, "gradient_norm"):
        if not (groups := [group for one in chosen if (group := _group(one, name, unit)).members]):
            continue
        metric = metrics.get(name)
        about = Curves(unit, name, groups, _references(metric, targets.get(name)), spans, marks, name in LOGARITHMIC)
        better = {None: "", 1: " (higher is better)", -1: " (lower is better)"}[metric.better if metric else None]
        made.append(
            Panel(f"time-{name}", f"{name} over time{better}", curves.text(about), curves.panel(about), narrow=True)
        )
    return made


def drawn_metrics(metrics: Mapping[str, Metric], first: Iterable[str], logs: Sequence[History]) -> dict[str, Metric]:
    """The metrics of the panels: those in `first`, then the others in their order; with two values of a run or more."""

    def measured(name: str) -> bool:
        return any(np.isfinite(one.columns[name]).sum() > 1 for one in logs if name in one.columns)

    names = [name for name in dict.fromkeys([*first, *metrics]) if name in metrics and measured(name)]
    return {name: metrics[name] for name in names[:MOST_METRICS]}


def spans_of(own: curves_of_run.Curves) -> list[Span]:
    """The phases of the schedule, and the stretches in which a group of parameters is frozen; of one run."""
    phases = [Span(one.begin, one.end, one.name) for one in own.phases]
    return phases + [Span(one.begin, one.end, f"{one.name} frozen") for one in own.freezes]


def marks_of(found: Mapping[str, Any], own: curves_of_run.Curves) -> list[Mark]:
    """The grokking events of all runs, and the early end of one. found: the result of `data.analyse`."""
    many, unit = len(found["runs"]) > 1, found["unit"]
    rises = [(run["run"], rise) for run in found["runs"] for rise in run["rises"] if rise["event"]]
    marks = [Mark(rise[unit], f"{rise['severity']} event" + f", run {run}" * many) for run, rise in rises]
    return marks + [Mark(one.at, one.text) for one in own.events if one.kind == "stop"]


def terms(own: curves_of_run.Curves, spans: Sequence[Span], marks: Sequence[Mark]) -> list[Panel]:
    """The parts of the loss of one run, unweighted; [] where there is one part alone."""
    if len(own.terms) < 2:
        return []
    groups = [Group(name, [(name, own.at, x)]) for name, x in zip(own.terms, own.term_values, strict=True)]
    about = Curves(own.unit, "part of the loss", groups, {}, spans, marks, True)
    title = f"Parts of the loss of run {own.run}, unweighted"
    return [Panel("time-terms", title, curves.text(about), curves.panel(about, 380))]


# --- inside -----------------------------------------------------------------------------------------------------------


def _split(settings: Sequence[Setting]) -> list[Setting]:
    """A setting for each run, where there are few runs in all."""
    if sum(len(one.members) for one in settings) > FEW:
        return [*settings]
    return [
        Setting(
            ", ".join(filter(None, (one.label, member[0] if len(one.members) > 1 or not one.label else ""))), [member]
        )
        for one in settings
        for member in one.members
    ]


def _group(setting: Setting, name: str, unit: str) -> Group:
    given = [(run, log.columns[unit], log.columns[name]) for run, log in setting.members if name in log.columns]
    finite = [one for one in given if np.isfinite(one[2]).any()]
    return Group(setting.label or "all runs", finite)


def _references(metric: Metric | None, target: float | None) -> dict[str, float]:
    if metric is None:
        return {}
    given = {"target": target, "ceiling": metric.best, "chance": metric.chance}
    return {name: x for name, x in given.items() if x is not None}
