"""The nearest operations of every operation, for a page that shows them under the pointer."""

import numpy as np
from numpy.typing import NDArray

GROUP = 4  # a group of operations that are searched together has 3^GROUP members


def nearest(z: NDArray, n_digits: int, k: int = 5) -> tuple[NDArray, NDArray]:
    """z (N, dim) in the unit ball -> the k nearest of each, without itself: indices (N, k) int32, distances (N, k).

    Exact, in float64. Of all N^2 distances only those are computed that the triangle inequality leaves open: operation
    x of a residue class needs no other class with d(x, centre) - radius beyond its k-th neighbour so far. In a trained
    model nearly all classes are dropped, and the search takes a second; all N^2 take five.
    """
    z, n = np.asarray(z, np.float64), 3**n_digits
    k, classes = min(k, n - 1), 3 ** max(0, n_digits - GROUP)
    member = np.arange(n).reshape(-1, classes).T  # (classes, 3^GROUP): row g holds the i with i mod classes = g
    centre = z[member].mean(1)
    radius = np.array([_distance(_ratio(z[own], centre[g : g + 1])).max() for g, own in enumerate(member)])
    index, apart = np.zeros((n, k), np.int32), np.zeros((n, k))
    for own in member:
        within = np.full(len(own), np.inf)
        if len(own) > k:
            ratio = _ratio(z[own], z[own])
            np.fill_diagonal(ratio, np.inf)
            within = _distance(np.partition(ratio, k - 1, 1)[:, k - 1])
        least = _distance(_ratio(z[own], centre)) - radius
        others = member[(least <= within[:, None] + 1e-9).any(0)].ravel()
        ratio = _ratio(z[own], z[others])
        ratio[own[:, None] == others[None]] = np.inf
        chosen = others[np.argpartition(ratio, k - 1, 1)[:, :k]]
        exact = ((z[own][:, None] - z[chosen]) ** 2).sum(-1) / (_stretch(z[own])[:, None] * _stretch(z[chosen]))
        order = np.lexsort((chosen, exact))
        index[own] = np.take_along_axis(chosen, order, 1)
        apart[own] = _distance(np.take_along_axis(exact, order, 1))
    return index, apart.astype(np.float32)


def _stretch(z: NDArray) -> NDArray:
    return 1 - (z * z).sum(-1)


def _ratio(x: NDArray, y: NDArray) -> NDArray:
    """|x - y|^2 / ((1 - |x|^2)(1 - |y|^2)) of all pairs, (a, dim), (b, dim) -> (a, b); it grows with the distance."""
    square = (x * x).sum(-1)[:, None] + (y * y).sum(-1)[None] - 2 * (x @ y.T)
    return np.maximum(square, 0) / (_stretch(x)[:, None] * _stretch(y)[None])


def _distance(ratio: NDArray) -> NDArray:
    """d = 2 arcsinh(sqrt(ratio)), for c = 1."""
    return 2 * np.arcsinh(np.sqrt(ratio))
