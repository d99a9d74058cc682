"""The text that a training prints at its end: how it ended, a table of final metrics, and what to do next."""

import json
import statistics
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from ternary_jax.analysis import settings
from ternary_jax.tables import cell, command_of, fitted, reference_cell, span
from ternary_jax.workdir.summary import metrics_of


def text(summary: Mapping[str, Any]) -> str:
    """A summary.json as text: how the training ended, the metrics, and collapses; "-" is a missing value.

    Runs of one setting have a line per metric; runs of several settings, which a median would hide, a row per setting.
    """
    metrics = metrics_of(summary)
    found = settings.settings(summary["runs"], metrics)
    if len(found) > 1:
        first = [*summary["targets"], *([summary["watch"]] if "watch" in summary else [])]
        table = settings.table(found, settings.chosen(found, metrics, first))
    else:
        table = _metrics_table(summary)
    ends = {name: settings.finals(name, summary["runs"]) for name in metrics}
    collapses = [line for name, metric in metrics.items() for line in settings.collapses(metric, ends[name])]
    return "\n".join([ending(summary), "", table, *collapses, *summary.get("notes", ())])


def places(workdir: str) -> str:
    """Where the files of a training are, for a shell and for Python."""
    return f"in {workdir}\nin Python: ternary_jax.workdir.open({json.dumps(workdir)})"


def next_steps(summary: Mapping[str, Any], workdir: str, again: str, report: str = "", ask: str = "") -> str:
    """What to do next, in one line or two: read the report, or analyze; and to ask the model, where query answers.

    again: the command that goes on, of a training that is not finished; report: its file, "" where there is none
    ask: a command that asks the model, of a task that registers what it answers
    """
    if not summary["finished"]:
        return f"to go on: {again}"
    lines = [f"next: open {report} in a browser" if report else f"next: {command_of('ternary_jax.analyze', workdir)}"]
    if summary.get("describes", False):
        lines.append(f"or ask: {ask}")
    return "\n".join(lines)


def _metrics_table(summary):
    """A line per metric: of one run its last and best value, of several the median, worst and best last value."""
    runs, one = summary["runs"], len(summary["runs"]) == 1
    names = ["final", "best", "at step"] if one else ["median", "worst", "best"]
    lines = [["metric", *names, "ceiling", "chance", "untrained"]]
    for name, metric in metrics_of(summary).items():
        ends = settings.finals(name, runs)
        values = sorted(ends.values(), reverse=metric.better < 0)
        cells = [cell(x) for x in ((statistics.median(values), values[0], values[-1]) if values else (None,) * 3)]
        if one:
            best = runs[0]["best"].get(name, {"value": None, "step": "-"})
            cells[1:] = cell(best["value"]), f"{best['step']}"
        references = (metric.best, metric.chance, metric.untrained)
        lines.append([name, *cells, *map(reference_cell, references)])
    return fitted(lines)


def ending(summary: Mapping[str, Any]) -> str:
    """One line on how a training ended: reasons, steps, time, throughput, and whether its targets were met."""
    runs, one = summary["runs"], len(summary["runs"]) == 1
    stops = [run["stop"]["reason"] for run in runs]
    (usual, n), *others = Counter(stops).most_common()
    how = [usual if one else f"{n} of {len(runs)} runs {usual}"]  # then the other endings with their run numbers
    how += [f"{why}: run " + ", ".join(str(k) for k, stop in enumerate(stops) if stop == why) for why, _ in others]
    ending = [", ".join(how), f"step {max(run['stop']['step'] for run in runs):,}", span(summary["wall_s"])]
    ending += [f"{summary['samples_per_s']:,.0f} samples/s"] if summary.get("samples_per_s") else []
    times = [t for t in np.atleast_1d(summary["time_to_ceiling_s"]) if t is not None]
    met = f"met after {span(statistics.median(times))}" if times else "not met"
    ending += [f"targets {met}" + f" by {len(times)} runs (median)" * (len(times) > 1)] if summary["targets"] else []
    return "; ".join(ending)
