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


def grid(n: int, across: int, width: float = 3.3, height: float = 1.9, head: float = 0.5) -> tuple[Any, list[Any]]:
    """A figure with n axes, at most `across` of width x height inches in a row, below a head of so many inches."""
    across = min(n, across)
    down = -(-n // across)
    made = figure(width * across, height * down + head)
    axes = made.subplots(down, across, squeeze=False).ravel()
    for ax in axes[n:]:
        ax.remove()
    return made, [*axes[:n]]


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
        text = f"{name} {x:.5g}"
        if x - last < apart:
            found[last] += f"\n{text}"
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


def legend_below(ax: Any, columns: int) -> None:
    """A legend under the axes: the curves may be anywhere inside."""
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=columns, handlelength=2.4, columnspacing=1.2)


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
