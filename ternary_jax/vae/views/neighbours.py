"""The nearest operations of every operation, for a page that shows them under the pointer."""

import numpy as np
from numpy.typing import NDArray

GROUP = 4  # a residue class whose operations are searched together has 3^GROUP of them


def nearest(z: NDArray, n_digits: int, k: int = 5) -> tuple[NDArray, NDArray]:
    """z (N, dim) in the unit ball -> the k nearest of each, without itself: indices (N, k) int32, distances (N, k).

    Exact, in float64; of equal distances the lower index comes first. The triangle inequality drops pairs of classes:
    operation x needs no class with d(x, centre) - radius beyond its k-th neighbour so far. In a model that holds the
    tree nearly all pairs are dropped, and the search takes 0.2 s; all N^2 pairs take 4 s.
    """
    z, n = np.asarray(z, np.float64), 3**n_digits
    k, classes = min(k, n - 1), 3 ** max(0, n_digits - GROUP)
    member = np.arange(n).reshape(-1, classes).T  # (classes, 3^GROUP): row g holds the i with i mod classes = g
    centre = z[member].mean(1)
    right, to_centre = _right(z), _distance(_left(z) @ _right(centre).T)
    radius = np.array([to_centre[own, g].max() for g, own in enumerate(member)])
    index, apart = np.zeros((n, k), np.int32), np.zeros((n, k), np.float32)
    for g, own in enumerate(member):
        left, within = _left(z[own]), np.full(len(own), np.inf)
        if len(own) > k:
            within = _distance(np.partition(_masked(left @ right[own].T, 0), k - 1, 1)[:, k - 1])
        near = np.any(to_centre[own] - radius <= within[:, None] + 1e-9, axis=0)
        chosen = np.union1d(np.flatnonzero(near), g)
        others = member[chosen].ravel()
        ratio = _masked(left @ right[others].T, int(np.searchsorted(chosen, g)) * len(own))
        index[own], apart[own] = _least(z, own, others, ratio, k)
    return index, apart


def _least(z: NDArray, own: NDArray, others: NDArray, ratio: NDArray, k: int) -> tuple[NDArray, NDArray]:
    """The k nearest of `own` (m,) among `others` (n,), which are whole classes of m. ratio (m, n): of the pairs.

    The k-th least of the least values of the classes bounds the k-th least of a row, so few values need sorting.
    """
    parts = len(others) // len(own) if len(others) > k * len(own) else len(others)
    least = ratio.reshape(len(own), parts, -1).min(2)
    most = np.partition(least, k - 1, 1)[:, k - 1 : k]
    row, place = np.nonzero(ratio <= most * (1 + 1e-6) + 1e-12)
    x, y = z[own][row], z[others[place]]
    exact = ((x - y) ** 2).sum(1) / (_stretch(x) * _stretch(y))  # the product of matrices has cancelled
    order = np.lexsort((others[place], exact, row))
    chosen = order[np.searchsorted(row, np.arange(len(own)))[:, None] + np.arange(k)]
    return others[place][chosen], _distance(exact[chosen])


def _masked(ratio: NDArray, at: int) -> NDArray:
    """The ratios with those of an operation and itself infinite; row k is the operation of column at + k."""
    rows = np.arange(len(ratio))
    ratio[rows, at + rows] = np.inf
    return ratio


# |x - y|^2 / ((1 - |x|^2)(1 - |y|^2)), which grows with the distance, is a product of a row of x and a row of y.


def _left(z: NDArray) -> NDArray:
    """(n, dim) -> (n, dim + 2)."""
    square = (z * z).sum(-1, keepdims=True)
    return np.concatenate([z, square, np.ones_like(square)], -1) / (1 - square)


def _right(z: NDArray) -> NDArray:
    """(n, dim) -> (n, dim + 2)."""
    square = (z * z).sum(-1, keepdims=True)
    return np.concatenate([-2 * z, np.ones_like(square), square], -1) / (1 - square)


def _stretch(z: NDArray) -> NDArray:
    return 1 - (z * z).sum(-1)


def _distance(ratio: NDArray) -> NDArray:
    """d = 2 arcsinh(sqrt(ratio)), for c = 1."""
    return 2 * np.arcsinh(np.sqrt(np.maximum(ratio, 0)))
