"""Means with intervals, a row for each setting."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ternary_jax.panels import style

MOST = 60  # rows that are drawn


class Row(NamedTuple):
    """A setting. low, high: of the interval of its mean; nan where there is none. best: whether it is called best."""

    label: str
    mean: float
    low: float
    high: float
    best: bool


def panel(rows: Sequence[Row], x: str, references: Mapping[str, float]) -> Any:
    """The panel, a model of bokeh. references: values of vertical lines by their labels."""
    rows = rows[:MOST]
    names = [f"{k + 1}. {row.label}"[:48] for k, row in enumerate(rows)]  # numbers, as factors have to differ
    made = style.plot(x, "", height=90 + 28 * len(rows), y_range=names[::-1])
    data = {name: [getattr(row, name) for row in rows] for name in ("label", "mean", "low", "high")}
    source = style.source(data | {"y": names, "color": [style.COLORS[1 if row.best else 0] for row in rows]})
    made.segment("low", "y", "high", "y", source=source, line_color="color", line_width=2)
    dots = made.scatter("mean", "y", source=source, size=9, line_color="color", fill_color="color")
    style.references(made, references, 0.0, "height")
    tips = [("", "@label"), ("mean", "@mean{%.6g}"), ("low", "@low{%.6g}"), ("high", "@high{%.6g}")]
    style.hover(made, [dots], tips, formatters={f"@{name}": "printf" for name in ("mean", "low", "high")})
    return made


def text(rows: Sequence[Row]) -> str:
    """The rows in words."""
    parts = [f"{row.label}{' (best)' * row.best} {row.mean:.6g}{_interval(row)}" for row in rows[:12]]
    more = [f"and {len(rows) - 12} more, which the table has"] if len(rows) > 12 else []
    return "; ".join([*parts, *more]) + "."


def _interval(row: Row) -> str:
    return "" if math.isnan(row.low) else f" [{row.low:.6g}, {row.high:.6g}]"
