"""The findings of an analysis of a workdir, as data: numbers, texts, arrays, lists and dicts."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ternary_jax.analysis import plateaus, settings
from ternary_jax.config import ConfigError, stored
from ternary_jax.errors import WorkdirError
from ternary_jax.grokking import definitions, extension, history
from ternary_jax.grokking.history import History
from ternary_jax.metric import Criteria, Metric
from ternary_jax.tables import cell, span
from ternary_jax.workdir import Columns, Run, safe_files
from ternary_jax.workdir import rows as log


class Evidence(NamedTuple):
    """The inputs of the checklist and of the levels of success.

    rows: the columns of metrics.jsonl, of all runs; histories: the same, by run
    runs: the findings of each run, and the last value of each of its columns
    settings: the results of each setting, see `settings.settings`
    unit: the unit that the config counts in, "epoch" or "step"
    """

    run: Run
    rows: Columns
    summary: dict[str, Any]
    metrics: dict[str, Metric]
    histories: list[History]
    runs: list[dict[str, Any]]
    settings: list[dict[str, Any]]
    unit: str


def analyse(run: Run, names: Sequence[str] = (), short: bool = True) -> dict[str, Any]:
    """All findings. names: metrics to search for events; (): those of the detector, or all that have a scale.

    short: whether rises and plateaus are looked for also in a log that is too short for an event. Without it, such a
    log is analysed in a tenth of the time, which the compiling of the detector takes
    """
    run = run._replace(config=stored.of_engine(run.config))
    rows, unit = run.rows(), unit_of(run.config)
    _check_analysable(run)
    check_evaluated(run, rows)
    summary, metrics, criteria = run.summary, run.metrics, run.criteria
    histories, thresholds = history.histories(rows), _thresholds(run.config)
    searched = _searched(run.config, metrics, histories, names)
    long_enough = short or max(len(one.columns["step"]) for one in histories) >= thresholds.least()
    found = history.analyse(histories, searched if long_enough else (), metrics.values(), thresholds)
    runs = [
        plateaus.described(one, h, searched, metrics, thresholds) | about
        for one, h, about in zip(found, histories, run_table(run, summary, histories), strict=True)
    ]
    evidence = Evidence(run, rows, summary, metrics, histories, runs, settings.settings(runs, metrics), unit)
    first = watched_first(run.config)
    enough = len(searched) >= thresholds.together and min(one["evaluations"] for one in runs) >= thresholds.least()
    return {
        "workdir": str(run.path),
        "task": summary["task"] if summary else run.config["task"],
        "finished": summary.get("finished", False),
        "unit": unit,
        "now": float(np.max(rows[unit])),
        "length": run.config[f"train.{unit}s"],
        "phases": phases(run.config),
        "metrics": [one._asdict() | _references(metrics[one.name]) for one in searched],
        "thresholds": thresholds._asdict(),
        "settings": evidence.settings,
        "compared": [one._asdict() for one in settings.chosen(evidence.settings, metrics, first).values()],
        "success": {one.name: _success(one, evidence) for one in criteria if one.levels},
        "generalisation": [
            {"runs": [one["run"] for one in group], "hypers": about, "metrics": history.over_runs(group)}
            for about, group in settings.groups(runs)
        ],
        "checklist": _checklist(evidence, criteria, enough),
        "runs": runs,
    }


def run_table(run: Run, summary: Mapping[str, Any], histories: Iterable[History]) -> list[dict[str, Any]]:
    """{"run", "hypers", "final": last finite value of each column, "stop": of a summary} of each run with rows."""
    stops = [{"stop": one["stop"]} for one in summary["runs"]] if summary else []
    return [
        {"run": h.run, "hypers": _hypers(run, summary, h.run), "final": _final(h), **(stops[h.run] if stops else {})}
        for h in histories
    ]


def unit_of(config: Mapping[str, Any]) -> str:
    """The unit that the config counts in, "epoch" or "step"."""
    return "epoch" if config["train.epochs"] else "step"


def watched_first(config: Mapping[str, Any]) -> list[str]:
    """The metrics that a table shows first: those with targets, then `stop.watch`."""
    prefix = "targets."
    targets = [key.removeprefix(prefix) for key in config if key.startswith(prefix)]
    return targets + [config[key] for key in ("stop.watch",) if key in config]


def check_evaluated(run: Run, rows: Columns) -> None:
    """Raise a WorkdirError where there is no evaluation, or the log is not of this config.

    The reason is that of summary.json, if there is one.
    """
    if rows:
        if (unit := unit_of(run.config)) not in rows:
            raise WorkdirError(
                f"{run.path / 'metrics.jsonl'} is of another training than config.json, as it has no {unit}s: put back "
                "a copy"
            )
        return
    summary, unit = run.summary, unit_of(run.config)
    first = f"the first comes after {run.config['evaluate.cheap_every']} {unit}s"
    if summary.get("finished", False):
        raise WorkdirError(log.none_at_the_end(run.path))
    stops = [one["stop"] for one in summary.get("runs", ())]
    if stops and all(stop["reason"] == settings.DIVERGED for stop in stops):
        raise WorkdirError(
            f"{run.path} has no evaluation: {first}, and the training ended before: run 0 diverged at step "
            f"{stops[0]['step']:,} ({stops[0]['detail']}); train in another workdir with a lower train.learning_rate"
        )
    raise WorkdirError(
        f"{run.path} has no evaluation yet: {first}; try again then, or start the training again with the same "
        "workdir if it is not under way"
    )


def _check_analysable(run: Run) -> None:
    """Raise a WorkdirError where the config has no thresholds of events."""
    if "grokking.memory" not in run.config:
        raise WorkdirError(f"{run.path} was trained before there was config.grokking: train again to have it analysed")


def _references(metric: Metric) -> dict[str, float]:
    return {name: getattr(metric, name) for name in ("best", "chance", "tolerance")}


def _thresholds(config: Mapping[str, Any]) -> definitions.Thresholds:
    """The detector's thresholds, from the config; they are there also where grokking.on is False."""
    given = {name: config[f"grokking.{name}"] for name in definitions.Thresholds._fields}
    extension.check_thresholds(given)
    return definitions.thresholds(given)


