"""Workdirs side by side: a row for each workdir and setting; and means with intervals, where settings have seeds."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ternary_jax.analysis import data, means, settings
from ternary_jax.config import ConfigError, stored
from ternary_jax.errors import WorkdirError
from ternary_jax.grokking import history
from ternary_jax.metric import Metric
from ternary_jax.workdir import Run
from ternary_jax.workdir import rows as log

COUNTS = ("runs",)  # config keys that count runs, and describe none
# Groups of config keys that say when a run is measured and saved, not how it trains: they are the last columns.
RECORDS = ("evaluate", "checkpoint", "log", "compilation_cache")


class Compared(NamedTuple):
    """Workdirs of one task, compared.

    runs: of each workdir, its runs as `_runs` describes them
    found: the result of `settings.settings` over all runs; keys: those in which the settings differ
    columns: the metrics of a table; hidden: names of the others that all workdirs measure
    same: whether the metrics have the same ceilings and chance in all workdirs
    """

    runs: list[list[dict[str, Any]]]
    found: list[dict[str, Any]]
    keys: list[str]
    columns: dict[str, Metric]
    hidden: list[str]
    same: bool


def compared(workdirs: Sequence[Run], names: Sequence[str] = ()) -> Compared:
    """The settings of several workdirs of one task. names: the metrics of the table; (): targets and stop.watch first.

    The keys are the config keys in which the workdirs or their runs differ, seeds apart.
    """
    _check_one_task(workdirs)
    measured = [run.metrics for run in workdirs]
    shared = {name: metric for name, metric in measured[0].items() if all(name in other for other in measured)}
    _check_shared(names, shared)
    each = [_runs(run) for run in workdirs]
    found = settings.settings([one for runs in each for one in runs], shared)
    keys = _columns(found)
    found = [one | {"hypers": {key: one["hypers"].get(key) for key in keys}} for one in found]
    first = [name for run in workdirs for name in data.watched_first(run.config)]
    columns = {name: shared[name] for name in names} or settings.chosen(found, shared, first)
    same = all(_references(other[name]) == _references(shared[name]) for other in measured for name in columns)
    return Compared(each, found, keys, columns, [name for name in shared if name not in columns], same)


def text(workdirs: Sequence[Run], names: Sequence[str] = ()) -> str:
    """The table of several workdirs of one task, as `compared` has them."""
    each, found, keys, columns, hidden, same = compared(workdirs, names)
    lines = [f"{each[0][0]['task']}, {len(workdirs)} workdirs, {sum(map(len, each))} runs", ""]
    others = f"shown if --metrics names {'them, such as' if len(hidden) > 1 else 'it:'} {hidden[0]}" if hidden else ""
    lines += [settings.table(found, columns, references=same, others=others)]
    lines += notes(workdirs, each, columns, same)
    if (means_of := mean_findings([one for runs in each for one in runs], keys, columns)) is not None:
        lines += ["", means.text(means_of, columns)]
    return "\n".join([*lines, *(unfinished(run) for run in workdirs if not run.summary.get("finished", False))])


def notes(workdirs: Sequence[Run], each: Sequence[Any], columns: Mapping[str, Metric], same: bool) -> list[str]:
    """Sentences below the table: other ceilings, and runs that ended beyond the best value."""
    lines = [] if same else ["ceiling and chance are not the same in all workdirs: see the summary.json of each"]
    return lines + [
        f"{path}: {line}"
        for path, runs in zip((run.path for run in workdirs), each, strict=True)
        for name in columns
        for line in settings.collapses(columns[name], settings.finals(name, runs))
    ]


def mean_findings(
    runs: Sequence[Mapping[str, Any]], keys: Sequence[str], metrics: Mapping[str, Metric]
) -> dict[str, Any] | None:
    """The result of `means.analyse`; None where no setting has several seeds.

    A setting is named by the first keys that tell all settings apart: the table above has the others.
    """
    distinct = [len({tuple(one["hypers"].get(key) for key in keys[:n]) for one in runs}) for n in range(len(keys) + 1)]
    keys = keys[: distinct.index(distinct[-1])]
    measured = [
        means.Measured(
            {key: one["hypers"].get(key) for key in keys},
            one["seed"],
            one.get("stop", {}).get("reason", ""),
            one["final"],
        )
        for one in runs
    ]
    found = means.analyse(measured, metrics)
    return found if any(len(one["seeds"]) > 1 for one in found["settings"]) else None


def _runs(run: Run) -> list[dict[str, Any]]:
    """{"run", "task", "seed", "hypers", "final", "stop"} of each run; hypers: the workdir and the config of it."""
    seeds = log.seeds_of(run.config) or range(run.config["runs"])
    run = run._replace(config=stored.of_engine(run.config))
    rows = run.rows()
    data.check_evaluated(run, rows)
    summary = run.summary
    task = summary["task"] if summary else run.config["task"]
    config = {name: _hashable(value) for name, value in run.config.items() if name not in COUNTS}
    return [
        one | {"task": task, "seed": seeds[one["run"]], "hypers": {"workdir": str(run.path)} | config | one["hypers"]}
        for one in data.run_table(run, summary, history.histories(rows))
    ]


def _columns(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys in which the settings differ: the workdir, keys with several values in a workdir, others, RECORDS."""
    keys = dict.fromkeys(key for one in found for key in one["hypers"])

    def within(key):
        values = {(one["hypers"]["workdir"], one["hypers"].get(key)) for one in found}
        return len(values) > len({workdir for workdir, _ in values})

    return sorted(keys, key=lambda key: (key != "workdir", not within(key), key.partition(".")[0] in RECORDS, key))


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


def _references(metric: Metric) -> str:
    return str((metric.better, metric.best, metric.chance))  # as text, nan equals nan


def _check_one_task(workdirs: Sequence[Run]) -> None:
    first = workdirs[0]
    for other in workdirs[1:]:
        if other.config["task"] != first.config["task"]:
            raise WorkdirError(
                f"{first.path} is of the task {first.config['task']}, {other.path} of {other.config['task']}: only "
                "workdirs of one task can be compared, so analyse each alone"
            )


def _check_shared(names: Sequence[str], shared: Mapping[str, Metric]) -> None:
    for name in names:
        if name not in shared:
            known = f"name some of {', '.join(shared)}" if shared else "they share none"
            raise ConfigError(f"--metrics={name} is not a metric of all these workdirs: {known}")


def unfinished(run: Run) -> str:
    """A sentence on how far a training is that is not finished."""
    unit = data.unit_of(run.config)
    return f"{run.path} is not finished: {unit} {max(run.rows()[unit]):.0f} of {run.config[f'train.{unit}s']}"
