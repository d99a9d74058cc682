"""The panel of the disc: every operation under the pointer, the residue tree, zoom into the middle; and in words."""

from typing import Any

import numpy as np

from ternary_jax import ternary
from ternary_jax.panels import style
from ternary_jax.vae.views.disc import Disc, edges

DEPTH = 6  # levels of the tree that are drawn
NEAR = 3  # neighbours in a tooltip
# The nine trits of an operation in rows of three are its truth table: rows are x, columns y, each from -1 to 1.
TABLE = '<div style="font-family:monospace;width:3ch;line-height:1.2;word-break:break-all">@trits</div>'
IN_WORDS = ", and its truth table (rows x, columns y)"
TIP = """<div style="max-width:16em"><b>@trits</b> &nbsp; index @index
<div style="display:flex;gap:1em;margin:4px 0">TABLE<div>valuation @valuation<br>
radius @radius{0.0000}<br>@decoded</div></div>
nearest @near</div>"""


def panel(found: Disc) -> Any:
    """The panel, a model of bokeh."""
    made = style.plot("", "", x_range=(-1.04, 1.04), y_range=(-1.04, 1.04), max_width=720)
    made.sizing_mode, made.aspect_ratio, made.height = "scale_width", 1.1, None  # the bar of colors takes the rest
    made.axis.visible = made.grid.visible = False
    turn = np.linspace(0, 2 * np.pi, 361)
    style.muted(made.line(np.cos(turn), np.sin(turn), line_width=1.5))
    for k, lines in enumerate(edges(found.levels, DEPTH)):
        xs, ys = ([*lines[::1, ::3, axis].astype(np.float32)] for axis in (0, 1))
        style.muted(made.multi_line(xs, ys, line_width=1.6 * 0.75**k))
    n_levels = found.n_digits + 1
    trits = np.asarray(ternary.signs(np.arange(len(found.x)), found.n_digits))
    columns = {
        "x": found.x.astype(np.float32),
        "y": found.y.astype(np.float32),
        "index": np.arange(len(found.x), dtype=np.int32),
        "valuation": found.valuation.astype(np.int8),
        "radius": found.radius.astype(np.float32),
        "size": (3.0 + 0.9 * found.valuation).astype(np.float32),
    }
    itself = found.decoded == np.arange(len(found.x))
    texts = {
        "trits": trits,
        "decoded": np.where(itself, "decoded as itself", "decoded as another"),
        "near": [" ".join(row) for row in trits[found.nearest[:, :NEAR]].tolist()],
    }
    dots = made.scatter(
        "x",
        "y",
        size="size",
        source=style.source(columns, texts),
        line_color=None,
        fill_color=style.scaled("valuation", n_levels),
    )
    style.color_bar(made, dots, "valuation v", n_levels)
    style.hover(made, [dots], TIP.replace("TABLE", TABLE if found.n_digits == 9 else ""), limit=1)
    return made


def text(found: Disc) -> str:
    """What is drawn, and the figures behind it."""
    exact = np.mean(found.decoded == np.arange(len(found.x)))
    shared = _shared_digits(found.nearest[:, 0], np.arange(len(found.x)), found.n_digits).mean()
    inner, outer = (found.radius[found.valuation == v].mean() for v in (found.n_digits, 0))
    return (
        f"All {len(found.x):,} operations of branch {found.branch}. The distance from the centre is |z|, the angle is "
        f"a layout by residue class, the lines are the residue tree, color and size are the valuation v. {exact:.2%} "
        f"are decoded as themselves. The mean radius falls from {outer:.3g} at v = 0 to {inner:.3g} at v = "
        f"{found.n_digits}; the nearest operation shares {shared:.2f} of {found.n_digits} leading digits on average. "
        f"The operation under the pointer is told with its nearest ones{IN_WORDS * (found.n_digits == 9)}."
    )


def _shared_digits(i: Any, j: Any, n_digits: int) -> Any:
    return np.sum([i % 3**k == j % 3**k for k in range(1, n_digits + 1)], 0)
