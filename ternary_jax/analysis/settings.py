"""Settings: groups of runs that differ only by their seeds; and a table with a row for each.

`without_seeds` is the one definition of a setting: all tables, figures and verdicts use it. A table pools no settings:
the median over several learning rates describes none of them.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ternary_jax.metric import Metric
from ternary_jax.tables import cell, fitted, reference_cell

SHOWN_METRICS = 4  # at most this many metrics are columns of a table
SHOWN_KEYS = 5  # at most this many config keys are columns of a table; the others are named below it
DIVERGED = "diverged"  # reason of a stop, in summary.json
CELL = "a cell: median (worst) of the last values of the runs"


def groups(runs: Sequence[Mapping[str, Any]]) -> list[tuple[dict[str, Any], list[Mapping[str, Any]]]]:
    """[(hypers in which the groups differ, runs)]. Runs of one group differ only by seeds, data.split_seed included."""
    made: dict[tuple, list] = {}
    for run in runs:
        made.setdefault(tuple(sorted(without_seeds(run["hypers"]).items())), []).append(run)
    shared = set.intersection(*map(set, made))
    return [({name: x for name, x in hypers if (name, x) not in shared}, runs) for hypers, runs in made.items()]


def without_seeds(hypers: Mapping[str, Any]) -> dict[str, Any]:
    """The values that make a setting: those of all keys but seeds, such as seed and data.split_seed."""
    return {name: value for name, value in hypers.items() if not name.endswith("seed")}


def label(hypers: Mapping[str, Any]) -> str:
    """The name of a setting: "train.learning_rate 0.001, model.c 2"; "" where there is only one."""
    return ", ".join(f"{name} {_value(value)}" for name, value in hypers.items())


def settings(runs: Sequence[Mapping[str, Any]], metrics: Mapping[str, Metric]) -> list[dict[str, Any]]:
    """The results of each setting: hypers that differ, numbers of its runs and of those that diverged, metrics.

    runs: {"run", "hypers", "final": last value of each metric, "stop": {"reason"}, missing while the run trains}

    A metric has the median and the worst of its finite values, and the number of runs that have one. Runs that
    diverged count with the last values they had: without them, the settings that diverge would look good.
    """
    return [
        {
            "hypers": hypers,
            "runs": [run["run"] for run in group],
            "diverged": [run["run"] for run in group if run.get("stop", {}).get("reason") == DIVERGED],
            "metrics": {name: _spread(metric, group) for name, metric in metrics.items()},
        }
        for hypers, group in groups(runs)
    ]


def finals(name: str, runs: Iterable[Mapping[str, Any]]) -> dict[int, float]:
    """The last values of a metric that are finite, by run."""
    each = {run["run"]: run["final"].get(name) for run in runs}
    return {run: x for run, x in each.items() if x is not None and math.isfinite(x)}


def _spread(metric: Metric, runs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    values = [*finals(metric.name, runs).values()]
    worst = min(values, key=lambda x: metric.better * x, default=None)
    return {"median": statistics.median(values) if values else None, "worst": worst, "measured": len(values)}


def chosen(
    found: Sequence[Mapping[str, Any]], metrics: Mapping[str, Metric], first: Iterable[str]
) -> dict[str, Metric]:
    """The metrics of a table: those in `first`, then the others as the task lists them, SHOWN_METRICS at most."""
    names = [name for name in dict.fromkeys([*first, *metrics]) if name in metrics]
    measured = [name for name in names if any(one["metrics"][name]["measured"] for one in found)]
    return {name: metrics[name] for name in measured[:SHOWN_METRICS]}


def table(
    found: Sequence[Mapping[str, Any]],
    metrics: Mapping[str, Metric],
    references: bool = True,
    others: str = "in summary.json",
) -> str:
    """The `cells` as text, and below them what a cell is, and what has no column.

    others: where the metrics are that are no columns, in words
    """
    lines, hidden = cells(found, metrics, references)
    keys = {key for one in found for key in one["hypers"]}
    parts = [fitted(lines, len(keys) - len(hidden) or 1), CELL]
    if more := len(found[0]["metrics"]) - len(metrics):
        parts[-1] += f"; {more} more metric{'s are' if more > 1 else ' is'} {others}"
    if hidden:
        parts.append(
            f"they also differ in {', '.join(hidden[:8])}" + f" and {len(hidden) - 8} more" * (len(hidden) > 8)
        )
    return "\n".join(parts)


def cells(
    found: Sequence[Mapping[str, Any]], metrics: Mapping[str, Metric], references: bool = True
) -> tuple[list[list[str]], list[str]]:
    """(a head, and a row for each setting: its hypers, runs, and "median (worst)" of each metric; ceiling, chance).

    Also the keys in which the settings differ and that have no column.

    found: the result of `settings`; references: whether there are rows of ceiling and chance
    """
    keys = [*dict.fromkeys(key for one in found for key in one["hypers"])]
    shown = keys[:SHOWN_KEYS]
    counted = ["runs", DIVERGED] if any(one["diverged"] for one in found) else ["runs"]
    lines = [[*shown, *counted, *metrics]]
    for one in found:
        about = [_value(one["hypers"].get(key)) for key in shown]
        about += [str(len(one[name])) for name in counted]
        lines.append([*about, *(_cell(one["metrics"][name], len(one["runs"])) for name in metrics)])
    empty = [""] * (len(shown) + len(counted) - 1)
    for title, field in (("ceiling", "best"), ("chance", "chance")) if references else ():
        lines.append([title, *empty, *(reference_cell(getattr(metric, field)) for metric in metrics.values())])
    return lines, keys[SHOWN_KEYS:]


def collapses(metric: Metric, ends: Mapping[int, float]) -> list[str]:
    """[a line] where runs ended beyond the best value, as only where values tie or the log was altered; [] else.

    ends: the last value by run
    """
    beyond = [str(run) for run, end in ends.items() if metric.beyond(end)]
    cause = "a collapse, in which values tie, or an altered log"
    return [f"{metric.name} is beyond its ceiling in run {', '.join(beyond)}: {cause}"] if beyond else []


def _cell(spread: Mapping[str, Any], runs: int) -> str:
    if runs == 1 or not spread["measured"]:
        return cell(spread["median"])
    few = f" of {spread['measured']} runs" * (spread["measured"] < runs)
    return f"{cell(spread['median'])} ({cell(spread['worst'])}){few}"


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(_value, value)) or "()"
    if isinstance(value, float):
        return f"{value:.7g}"
    return "-" if value is None else str(value)
