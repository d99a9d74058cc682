"""The panel of the frontier, and what it shows in words."""

from typing import Any

import numpy as np

from ternary_jax.panels import style
from ternary_jax.vae.views.frontier import Frontier, Way


def panel(found: Frontier) -> Any:
    """The bound, the closed forms, and the way of each branch from its first evaluation to its last."""
    made = style.plot(
        "hierarchy (lower is better; chance: 0)", "richness (higher is better)", height=380, y_axis_type="log"
    )
    items = [("proven bound of all layouts", [style.ink(made.line(found.hierarchy, found.bound, line_width=2))])]
    style.references(made, {"ceiling without ties": found.ceiling}, 0.0, "height")
    style.ink(made.scatter([found.ceiling], [found.of_bands], marker="dash", size=18, line_width=3))
    hovered = []
    for mark, one in zip(("star", "plus"), found.closed_forms, strict=False):
        source = style.source({"x": [one.hierarchy], "y": [one.richness], "name": [one.name]})
        dot = style.ink(made.scatter("x", "y", source=source, marker=mark, size=14))
        items.append((one.name, [dot]))
        hovered.append(dot)
    for k, way in enumerate(found.ways):
        if (at := _known(way)).any():
            drawn = _way(made, found, way, at, k)
            items.append((f"branch {way.branch}", drawn))
            hovered.append(drawn[-1])
    style.legend(made, items)
    tips = [("", "@name"), ("hierarchy", "@x{%.5f}"), ("richness", "@y{%.5g}")]
    style.hover(made, hovered, tips, formatters={"@x": "printf", "@y": "printf"})
    return made


def text(found: Frontier) -> str:
    """Where each branch ends, beside what is possible."""
    parts = []
    for way in found.ways:
        if (at := _known(way)).any():
            x, y = way.hierarchy[at][-1], way.richness[at][-1]
            bound = np.interp(x, found.hierarchy, found.bound)
            parts.append(
                f"Branch {way.branch} ends at hierarchy {x:.5f} and richness {y:.5g}; the bound there is {bound:.5g}."
            )
    parts.append(f"No layout whose levels do not overlap has more richness than {found.of_bands:.5g} (the thick dash).")
    parts += [f"{one.name}: hierarchy {one.hierarchy:.5f}, richness {one.richness:.5g}." for one in found.closed_forms]
    return " ".join(parts)


# --- inside -----------------------------------------------------------------------------------------------------------


def _known(way: Way) -> Any:
    return np.isfinite(way.hierarchy) & np.isfinite(way.richness) & (way.richness > 0)


def _way(made: Any, found: Frontier, way: Way, at: Any, k: int) -> list[Any]:
    x, y = way.hierarchy[at], way.richness[at]
    look = style.line_style(k)
    names = [f"branch {way.branch}, {found.unit} {one:.10g}" for one in found.at[at]]
    line = made.line(x, y, line_width=1.5, **look)
    source = style.source({"x": x, "y": y, "name": names, "size": [5.0] * (len(x) - 1) + [11.0]})
    mark = ("circle", "square", "triangle")[k % 3]
    color = look["line_color"]
    dots = made.scatter("x", "y", source=source, marker=mark, size="size", line_color=color, fill_color=color)
    return [line, dots]
