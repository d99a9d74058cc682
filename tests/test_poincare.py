"""Geometry: against mpmath in float32, by its own laws in float64, and at every edge."""

import functools
import inspect
import math

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from jax.test_util import check_grads
from reference import ball
from reference.accuracy import CURVATURES, NORMS, OPERATIONS, draw, errors_of, is_scalar, pullbacks, true_values
from scipy.optimize import minimize
from scipy.stats import chi, kstest

from ternary_jax import poincare
from ternary_jax.poincare import statistics

pytestmark = pytest.mark.usefixtures("strict_dtypes")

FLOAT32_BAR = 5e-7
# Functions with their arguments in terms of points x, y and tangent vectors u, v; tests/test_gyrovectors.py has more.
POINT_FUNCTIONS = {
    "dist": "xy",
    "squared_dist": "xy",
    "dist0": "x",
    "mobius_add": "xy",
    "exp": "xu",
    "log": "xy",
    "exp0": "u",
    "log0": "x",
    "transport": "xyu",
    "transport0": "xu",
    "translate": "xu",
    "tangent_dist": "uv",
    "gap": "x",
    "conformal_factor": "x",
    "riemannian_gradient": "xu",
    "project": "x",
    "gyration": "xyu",
    "to_hyperboloid": "x",
}


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def points_in_ball(rng, n, dim, c, largest=0.9):
    x = rng.normal(size=(n, dim))
    return x / np.linalg.norm(x, axis=-1, keepdims=True) * rng.uniform(0.05, largest, (n, 1)) / np.sqrt(c)


def check_second_order(f, *args, tolerance=1e-5):
    """check_grads to order two, forwards; backwards to order one, as the rules of the two modes are the same."""
    args = [np.asarray(a, np.float64) for a in args]  # of a Python float it would take float32 differences
    check_grads(f, args, order=2, modes=["fwd"], rtol=tolerance, atol=tolerance)
    check_grads(f, args, order=1, modes=["rev"], rtol=tolerance, atol=tolerance)


def arguments(kinds, rng, n, dim, c):
    x, y = points_in_ball(rng, n, dim, c), points_in_ball(rng, n, dim, c)
    u, v = rng.normal(size=(2, n, dim)) * 0.5
    return [{"x": x, "y": y, "u": u, "v": v}[k] for k in kinds]


# --- accuracy in float32 ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("name", OPERATIONS)
def test_float32_value_and_gradient_against_mpmath_at_every_norm(name, near):
    for k, norm in enumerate(NORMS):
        for c in CURVATURES:
            rng = np.random.default_rng(k)
            args = draw(name, rng, norm, c, near, 2, 4)
            shape = args[0].shape[:1] if is_scalar(name) else args[0].shape
            cotangents = rng.normal(size=shape).astype(np.float32)
            truth = true_values(name, args, cotangents, c)
            if not truth:
                continue  # both points rounded to one: there is no pair 0.01 apart here
            jitted, eager = (f(np.float32(c), cotangents, *args) for f in pullbacks(getattr(poincare, name)))
            assert max(errors_of(jitted, truth)) <= FLOAT32_BAR, (norm, c)
            assert max(errors_of(eager, truth)) <= FLOAT32_BAR, (norm, c)
            for a, b in zip(jax.tree.leaves(jitted), jax.tree.leaves(eager), strict=True):
                assert a.dtype == jnp.float32
                np.testing.assert_allclose(a, b, rtol=0, atol=1e-6 * np.abs(b).max())


@pytest.mark.parametrize("distance", [1e-3, 1.0, 8.0, 20.0, 40.0])
@pytest.mark.parametrize("near", [False, True])
def test_tangent_dist_against_mpmath_as_far_as_40(distance, near):
    rng = np.random.default_rng(0)
    for c in CURVATURES:
        u, v = rng.normal(size=(2, 3, 4))
        u, v = (distance / 2 / np.sqrt(c) * a / np.linalg.norm(a, axis=-1, keepdims=True) for a in (u, v))
        u = u.astype(np.float32)
        v = np.asarray(u + 0.003 * min(distance, 1) * v / distance if near else v, np.float32)
        truth = true_values("tangent_dist", [u, v], np.ones(3, np.float32), c)
        found = pullbacks(poincare.tangent_dist)[0](np.float32(c), np.ones(3, np.float32), u, v)
        assert max(errors_of(found, truth)) <= 8e-7, c


