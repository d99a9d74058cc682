"""The bands: the geodesic radii of all operations by valuation, of both branches, beside what the losses ask for."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ternary_jax import ternary
from ternary_jax.vae.branch import BRANCHES
from ternary_jax.vae.views import asked
from ternary_jax.vae.views.asked import Asked
from ternary_jax.workdir import Run

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


class Band(NamedTuple):
    """The radii of a branch.

    branch: its name
    radius (N,): d(0, z) of each operation, float64
    quantiles (D + 1, 5): least, lower quartile, median, upper quartile and greatest radius of each level
    asked: the interval that the losses ask for at each level
    hierarchy, overlaps: Spearman correlation of radius and valuation; number of adjacent levels whose ranges overlap
    """

    branch: str
    radius: NDArray
    quantiles: NDArray
    asked: Asked
    hierarchy: float
    overlaps: int


class Bands(NamedTuple):
    """The radii by level; a level is the set of all operations of one valuation 0 .. D.

    n_digits: D; valuation (N,) int32; counts (D + 1,) operations of each level
    unit: of the radii, for an axis
    bands: of the branches, the main one first
    """

    n_digits: int
    valuation: NDArray
    counts: NDArray
    unit: str
    bands: tuple[Band, ...]


def data(run: Run, k: int) -> Bands | None:
    """The bands of run k; None where there are no points yet."""
    found = run.exported(k)
    if found is None:
        return None
    n_digits = int(run.config["data.n_digits"])
    v = ternary.valuations(n_digits)
    flat = run.config["model.geometry"] == "euclidean"
    bands = tuple(
        band(found[f"radius_{b}"].astype(np.float64), v, b, asked.radii(run, k, b)) for b in reversed(BRANCHES)
    )
    return Bands(n_digits, v, ternary.level_counts(n_digits), "2 |z|" if flat else "d(0, z)", bands)


def band(radius: NDArray, v: NDArray, branch: str, of_losses: Asked) -> Band:
    """radius, v (N,): of all operations."""
    quantiles = np.array([np.quantile(radius[v == level], QUANTILES) for level in range(v.max() + 1)])
    overlaps = int((quantiles[1:, -1] >= quantiles[:-1, 0]).sum())
    return Band(branch, radius, quantiles, of_losses, spearman(radius, v), overlaps)


def spearman(x: NDArray, y: NDArray) -> float:
    """Spearman's correlation of x and y (n,): Pearson's of their ranks, where ties have their mean rank."""
    ranks = []
    for values in (x, y):
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2)[inverse])
    a, b = (r - r.mean() for r in ranks)
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale else float("nan")