def _searched(config, metrics, histories, names):
    """The metrics with a scale in which events are searched for; of metrics that are the same values, one."""
    scaled = {name: one for name, metric in metrics.items() if (one := definitions.scaled(metric))}
    if unknown := [name for name in names if name not in scaled]:
        known = f"name some of {', '.join([*scaled][:50])}" if scaled else "no metric of this task has one"
        wrong = "has no scale" if unknown[0] in metrics else "is no metric of this training"
        raise ConfigError(f"--metrics={unknown[0]} {wrong}: {known}")
    names = names or (config["grokking.metrics"] if config["grokking.on"] else ()) or scaled
    asked = [one for name, one in scaled.items() if name in names]
    return history.distinct(asked, histories, _thresholds(config).gains[0])


def _hypers(run: Run, summary, k):
    """The hypers of run k, from the summary; without one, those of which the config has one value per run."""
    if summary:
        return summary["runs"][k]["hypers"]
    table, _ = stored.keys_of(run.config, run.task)
    values = stored.values_of(run.config, table)
    return {name: value[k] for name, value in values.items() if table[name].traced and isinstance(value, tuple)}


def phases(config):
    """The phases of the learning-rate schedule, {"shape", "rate", "begin", "end"} each; [] where it has no phases."""
    if config["train.schedule"] != "phases":
        return []
    ends = np.cumsum(config["train.phase_epochs"]).tolist()
    parts = zip(config["train.phase_shapes"], config["train.phase_rates"], [0, *ends], ends, strict=False)
    return [dict(zip(("shape", "rate", "begin", "end"), part, strict=True)) for part in parts]


