"""Points of levels: many points by an ordered level, with the interval that was asked for and the medians."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ternary_jax.panels import style


class Levels(NamedTuple):
    """Points by level 0, 1, ...

    x, y: titles of the axes; ticks: a text for each level
    level (n,) int, value (n,): of each point, value > 0; told: {title: an ASCII text for each point}, for a tooltip
    median (levels,): of all values, also those that are no point
    low, high (levels,): the interval that was asked for; nan where none was, inf where there is no upper end
    asked: what asked for it, in a few words; "" for nothing
    """

    x: str
    y: str
    ticks: Sequence[str]
    level: NDArray
    value: NDArray
    told: Mapping[str, Sequence[str]]
    median: NDArray
    low: NDArray
    high: NDArray
    asked: str


def panel(found: Levels) -> Any:
    """The panel, a model of bokeh, with a logarithmic axis of values."""
    n = len(found.median)
    positive = found.value[found.value > 0]
    ends = np.concatenate([positive, *(x[np.isfinite(x) & (x > 0)] for x in (found.low, found.high))])
    low, high = ends.min() / 1.15, ends.max() * 1.15
    made = style.plot(found.x, found.y, height=360, y_axis_type="log", x_range=(-0.6, n - 0.4), y_range=(low, high))
    style.named_ticks(made, found.ticks)
    items = []
    if found.asked:
        known = np.isfinite(found.low)
        box = made.quad(
            left=np.flatnonzero(known) - 0.42,
            right=np.flatnonzero(known) + 0.42,
            bottom=np.maximum(found.low[known], low) / 1.01,  # a target alone is a line
            top=np.minimum(found.high[known], high) * 1.01,
            fill_color=style.ASKED,
            fill_alpha=0.3,
            line_color=style.ASKED,
        )
        items.append((f"asked for by {found.asked}", [box]))
    rng = np.random.default_rng(0)
    crowd = np.clip(np.bincount(found.level, minlength=n) / 30, 0.03, 1)[found.level]
    x = (found.level + 0.35 * crowd * rng.uniform(-1, 1, len(found.level))).astype(np.float32)
    told = {f"told_{k}": values for k, values in enumerate(found.told.values())}
    columns = {"x": x, "y": found.value.astype(np.float32), "level": found.level.astype(np.int32)}
    source = style.source(columns, told)
    dots = made.scatter(
        "x", "y", source=source, size=4, line_color=None, fill_alpha=0.6, fill_color=style.scaled("level", n)
    )
    line: dict[str, Any] = dict(
        x0=np.arange(n) - 0.3, x1=np.arange(n) + 0.3, y0=found.median, y1=found.median, line_width=2
    )
    middle = style.ink(made.segment(**line))
    style.legend(made, [("median", [middle]), *items])
    tips = [(title, f"@told_{k}") for k, title in enumerate(found.told)] + [(found.y, "@y{%.5g}")]
    style.hover(made, [dots], tips, formatters={"@y": "printf"})
    return made
