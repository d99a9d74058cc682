"""Curves over time: groups of runs with their medians, references, phases and events."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ternary_jax.panels import style

MOST_POINTS = 2000  # of a curve; of longer ones, points at even distances and the last are drawn
MARKED = 60  # up to this many points of a curve have a dot each


class Group(NamedTuple):
    """Curves that belong together, such as the runs of a setting; one of several has a thin line below its median.

    label: in the legend
    members: (name, x (n,), y (n,)) of each curve
    """

    label: str
    members: Sequence[tuple[str, np.ndarray, np.ndarray]]


class Span(NamedTuple):
    """A stretch of time, such as a phase: from begin to end."""

    begin: float
    end: float
    label: str


class Mark(NamedTuple):
    """A moment, such as an event."""

    at: float
    label: str
    strong: bool = True


class Curves(NamedTuple):
    """What a panel of curves draws.

    x, y: titles of the axes
    log, log_x: whether y, where all values are positive, and x are logarithmic
    references: values of horizontal lines by name, such as a ceiling; one that is not finite has no line
    """

    x: str
    y: str
    groups: Sequence[Group]
    references: Mapping[str, float] = MappingProxyType({})
    spans: Sequence[Span] = ()
    marks: Sequence[Mark] = ()
    log: bool = False
    log_x: bool = False


def panel(curves: Curves, height: int = style.HEIGHT) -> Any:
    """The panel, a model of bokeh."""
    log = curves.log and _positive(curves)
    axes: dict[str, Any] = {"y_axis_type": "log" if log else "auto", "x_axis_type": "log" if curves.log_x else "auto"}
    made = style.plot(curves.x, curves.y, height, **axes)
    _spans(made, curves.spans)
    hovered, items = [], []
    for k, group in enumerate(curves.groups):
        drawn, main = _group(made, k, group)
        hovered += main
        items.append((group.label, drawn))
    _marks(made, curves.marks)
    _limits(made, curves, log)
    if len(curves.groups) > 1 or len(curves.groups[0].members) > 1:
        style.legend(made, items)
    tips = [("", "$name"), (curves.x, "@x{%.10g}"), (curves.y, "@y{%.6g}")]
    style.hover(made, hovered, tips, formatters={"@x": "printf", "@y": "printf"})
    return made


def small(each: Sequence[Curves]) -> Any:
    """Several small plots as one panel."""
    return style.wrapped([panel(one, 200) for one in each])


def text(curves: Curves) -> str:
    """The curves in words: of each group its first and its last median, and when the marked moments are."""
    parts = [_in_words(group, curves.x) for group in curves.groups[:8]]
    parts += [f"{len(curves.groups) - 8} more curves"] if len(curves.groups) > 8 else []
    parts += [f"{name} {value:.6g}" for name, value in curves.references.items() if math.isfinite(value)]
    strong = [mark for mark in curves.marks if mark.strong]
    parts += [f"{mark.label} at {curves.x} {mark.at:.10g}" for mark in strong[:6]]
    parts += [f"{len(strong) - 6} more events"] if len(strong) > 6 else []
    return f"{curves.y}: {'; '.join(parts)}."


def median(members: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """(x, the median over the curves that have a value there), at the x of all curves together."""
    places = np.unique(np.concatenate([x for _, x, _ in members]))
    table = np.full((len(members), len(places)), np.nan)
    for row, (_, x, y) in zip(table, members, strict=True):
        row[np.searchsorted(places, x)] = y
    known = np.isfinite(table).any(0)
    table = np.sort(np.where(np.isfinite(table), table, np.inf)[:, known], 0)
    n = np.isfinite(table).sum(0)
    at = np.arange(table.shape[1])
    return places[known], (table[(n - 1) // 2, at] + table[n // 2, at]) / 2


def thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points that are drawn: the finite ones, MOST_POINTS at most."""
    x, y = (np.asarray(one, np.float64)[np.isfinite(y)] for one in (x, y))
    if len(x) <= MOST_POINTS:
        return x, y
    kept = np.unique(np.linspace(0, len(x) - 1, MOST_POINTS).round().astype(int))
    return x[kept], y[kept]