def _final(one: History) -> dict[str, float]:
    """The last finite value of every column that has one."""
    last = {name: x[np.isfinite(x)][-1:] for name, x in one.columns.items()}
    return {name: float(x[0]) for name, x in last.items() if x.size}


def _ends(e: Evidence, name: str) -> list[float]:
    """The last finite value of a metric in each run; nan where it was not measured."""
    return [run["final"].get(name, math.nan) for run in e.runs]


def _median(values: Iterable[float]) -> float | None:
    values = [x for x in values if math.isfinite(x)]
    return statistics.median(values) if values else None


def _middle(e: Evidence, values: Sequence[float]) -> str:
    """The median of values of the runs as text; of several settings, the least and the greatest of their medians."""
    place = {run["run"]: k for k, run in enumerate(e.runs)}
    each = [_median(values[place[run]] for run in one["runs"]) for one in e.settings]
    known = [x for x in each if x is not None]
    if len(each) == 1 or not known:
        return f"median {cell(each[0])}"
    return f"medians of {len(each)} settings from {cell(min(known))} to {cell(max(known))}"


# --- success ----------------------------------------------------------------------------------------------------------


def _success(criteria: Criteria, e: Evidence) -> dict[str, Any]:
    """For each level its targets, the number of runs that meet each, and whether it is possible; the level of each run.

    A run with a metric beyond its best, by a collapse or an altered log, reaches no level.
    """
    names = dict.fromkeys(name for asked in criteria.levels.values() for name in asked)
    measured, ends = {name: e.metrics[name] for name in names if name in e.metrics}, {n: _ends(e, n) for n in names}

    def met(name, target):
        return np.array([name in measured and bool(measured[name].meets(x, target)) for x in ends[name]])

    def level(asked):
        beyond = [name for name, target in asked.items() if name in measured and measured[name].beyond(target)]
        runs = {name: int(met(name, target).sum()) for name, target in asked.items()}
        return {"asked": asked, "runs": runs, "not_possible": beyond}

    beyond = {name: np.array([bool(metric.beyond(x)) for x in ends[name]]) for name, metric in measured.items()}
    any_beyond = np.any([*beyond.values(), np.zeros(len(e.runs), bool)], 0)
    passed = [np.all([met(*one) for one in asked.items()], 0) & ~any_beyond for asked in criteria.levels.values()]
    reached = np.max([np.where(good, k, 0) for k, good in enumerate(passed, 1)], 0)
    order = ("none", *criteria.levels)
    return {
        "levels": {
            name: level(asked) | {"reached": int((reached >= k).sum())}
            for k, (name, asked) in enumerate(criteria.levels.items(), 1)
        },
        "best": {name: measured[name].best if name in measured else math.nan for name in names},
        "median": {name: _median(ends[name]) for name in names},
        "finals": ends,
        "reached": [order[k] for k in reached],
        "beyond": {name: [e.runs[k]["run"] for k in np.flatnonzero(one)] for name, one in beyond.items() if one.any()},
        "not_measured": [name for name in names if not np.isfinite(ends[name]).any()],
    }


# --- checklist --------------------------------------------------------------------------------------------------------


def _checklist(e: Evidence, criteria: Sequence[Criteria], enough: bool) -> list[dict[str, Any]]:
    """{"item", "met": True, False, or None where it is not known, "because"} for each item."""
    asked = [_asked(e, name, target) for one in criteria for name, target in one.checklist.items()]
    speeds = [_speed(e, one.samples_per_s) for one in criteria if one.samples_per_s]
    return [_complete(e), _stable(e), _progress(e), *asked, _grokked(e, enough), *speeds, _files(e)]


def _item(name, met, because):
    return {"item": name, "met": met if met is None else bool(met), "because": because}


def _of_runs(name, good, because):
    return _item(name, all(good), f"{sum(good)} of {len(good)} runs: {because}" if len(good) > 1 else because)


