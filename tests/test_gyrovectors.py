"""scalar_mul, gyration, geodesic, hyperplane_distance, the hyperboloid: against mpmath in float32, and their laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import ball
from reference.accuracy import CURVATURES

from ternary_jax import poincare

pytestmark = pytest.mark.usefixtures("strict_dtypes")

BAR = 5e-7
NORMS = (1e-6, 0.1, 0.9, 0.999, 1 - 1e-5)
# name -> our function of points x, y, a vector u and a number t (1,), and its reference with the same arguments
OURS = {
    "scalar_mul": (lambda t, x, c: poincare.scalar_mul(t[0], x, c), "tx"),
    "gyration": (poincare.gyration, "xyu"),
    "geodesic": (lambda t, x, y, c: poincare.geodesic(t[0], x, y, c), "txy"),
    "hyperplane_distance": (lambda x, p, a, c: poincare.hyperplane_distance(x, p, a, c, signed=True), "xyu"),
    "to_hyperboloid": (poincare.to_hyperboloid, "x"),
    "from_hyperboloid": (poincare.from_hyperboloid, "h"),
}
LOOP = range(2)


def draw(rng, kinds, norm, c):
    x, y, u = rng.normal(size=(3, len(LOOP), 3))
    x, y = (norm / np.sqrt(c) * v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (x, y))
    y[1] = x[1] * 0.7 + 0.1 * y[1]
    lift = 2 / (1 - c * (x**2).sum(-1, keepdims=True))
    h = np.concatenate([(lift - 1) / np.sqrt(c), lift * x], -1)
    drawn = {"x": x, "y": y, "u": u, "t": rng.uniform(*((-1, 2) if norm < 0.99 else (0, 1)), (len(LOOP), 1)), "h": h}
    return [drawn[kind].astype(np.float32) for kind in kinds]


@pytest.mark.parametrize("name", OURS)
def test_value_and_gradient_in_float32_against_mpmath(name):
    """The gradient by c too. Where a value is a point of the edge, its error counts in units of the radius."""
    function, kinds = OURS[name]
    reference = getattr(ball, name)

    @jax.jit
    def both(cotangents, c, *args):
        def one(cotangent, *row):
            value, back = jax.vjp(lambda *a: function(*a), *row)
            return value, back(cotangent)

        return jax.vmap(lambda cotangent, *row: one(cotangent, *row, c))(cotangents, *args)

    for c in CURVATURES:
        for norm in NORMS:
            rng = np.random.default_rng(1)
            args = draw(rng, kinds, norm, c)
            size = {"hyperplane_distance": (), "to_hyperboloid": (4,)}.get(name, (3,))
            cotangents = rng.normal(size=(len(LOOP), *size)).astype(np.float32)
            values, gradients = both(cotangents, np.float32(c), *args)
            exact = ball.mp.mpf(float(np.float32(c)))
            for i in LOOP:
                row = [ball.vector(a[i]) for a in args]
                cotangent = ball.vector(cotangents[i]) if size else ball.mp.mpf(float(cotangents[i]))
                assert ball.relative_error(values[i], reference(*row, exact)) < BAR, (c, norm, i)
                true = [*ball.gradient(reference, row, cotangent, exact), ball.slope(reference, row, cotangent, exact)]
                for k, (found, wanted) in enumerate(zip(gradients, true, strict=True)):
                    assert ball.relative_error(found[i], wanted) < BAR, (c, norm, i, k)


def test_a_hyperplane_is_at_distance_0_from_its_points_and_has_two_sides():
    p, a, c = np.array([0.3, -0.2], np.float32), np.array([0.4, 1.0], np.float32), 0.7
    along = poincare.exp(p, np.array([1.0, -0.4], np.float32), c)  # orthogonal to a
    np.testing.assert_allclose(poincare.hyperplane_distance(along, p, a, c), 0, atol=3e-7)
    for sign in (1, -1):
        x = poincare.exp(p, sign * a, c)
        far = poincare.dist(p, x, c)
        np.testing.assert_allclose(poincare.hyperplane_distance(x, p, a, c), far, rtol=1e-6)
        np.testing.assert_allclose(poincare.hyperplane_distance(x, p, 1e-20 * a, c, signed=True), sign * far, rtol=1e-6)


def test_what_is_undefined_is_nan():
    x, u = np.array([0.3, 0.2], np.float32), np.array([0.1, 0.5], np.float32)
    outside = np.array([0.9, 0.9], np.float32)
    with jax.debug_nans(False):
        for c in (0.0, -1.0, np.nan):
            assert np.isnan(poincare.scalar_mul(0.5, x, c)).all()
            assert np.isnan(poincare.geodesic(0.5, x, u, c)).all()
            assert np.isnan(poincare.hyperplane_distance(x, u, u, c))
            assert np.isnan(poincare.from_hyperboloid(np.array([1.0, 0.0, 0.0], np.float32), c)).all()
        assert np.isnan(poincare.scalar_mul(0.5, outside, 1.0)).all()
        assert np.isnan(poincare.geodesic(0.5, x, outside, 1.0)).all()
        assert np.isnan(poincare.hyperplane_distance(outside, x, u, 1.0))
        assert np.isnan(poincare.hyperplane_distance(x, x, 0 * u, 1.0))
        on = poincare.to_hyperboloid(x, 1.0)
        for off in (-on, on.at[0].mul(1.001), 0 * on):
            assert np.isnan(poincare.from_hyperboloid(off, 1.0)).all()
    np.testing.assert_allclose(poincare.from_hyperboloid(on, 1.0), x, rtol=3e-7)


@pytest.mark.slow
def test_gradients_are_finite_at_0_and_at_one_point():
    zero, x = np.zeros(2, np.float32), np.array([0.3, 0.2], np.float32)
    for y in (zero, x):
        for f, args in (
            (poincare.scalar_mul, (np.float32(0.5), y)),
            (poincare.geodesic, (np.float32(0.5), y, y)),
            (poincare.gyration, (y, -y, y)),
            (poincare.hyperplane_distance, (y, y, x)),
        ):
            slopes = jax.grad(lambda *a, f=f: jnp.sum(f(*a, 1.0)), tuple(range(len(args))))(*args)
            assert all(np.isfinite(g).all() for g in slopes)