# --- inside -----------------------------------------------------------------------------------------------------------


def _group(made: Any, k: int, group: Group) -> tuple[list[Any], list[Any]]:
    """(all glyphs of a group, those with a tooltip)."""
    look = style.line_style(k)
    if len(group.members) == 1:
        name, x, y = group.members[0]
        main = _line(made, name, *thinned(x, y), look)
        return main, main[:1]
    each = [thinned(x, y) for _, x, y in group.members]
    thin = made.multi_line(
        [x.tolist() for x, _ in each], [y.tolist() for _, y in each], line_color=look["line_color"], line_alpha=0.3
    )
    main = _line(made, f"median of {group.label}", *thinned(*median(group.members)), look | {"line_width": 2.5})
    return [thin, *main], main[:1]


def _line(made: Any, name: str, x: np.ndarray, y: np.ndarray, look: dict[str, Any]) -> list[Any]:
    from bokeh.models import ColumnDataSource

    source = ColumnDataSource({"x": x, "y": y})
    drawn = [made.line("x", "y", source=source, name=name, **({"line_width": 2} | look))]
    if len(x) <= MARKED:
        color = look["line_color"]
        drawn.append(made.scatter("x", "y", source=source, size=5, line_color=color, fill_color=color))
    return drawn


def _spans(made: Any, spans: Sequence[Span]) -> None:
    from bokeh.models import BoxAnnotation, Label

    for k, span in enumerate(spans):
        made.add_layout(
            BoxAnnotation(
                left=span.begin, right=span.end, fill_color=style.GREY, fill_alpha=0.16 * (k % 2), line_color=None
            )
        )
        made.add_layout(
            Label(
                x=span.begin,
                y=2,
                y_units="screen",
                x_offset=3,
                text=span.label,
                text_font_size="11px",
                tags=[style.INK],
            )
        )


def _marks(made: Any, marks: Sequence[Mark]) -> None:
    from bokeh.models import Label, Span

    for mark in marks:
        dash = [] if mark.strong else [1, 3]
        made.add_layout(Span(location=mark.at, dimension="height", line_dash=dash, line_width=1, line_color=style.GREY))
        if mark.strong:
            about: dict[str, Any] = dict(x_offset=3, y=16, y_units="screen", text_font_size="11px", tags=[style.INK])
            made.add_layout(Label(x=mark.at, text=mark.label, **about))


def _limits(made: Any, curves: Curves, log: bool) -> None:
    """Lines of reference, and limits that hold them too; a curve that rests at its ceiling shows no rounding."""
    from bokeh.models import Range1d

    given = {name: x for name, x in curves.references.items() if math.isfinite(x) and (x > 0 or not log)}
    values = np.concatenate([_values(curves), [*given.values()]])
    if not values.size:
        return
    low, high = float(values.min()), float(values.max())
    if log:
        style.references(made, {f"{name} {x:.5g}": x for name, x in given.items()}, 0.0)
        return
    margin = max(0.07 * (high - low), 1e-3 * max(abs(low), abs(high)), 1e-12)
    made.y_range = Range1d(start=low - margin, end=high + margin)
    style.references(made, {f"{name} {x:.5g}": x for name, x in given.items()}, 0.06 * (high - low + 2 * margin))


def _values(curves: Curves) -> np.ndarray:
    each = [np.asarray(y, np.float64) for group in curves.groups for _, _, y in group.members]
    all_of = np.concatenate([np.empty(0), *each])
    return all_of[np.isfinite(all_of)]


def _positive(curves: Curves) -> bool:
    values = _values(curves)
    return bool(values.size and values.min() > 0)


def _in_words(group: Group, unit: str) -> str:
    x, y = median(group.members)
    name = f"{group.label}, median of {len(group.members)}" if len(group.members) > 1 else group.label
    if not x.size:
        return f"{name} has no value"
    return f"{name} goes from {y[0]:.6g} at {unit} {x[0]:.10g} to {y[-1]:.6g} at {unit} {x[-1]:.10g}"
