"""The analysis of one sweep or several: their runs as `means` compares them; as text, as JSON and as a figure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ternary_jax.analysis import data, means, settings, sweep_figures
from ternary_jax.config import ConfigError
from ternary_jax.errors import RunError, WorkdirError
from ternary_jax.metric import Metric
from ternary_jax.workdir import Sweep, files


class Compared(NamedTuple):
    """Sweeps as `means` compares them.

    head: a sentence on the number of their runs, and how these ended
    found: the result of `means.analyse`; columns: its metrics
    hidden: names of the metrics that are no columns
    """

    head: str
    found: dict[str, Any]
    columns: dict[str, Metric]
    hidden: list[str]


def compared(sweeps: Sequence[Sweep], names: Sequence[str] = ()) -> Compared:
    """The settings of all sweeps. names: the metrics of the table; (): targets and stop.watch first."""
    runs, metrics = measured(sweeps), _shared([one.metrics for one in sweeps])
    if all(run.ending in means.NOT_ENDED for run in runs):
        paths = ", ".join(str(one.path) for one in sweeps)
        raise WorkdirError(f"{paths}: no run has ended yet: go on with the sweep, and try again then")
    for name in names:
        if name not in metrics:
            raise ConfigError(f"--metrics={name} is no metric of this sweep: name some of {', '.join(metrics)}")
    first = [name for one in sweeps for group in one.content["groups"] for name in data.watched_first(group["config"])]
    columns = {name: metrics[name] for name in names} or means.chosen(runs, metrics, first)
    if not columns:
        raise WorkdirError(
            f"{sweeps[0].path}: no run has a finite value of a metric that all groups measure, so there is nothing to "
            "compare: runs.csv has the ending of each run"
        )
    total = [row for one in sweeps for row in one.table()]
    endings = ", ".join(f"{n:,} {ending}" for ending, n in Counter(row.ending for row in total).items())
    head = f"{', '.join(str(one.path) for one in sweeps)}: {len(total):,} runs: {endings}"
    return Compared(head, means.analyse(runs, columns), columns, [name for name in metrics if name not in columns])


def text(sweeps: Sequence[Sweep], names: Sequence[str] = (), draw: bool = True) -> str:
    """The settings of all sweeps side by side; of one sweep, also the names of the files that are written into it.

    names: the metrics of the table; (): targets and stop.watch first
    """
    head, found, columns, hidden = compared(sweeps, names)
    more = [f"{len(hidden)} more metrics are shown if --metrics names them, such as {hidden[0]}"] if hidden else []
    parts = [head, "", means.text(found, columns), *more]
    if len(sweeps) == 1:
        parts += ["", f"in {sweeps[0].path}: {_written(sweeps[0].path, found, columns, draw)}"]
    return "\n".join(parts)


def measured(sweeps: Sequence[Sweep]) -> list[means.Measured]:
    """The runs of the sweeps; of several sweeps, the folder is a part of the setting."""
    return [
        means.Measured(
            ({"sweep": str(one.path)} if len(sweeps) > 1 else {}) | settings.without_seeds(row.settings),
            row.seed,
            row.ending,
            {} if row.ending in means.NOT_ENDED else row.metrics,
        )
        for one in sweeps
        for row in one.table()
    ]


def _shared(each: Sequence[Mapping[str, Metric]]) -> dict[str, Metric]:
    """The metrics that all sweeps have in common; a sweep that has none yet does not count."""
    known = [one for one in each if one]
    return {name: one for name, one in known[0].items() if all(name in other for other in known)} if known else {}


def _written(path: Path, found: Mapping[str, Any], metrics: Mapping[str, Metric], draw: bool) -> str:
    """Write analysis.json and analysis.png into the folder of a sweep; -> their names, or why they are not written."""
    try:
        files.write_json(path / "analysis.json", found)
        names = ["analysis.json"]
        if draw:
            files.write_whole(path / "analysis.png", sweep_figures.png(found, metrics))
            names.append("analysis.png")
    except RunError as e:  # a sweep may be read-only
        if not isinstance(e.__cause__, OSError):
            raise
        return f"nothing, or not all, was written ({e.__cause__.strerror}); to have the files, copy the folder"
    return ", ".join(names)