@pytest.mark.slow
def test_tangent_dist_at_the_origin_has_the_gradient_of_the_cone_seen_from_the_other_point():
    v = np.array([0.3, -0.2, 0.5], np.float32)
    for c in CURVATURES:
        value, (at_origin, _) = jax.value_and_grad(poincare.tangent_dist, (0, 1))(np.zeros(3, np.float32), v, c)
        np.testing.assert_allclose(value, 2 * np.linalg.norm(v), rtol=3e-7)
        np.testing.assert_allclose(at_origin, -2 * v / np.linalg.norm(v), rtol=3e-6)
        assert poincare.tangent_dist(v, v, c) == 0
        np.testing.assert_array_equal(jax.grad(poincare.tangent_dist)(v, v, c), np.zeros(3))
        np.testing.assert_array_equal(jax.grad(poincare.tangent_dist)(0 * v, 0 * v, c), np.zeros(3))


def test_tangent_dist_of_vectors_of_very_different_length():
    pairs = [([20, 0], [1e-6, 1e-6]), ([0.49999, 0], [4.0001, 1]), ([0.3, 0], [-43, 1]), ([43, 0], [-43, 1])]
    u, v = (np.array(a, np.float32) for a in zip(*pairs, strict=True))
    truth = true_values("tangent_dist", [u, v], np.ones(4, np.float32), 1.0)
    found = pullbacks(poincare.tangent_dist)[0](np.float32(1.0), np.ones(4, np.float32), u, v)
    assert max(errors_of(found, truth)) <= 8e-7


@pytest.mark.parametrize("ratio", [7.9, 8.1])
def test_tangent_dist_is_seamless_where_its_two_forms_meet(ratio):
    rng = np.random.default_rng(1)
    for long in (1e-3, 0.1, 1.0, 3.9):
        u, v = rng.normal(size=(2, 3))
        u, v = (a / np.linalg.norm(a) for a in (u, v))
        args = [np.asarray([long / ratio * u], np.float32), np.asarray([long * v], np.float32)]
        truth = true_values("tangent_dist", args, np.ones(1, np.float32), 1.0)
        found = pullbacks(poincare.tangent_dist)[0](np.float32(1.0), np.ones(1, np.float32), *args)
        assert max(errors_of(found, truth)) <= 8e-7


def test_c_enters_the_gap_exactly():
    """If sqrt(c) x or c|x|^2 is rounded to float32 first, the error is 1e-2 here."""
    rng = np.random.default_rng(0)
    for c in (0.1, 0.7, 3.0):
        x = rng.normal(size=(50, 16))
        x = ((1 - 3e-6) / np.sqrt(c) * x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)
        true = [1 - ball.mp.mpf(float(np.float32(c))) * ball.dot(ball.vector(a), ball.vector(a)) for a in x]
        found = jax.vmap(poincare.gap, (0, None))(x, np.float32(c))
        assert max(ball.relative_error(f, t) for f, t in zip(found, true, strict=True)) < 1e-7


def test_pairs_cost_no_float64():
    """Computations on pairs of points are float32; only those on one point are float64."""
    x = jnp.ones((5, 3)) / 10
    for f in (poincare.dist, poincare.squared_dist, poincare.tangent_dist):
        pairwise = jax.vmap(jax.vmap(f, (None, 0, None)), (0, None, None))
        jaxpr = str(jax.make_jaxpr(jax.grad(lambda x, f=pairwise: f(x, x[:4], 1.0).sum()))(x))
        assert "f32[5,4]" in jaxpr
        assert "f64[5,4" not in jaxpr
    assert "f64[5,3]" in str(jax.make_jaxpr(jax.vmap(poincare.gap, (0, None)))(x, 1.0))


# --- singular points, edges ------------------------------------------------------------------------------------------


def test_coincident_points_are_at_distance_exactly_zero_with_gradient_zero():
    c, norm = (a.ravel().astype(np.float32) for a in np.meshgrid(CURVATURES, (0.0, *NORMS)))
    x = np.random.default_rng(0).normal(size=(len(c), 3))
    x = ((norm / np.sqrt(c))[:, None] * x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    for f in (poincare.dist, poincare.squared_dist, jax.jit(poincare.dist)):
        value, gradients = jax.vmap(jax.value_and_grad(f, (0, 1, 2)))(x, x, c)
        assert (value == 0).all()
        assert all((g == 0).all() for g in gradients)
    np.testing.assert_array_equal(jax.vmap(poincare.mobius_add)(-x, x, c), np.zeros(x.shape))
    np.testing.assert_array_equal(jax.vmap(poincare.log)(x, x, c), np.zeros(x.shape))
    value, gradients = jax.value_and_grad(poincare.dist0, (0, 1))(np.zeros(3, np.float32), 2.0)
    assert value == 0
    assert all((g == 0).all() for g in gradients)


def test_a_vector_whose_square_overflows_float64_gives_nan_and_no_point(x64):
    u = np.array([1e155, 0.0])
    with jax.debug_nans(False):
        assert np.isnan(poincare.exp0(u, 1.0)).all()
        assert np.isnan(poincare.exp(np.array([0.5, 0.0]), -u, 1.0)).all()


def test_batches_and_shapes_that_do_not_fit_are_refused():
    x, pair = np.full(2, 0.1, np.float32), np.full((3, 2), 0.1, np.float32)
    for name, kinds in POINT_FUNCTIONS.items():
        with pytest.raises(ValueError, match=r"single points \(dim,\) are meant, not \(3, 2\): batch with jax.vmap"):
            getattr(poincare, name)(*[pair] * len(kinds), 1.0)
    for f in (poincare.dist, poincare.squared_dist, poincare.mobius_add, poincare.log):
        with pytest.raises(ValueError, match="two points of one ball are meant"):
            f(x, x[:1], 1.0)
    with pytest.raises(ValueError, match="scale is one number"):
        poincare.wrapped_normal_log_prob(x, x, np.ones((2, 1), np.float32), 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, jnp.float64])
