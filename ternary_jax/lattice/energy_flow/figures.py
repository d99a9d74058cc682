"""Pictures of flows, from the exported arrays of a run: where they went, where they landed, when they arrived."""

from typing import Any

import numpy as np

from ternary_jax.pictures.style import COLORS, REFERENCE

FIRST, LAST = COLORS[:2]


def ways(axes: Any, paths: np.ndarray, size: tuple[int, int, int], most: int = 64) -> None:
    """The ways of at most `most` flows through the lattice, on 3-d axes.

    paths (steps, n, 3) of one sample, from the start on; each way has a colour by its cell on the input face
    """
    shown = np.linspace(0, paths.shape[1] - 1, min(most, paths.shape[1])).astype(int)
    for n in shown:
        x, y, z = paths[:, n].T
        share = paths[0, n, 0] / (size[0] - 1)
        axes.plot(x, z, y, color=(0.15 + 0.7 * share, 0.45, 0.75 - 0.5 * share), linewidth=0.9, alpha=0.8)
    for step, color in ((0, FIRST), (-1, LAST)):
        x, y, z = paths[step, shown].T
        axes.scatter(x, z, y, s=7, color=color, depthshade=False)
    axes.set(xlabel="x", ylabel="z, from the input face", zlabel="y")
    axes.set(xlim=(0, size[0] - 1), ylim=(0, size[2] - 1), zlim=(size[1] - 1, 0))
    axes.set_box_aspect((1, 1.4, 1))


def landings(axes: Any, points: np.ndarray, size: tuple[int, int, int], wanted: np.ndarray | None = None) -> None:
    """Where flows land on the output face. points (n, 2); wanted (n,): number of the cell that each should reach."""
    width, height, _ = size
    axes.set(xticks=np.arange(-0.5, width), yticks=np.arange(-0.5, height), xticklabels=[], yticklabels=[])
    axes.grid(color="#dddddd")
    axes.tick_params(length=0)
    if wanted is not None:
        goes = wanted >= 0
        to = np.stack([wanted % width, wanted // width], -1)
        wrong = np.abs(np.round(points) - to).max(-1) > 0
        for point, cell in zip(points[goes & wrong], to[goes & wrong], strict=True):
            axes.plot(*np.stack([point, cell]).T, color=LAST, linewidth=0.8)
    axes.scatter(*points.T, s=14, color=FIRST, zorder=3)
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="equal", xlabel="x", ylabel="y")


def arrivals(axes: Any, steps: np.ndarray, r2: np.ndarray, arrived: np.ndarray) -> None:
    """r2 and the share of arrived flows after each step, (steps,) each."""
    axes.plot(steps, arrived, color=REFERENCE, label="share of flows that have arrived")
    axes.plot(steps, np.maximum(r2, 0), color=FIRST, label="r2 (below 0: drawn at 0)")
    axes.set(xlabel="steps", ylim=(-0.03, 1.03), xlim=(steps[0], steps[-1]))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14))  # below: the curves may be anywhere inside
