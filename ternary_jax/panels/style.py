"""The style of all panels: colors that can be read on white and on black, and lines that differ in grey too.

Frames, texts and grids get their colors in the browser, by page.js: a canvas does not follow a style sheet, and a page
is light or dark as its reader has it. A glyph with the tag INK has the color of text there, one with MUTED that of
grids; a color mapper with SCALE has one of two scales, whose high end stands out most from the background; a source
with TEXT and the name of a column has texts in it, see `source`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

INK, MUTED, SCALE, TEXT = "ink", "muted", "scale", "text:"
# All have a relative luminance near 0.2, so a contrast of 4 to white and to #14171a. In grey they are one color, so
# a line has a dash of its own too.
COLORS = ("#2f7fbf", "#cf5230", "#3a8d55", "#9468c4", "#a87712", "#bf4d8f")
DASHES = ((), (7, 3), (2, 2), (9, 3, 2, 3), (4, 2), (12, 4))
GREY = "#7c848b"
ASKED = "#b8860b"  # of an interval that a config asks for
HEIGHT = 280  # pixels of a panel of curves
FONT = "13px"


def line_style(k: int) -> dict[str, Any]:
    """Color and dash of line number k; the first len(COLORS) * len(DASHES) of them differ."""
    return {"line_color": COLORS[k % len(COLORS)], "line_dash": list(DASHES[(k + k // len(COLORS)) % len(DASHES)])}


def plot(x: str, y: str, height: int = HEIGHT, **options: Any) -> Any:
    """An empty figure with the titles of its axes.

    A drag moves it, Ctrl and the wheel zoom: the wheel alone scrolls the page. The page adds buttons and keys for both.
    options: of bokeh.plotting.figure
    """
    from bokeh.models import PanTool, WheelZoomTool
    from bokeh.plotting import figure

    made = figure(
        x_axis_label=x,
        y_axis_label=y,
        height=height,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools=[PanTool(), WheelZoomTool(modifiers={"ctrl": True})],
        min_border_right=12,
        **options,
    )
    made.outline_line_color = made.background_fill_color = made.border_fill_color = None  # until page.js sets them
    for axis in made.axis:
        axis.axis_label_text_font_style, axis.axis_label_text_font_size = "normal", FONT
        axis.major_label_text_font_size, axis.minor_tick_line_color = FONT, None
    plain_ticks(made)
    return made


def plain_ticks(figure: Any) -> None:
    """Ticks are the values themselves, also on a logarithmic axis: 0.01 and not a power of ten."""
    from bokeh.models import BasicTickFormatter, LogTickFormatter, PrintfTickFormatter

    for axis in figure.axis:
        if isinstance(axis.formatter, LogTickFormatter):
            axis.formatter = PrintfTickFormatter(format="%g")
        elif isinstance(axis.formatter, BasicTickFormatter):
            axis.formatter = BasicTickFormatter(power_limit_low=-3, power_limit_high=6)


def source(columns: Mapping[str, Any], texts: Mapping[str, Sequence[str]] | None = None) -> Any:
    """The columns of glyphs, by name, all of one length.

    texts: columns of ASCII texts for a tooltip. They travel as bytes, which bokeh writes in a hundredth of the time of
        as many strings, and page.js makes texts of them
    """
    from bokeh.models import ColumnDataSource

    packed = {name: np.asarray(each, dtype=bytes) for name, each in (texts or {}).items()}
    found = {name: x.view(np.uint8).reshape(len(x), -1) for name, x in packed.items() if x.size}
    return ColumnDataSource({**columns, **found}, tags=[f"{TEXT}{name}" for name in found])


def weight(model: Any) -> int:
    """How many bytes the columns of a model have. A page has them compressed and in base64: about half as many."""
    from bokeh.models import ColumnDataSource

    columns = [x for one in model.references() if isinstance(one, ColumnDataSource) for x in one.data.values()]
    each = [x for column in columns for x in ([column] if isinstance(column, np.ndarray) else column)]
    return sum(np.asarray(x).nbytes for x in each)


def scaled(column: str, n: int) -> Any:
    """The color of an ordered column of the levels 0 .. n - 1; the page has a scale for light, and one for dark."""
    from bokeh.transform import linear_cmap

    made = linear_cmap(column, ["#777777"] * n, -0.5, n - 0.5)
    made["transform"].tags = [SCALE]
    return made


def ink(renderer: Any) -> Any:
    """The renderer, with the color of text."""
    renderer.glyph.tags = [INK]
    return renderer


def muted(renderer: Any) -> Any:
    """The renderer, with the color of grids."""
    renderer.glyph.tags = [MUTED]
    return renderer


def named_ticks(figure: Any, names: Sequence[str]) -> None:
    """The ticks 0, 1, ... of x with these names."""
    figure.xaxis.ticker = list(range(len(names)))
    figure.xaxis.major_label_overrides = dict(enumerate(names))
    figure.xgrid.grid_line_color = None


def hover(figure: Any, renderers: Sequence[Any], tooltips: Any, **options: Any) -> None:
    """Add a tooltip. tooltips: [(name, "@column")] or HTML, in which bokeh escapes the values of columns.

    options: of bokeh.models.HoverTool
    """
    from bokeh.models import HoverTool

    given: dict[str, Any] = {"point_policy": "snap_to_data", "line_policy": "nearest"} | options
    figure.add_tools(HoverTool(renderers=[*renderers], tooltips=tooltips, **given))


def legend(figure: Any, items: Sequence[tuple[str, Sequence[Any]]]) -> None:
    """A legend above the figure, in one row, which page.js breaks where it is too wide; a click hides a line."""
    from bokeh.core.properties import value
    from bokeh.models import Legend, LegendItem

    options: dict[str, Any] = dict(orientation="horizontal", click_policy="hide", ncols="auto", margin=0, padding=4)
    options |= dict(label_text_font_size=FONT, glyph_width=34, border_line_color=None, background_fill_alpha=0.0)
    each: list[Any] = [LegendItem(label=value(label), renderers=[*renderers]) for label, renderers in items]
    figure.add_layout(Legend(items=each, **options), "above")


def references(figure: Any, values: Mapping[str, float], apart: float, dimension: str = "width") -> None:
    """Labelled lines at these values, by name; lines that are less than `apart` from each other share a label."""
    from bokeh.models import Label, Span

    names: list[list[str]] = []
    places: list[float] = []
    for name, value in sorted(values.items(), key=lambda one: one[1]):
        line: dict[str, Any] = dict(dimension=dimension, line_dash=[6, 3], line_width=1, line_color=GREY)
        figure.add_layout(Span(location=value, **line))
        if places and value - places[-1] < apart:
            names[-1].append(name)
        else:
            names.append([name])
            places.append(value)
    for value, own in zip(places, names, strict=True):
        about: dict[str, Any] = dict(text=", ".join(own), text_font_size="11px", tags=[INK])
        if dimension == "width":
            figure.add_layout(Label(x=4, x_units="screen", y=value, y_offset=2, **about))
        else:
            figure.add_layout(Label(x=value, x_offset=4, y=4, y_units="screen", **about))


def color_bar(figure: Any, renderer: Any, title: str, n: int) -> None:
    """A bar of the colors of `scaled`, beside the figure."""
    from bokeh.models import ColorBar, FixedTicker

    mapper = renderer.glyph.fill_color["transform"]
    bar = ColorBar(color_mapper=mapper, title=title, ticker=FixedTicker(ticks=[*range(n)]), width=10, label_standoff=6)
    figure.add_layout(bar, "right")


def below(figures: Sequence[Any]) -> Any:
    """Several figures as one panel, one below the other."""
    from bokeh.layouts import column

    return figures[0] if len(figures) == 1 else column([*figures], sizing_mode="stretch_width")


def wrapped(figures: Sequence[Any], width: int = 300) -> Any:
    """Several small figures as one panel, as many of this width in pixels in a row as there is room for."""
    from bokeh.models import Row

    for one in figures:
        one.styles = {"flex": f"1 1 {width}px", "min-width": "0"}
    return Row(children=[*figures], styles={"flex-wrap": "wrap"}, sizing_mode="stretch_width")
