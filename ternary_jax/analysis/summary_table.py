"""The table of final metrics that a training prints at its end."""

import math
import statistics
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from ternary_jax.metric import Metric
from ternary_jax.tables import cell, columns, reference_cell, span
from ternary_jax.workdir.summary import metrics_of


def text(summary: Mapping[str, Any]) -> str:
    """A summary.json as text: how the training ended, a line per metric, and collapses; "-" is a missing value."""
    runs, one = summary["runs"], len(summary["runs"]) == 1
    names = ["final", "best", "at step"] if one else ["median", "worst", "best"]
    lines, collapses = [["metric", *names, "ceiling", "chance", "untrained"]], []
    for name, metric in metrics_of(summary).items():
        finals = {run["run"]: run["final"].get(name) for run in runs}
        ends = {run: x for run, x in finals.items() if x is not None and math.isfinite(x)}
        values = sorted(ends.values(), reverse=metric.better < 0) or [None]
        cells = [cell(statistics.median(values) if ends else None), cell(values[0]), cell(values[-1])]
        if one:
            best = runs[0]["best"].get(name, {"value": None, "step": "-"})
            cells[1:] = cell(best["value"]), f"{best['step']}"
        references = (metric.best, metric.chance, metric.untrained)
        lines.append([name, *cells, *map(reference_cell, references)])
        collapses += _collapse(metric, ends)
    return "\n".join([_ending(summary), "", columns(lines), *collapses, *summary.get("notes", ())])


def _ending(summary):
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


def _collapse(metric: Metric, ends: Mapping[int, float]) -> list[str]:
    """[a line] where runs ended beyond the best value, which is only possible where values tie; [] else."""
    beyond = [str(run) for run, end in ends.items() if metric.beyond(end)]
    return [f"{metric.name} is beyond its ceiling in run {', '.join(beyond)}: a collapse, values tie"] if beyond else []