def test_the_dtype_is_that_of_the_points_whatever_c_is(dtype, x64):
    x = jnp.full(2, 0.1, dtype)
    for name, kinds in POINT_FUNCTIONS.items():
        assert getattr(poincare, name)(*[x] * len(kinds), 1.0).dtype == dtype, name


def test_check_sees_c_as_the_functions_do():
    """0.1 is not a float32: a point that is inside the ball of the one may be outside that of the other."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20000, 3))
    x = (x / np.linalg.norm(x, axis=-1, keepdims=True) / np.sqrt(0.1)).astype(np.float32)
    with jax.debug_nans(False):
        inside = ~np.isnan(jax.vmap(poincare.gap, (0, None))(x, 0.1))
    assert 0.1 < inside.mean() < 0.9
    with pytest.raises(ValueError, match=f"^{(~inside).sum()} of 20000"):
        poincare.check(x, 0.1)
    poincare.check(x[inside], 0.1)


@pytest.mark.parametrize("name", POINT_FUNCTIONS)
def test_gradients_are_finite_everywhere(name):
    """0, the edge, equal and opposite points, long and short vectors, in every combination."""
    e, f = np.eye(3, dtype=np.float32)[:2]
    norms = (0.0, 1e-30, 1e-6, 0.5, 1 - 3e-6)
    points = [s * n * d for n in norms for d, s in ((e, 1), (e, -1), (f, 1))]
    vectors = [n * d for n in (0.0, 1e-30, 1e-3, 1.0, 30.0) for d in (e, f)]
    args = [np.array({"x": points, "y": points}.get(k, vectors), np.float32) for k in POINT_FUNCTIONS[name]]
    args = [a.reshape(-1, 3) for a in _product(args)]
    function = getattr(poincare, name)

    def total(*args):
        return jnp.sum(jnp.sin(function(*args, 1.0)))

    gradients = jax.jit(jax.vmap(jax.grad(total, tuple(range(len(args))))))(*args)
    assert all(np.isfinite(g).all() for g in gradients)


def _product(arrays):
    grids = np.meshgrid(*[np.arange(len(a)) for a in arrays], indexing="ij")
    return [a[g.ravel()] for a, g in zip(arrays, grids, strict=True)]


# The other functions are products with the gap, or piecewise so, as `project`.
CURVED = [
    "dist",
    "squared_dist",
    "dist0",
    "mobius_add",
    "exp",
    "log",
    "exp0",
    "log0",
    "transport",
    "translate",
    "tangent_dist",
    "gap",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", CURVED)
def test_check_grads_to_order_two_in_x_y_and_c(name, x64):
    args = [a[0] for a in arguments(POINT_FUNCTIONS[name], np.random.default_rng(3), 1, 2, 0.7)]
    check_second_order(jax.jit(getattr(poincare, name)), *args, 0.7)


def test_squared_dist_is_smooth_at_coincidence_and_near_it(x64):
    x, squared_dist = np.array([0.3, -0.6]), jax.jit(poincare.squared_dist)
    for y in (x, 0 * x, x + 1e-4):
        check_second_order(squared_dist, x, y, 0.7, tolerance=1e-4)
    hessian = jax.hessian(poincare.squared_dist)(x, x, 0.7)
    np.testing.assert_allclose(hessian, 2 * poincare.conformal_factor(x, 0.7) ** 2 * np.eye(2), rtol=1e-12)


@pytest.mark.parametrize("name", POINT_FUNCTIONS)
def test_what_is_not_in_the_ball_gives_nan_never_a_plausible_number(name):
    kinds, function = POINT_FUNCTIONS[name], getattr(poincare, name)
    good = np.full(3, 0.3, np.float32)
    outside, edge, nan = np.array([[0.6, 0.6, 0.6], [0, 1, 0], [0.1, np.nan, 0]], np.float32)

    def batched(*args):
        return jax.vmap(function, (0,) * len(kinds) + (None,))(*[a[None] for a in args[:-1]], args[-1])

    with jax.debug_nans(False):
        for f in (function, jax.jit(function), batched):
            for place, kind in enumerate(kinds):
                for ill in (outside, edge, nan) if kind in "xy" and name != "project" else (nan,):
                    assert np.isnan(f(*[ill if i == place else good for i in range(len(kinds))], 1.0)).any()
            for c in (-1.0, 0.0, np.nan):
                assert np.isnan(f(*[good] * len(kinds), c)).all(), c


@pytest.mark.parametrize("name", POINT_FUNCTIONS)
def test_what_is_not_in_the_ball_has_the_gradient_nan(name):
    """A NaN that is chosen in place of a value has the gradient 0, which an optimizer takes for a minimum."""
    kinds, function = POINT_FUNCTIONS[name], getattr(poincare, name)
    places = tuple(range(len(kinds)))
    slope = jax.jit(jax.grad(lambda *args: jnp.sum(function(*args)), places))
    good, outside = np.full(3, 0.3, np.float32), np.array([0.6, 0.6, 0.6], np.float32)
    with jax.debug_nans(False):
        for c in (-1.0, 0.0, np.nan):
            assert all(np.isnan(g).all() for g in slope(*[good] * len(kinds), c)), c
        for place, kind in enumerate(kinds):
            if kind in "xy" and name != "project":
                found = slope(*[outside if i == place else good * (i + 1) / 2 for i in places], 1.0)
                assert np.isnan(found[place]).all(), place


def test_exp_of_a_vector_too_long_for_the_dtype_reaches_the_edge_and_no_further():
    u = np.array([30.0, 40.0], np.float32)
    np.testing.assert_allclose(poincare.exp0(u, 1.0), u / 50)
    np.testing.assert_allclose(poincare.exp0(u * np.float32(1e30), 1.0), u / 50)  # |u|^2 overflows float32
    np.testing.assert_allclose(poincare.log0(np.float32(1e-25) * u, 1.0), 1e-25 * u)  # and underflows here
    with jax.debug_nans(False):
        assert np.isnan(poincare.dist0(poincare.exp0(u, 1.0), 1.0))
        assert not np.isfinite(poincare.tangent_dist(100 * u, -u, 1.0))  # beyond d = 88 / sqrt(c)


def test_exp_crosses_the_whole_ball_from_edge_to_edge():
    """One step goes from one edge to the other, where the gap of the second summand is 1e-11."""
    x = np.array([1 - 3e-6, 0.0], np.float32)
    with jax.enable_x64(True):
        u = poincare.log(x.astype(np.float64), -x.astype(np.float64), 1.0)
        np.testing.assert_allclose(poincare.gap(poincare.exp(x.astype(np.float64), u, 1.0), 1.0), 6e-6, rtol=1e-2)


def test_project_moves_only_what_is_outside():
    limit = poincare.max_norm(jnp.float32)
    assert 1 - 1e-5 < limit < 1 - 3e-6
    for c in CURVATURES:
        inside = np.array([0.6, -0.7, 0.2], np.float32) / np.float32(np.sqrt(c))
        np.testing.assert_array_equal(poincare.project(inside, c), inside)
        for factor in (2.0, 1e30):
            found = poincare.project(np.float32(factor) * inside, c)
            np.testing.assert_allclose(np.linalg.norm(found) * np.sqrt(c), limit, rtol=2e-7)
            np.testing.assert_allclose(found / np.linalg.norm(found), inside / np.linalg.norm(inside), rtol=3e-7)
            poincare.check(found, c)
    with jax.debug_nans(False):
        assert np.isnan(poincare.project(np.array([np.nan, 0.1]), 1.0)).any()
        assert np.isnan(poincare.project(np.array([np.inf, 0.1]), 1.0)).any()


def test_check_returns_what_is_inside_and_counts_what_is_not():
    x = np.zeros((4, 5, 2))
    x[..., 0] = 0.4
    assert poincare.check(x, 4.0) is x
    x[1, 2, 0], x[3, 0, 0], x[2, 2, 1], x[0, 1, 0] = 0.75, 0.5, np.nan, np.inf
    with pytest.raises(ValueError, match=r"4 of 20 points.*c = 4.0.*1 hold a NaN, 3 lie.*= inf.*first is at \[0, 1\]"):
        poincare.check(x, 4.0)
    x[0, 1, 0] = 0.0
    with pytest.raises(ValueError, match=r"the worst at sqrt\(c\)\|x\| = 1.5;"):
        poincare.check(x, 4.0)
    with pytest.raises(ValueError, match="c must be positive"):
        poincare.check(x, -1.0)


# --- laws, in float64 ------------------------------------------------------------------------------------------------

dims = st.sampled_from([2, 16])
curvatures = st.sampled_from([0.1, 1.0, 4.0, 0.37])
seeds = st.integers(0, 2**32 - 1)
norms = st.sampled_from([1e-6, 0.1, 0.5, 0.9, 0.999])


def law(test):
    """Points x, y, z of a drawn norm, a vector u, and c, in float64."""

    @given(seeds, dims, curvatures, norms, norms)
    def run(seed, dim, c, norm_x, norm_y):
        v = np.random.default_rng(seed).normal(size=(5, dim))
        v /= np.linalg.norm(v, axis=-1, keepdims=True)
        with jax.enable_x64(True):
            x, y, z = (jnp.asarray(n / np.sqrt(c) * d) for n, d in zip((norm_x, norm_y, 0.4), v[:3], strict=True))
            test(x, y, z, jnp.asarray(v[3]) * 0.7, c)

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def same(a, b, rtol=1e-9):
    np.testing.assert_allclose(a, b, rtol=0, atol=rtol * max(np.abs(np.asarray(b)).max(), 1e-12))


@law
def test_left_cancellation_and_automorphic_inverse(x, y, z, u, c):
    same(poincare.mobius_add(-x, poincare.mobius_add(x, y, c), c), y, 1e-6)
    same(poincare.mobius_add(-x, -y, c), -poincare.mobius_add(x, y, c))
    same(poincare.mobius_add(0 * x, y, c), y)


@law
def test_left_translation_is_an_isometry_and_dist_a_metric(x, y, z, u, c):
    d = functools.partial(poincare.dist, c=c)
    same(d(poincare.mobius_add(z, x, c), poincare.mobius_add(z, y, c)), d(x, y), 1e-7)
    same(d(x, y), d(y, x))
    assert d(x, z) <= d(x, y) + d(y, z) + 1e-9
    same(d(0 * x, y), poincare.dist0(y, c))
    same(d(x, y) ** 2, poincare.squared_dist(x, y, c))
    same(poincare.tangent_dist(poincare.log0(x, c), poincare.log0(y, c), c), d(x, y), 1e-7)


@law
def test_exp_and_log_are_inverse_and_log_has_the_length_of_the_geodesic(x, y, z, u, c):
    same(poincare.exp(x, poincare.log(x, y, c), c), y, 1e-6)
    same(poincare.log(z, poincare.exp(z, u, c), c), u)
    same(poincare.exp0(poincare.log0(x, c), c), x)
    same(poincare.exp(0 * x, u, c), poincare.exp0(u, c))
    same(poincare.log(0 * x, y, c), poincare.log0(y, c))
    length = poincare.conformal_factor(x, c) * jnp.linalg.norm(poincare.log(x, y, c))
    same(length, poincare.dist(x, y, c), 1e-7)


@law
def test_transport_keeps_inner_products_comes_back_and_starts_at_the_origin_as_transport0(x, y, z, u, c):
    w, turned = jnp.roll(u, 1) + 0.1, functools.partial(poincare.transport, c=c)
    ratio = (poincare.conformal_factor(y, c) / poincare.conformal_factor(x, c)) ** 2
    same(ratio * jnp.sum(turned(x, y, u) * turned(x, y, w)), jnp.sum(u * w), 1e-6)
    same(turned(y, x, turned(x, y, u)), u, 1e-6)
    same(turned(0 * x, y, u), poincare.transport0(y, u, c))
    same(turned(x, x, u), u)


@law
def test_transport_carries_the_geodesic_s_own_direction_along(x, y, z, u, c):
    same(poincare.transport(x, y, poincare.log(x, y, c), c), -poincare.log(y, x, c), 1e-6)


@law
def test_scale_covariance_of_everything(x, y, z, u, c):
    """A ball of radius s times as large is the ball of c / s^2: points scale, distances scale, factors do not."""
    s = 1.7
    args = {"x": x, "y": y, "u": u, "v": z}
    for name, kinds in POINT_FUNCTIONS.items():
        if name in ("project", "riemannian_gradient"):
            continue  # a gradient is a covector
        f, a = getattr(poincare, name), [args[k] for k in kinds]
        power = {"squared_dist": 2, "gap": 0, "conformal_factor": 0}.get(name, 1)
        same(f(*[s * v for v in a], c / s**2), s**power * f(*a, c), 1e-7)


def test_transport_of_float64_points_against_gyration_by_definition(x64):
    """Direction at non-collinear points: a scaling by lambda_x / lambda_y alone passes norm and round trip."""
    rng = np.random.default_rng(5)
    for c in CURVATURES:
        x, y, u = (a[0] for a in arguments("xyu", rng, 1, 5, c))
        true = ball.transport(ball.vector(x), ball.vector(y), ball.vector(u), ball.mp.mpf(c))
        assert ball.relative_error(poincare.transport(x, y, u, c), true) < 1e-13
        scaled = u * poincare.conformal_factor(x, c) / poincare.conformal_factor(y, c)
        assert ball.relative_error(scaled, true) > 1e-2


@pytest.mark.parametrize("c", [0.3, 1.0, 4.0])
def test_holonomy_a_triangle_turns_a_vector_by_c_times_its_area(c, x64):
    rng = np.random.default_rng(7)
    for _ in range(5):
        corners = points_in_ball(rng, 3, 2, c)
        u, turned = jnp.array([1.0, 0.3]), jnp.array([1.0, 0.3])
        angles = 0.0
        for k in range(3):
            a, b, d = corners[k], corners[(k + 1) % 3], corners[(k + 2) % 3]
            turned = poincare.transport(a, b, turned, c)
            p, q = poincare.log(a, b, c), poincare.log(a, d, c)
            angles += math.acos(float(jnp.sum(p * q) / jnp.linalg.norm(p) / jnp.linalg.norm(q)))
        rotation = math.atan2(float(u[0] * turned[1] - u[1] * turned[0]), float(jnp.sum(u * turned)))
        side, other = corners[1] - corners[0], corners[2] - corners[0]
        orientation = np.sign(side[0] * other[1] - side[1] * other[0])
        area = (math.pi - angles) / c
        np.testing.assert_allclose(rotation, -orientation * c * area, rtol=1e-9)


def test_metric_scales(x64):
    x, g = np.array([0.3, 0.4]), np.array([1.0, -2.0])
    np.testing.assert_allclose(poincare.conformal_factor(x, 2.0), 2 / (1 - 2 * 0.25))
    np.testing.assert_allclose(poincare.riemannian_gradient(x, g, 2.0), g * (1 - 2 * 0.25) ** 2 / 4)


# --- means -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mean", [poincare.gyromidpoint, poincare.frechet_mean])
@pytest.mark.parametrize("c", [0.3, 1.0, 4.0])
def test_both_means_of_two_points_are_the_middle_of_the_geodesic_and_move_with_isometries(mean, c, x64):
    rng = np.random.default_rng(0)
    x = points_in_ball(rng, 5, 3, c, 0.99)
    weights = rng.uniform(0.1, 2, 5)
    middle = poincare.exp(x[0], poincare.log(x[0], x[1], c) / 2, c)
    np.testing.assert_allclose(mean(x[:2], np.ones(2), c), middle, atol=1e-8)
    np.testing.assert_allclose(mean(x[:2], np.array([1.0, 0.0]), c), x[0], atol=1e-8)
    np.testing.assert_allclose(mean(x, 3 * weights, c), mean(x, weights, c), atol=1e-8)
    z = 0.5 * x[0]
    moved = jax.vmap(poincare.mobius_add, (None, 0, None))(z, x, c)
    np.testing.assert_allclose(mean(moved, weights, c), poincare.mobius_add(z, mean(x, weights, c), c), atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("largest", [0.5, 0.999, 1 - 1e-6])
def test_frechet_mean_minimises_the_squared_distances_however_far_apart(largest, x64):
    rng = np.random.default_rng(1)
    for c in CURVATURES:
        x = rng.normal(size=(7, 3))
        x *= largest / np.sqrt(c) / np.linalg.norm(x, axis=-1, keepdims=True)
        weights = rng.uniform(0.01, 1, 7)

        def cost(v, x=x, weights=weights, c=c):
            d = jax.vmap(poincare.squared_dist, (None, 0, None))(poincare.exp0(jnp.asarray(v), c), x, c)
            return jnp.sum(weights * d)

        best = minimize(jax.jit(jax.value_and_grad(cost)), np.zeros(3), jac=True, tol=1e-12)
        np.testing.assert_allclose(poincare.frechet_mean(x, weights, c), poincare.exp0(best.x, c), atol=1e-6)


def test_a_frechet_mean_that_is_not_reached_is_nan(monkeypatch, x64):
    x, uncompiled = (
        jnp.array([[0.9, 0.0, 0.1], [-0.2, 0.9, 0.0], [0.3, 0.1, 0.5]]),
        inspect.unwrap(poincare.frechet_mean),
    )
    assert np.isfinite(uncompiled(x, jnp.ones(3), 1.0)).all()
    monkeypatch.setattr(statistics, "MEAN_STEPS", 1)
    with jax.debug_nans(False):
        assert np.isnan(uncompiled(x, jnp.ones(3), 1.0)).all()


@pytest.mark.slow
def test_frechet_mean_has_the_gradient_of_the_implicit_function(x64):
    rng = np.random.default_rng(2)
    x, weights = points_in_ball(rng, 4, 2, 1.0), rng.uniform(0.5, 1, 4)
    mean = jax.jit(poincare.frechet_mean)
    check_grads(mean, (x, weights, np.float64(1.0)), order=1, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_means_in_float32_of_a_residue_ball_with_masked_members():
    """6,561 rows and more are averaged by zero weights; both are vmapped and differentiated in training."""
    rng = np.random.default_rng(3)
    x = points_in_ball(rng, 500, 16, 1.0).astype(np.float32)
    masks = (np.arange(500) % 3 == np.arange(3)[:, None]).astype(np.float32)
    for mean in (poincare.gyromidpoint, poincare.frechet_mean):
        means = jax.jit(jax.vmap(mean, (None, 0, None)))(x, masks, 1.0)
        assert means.dtype == jnp.float32
        alone = mean(x[1::3], np.ones(len(x[1::3]), np.float32), 1.0)
        np.testing.assert_allclose(means[1], alone, atol=1e-6)
        gradient = jax.grad(lambda x, f=mean: jnp.sum(f(x, masks[0], 1.0)))(x)
        assert np.isfinite(gradient).all()
        assert (gradient[1] == 0).all()
        assert (gradient[0] != 0).any()


def test_frechet_mean_is_reached_from_any_points_and_weights(x64):
    """Norms up to 1 - 1e-6 and weights down to 1e-6, at random: the logarithms at the mean cancel, or it is NaN."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 5, 2))
    x *= (1 - 10 ** rng.uniform(-6, 0, (500, 5, 1))) / np.linalg.norm(x, axis=-1, keepdims=True)
    weights = 10 ** rng.uniform(-6, 0, (500, 5))

    @jax.jit
    @jax.vmap
    def residual(x, weights):
        mean = poincare.frechet_mean(x, weights, 1.0)
        logs = jax.vmap(poincare.log, (None, 0, None))(mean, x, 1.0)
        return poincare.conformal_factor(mean, 1.0) * jnp.linalg.norm(weights @ logs) / jnp.sum(weights)

    assert np.max(residual(x, weights)) < 1e-6


