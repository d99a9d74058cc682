"""The disc: a layout of all operations and of the residue tree in the plane, from the points of branch B.

A radius in it is the norm |z| sqrt(c) of the point. The angle is a layout: each residue class has a sector, split among
its three classes of the next level in the order of their mean radius. A linear projection could not show the tree: the
first principal component of log_0(z) has nearly all of the variance, and that is the first digit alone.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ternary_jax import ternary
from ternary_jax.vae.views import neighbours
from ternary_jax.workdir import Run

BRANCH = "B"
WEDGE = 0.05  # share of the circle that stays free, for the names of the bands
DEPTH = 7  # levels of the tree that are drawn
CURVE = 24  # points of the line from a class to one of its three


class Level(NamedTuple):
    """The residue classes mod 3^L: the angle of the middle of each sector, and the mean norm, (3^L,) float64 each."""

    angle: NDArray
    norm: NDArray


class Disc(NamedTuple):
    """The N = 3^D operations in the disc of radius 1; row i is that of index i.

    branch: of the model; n_digits: D
    x, y (N,): the place in the disc, float64
    norm, radius (N,): |z| sqrt(c) in [0, 1), and the geodesic distance from the origin, float64
    valuation (N,) int32; trained_on (N,) bool
    decoded (N,) int64: index that the decoder makes of the point
    nearest (N, k) int32, apart (N, k) float32: the k = 5 nearest operations, the nearest first, and their distances
    levels: of the tree, from L = 0, the root, to L = D, the operations themselves
    """

    branch: str
    n_digits: int
    x: NDArray
    y: NDArray
    norm: NDArray
    radius: NDArray
    valuation: NDArray
    trained_on: NDArray
    decoded: NDArray
    nearest: NDArray
    apart: NDArray
    levels: tuple[Level, ...]


def data(run: Run, k: int) -> Disc | None:
    """The disc of run k; None for points of R^n, and where there are no points yet."""
    found = run.exported(k)
    if found is None or "c" not in found:
        return None
    n_digits, c = int(run.config["data.n_digits"]), float(found["c"])
    z = found[f"z_{BRANCH}"].astype(np.float64) * np.sqrt(c)
    norm = np.linalg.norm(z, axis=1)
    levels = layout(norm, n_digits)
    nearest, apart = neighbours.nearest(z, n_digits)
    return Disc(
        branch=BRANCH,
        n_digits=n_digits,
        x=norm * np.cos(levels[-1].angle),
        y=norm * np.sin(levels[-1].angle),
        norm=norm,
        radius=found[f"radius_{BRANCH}"].astype(np.float64),
        valuation=ternary.valuations(n_digits),
        trained_on=found["train_mask"],
        decoded=ternary.index(found[f"prediction_{BRANCH}"].astype(np.int64) + 1),
        nearest=nearest,
        apart=(apart / np.sqrt(c)).astype(np.float32),
        levels=levels,
    )


def layout(norm: NDArray, n_digits: int) -> tuple[Level, ...]:
    """norm (3^D,) -> the levels L = 0 .. D of the tree; the classes mod 3^L that come from one are in its sector."""
    norms = [norm.reshape(-1, 3**k).mean(0) for k in range(n_digits + 1)]
    start = np.zeros(1)
    levels = [Level(np.full(1, np.pi / 2), norms[0])]
    for k in range(n_digits):
        children = np.arange(3**k)[:, None] + 3**k * np.arange(3)
        children = np.take_along_axis(children, np.argsort(norms[k + 1][children], 1), 1)
        starts = np.zeros(3 ** (k + 1))
        starts[children] = start[:, None] + np.arange(3) / 3 ** (k + 1)
        start = starts
        share = WEDGE / 2 + (1 - WEDGE) * (start + 0.5 / 3 ** (k + 1))
        levels.append(Level(np.pi / 2 + 2 * np.pi * share, norms[k + 1]))
    return tuple(levels)


def edges(levels: tuple[Level, ...], depth: int = DEPTH, scale: float = 1.0) -> list[NDArray]:
    """For each level L = 1 .. depth the lines to its classes from those of L - 1, (3^L, CURVE, 2) as x and y.

    Row j is the line to class j mod 3^L. A node of level L lies at (L / depth)^0.8 of its mean norm times the scale, so
    that the tree has room inside the points.
    """
    depth = min(depth, len(levels) - 2)
    t = np.linspace(0, 1, CURVE)
    bend = 3 * t**2 - 2 * t**3
    found = []
    for k in range(depth):
        inner, outer = (levels[level].norm * scale * (level / depth) ** 0.8 for level in (k, k + 1))
        parent = np.arange(3 ** (k + 1)) % 3**k
        end = levels[k + 1].angle[:, None]
        begin = levels[k].angle[parent][:, None] if k else end
        angle = begin + (end - begin) * bend
        r = inner[parent][:, None] + (outer[:, None] - inner[parent][:, None]) * t
        found.append(np.stack([r * np.cos(angle), r * np.sin(angle)], -1))
    return found


def colours(angles: NDArray) -> NDArray:
    """A hue for each angle, (n, 3) of red, green, blue in [0, 1], of one lightness and chroma in OKLCH."""
    hue = angles + 2.4
    a, b = 0.13 * np.cos(hue), 0.13 * np.sin(hue)
    lms = 0.74 + np.stack([0.3963 * a + 0.2158 * b, -0.1056 * a - 0.0639 * b, -0.0895 * a - 1.2915 * b], -1)
    to_rgb = np.array([[4.0767, -3.3077, 0.2310], [-1.2684, 2.6098, -0.3413], [-0.0042, -0.7034, 1.7076]])
    linear = np.clip(lms**3 @ to_rgb.T, 0, 1)
    return np.where(linear > 0.0031, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
