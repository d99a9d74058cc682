"""Distances of pairs of operations by their 3-adic distance, of both branches, beside what the losses ask for.

Pairs are drawn at random, the same number at each level L = v(i - j) = 0 .. D - 1: of all pairs, two of three have
L = 0, and one in 20,000 has L = 8. The same pairs are drawn in each call.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ternary_jax import ternary
from ternary_jax.vae.branch import BRANCHES
from ternary_jax.vae.views import asked
from ternary_jax.vae.views.asked import Asked
from ternary_jax.vae.views.bands import QUANTILES
from ternary_jax.workdir import Run

PAIRS = 2000  # of each level, for the quantiles
SHOWN = 200  # of these, that are shown one by one


class Spread(NamedTuple):
    """The distances of a branch, by level.

    branch: its name
    quantiles (D, 5): least, lower quartile, median, upper quartile and greatest distance of the pairs of each level
    distance (D, SHOWN): of each pair that is shown, float64
    asked: the interval that the losses ask for at each level
    in_order: of two pairs (i, j) and (i, k) of different levels, how often the one of the higher level is nearer; the
        pairs of levels are drawn evenly
    """

    branch: str
    quantiles: NDArray
    distance: NDArray
    asked: Asked
    in_order: float


class Distances(NamedTuple):
    """Pairs by level L = v(i - j), the number of leading digits that they share.

    n_digits: D; level (D,); padic (D,): the 3-adic distance 3^-L
    i, j (D, SHOWN) int64: the operations of each pair that is shown
    spreads: of the branches, the main one first
    """

    n_digits: int
    level: NDArray
    padic: NDArray
    i: NDArray
    j: NDArray
    spreads: tuple[Spread, ...]


def data(run: Run, k: int) -> Distances | None:
    """The distances of run k; None where there are no points yet."""
    found = run.exported(k)
    if found is None:
        return None
    n_digits, c = int(run.config["data.n_digits"]), float(found["c"]) if "c" in found else None
    i, j = pairs(n_digits)
    spreads = []
    for b in reversed(BRANCHES):
        z = found[f"z_{b}"].astype(np.float64)
        d = distance(z[i], z[j], c)
        quantiles = np.quantile(d, QUANTILES, 1).T
        spreads.append(Spread(b, quantiles, d[:, :SHOWN], asked.distances(run, k, b), in_order(d)))
    level = np.arange(n_digits)
    return Distances(n_digits, level, 3.0**-level, i[:, :SHOWN], j[:, :SHOWN], tuple(spreads))


def pairs(n_digits: int) -> tuple[NDArray, NDArray]:
    """i, j (D, PAIRS) int64 with v(i - j) = L in row L. Column n has the same i in all rows."""
    rng, n = np.random.default_rng(0), ternary.n_operations(n_digits)
    i = np.tile(rng.integers(0, n, PAIRS), (n_digits, 1))
    power = 3 ** np.arange(n_digits)[:, None]
    unit = 3 * rng.integers(0, n, (n_digits, PAIRS)) + rng.integers(1, 3, (n_digits, PAIRS))  # no multiple of 3
    return i, (i + power * unit) % n


def in_order(d: NDArray) -> float:
    """The share of all columns and of all pairs of rows L > M with d_L < d_M, d (D, PAIRS) as `pairs` has them."""
    higher, lower = np.tril_indices(len(d), -1)
    return float((d[higher] < d[lower]).mean()) if len(d) > 1 else float("nan")


def distance(x: NDArray, y: NDArray, c: float | None) -> NDArray:
    """d(x, y) of points (..., dim), float64; 2 |x - y| in R^n, where c is None."""
    apart = np.linalg.norm(x - y, axis=-1)
    if c is None:
        return 2 * apart
    stretch = np.sqrt((1 - c * (x * x).sum(-1)) * (1 - c * (y * y).sum(-1)))
    return 2 / np.sqrt(c) * np.arcsinh(np.sqrt(c) * apart / stretch)