@pytest.mark.parametrize("c", [1e-20, 1e16])
def test_frechet_mean_in_balls_of_any_size(c, x64):
    x = np.array([[0.9, 0.0], [-0.2, 0.9], [0.3, 0.1]])
    scaled = poincare.frechet_mean(x / np.sqrt(c), np.ones(3), c) * np.sqrt(c)
    np.testing.assert_allclose(scaled, poincare.frechet_mean(x, np.ones(3), 1.0), rtol=1e-9)


def test_negative_weights_and_scales_are_nan():
    x = np.array([[0.3, 0.1], [-0.2, 0.0]], np.float32)
    with jax.debug_nans(False):
        for mean in (poincare.gyromidpoint, poincare.frechet_mean):
            assert np.isnan(mean(x, np.array([2, -1], np.float32), 1.0)).all()
        for scale in (0.0, -1.0, np.nan):
            assert np.isnan(poincare.wrapped_normal_sample(jax.random.key(0), x[0], scale, 1.0)).all()
            assert np.isnan(poincare.wrapped_normal_log_prob(x[0], x[1], scale, 1.0))


def test_the_mean_of_nothing_is_undefined():
    with jax.debug_nans(False):
        for mean in (poincare.gyromidpoint, poincare.frechet_mean):
            assert np.isnan(mean(np.zeros((3, 2), np.float32), np.zeros(3, np.float32), 1.0)).all()


