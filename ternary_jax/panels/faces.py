"""Faces: values of cells in rows and columns, as pictures with one scale, and ways of points between cells."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ternary_jax.panels import style

# From low over middle to high values: cividis in steps, whose lightness grows, so that it keeps its order in grey.
PALETTE = ("#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838")
SIZE = 170  # pixels of a face


def row(faces: Mapping[str, NDArray]) -> list[Any]:
    """A picture of each face (height, width), by title, all of one scale that is even around 0."""
    from bokeh.models import LinearColorMapper

    limit = max([float(np.abs(face).max()) for face in faces.values()] + [1e-6])
    mapper = LinearColorMapper(palette=[*PALETTE], low=-limit, high=limit)
    return [_face(title, np.asarray(face, np.float32), mapper) for title, face in faces.items()]


def ways(paths: NDArray, axes: Sequence[tuple[int, int]], names: Sequence[str]) -> list[Any]:
    """The ways (steps, n, 3) of n points, seen along one axis in each picture. axes: (horizontal, vertical) of each."""
    made = []
    for across, up in axes:
        plot = style.plot(names[across], names[up], height=300, match_aspect=True)
        xs, ys = ([*paths[:, :, axis].T.astype(np.float32)] for axis in (across, up))
        plot.multi_line(xs, ys, line_color=style.GREY, line_alpha=0.5)
        for at, color, size in ((0, style.COLORS[0], 4), (-1, style.COLORS[1], 6)):
            numbers = np.arange(paths.shape[1], dtype=np.int32)
            source = style.source({"x": paths[at, :, across], "y": paths[at, :, up], "flow": numbers})
            mark = "circle" if at == 0 else "square"
            dots = plot.scatter("x", "y", source=source, size=size, marker=mark, line_color=color, fill_color=color)
            style.hover(plot, [dots], [("flow", "@flow"), (names[across], "@x{0.00}"), (names[up], "@y{0.00}")])
        made.append(plot)
    return made


def landings(points: NDArray, width: int, height: int) -> Any:
    """Where n points (n, 2) are on a face of cells, row 0 at the top as in a picture of it."""
    made = style.plot(
        "x", "y", height=300, match_aspect=True, x_range=(-0.5, width - 0.5), y_range=(height - 0.5, -0.5)
    )
    source = style.source({"x": points[:, 0], "y": points[:, 1], "flow": np.arange(len(points), dtype=np.int32)})
    dots = made.scatter("x", "y", source=source, size=7, fill_alpha=0.6, line_color=None, fill_color=style.COLORS[1])
    style.hover(made, [dots], [("flow", "@flow"), ("x", "@x{0.00}"), ("y", "@y{0.00}")])
    return made


# --- inside -----------------------------------------------------------------------------------------------------------


def _face(title: str, face: NDArray, mapper: Any) -> Any:
    height, width = face.shape
    made = style.plot("", "", height=SIZE + 30, x_range=(-0.5, width - 0.5), y_range=(height - 0.5, -0.5))
    made.title.text, made.title.text_font_style, made.title.text_font_size = title, "normal", style.FONT
    made.axis.visible = made.grid.visible = False
    made.max_width, made.match_aspect = SIZE, True
    y, x = np.divmod(np.arange(height * width), width)
    source = style.source({"x": x.astype(np.int32), "y": y.astype(np.int32), "value": face.ravel()})
    color = {"field": "value", "transform": mapper}
    cells = made.rect("x", "y", 1, 1, source=source, fill_color=color, line_color=None)
    style.hover(made, [cells], [("cell", "@x, @y"), ("value", "@value{0.000}")])
    return made
