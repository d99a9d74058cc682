"""The derivatives by c of the distances of pairs, which are formulas of their own: float32 against mpmath."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import ball

from ternary_jax import poincare

pytestmark = pytest.mark.usefixtures("strict_dtypes")

BAR = 5e-7
DISTANCES = ("dist", "squared_dist", "tangent_dist")
CURVATURES = (1e-6, 1e-3, 0.05, 1.0, 4.0)


def pairs(rng, length):
    """Two vectors of this length, at random, then neighbours, nearly opposite ones, and ones of other lengths."""
    x, y = rng.normal(size=(2, 8, 4))
    x, y = (length * a / np.linalg.norm(a, axis=-1, keepdims=True) for a in (x, y))
    y[4], y[5] = 0.98 * x[4] + 0.01 * y[4], 0.01 * y[5] - 0.98 * x[5]
    y[6], y[7] = 0.3 * y[6], 0.03 * y[7]
    return x.astype(np.float32), y.astype(np.float32)


@functools.cache
def slopes_by_c(name):
    return jax.jit(jax.vmap(jax.grad(getattr(poincare, name), 2), (0, 0, None)))


def worst(name, x, y, c):
    slopes = slopes_by_c(name)(x, y, np.float32(c))
    assert slopes.dtype == np.float32
    exact = ball.mp.mpf(float(np.float32(c)))
    true = [
        ball.slope(getattr(ball, name), [ball.vector(a), ball.vector(b)], 1, exact) for a, b in zip(x, y, strict=True)
    ]
    return max(ball.relative_error(a, b) for a, b in zip(slopes, true, strict=True))


@pytest.mark.parametrize("c", CURVATURES)
@pytest.mark.parametrize("name", DISTANCES)
def test_slope_of_points_of_norm_one_half(name, c):
    """As traced, the error is c|x|^2 times smaller than the two terms that cancel: 7e-4 at c = 1e-3."""
    assert worst(name, *pairs(np.random.default_rng(1), min(0.5, 0.9 / np.sqrt(c))), c) < BAR


@pytest.mark.slow
@pytest.mark.parametrize("c", CURVATURES)
@pytest.mark.parametrize("name", DISTANCES)
def test_slope_at_every_norm(name, c):
    rng = np.random.default_rng(2)
    for share in (1e-6, 0.9, 1 - 1e-5):
        length = np.arctanh(share) if name == "tangent_dist" else share
        assert worst(name, *pairs(rng, length / np.sqrt(c)), c) < BAR, share


@pytest.mark.parametrize("name", ["dist", "squared_dist"])
def test_no_slope_is_computed_where_c_has_no_gradient(name):
    """Nor does the gradient of the points depend on whether c has one, to the bit."""
    x, y = np.array([[0.3, -0.2], [0.1, 0.7]], np.float32)
    f = getattr(poincare, name)
    assert "_lifted" not in str(jax.make_jaxpr(jax.grad(f, (0, 1)))(x, y, 0.7))
    assert "_lifted" in str(jax.make_jaxpr(jax.grad(f, 2))(x, y, 0.7))
    alone, together = jax.grad(f, (0, 1))(x, y, 0.7), jax.grad(f, (0, 1, 2))(x, y, 0.7)
    for a, b in zip(alone, together[:2], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_slope_under_scan_vmap_and_both_modes():
    x, y = pairs(np.random.default_rng(3), 0.5)
    f = poincare.dist

    def total(c):
        return jax.lax.scan(lambda t, row: (t + f(*row, c), None), jnp.float32(0), (x, y))[0]

    by_loop = sum(float(jax.grad(f, 2)(a, b, 0.7)) for a, b in zip(x, y, strict=True))
    for found in (jax.grad(total)(0.7), jax.jacfwd(total)(0.7), jax.jit(jax.grad(total))(0.7)):
        np.testing.assert_allclose(found, by_loop, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", DISTANCES)
def test_a_slope_is_nan_without_a_ball_and_0_at_coincident_points(name):
    x, y = np.array([[0.3, -0.2], [0.1, 0.7]], np.float32)
    slope = jax.grad(getattr(poincare, name), 2)
    with jax.debug_nans(False):
        assert all(np.isnan(slope(x, point, c)) for c in (0.0, -1.0, np.nan) for point in (x, y))
    for points in ((x, x), (0 * x, 0 * x)):
        assert slope(*points, 1.0) == 0
        (_, by_c), (by_x, _) = jax.hessian(getattr(poincare, name), (0, 2))(*points, 1.0)
        np.testing.assert_array_equal(by_c, by_x)