def _complete(e):
    at, length = np.max(e.rows[e.unit]), e.run.config[f"train.{e.unit}s"]
    return _item(
        "finished",
        e.summary.get("finished", False),
        f"{e.unit} {at:.0f} of {length}, after {span(np.max(e.rows['wall_s']))}",
    )


def _stable(e):
    endings = [run["stop"] for run in e.summary["runs"]] if e.summary else []
    bad = [f"run {k}: {end['reason']}, {end['detail']}" for k, end in enumerate(endings) if end["detail"]]
    finite = np.isfinite(e.rows["loss"]).all()
    losses = "every loss was finite" + ("" if endings else " so far") if finite else "a loss was not finite"
    return _item("stable: no divergence, no rollback", finite and not bad, bad[0] if bad else losses)


def _progress(e):
    item, losses = "progress: the loss fell", [one.columns["loss"] for one in e.histories]
    if all(len(x) < 2 for x in losses):
        return _item(item, None, f"one evaluation shows no progress; its loss is {_middle(e, [x[0] for x in losses])}")
    because = f"{_middle(e, [x[0] for x in losses])} at first, {_middle(e, [x[-1] for x in losses])} now"
    return _of_runs(item, [bool(x[-1] < x[0]) for x in losses], because)


def _asked(e, name, target):
    if name not in e.metrics:
        return _item(f"{name} of {target:g}", None, "not measured")
    metric, ends = e.metrics[name], _ends(e, name)
    because = _middle(e, ends)
    because += f", best possible {cell(metric.best)}" if math.isfinite(metric.best) else ""
    collapsed = [str(run["run"]) for run, x in zip(e.runs, ends, strict=True) if metric.beyond(x)]
    because += f"; beyond the best in run {', '.join(collapsed)}" if collapsed else ""
    least = "more" if metric.better > 0 else "less"
    return _of_runs(
        f"{name} of {target:.2f} or {least}, without collapse", [metric.meets(x, target) for x in ends], because
    )


def _grokked(e, enough):
    item = "a confirmed grokking event"
    if not enough:
        return _item(item, None, "not looked for, see below")
    confirmed = [sum(rise["confirmed"] for rise in run["rises"]) for run in e.runs]
    events = sum(rise["event"] for run in e.runs for rise in run["rises"])
    return _of_runs(item, [k > 0 for k in confirmed], f"{sum(confirmed)} confirmed of {events} events")


def _speed(e, least):
    # The rate of a row is that of one run; the rate of all runs together is the number of runs times that.
    rate = len(e.runs) * float(np.median(e.rows["samples_per_s"]))
    return _item(f"more than {least:,.0f} samples/s", rate > least, f"median {rate:,.0f}")


def _files(e):
    wanted = {"summary.json": 1, "checkpoints": 1}
    wanted |= {"tensorboard": len(e.runs)} if e.run.config["log.tensorboard"] else {}

    def there(name):
        path = e.run.path / name
        what = safe_files.kind(path)
        return len(safe_files.names(path)) if what == "a folder" else int(what == "a file")

    missing = [name for name, least in wanted.items() if there(name) < least]
    missing += [f"rows of step {step:.0f}" for step in _steps_without_rows(e.rows["step"])]
    shown = ", ".join(missing[:5]) + f" and {len(missing) - 5} more" * (len(missing) > 5)
    wrong = [f"missing: {shown}"] if missing else []
    wrong += [f"the newest checkpoint is of another config: {differing}"] if (differing := e.run.unlike()) else []
    return _item("logs and checkpoints", not wrong, "; ".join(wrong) or "the files are there")


def _steps_without_rows(steps):
    """The evaluations without a row. The cadence is the least distance of two; the last may be off it."""
    found = np.unique(steps)
    cadence = np.min(np.diff(found[:-1], prepend=0)) if len(found) > 1 else found[0]
    return np.setdiff1d(np.arange(cadence, found[-1], cadence), found)
