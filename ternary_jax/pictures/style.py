"""The style of the figures, and their parts that are the same everywhere: reference lines, scales, shaded spans.

A figure is a `matplotlib.figure.Figure` that pyplot does not know. So it opens no window, changes no backend, need not
be closed, and a notebook shows it once, as the value of a cell. Figures of pyplot were rejected for that: they stay in
memory until they are closed, and a notebook shows them twice. `figure.savefig(FILE)` writes one.
"""

import functools
import io
import math
from collections.abc import Callable, Mapping
from typing import Any

# Colours of series. They differ in lightness as well as in hue, with and without the colour-blind's hues, and each has
# a dash of its own: figures can be printed in grey.
SERIES = (
    ("#1f4e79", "-"),
    ("#d9822b", "--"),
    ("#6fb1d6", "-"),
    ("#8c2d19", "-."),
    ("#4f9a6a", "--"),
    ("#111111", ":"),
    ("#b07aa1", "-"),
    ("#8a8a8a", "-."),
)
COLORS = ("#2e86ab", "#c8553d", "#588157", "#8e6c8a", "#d99a2b", "#3d405b")  # of runs, where no dash tells them apart
SEVERITY = {"micro": "#d99a2b", "standard": "#c8553d", "major": "#7b1e3a", "none": "#888888"}  # of grokking events
REFERENCE = "#888888"
MANY = "#b5bec6"  # of each of so many series that they are a cloud
ASKED = "#f0b458"  # of the interval that a config asks for
FOUND = "#1f4e79"  # of what was found, beside what was asked for
CELL, HEAD = (3.3, 2.0), 0.25  # inches: of a place in a grid, and of the room above them all
LINE = dict(color=REFERENCE, linewidth=0.7, linestyle=(0, (6, 3)), zorder=1)  # of a reference line

RULES = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "axes.formatter.useoffset": False,  # an axis of 0.8320 + 1e-5 is read as one of 1e-5
    "text.parse_math": False,  # names from a workdir may have a dollar sign
}
SIZES = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7,
    "figure.titlesize": 10.5,
}


def applied() -> Any:
    """A context in which matplotlib has this style, whatever the user has set."""
    import matplotlib.style

    return matplotlib.style.context(["default", RULES | SIZES])


def styled(draw: Callable[..., Any]) -> Callable[..., Any]:
    """The function `draw`, with this style while it draws."""

    @functools.wraps(draw)
    def drawn(*args: Any, **kwargs: Any) -> Any:
        with applied():
            return draw(*args, **kwargs)

    return drawn


def figure(width: float, height: float) -> Any:
    """An empty figure of these inches, with constrained layout."""
    return _class()(figsize=(width, height), layout="constrained")


