"""Figures as text that a person reads: columns, cells, and the table at the end of a run."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def of_run(summary: Mapping[str, Any]) -> str:
    """A summary.json as a person reads it: how it ended, a line per metric, and which are too good; "-": no figure."""
    runs, one = summary["runs"], len(summary["runs"]) == 1
    names = ["final", "best", "at step"] if one else ["median", "worst", "best"]
    lines = [["metric", *names, "ceiling", "chance", "untrained"]]
    for name, about in summary["metrics"].items():
        values = [run["final"][name] for run in runs if run["final"].get(name) is not None]
        ends = sorted(values, reverse=about["better"] == "lower") or [None]
        cells = [cell(statistics.median(values) if values else None), cell(ends[0]), cell(ends[-1])]
        if one:
            best = runs[0]["best"].get(name, {"value": None, "step": "-"})
            cells[1:] = cell(best["value"]), f"{best['step']}"
        lines.append([name, *cells, *("-" if about[k] is None else f"{about[k]:.5g}" for k in lines[0][4:])])
    stops = [run["stop"]["reason"] for run in runs]
    (usual, n), *others = Counter(stops).most_common()
    how = [usual if one else f"{n} of {len(runs)} runs {usual}"]  # and the exceptions by their numbers
    how += [f"{why}: run " + ", ".join(str(k) for k, stop in enumerate(stops) if stop == why) for why, _ in others]
    ending = [", ".join(how), f"step {max(run['stop']['step'] for run in runs):,}", span(summary["wall_s"])]
    ending += [f"{summary['samples_per_s']:,.0f} samples/s"] if summary.get("samples_per_s") else []
    times = [t for t in np.atleast_1d(summary["time_to_ceiling_s"]) if t is not None]
    met = f"met after {span(statistics.median(times))}" if times else "not met"
    ending += [f"targets {met}" + f" by {len(times)} runs (median)" * (len(times) > 1)] if summary["targets"] else []
    return "\n".join(["; ".join(ending), "", columns(lines), *_collapses(summary), *summary.get("notes", ())])


def _collapses(summary: Mapping[str, Any]) -> list[str]:
    """A line for each metric that ended beyond its ceiling: what holds without ties is passed by ties alone."""
    said = []
    for name, about in summary["metrics"].items():
        sign = 1 if about["better"] == "higher" else -1
        ends = [(run["run"], run["final"].get(name)) for run in summary["runs"]]
        over = [k for k, end in ends if None not in (end, about["ceiling"]) and sign * (end - about["ceiling"]) > 1e-4]
        if over:
            said.append(f"{name} is beyond its ceiling in run {', '.join(map(str, over))}: a collapse, values tie")
    return said


def columns(lines: Sequence[Sequence[str]]) -> str:
    """Cells as text: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines)


def cell(value: float | None) -> str:
    """A figure in few characters."""
    return "-" if value is None else f"{value:.2e}" if 0 < abs(value) < 1e-3 else f"{value:.5f}"


def span(s: float | None) -> str:
    """Seconds in the unit that suits them."""
    return "-" if s is None else f"{s:.1f} s" if s < 120 else f"{s / 60:.0f} min" if s < 7200 else f"{s / 3600:.1f} h"
