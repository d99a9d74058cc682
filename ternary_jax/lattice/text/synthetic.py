"""Pairs of vectors that are drawn, with a known ceiling: a right side is a map of its left side, and noise.

    y = unit(m + SIGMA noise),   m = sqrt(n) unit(map(x))

The left sides x (n,) are uniform on the sphere of radius sqrt(n), and the noise is standard normal. Given x, the mean
of y lies along m, so no output has a greater mean cosine with y than m, and that of m goes to 1 / sqrt(1 + SIGMA^2)
with growing n. `meaning` of the corpus is m, so the row "ceiling" of the models to compare with is that of these pairs.

The map is one orthogonal matrix (synthetic_linear), which least squares find; or two random layers, without biases
(synthetic_nonlinear), of which they find a part.
"""

from pathlib import Path

import numpy as np

from ternary_jax.lattice import targets
from ternary_jax.lattice.text import prepare
from ternary_jax.lattice.text.pairs import Pairs
from ternary_jax.lattice.text.plan import Plan
from ternary_jax.lattice.text.prepared import Prepared

NAMES = ("synthetic_linear", "synthetic_nonlinear")  # values of config.data.pairs
SIGMA = 0.5
TRAIN, VALIDATION, TEST = 32_768, 512, 2048  # pairs; 3,000 steps of 128 see a pair 12 times


def corpus(name: str, face: tuple[int, int]) -> Prepared:
    """The corpus of one of NAMES, of vectors with a number for each cell of the face (width, height); always the same.

    A file was rejected: it would hold what one call makes in a second.
    """
    cells, number = face[0] * face[1], TRAIN + VALIDATION + TEST
    left, noise = (targets.normal(30_000 + k, number * cells).reshape(number, cells) for k in range(2))
    left = _on_sphere(left)
    clean = _on_sphere(left @ targets.orthogonal(0, cells) if name == "synthetic_linear" else _two_layers(left))
    right = _on_sphere(clean + SIGMA * noise) / cells**0.5
    pairs = Pairs(left.astype(np.float32), right.astype(np.float32), [f"{k}" for k in range(number)])
    plan = Plan(name, face, test=TEST, validation=VALIDATION / (TRAIN + VALIDATION))
    return prepare.prepare(pairs, plan, None, Path())._replace(meaning=clean.astype(np.float32))


def ceiling() -> float:
    """The mean cosine that no model exceeds, for vectors of many numbers."""
    return 1 / (1 + SIGMA**2) ** 0.5


# --- inside -----------------------------------------------------------------------------------------------------------


def _on_sphere(x: np.ndarray) -> np.ndarray:
    """Rows (k, n) of length sqrt(n)."""
    return x * (x.shape[1] / np.sum(np.square(x), 1, keepdims=True)) ** 0.5


def _two_layers(x: np.ndarray) -> np.ndarray:
    """Two random layers with as many hidden units as numbers, sin(1.5 x W) V.

    An odd function keeps the mean at 0, so centred vectors have the same ceiling; that of max(0, x) would be lower.
    """
    n = x.shape[1]
    first, second = (targets.normal(30_002 + k, n * n).reshape(n, n) / n**0.5 for k in range(2))
    return np.sin(1.5 * x @ first) @ second
