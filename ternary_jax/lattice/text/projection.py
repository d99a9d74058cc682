"""Vectors on a face and back: centred, multiplied by an orthonormal matrix, and scaled to a mean square of 1.

The columns of the matrix (d, S) are orthonormal where d >= S, and its rows where d <= S. The mean square is that over
all training vectors and all cells.
"""

from typing import Any, NamedTuple

import numpy as np

from ternary_jax.errors import ConfigError
from ternary_jax.lattice import targets
from ternary_jax.lattice.text.plan import KINDS as KINDS


class Projection(NamedTuple):
    """vector (d,) -> (vector - mean) @ basis * gain, (S,); a face of S cells in the order of their numbers.

    mean: (d,), of the training vectors
    basis: (d, S), with orthonormal columns where d >= S, and orthonormal rows where d <= S
    gain: such that the mean square over all training vectors and all cells is 1
    """

    mean: Any
    basis: Any
    gain: Any


def fit(kind: str, vectors: np.ndarray, cells: int) -> Projection:
    """The projection of training vectors (n, d).

    "pca": on the S directions of the greatest variance; where d <= S, each coordinate has a cell, and S - d are empty.
    "orthogonal": by a random matrix; where d <= S, all cells are used and lengths are kept.
    """
    d = vectors.shape[1]
    mean = vectors.mean(0, dtype=np.float64)
    if np.all(vectors == vectors[:1]):
        raise ConfigError(f"--pairs has {len(vectors)} training pairs, all with the same vector on a side: give others")
    if kind == "orthogonal":
        basis = targets.orthogonal(0, max(d, cells))[:d, :cells].astype(np.float64)
    elif d <= cells:
        basis = np.eye(d, cells)
    else:
        basis = _directions(vectors - mean, cells)
    on_face = (vectors - mean) @ basis
    gain = 1 / np.sqrt(np.mean(np.square(on_face)))
    return Projection(mean.astype(np.float32), basis.astype(np.float32), np.float32(gain))


def onto(projection: Projection, vectors: Any) -> Any:
    """(n, d) -> faces as rows, (n, S)."""
    return (vectors - projection.mean[None]) @ projection.basis * projection.gain


def back(projection: Projection, rows: Any) -> Any:
    """Faces as rows (n, S) -> vectors (n, d), centred: the mean is not added."""
    return rows @ projection.basis.T / projection.gain


def kept(projection: Projection, vectors: np.ndarray) -> float:
    """The share of the variance of vectors that is left on the face."""
    centred = vectors.astype(np.float64) - projection.mean
    return float(np.sum(np.square(centred @ projection.basis)) / np.sum(np.square(centred)))


def _directions(centred: np.ndarray, number: int) -> np.ndarray:
    """(d, number): the eigenvectors of the greatest variance, each with a positive largest entry.

    Of fewer samples than directions, the rest of the columns are orthogonal to all samples.
    """
    _, vectors = np.linalg.eigh(centred.T.astype(np.float64) @ centred)
    found = vectors[:, ::-1][:, :number]
    largest = np.take_along_axis(found, np.argmax(np.abs(found), 0)[None], 0)
    return found * np.sign(largest)