def grid(n: int, across: int, title: str, below: str = "", wide: bool = False) -> tuple[Any, list[Any]]:
    """A figure with n axes in rows of at most `across`, a title above and a text of some lines below.

    wide: whether the first axes take two places, the second of them for a legend at its right
    The places are fixed, with room for the labels of `references`: a constrained layout of 25 axes takes seconds.
    """
    places = n + wide
    across = min(places, across)
    width, height = max(CELL[0], 6.5 / across), CELL[1]
    down, foot = -(-places // across), 0.15 + 0.14 * len(below.splitlines())
    whole = (width * across, height * down + HEAD + foot)
    made = _class()(figsize=whole)
    axes = []
    for k in range(n):
        row, column = divmod(k + wide * (k > 0), across)
        left, bottom = width * column + 0.55, whole[1] - HEAD - height * (row + 1) + 0.42
        axes.append(made.add_axes((left / whole[0], bottom / whole[1], (width - 1.45) / whole[0], 1.25 / whole[1])))
    made.text(0.5, 1 - 0.16 / whole[1], title, ha="center", va="center", fontsize=10.5)
    made.text(0.5, 0.08 / whole[1], below, ha="center", va="bottom", fontsize=7.5)
    return made, axes


def png(made: Any, dpi: int = 120) -> bytes:
    """The figure as the content of a PNG file."""
    made.savefig(drawn := io.BytesIO(), dpi=dpi, facecolor="white")
    return drawn.getvalue()


@functools.cache
def _class() -> type:
    from matplotlib.figure import Figure

    class Picture(Figure):
        """A figure that is drawn in this style: tick labels are made only then. A notebook shows it by _repr_png_."""

        def draw(self, renderer: Any) -> None:
            with applied():
                super().draw(renderer)

        def _repr_png_(self) -> bytes:
            return png(self, 100)

    return Picture


# --- parts of axes ----------------------------------------------------------------------------------------------------


def references(ax: Any, given: Mapping[str, float], tolerance: float = 0.0) -> None:
    """Thin labelled lines at these values, by name, within the limits of y; a value that is not finite has no line.

    The limits are those of the curves, widened to the lines and by the tolerance of the metric. Limits of the curves
    alone made a picture of rounding out of a metric that rests at its ceiling.
    """
    given = {name: x for name, x in given.items() if math.isfinite(x)}
    low, high = ax.dataLim.intervaly
    low, high = min(low, *given.values(), math.inf), max(high, *given.values(), -math.inf)
    if not math.isfinite(high - low):
        return
    margin = max(0.06 * (high - low), tolerance)
    ax.set_ylim(low - margin, high + margin)
    ax.ticklabel_format(axis="y", useOffset=False)
    for x in given.values():
        ax.axhline(x, **LINE)
    place = dict(xycoords=ax.get_yaxis_transform(), textcoords="offset points", va="center")
    for x, label in _labels(given, 0.09 * (high - low + 2 * margin)).items():
        ax.annotate(label, (1, x), xytext=(3, 0), **place, fontsize=6.5, color="#666666")


def _labels(given: Mapping[str, float], apart: float) -> dict[float, str]:
    """{place: label} of the lines; those that are less than `apart` from the line below share its label."""
    found: dict[float, str] = {}
    last = -math.inf
    for name, x in sorted(given.items(), key=lambda one: one[1]):
        text = f"{name} {x:.5g}" if abs(x) >= 1e-3 or x == 0 else f"{name} {x:.1e}"
        if x - last < apart:
            found[last] = f"{text}\n{found[last]}"
        else:
            last, found[x] = x, text
    return found


def log_scale(ax: Any, *axes: str) -> None:
    """Logarithmic scales of "x" or "y" with plain numbers: the default is a formula, and formulas are off."""
    plain = _plain()
    for name in axes:
        getattr(ax, f"set_{name}scale")("log")
        axis = getattr(ax, f"{name}axis")
        axis.set_major_formatter(plain(labelOnlyBase=False))
        axis.set_minor_formatter(plain(labelOnlyBase=False, minor_thresholds=(2, 0.5)))


@functools.cache
def _plain() -> type:
    from matplotlib.ticker import LogFormatter

    class Plain(LogFormatter):
        """The labels of a LogFormatter, written 0.01 and not 1e-02."""

        def __call__(self, x: float, pos: int | None = None) -> str:
            return f"{x:g}" if super().__call__(x, pos) else ""

    return Plain


def lines(ax: Any, each: Any, colors: Any, **properties: Any) -> None:
    """n lines of m points, (n, m, 2), as one artist: thousands of lines take a second one by one."""
    from matplotlib.collections import LineCollection

    ax.add_collection(LineCollection([*each], colors=colors, **properties))


def spans(ax: Any, begins_ends: Any, color: str = "#2e86ab") -> None:
    """Shade every second one of the spans (begin, end) of x."""
    for k, (begin, end) in enumerate(begins_ends):
        ax.axvspan(begin, end, color=color, alpha=0.07 * (k % 2), linewidth=0)


def sequence(n: int) -> list[Any]:
    """n colours of an ordered quantity, from dark to light: they keep their order in grey."""
    from matplotlib import colormaps

    return [colormaps["viridis"](0.9 * k / max(1, n - 1)) for k in range(n)]


def legend_beside(ax: Any) -> None:
    """A legend at the right of the axes: the curves may be anywhere inside."""
    ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.05), handlelength=2.6)


def asked(ax: Any, x: Any, low: Any, high: Any, label: str) -> None:
    """The interval [low, high] that a config asks for at each x, as a box; a mark where both are one target.

    Where low is nan nothing is asked; where high is infinite the box has no upper end, and reaches to the edge.
    """
    found = False
    for place, least, most in zip(x, low, high, strict=True):
        if not math.isfinite(least):
            continue
        named = {} if found else {"label": label}
        found = True
        if least == most:
            ax.plot([place - 0.45, place + 0.45], [least, least], color=ASKED, linewidth=2.5, zorder=2, **named)
            continue
        top = most if math.isfinite(most) else max(ax.get_ylim()[1], least)
        ax.bar(place, top - least, 0.9, least, color=ASKED, alpha=0.45, linewidth=0, zorder=1, **named)
