"""Projections of vectors on a face and back, against numpy's singular values in float64."""

import numpy as np
import pytest

from ternary_jax.errors import ConfigError
from ternary_jax.lattice.text import projection

SHAPES = [(50, 12, 6), (4, 12, 6), (50, 6, 6), (50, 6, 10)]  # vectors, their width, cells


def drawn(n, d):
    rng = np.random.default_rng(n + d)
    return (rng.normal(size=(n, d)) * np.linspace(3, 0.5, d) @ rng.normal(size=(d, d)) + 5).astype(np.float32)


@pytest.mark.parametrize("kind", projection.KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_basis_is_orthonormal_and_a_face_has_unit_mean_square(kind, shape):
    n, d, cells = shape
    vectors = drawn(n, d)
    made = projection.fit(kind, vectors, cells)
    assert made.basis.shape == (d, cells)
    gram = made.basis.T @ made.basis if d >= cells else made.basis @ made.basis.T
    np.testing.assert_allclose(gram, np.eye(min(d, cells)), atol=1e-5)
    np.testing.assert_allclose(np.mean(np.square(projection.onto(made, vectors))), 1, rtol=1e-4)
    np.testing.assert_allclose(made.mean, vectors.astype(float).mean(0), rtol=1e-5)


@pytest.mark.parametrize("kind", projection.KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_onto_a_face_and_back_is_the_orthogonal_projection(kind, shape):
    """The nearest point among all combinations of the columns, by least squares."""
    n, d, cells = shape
    made = projection.fit(kind, drawn(n, d), cells)
    others = drawn(n + 1, d)
    found = projection.back(made, projection.onto(made, others))
    centred = others.astype(float) - made.mean
    basis = made.basis.astype(float)
    np.testing.assert_allclose(found, (basis @ np.linalg.lstsq(basis, centred.T)[0]).T, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES[:2])
def test_pca_keeps_the_variance_of_the_greatest_singular_values(shape):
    n, d, cells = shape
    vectors = drawn(n, d)
    made = projection.fit("pca", vectors, cells)
    _, values, directions = np.linalg.svd(vectors - vectors.mean(0, dtype=float))
    share = np.sum(values[:cells] ** 2) / np.sum(values**2)
    np.testing.assert_allclose(projection.kept(made, vectors), share, rtol=1e-5)
    for column, direction in zip(made.basis.T[: n - 1], directions[: min(cells, n - 1)], strict=False):
        signed = direction * np.sign(direction[np.argmax(np.abs(direction))])
        np.testing.assert_allclose(column, signed, atol=1e-4)


@pytest.mark.parametrize("kind", projection.KINDS)
def test_the_basis_does_not_depend_on_the_order_of_the_vectors(kind):
    vectors = drawn(50, 12)
    made, moved = (projection.fit(kind, rows, 6) for rows in (vectors, vectors[::-1]))
    np.testing.assert_allclose(made.basis, moved.basis, atol=1e-4)


@pytest.mark.parametrize("kind", projection.KINDS)
def test_on_a_larger_face_distances_are_kept(kind):
    vectors = drawn(50, 6)
    made = projection.fit(kind, vectors, 10)
    faces = projection.onto(made, vectors)
    distances = np.linalg.norm(vectors[1:] - vectors[:-1], axis=1)
    np.testing.assert_allclose(np.linalg.norm(faces[1:] - faces[:-1], axis=1), distances * made.gain, rtol=1e-4)
    np.testing.assert_allclose(projection.kept(made, vectors), 1, rtol=1e-5)
    assert np.all(np.any(faces, 0)) == (kind == "orthogonal")  # pca leaves cells empty


def test_equal_vectors_are_refused():
    sentence = r"^--pairs has 5 training pairs, all with the same vector on a side: give others$"
    with pytest.raises(ConfigError, match=sentence):
        projection.fit("pca", np.ones((5, 3), np.float32), 2)