# --- the wrapped normal ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("c", [0.5, 1.0, 2.0])
def test_density_integrates_to_one_over_the_disc(c, x64):
    """By quadrature in polar coordinates about 0: dV = sinh(sqrt(c) r) / sqrt(c) dr dt, with the mean off centre."""
    mean, scale = np.array([0.3, -0.2]), np.array([0.5, 0.8])
    r, weights = np.polynomial.legendre.leggauss(400)
    r, weights = 6 * (r + 1), 6 * weights
    t = np.arange(200) * 2 * np.pi / 200
    direction = np.stack([np.cos(t), np.sin(t)], -1)
    z = np.tanh(np.sqrt(c) * r / 2)[:, None, None] * direction / np.sqrt(c)
    log_prob = jax.vmap(poincare.wrapped_normal_log_prob, (0, None, None, None))(z.reshape(-1, 2), mean, scale, c)
    density = np.exp(np.asarray(log_prob)).reshape(len(r), len(t)).mean(1) * 2 * np.pi
    np.testing.assert_allclose(np.sum(weights * density * np.sinh(np.sqrt(c) * r) / np.sqrt(c)), 1, atol=1e-6)


@pytest.mark.parametrize("c", [0.3, 1.0])
def test_density_integrates_to_one_in_sixteen_dimensions(c, x64):
    """By importance sampling in polar coordinates about a point near the mean, where the proposal is known in full."""
    rng, n, dim, scale = np.random.default_rng(0), 100_000, 16, 0.4
    centre = np.full(dim, 0.1)
    mean = poincare.exp(centre, jnp.full(dim, 0.01), c)
    r = scale * 1.1 * np.sqrt(rng.chisquare(dim, n))
    direction = rng.normal(size=(n, dim))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    about_zero = np.tanh(np.sqrt(c) * r / 2)[:, None] * direction / np.sqrt(c)
    z = jax.vmap(poincare.mobius_add, (None, 0, None))(centre, about_zero, c)
    sphere = math.log(2) + dim / 2 * math.log(math.pi) - math.lgamma(dim / 2)
    log_volume = sphere + (dim - 1) * np.log(np.sinh(np.sqrt(c) * r) / np.sqrt(c))
    log_proposal = chi.logpdf(r, dim, scale=scale * 1.1) - log_volume
    log_prob = jax.vmap(poincare.wrapped_normal_log_prob, (0, None, None, None))(z, mean, scale, c)
    ratio = np.exp(np.asarray(log_prob) - log_proposal)
    assert ratio.std() / np.sqrt(n) < 0.005
    np.testing.assert_allclose(ratio.mean(), 1, atol=0.02)


