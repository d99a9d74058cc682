"""The page of several trainings of one task, and that of sweeps: tables of their settings, and their curves."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ternary_jax.analysis import comparison, data, means, settings, sweeps
from ternary_jax.analysis.page import beside, overlay
from ternary_jax.analysis.page.content import Page, Panel, Section, Table
from ternary_jax.errors import ConfigError
from ternary_jax.grokking import history
from ternary_jax.metric import Metric
from ternary_jax.panels import intervals
from ternary_jax.tables import counted
from ternary_jax.workdir import Run, Sweep


def of_workdirs(runs: Sequence[Run], k: int = 0) -> Page:
    """Workdirs of one task side by side. k: the run of each workdir of several runs whose model is looked at."""
    for run in runs[: beside.MOST]:
        run.check_number(k)
    found = comparison.compared(runs)
    all_runs = [one for each in found.runs for one in each]
    lines, hidden = settings.cells(found.found, found.columns, found.same)
    more = f"; they also differ in {', '.join(hidden)}" if hidden else ""
    parts: list[Any] = [Table(f"Settings; {settings.CELL}{more}", lines[0], lines[1:])]
    notes = comparison.notes(runs, found.runs, found.columns, found.same)
    averages = comparison.mean_findings(all_runs, found.keys, found.columns)
    sections = [Section("Settings", notes, parts)]
    if averages is not None:
        sections.append(_means(averages, found.columns))
    unit = data.unit_of(runs[0].config)
    groups = [one for run, each in zip(runs, found.runs, strict=True) for one in _settings_of(run, each)]
    sections.append(_over_time(groups, unit, found.columns))
    looked_at = [beside.Training(name, run, k) for name, run in zip(_names(runs), runs, strict=True)]
    learned, notices = beside.sections(looked_at, "workdirs")
    task = all_runs[0]["task"]
    title = f"{task}: {len(runs)} trainings compared"
    about = f"{counted(len(all_runs), 'run')} in {', '.join(str(run.path) for run in runs)}."
    unfinished = [comparison.unfinished(run) for run in runs if not run.summary.get("finished", False)]
    return Page(title, about, [f"{one}." for one in unfinished] + notices, sections + learned)


def of_sweeps(opened: Sequence[Sweep], k: int = 0) -> Page:
    """The settings of sweeps side by side; of the first settings, the model of the first run is looked at."""
    if k:
        raise ConfigError(
            f"--run={k} is of workdirs, and the page of a sweep takes the first run of each: leave it out"
        )
    found = sweeps.compared(opened)
    sections = [_means(found.found, found.columns)]
    logs: dict[str, dict[int, Any]] = {}
    members: dict[str, list[Any]] = {}
    looked_at: dict[str, beside.Training] = {}
    unit = "epoch"
    for one in opened:
        for row, run in one.runs():
            if (place := str(run.path)) not in logs:
                logs[place] = {log.run: log for log in history.histories(run.rows())} if run.rows() else {}
                unit = data.unit_of(run.config)
            if row.place in logs[place]:
                setting = ({"sweep": str(one.path)} if len(opened) > 1 else {}) | settings.without_seeds(row.settings)
                label = settings.label(setting)
                members.setdefault(label, []).append((f"run {row.run}", logs[place][row.place]))
                looked_at.setdefault(label, beside.Training(label or "all runs", run, row.place))
    groups = [overlay.Setting(label, runs) for label, runs in members.items()]
    sections.append(_over_time(groups, unit, found.columns))
    learned, notices = beside.sections([*looked_at.values()], "settings")
    names = ", ".join(str(one.path) for one in opened)
    return Page(f"Sweep of {names}", f"{found.head}.", notices, sections + learned)


# --- inside -----------------------------------------------------------------------------------------------------------


def _names(runs: Sequence[Run]) -> list[str]:
    """The name of each workdir; where two have the same, their paths."""
    short = [run.path.resolve().name for run in runs]
    return short if len({*short}) == len(short) else [str(run.path) for run in runs]


def _settings_of(run: Run, each: Sequence[Mapping[str, Any]]) -> list[overlay.Setting]:
    """The settings of a workdir, named after it and the keys in which its runs differ."""
    logs = {one.run: one for one in history.histories(run.rows())}
    own = [{**one, "hypers": {key: x for key, x in one["hypers"].items() if key != "workdir"}} for one in each]
    return [
        overlay.Setting(
            ", ".join(filter(None, (run.path.resolve().name, settings.label(hypers)))),
            [(f"{run.path.name} run {one['run']}", logs[one["run"]]) for one in group],
        )
        for hypers, group in settings.groups(own)
    ]


def _over_time(groups: Sequence[overlay.Setting], unit: str, metrics: Mapping[str, Metric]) -> Section:
    texts = []
    if len(groups) > overlay.MOST_GROUPS:
        texts.append(f"The first {overlay.MOST_GROUPS} of {len(groups)} settings have a line.")
    logs = [log for one in groups for _, log in one.members]
    chosen = overlay.drawn_metrics(metrics, metrics, logs)
    return Section("Over time", texts, overlay.panels(groups, unit, chosen, {}))


def _means(found: Mapping[str, Any], metrics: Mapping[str, Metric]) -> Section:
    lines = means.cells(found, metrics)
    parts: list[Any] = [Table(f"Settings; {means.CELL}", lines[0], lines[1:])]
    parts += [_interval_panel(name, metric, found) for name, metric in metrics.items()]
    return Section("Means over seeds", means.sentences(found, metrics), parts)


def _interval_panel(name: str, metric: Metric, found: Mapping[str, Any]) -> Panel:
    """The mean and the interval of each setting in one metric."""
    best = found["verdicts"][name]
    rows = [
        intervals.Row(
            settings.label(one["setting"]) or "all runs",
            one["metrics"][name]["mean"],
            one["metrics"][name]["low"],
            one["metrics"][name]["high"],
            bool(best["best"] and k == best["lead"]),
        )
        for k, one in enumerate(found["settings"])
        if one["metrics"][name]["n"]
    ]
    ceiling = {f"ceiling {metric.best:.5g}": metric.best} if math.isfinite(metric.best) else {}
    better = "higher" if metric.better > 0 else "lower"
    title = f"{name} by setting: mean over seeds and its 95 % interval ({better} is better)"
    return Panel(f"mean-{name}", title, intervals.text(rows), intervals.panel(rows, name, ceiling))
