"""The figure of the disc: all operations, and beside them those of high valuation, magnified."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ternary_jax.pictures import style
from ternary_jax.vae.views.disc import DEPTH, Disc, Level, colours, edges, layout

ZOOMED = 3  # the second panel shows the operations of at least this valuation
PAPER, INK, RINGS = "#0e1420", "#c9d3e0", ("#1d2a40", "#18314a")
DIGITS = ("first", "second", "third", "fourth")


@style.styled
def figure(found: Disc, remark: str = "") -> Any:
    """remark: more for the line below the panels."""
    n_digits, norm = found.n_digits, found.norm
    two = n_digits > ZOOMED + 1
    made = style.figure(9.6 if two else 4.8, 5.21)
    made.set_layout_engine("none")
    paper = made.add_axes((0, 0, 1, 1), facecolor=PAPER)
    paper.set(xticks=[], yticks=[])
    few = 3 ** (n_digits - ZOOMED)
    titles = [(0, f"all {3**n_digits:,} operations")]
    if two:
        titles.append((ZOOMED, f"the {few} divisible by {3**ZOOMED}, magnified {_scale(norm, ZOOMED):.1f} times"))
    width = 1 / len(titles)
    for k, (first, title) in enumerate(titles):
        ax = made.add_axes((width * k + 0.02 * width, 0.06, 0.96 * width, 0.885))
        _panel(ax, found, first)
        paper.text(width * (k + 0.5), 0.965, title, ha="center", va="center", color=INK, fontsize=11)
    rows = ["radius: |z|; white: |z| = 1.   rings: range of |z| of each v.   lines: the residue tree."]
    rows.append("angle, colour: residue class." + f"   {remark}" * bool(remark))
    below = "   ".join(rows) if two else "\n".join(rows)
    paper.text(0.5, 0.028, below, ha="center", va="center", color=INK, fontsize=7.8 if two else 6.5)
    return made


def _panel(ax: Any, found: Disc, first: int) -> None:
    """The operations of valuation `first` and more, which are those of D - first digits, in a disc."""
    norm, n_digits = found.norm[:: 3**first], found.n_digits - first
    scale = _scale(found.norm, first)
    levels = layout(norm, n_digits) if first else found.levels
    ax.set(xlim=(-1.02, 1.02), ylim=(-1.02, 1.02), aspect="equal")
    ax.axis("off")
    if not first:
        ax.plot(*_circle(), color=INK, lw=1)
    _name_digits(ax, scale * norm, levels[1], DIGITS[first])
    _rings(ax, found, first, 2 if not first else 3, scale)
    _tree(ax, levels, scale)
    angle = levels[-1].angle
    place = scale * norm * np.cos(angle), scale * norm * np.sin(angle)
    ax.scatter(*place, s=2.5 if not first else 7, c=colours(angle), lw=0, zorder=3)


def _scale(norm: NDArray, first: int) -> float:
    return 0.93 / norm[:: 3**first].max() if first else 1.0


def _tree(ax: Any, levels: tuple[Level, ...], scale: float) -> None:
    for k, lines in enumerate(edges(levels, DEPTH, scale)):
        tints = colours(levels[k + 1].angle)
        style.lines(ax, lines, tints, linewidths=1.7 * 0.7**k, alpha=0.8, zorder=2)


def _rings(ax: Any, found: Disc, first: int, named: int, scale: float) -> None:
    """The norms of each valuation as a ring, from the smallest to the largest, and its name in the free wedge."""
    (x, y), taken = _circle(), []
    for v in range(first, found.n_digits + 1):
        own = scale * found.norm[found.valuation == v]
        ring = [np.append(own.max() * line, own.min() * line[::-1]) for line in (x, y)]
        ax.fill(*ring, color=RINGS[v % 2], lw=0, zorder=1)
        if v < first + named and all(abs(own.mean() - other) > 0.06 for other in taken):
            taken.append(own.mean())
            ax.text(0, own.mean(), f"v = {v}", ha="center", va="center", color=INK, fontsize=8, zorder=4)


def _name_digits(ax: Any, norm: NDArray, level: Level, which: str) -> None:
    """The value of a digit, outside the points of its sector."""
    for digit, angle in enumerate(level.angle):
        r = norm[digit::3].max() + 0.04
        turn = np.degrees(angle) % 180 - 90
        place = r * np.cos(angle), r * np.sin(angle)
        ax.text(*place, f"{which} digit {digit}", rotation=turn, ha="center", va="center", color=INK, fontsize=8)


def _circle() -> tuple[NDArray, NDArray]:
    """(x, y) of the unit circle."""
    turn = np.linspace(0, 2 * np.pi, 361)
    return np.cos(turn), np.sin(turn)
