"""The rows of the tables of docs/results.md on the frontier of the metrics, and on peers on the residue tree."""

from collections.abc import Mapping
from statistics import median
from typing import Any

from lab_intervals import interval, less
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
    for family, rows in undominated(found["searched"]).items():
        lines += [[f"radii: {family}", "", *point(row, found)] for row in rows]
    return lines


def undominated(searched: Mapping[str, list[dict[str, float]]]) -> dict[str, list[dict[str, float]]]:
    """Of each family, which holds those before it, the layouts that none exceeds in richness and Q, poorest first."""
    found, every = {}, []
    for family, rows in searched.items():
        every, kept = every + rows, []
        for row in sorted(every, key=lambda row: (-row["richness"], -row["q"])):
            if not kept or row["q"] > kept[-1]["q"]:
                kept.append(row)
        found[family] = kept[::-1]
    return found


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


PEERS = {
    "triplet_accuracy": "triplets",
    "ultrametric_correlation": "ultrametric",
    "distortion": "distortion",
    "path_stress": "path stress",
    "hierarchy": "hierarchy",
    "ancestors": "ancestors",
}


def peers(found: Mapping[str, Any]) -> list[Row]:
    """Mean and 95 % interval over seeds of each peer, its seconds; then ours less each; then the settings tried."""
    head = ["mean, 95 %", "trained for", *PEERS.values(), "seconds", "CPU s", "CPU s with compiling"]
    lines: list[Row] = [head]
    for name, row in found["rows"].items():
        cells = [with_interval(row["metrics"].get(key)) for key in PEERS]
        spent = [f"{median(row[key]):.1f}" if key in row else "" for key in ("wall_s", "cpu_s")]
        whole = f"{median(row['cpu_s']) + row.get('compiling', {'cpu_s': 0})['cpu_s']:.1f}" if "cpu_s" in row else ""
        setting = f", {row['setting']}" if "setting" in row else ""
        lines.append([name + setting, row["trained_for"], *cells, *spent, whole])
    ours = found["rows"]["ternary_jax"]
    for name, row in found["rows"].items():
        if name not in ("ternary_jax", "closed form tree"):
            cells = [less(ours, row, key, ".4f") if key in ours["metrics"] else "" for key in PEERS]
            lines.append([f"ternary_jax less {name}", "", *cells, "", "", ""])
    for name, tried in found["tried"].items():
        said = ", ".join(f"{label} {x:.4f}" for label, x in tried.items())
        lines.append([f"triplets of seed 0: {name}", said, *[""] * (len(head) - 2)])
    return lines


def with_interval(values: list[float] | None) -> str:
    """The mean of some seeds and its 95 % interval; one value alone has none."""
    if values is None:
        return "-"
    middle, low, high = interval(values) if len(values) > 1 else (values[0], None, None)
    return f"{middle:.4f}" + (f" [{low:.4f}, {high:.4f}]" if low is not None else "")
