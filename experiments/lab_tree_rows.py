"""The rows of the tables of docs/results.md on the frontier of the metrics, and on peers on the residue tree."""

from collections.abc import Mapping
from statistics import median
from typing import Any

from lab_result_rows import Row, number

METRICS = ("hierarchy", "richness", "q", "triplet_accuracy")


def frontier(found: Mapping[str, Any]) -> list[Row]:
    """The median of each model, and the share it has of the richness that is possible; then the frontiers."""
    lines: list[Row] = [
        ["median", "seeds", "hierarchy", "richness", "Q", "triplets", "most richness at this hierarchy"]
    ]
    for name, metrics in found["points"].items():
        if name == "published":
            for pair in zip(metrics["hierarchy"], metrics["richness"], strict=True):
                lines.append(["published", "1", *point({"hierarchy": pair[0], "richness": pair[1]}, found)])
        else:
            values = {metric: median(x) for metric, x in metrics.items()}
            lines.append([name, str(len(metrics["richness"])), *point(values, found)])
    for name, row in found["known_layouts"].items():
        lines.append([f"radii: {name}, filled uniformly", "", *point(row, found)])
    for family, rows in found["searched"].items():
        lines += [[f"radii: {family}", "", *point(row, found)] for row in rows]
    return lines


def point(values: Mapping[str, float], found: Mapping[str, Any]) -> list[str]:
    """The cells of one point: its metrics, and the proven bound on richness at its hierarchy."""
    cells = [number(values.get(metric), ".2e" if is_small(metric, values) else ".5f") for metric in METRICS]
    return [*cells, number(most_richness(values["hierarchy"], found["bound"]), ".4f")]


def is_small(metric: str, values: Mapping[str, float]) -> bool:
    """Whether a richness needs an exponent."""
    return metric == "richness" and values["richness"] < 1e-4


def most_richness(hierarchy: float, bound: Mapping[str, Any]) -> float:
    """The greatest richness of any layout at this hierarchy: that of bands where it is at the ceiling as measured."""
    h = abs(hierarchy)
    if h >= abs(bound["hierarchy_ceiling"]) - 1e-6:
        return bound["richness_of_bands"]
    return min((value - h) / price for price, value in bound["lines"])