def test_samples_lie_where_the_density_says():
    """lambda_mean |log_mean(z)| / scale is chi-distributed, with as many degrees of freedom as dimensions."""
    mean, scale, c = np.array([0.5, -0.4, 0.1], np.float32), np.float32(0.3), 1.3
    keys, others = jax.random.split(jax.random.key(0), (2, 4000))
    z = jax.vmap(poincare.wrapped_normal_sample, (0, None, None, None))(keys, mean, scale, c)
    poincare.check(z, c)
    length = jax.vmap(poincare.dist, (None, 0, None))(mean, z, c) / scale
    assert kstest(np.asarray(length), chi(3).cdf).pvalue > 0.01
    stretched = np.array([0.1, 0.2, 0.4], np.float32)
    z = jax.vmap(poincare.wrapped_normal_sample, (0, None, None, None))(others, mean, stretched, c)
    back = jax.vmap(lambda z: poincare.transport(mean, 0 * mean, poincare.log(mean, z, c), c))(z)
    np.testing.assert_allclose(np.std(2 * np.asarray(back), axis=0), stretched, rtol=0.05)


def test_log_prob_at_the_mean_and_in_flat_space():
    mean = np.array([0.2, 0.3], np.float32)
    at_mean, gradient = jax.value_and_grad(poincare.wrapped_normal_log_prob)(mean, mean, 0.5, 1.0)
    np.testing.assert_allclose(at_mean, -2 * math.log(0.5) - math.log(2 * math.pi), rtol=1e-6)
    np.testing.assert_allclose(gradient, np.zeros(2), atol=1e-6)
    z = np.array([0.25, 0.1], np.float32)
    flat = -np.sum((2 * (z - mean)) ** 2) / 2 / 0.25 - 2 * math.log(0.5) - math.log(2 * math.pi)
    np.testing.assert_allclose(poincare.wrapped_normal_log_prob(z, mean, 0.5, 1e-6), flat, rtol=1e-5)
    with jax.debug_nans(False):
        assert np.isnan(poincare.wrapped_normal_log_prob(z, mean, -0.5, 1.0))


