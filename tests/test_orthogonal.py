"""Random matrices with orthonormal columns."""

import functools

import jax
import numpy as np
import pytest
from jaxprs import equations
from scipy import stats

from ternary_jax.orthogonal import orthogonal


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (64, 64), (5, 9, 4), (3, 81, 80), (200, 1)])
def test_columns_are_orthonormal(shape):
    x = np.asarray(jax.jit(orthogonal, static_argnums=1)(jax.random.key(0), shape), np.float64)
    product = np.swapaxes(x, -1, -2) @ x
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(shape[-1]), product.shape), atol=2e-5)


def test_they_are_drawn_uniformly():
    """An entry of a uniform rotation of R^n, squared, is Beta(1/2, (n - 1)/2), and the determinant has either sign."""
    x = np.asarray(jax.vmap(lambda k: orthogonal(k, (5, 5)))(jax.random.split(jax.random.key(1), 4000)), np.float64)
    for entry in (x[:, 0, 0], x[:, 3, 1]):
        assert stats.kstest(entry**2, stats.beta(0.5, 2).cdf).pvalue > 1e-3
        assert abs(np.mean(entry > 0) - 0.5) < 0.03
    assert abs(np.mean(np.linalg.det(x) > 0) - 0.5) < 0.03


def test_lapack_is_not_called():
    """Its batches on two cores may wait for each other without end."""
    used = equations(jax.make_jaxpr(functools.partial(orthogonal, shape=(3, 4, 4)))(jax.random.key(0)).jaxpr)
    assert not {"geqrf", "qr", "householder_product", "svd", "eigh", "cholesky"} & {*used}
