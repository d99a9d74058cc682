"""What a measured value is worth, in words: beside its target, its ceiling and chance."""

import math
from collections.abc import Mapping
from typing import Any

from ternary_jax.analysis.page.content import Table
from ternary_jax.metric import Metric
from ternary_jax.tables import cell, reference_cell

HEAD = ("metric", "value", "verdict", "target", "ceiling", "chance", "untrained", "better")


def verdict(metric: Metric, value: float | None, target: float | None = None) -> str:
    """A few words on a value. target: of the config, or None."""
    if value is None or not math.isfinite(value):
        return "? not measured"
    if metric.beyond(value):
        return "✗ beyond the ceiling: a collapse, in which values tie, or an altered log"
    near = abs(value - metric.best) <= metric.tolerance if math.isfinite(metric.best) else False
    if target is not None:
        if metric.meets(value, target):
            return "✓ target met, at the ceiling" if near else "✓ target met"
        return f"✗ target missed by {abs(value - target):.3g}"
    if near:
        return "✓ at the ceiling"
    return f"• {_place(metric, value)}"


def table(metrics: Mapping[str, Metric], settings: Mapping[str, Any], targets: Mapping[str, float], runs: int) -> Table:
    """A row for each metric. settings: {metric: {"median", "worst", "measured"}} of the runs of one setting."""
    rows = []
    for name, metric in metrics.items():
        spread, target = settings[name], targets.get(name)
        value = cell(spread["median"])
        if runs > 1 and spread["measured"]:
            few = f" of {spread['measured']} runs" * (spread["measured"] < runs)
            value += f" (worst {cell(spread['worst'])}){few}"
        references = map(reference_cell, (metric.best, metric.chance, metric.untrained))
        better = "higher" if metric.better > 0 else "lower"
        goal = "-" if target is None else f"{target:.6g}"
        # The worst run decides: a median would call targets met that half of the runs miss.
        about = verdict(metric, spread["worst"], target)
        rows.append((name, value, about, goal, *references, better))
    many = "; of several runs the median and the worst, which has the verdict" * (runs > 1)
    return Table(f"Each metric at the end, beside its target, ceiling and chance{many}", HEAD, rows)


# --- inside -----------------------------------------------------------------------------------------------------------


def _place(metric: Metric, value: float) -> str:
    """Where a value is between chance, or no training, and the ceiling."""
    if not math.isfinite(metric.best):
        return "no ceiling is known"
    for name, start in (("chance", metric.chance), ("no training", metric.untrained)):
        if start is None or not math.isfinite(start) or abs(metric.best - start) < 1e-12:
            continue
        share = (value - start) / (metric.best - start)
        if share <= 0:
            return f"no better than {name}"
        return f"{100 * share:.3g} % of the way from {name} to the ceiling"
    return f"{abs(metric.best - value):.3g} from the ceiling"