def test_log_prob_gradients(x64):
    z, mean = np.array([-0.1, 0.4]), np.array([0.3, -0.2])
    log_prob = jax.jit(poincare.wrapped_normal_log_prob)
    check_second_order(log_prob, z, mean, np.array([0.3, 0.5]), 1.0, tolerance=1e-4)
    check_second_order(log_prob, mean, mean, np.array([0.5, 0.5]), 1.0, tolerance=1e-4)


# --- transformations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", POINT_FUNCTIONS)
def test_vmap_equals_a_loop_and_jit_equals_eager(name):
    rng = np.random.default_rng(0)
    args = [a.astype(np.float32) for a in arguments(POINT_FUNCTIONS[name], rng, 4, 3, 1.0)]
    f = getattr(poincare, name)
    batched = jax.vmap(f, (0,) * len(args) + (None,))(*args, 1.0)
    for i in range(4):
        row = [a[i] for a in args]
        np.testing.assert_allclose(batched[i], f(*row, 1.0), rtol=1e-6)
    with jax.disable_jit(), jax.debug_nans(False):  # eager: the unused branch of a `where` may be NaN
        eager = f(*[a[0] for a in args], 1.0)
    np.testing.assert_allclose(jax.jit(f)(*[a[0] for a in args], 1.0), eager, rtol=1e-6)
    assert batched.dtype == jnp.float32
