"""Float64 islands: right to the last bit of float32 under every transformation, and float32 on the outside."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from ternary_jax import precision
from ternary_jax.precision import in_float64, safe_sqrt

pytestmark = pytest.mark.usefixtures("strict_dtypes")

HALF_ULP = 2.0**-24  # a value rounded once is off by no more, relatively

# Rows of norm 1 - 1e-6 .. 1 - 1e-2, already float32: there 1 - c|x|^2 keeps one to four digits in float32.
_directions = np.random.default_rng(0).normal(size=(40, 5))
_norms = 1 - np.logspace(-6, -2, 40)[:, None]
POINTS = (_directions / np.linalg.norm(_directions, axis=1, keepdims=True) * _norms).astype(np.float32)
C = np.float32(0.99999)


def log_gap_in_float32(x, c):
    return jnp.log(1 - c * jnp.sum(x * x))


log_gap = in_float64(log_gap_in_float32)


def exact_gap(x, c):
    x = x.astype(np.float64)
    return 1 - float(c) * np.sum(x * x, -1)


def exact_value(x, c):
    return np.log(exact_gap(x, c))


def exact_gradient(x, c):
    return -2 * float(c) * x.astype(np.float64) / exact_gap(x, c)[..., None]


def exact_hessian(x, c):
    g = exact_gradient(x, c)
    return np.eye(x.shape[-1]) * (-2 * float(c) / exact_gap(x, c))[..., None, None] - g[..., :, None] * g[..., None, :]


def assert_rounded_once(actual, exact):
    assert actual.dtype == jnp.float32
    np.testing.assert_allclose(np.asarray(actual, np.float64), exact, rtol=HALF_ULP * (1 + 1e-6), atol=1e-30)


def over_points(f):
    """Apply f to one point after the other, without vmap."""
    return lambda points, c: jnp.stack([f(x, c) for x in points])


def scanned(f):
    return lambda points, c: jax.lax.scan(lambda total, x: (total, f(x, c)), 0.0, points)[1]


def summed_by_scan(body):
    """The gradient of the sum of f over the rows, through the transpose of a scan."""

    def total(points, c):
        return jax.lax.scan(lambda s, x: (s + body(x, c), None), jnp.zeros((), points.dtype), points)[0]

    return jax.grad(total)


def choose(x, c):
    return jax.lax.cond(x[0] > 0, log_gap, lambda x, c: 2 * log_gap(x, c), x, c)


CONDS = {
    "eager": over_points(choose),
    "jit": over_points(jax.jit(choose)),
    "vmap": jax.vmap(choose, (0, None)),
    "jit of vmap": jax.jit(jax.vmap(choose, (0, None))),
}
COND_GRADIENTS = {
    "vmap of grad": jax.vmap(jax.grad(choose), (0, None)),
    "grad of a vmapped sum": jax.grad(lambda points, c: jnp.sum(jax.vmap(choose, (0, None))(points, c))),
    "vmap of jacfwd": jax.vmap(jax.jacfwd(choose), (0, None)),
}

VALUES = {
    "eager": over_points(log_gap),
    "jit": over_points(jax.jit(log_gap)),
    "vmap": jax.vmap(log_gap, (0, None)),
    "vmap of jit": jax.vmap(jax.jit(log_gap), (0, None)),
    "jit of vmap": jax.jit(jax.vmap(log_gap, (0, None))),
    "scan": scanned(log_gap),
    "map": lambda points, c: jax.lax.map(lambda x: log_gap(x, c), points),
    "island in an island": jax.vmap(in_float64(lambda x, c: log_gap(x, c)), (0, None)),
}

_gradient = jax.grad(log_gap)
GRADIENTS = {
    "grad": over_points(_gradient),
    "jit": over_points(jax.jit(_gradient)),
    "vmap": jax.vmap(_gradient, (0, None)),
    "vmap of jit": jax.vmap(jax.jit(_gradient), (0, None)),
    "jacfwd": jax.vmap(jax.jacfwd(log_gap), (0, None)),
    "jacrev": jax.vmap(jax.jacrev(log_gap), (0, None)),
    "checkpoint": jax.vmap(jax.grad(jax.checkpoint(log_gap)), (0, None)),
    "linearize": jax.vmap(lambda x, c: jax.vmap(jax.linearize(lambda x: log_gap(x, c), x)[1])(jnp.eye(5)), (0, None)),
    "grad inside scan": scanned(_gradient),
    "grad of scan": summed_by_scan(log_gap),
    "jit of grad of scan": jax.jit(summed_by_scan(log_gap)),
    "grad of scan of checkpoint": summed_by_scan(jax.checkpoint(log_gap)),
    "grad of a vmapped sum": jax.grad(lambda points, c: jnp.sum(jax.vmap(log_gap, (0, None))(points, c))),
}

HESSIANS = {
    "hessian": jax.hessian(log_gap),
    "reverse over forward": jax.jacrev(jax.jacfwd(log_gap)),
    "reverse over reverse": jax.jacrev(jax.jacrev(log_gap)),
    "jit of hessian": jax.jit(jax.hessian(log_gap)),
}


def test_in_float32_the_example_is_wrong():
    """Float32 fails here; otherwise the tests below would pass without an island."""
    actual = np.asarray(jax.vmap(log_gap_in_float32, (0, None))(POINTS, C), np.float64)
    assert np.abs(actual / exact_value(POINTS, C) - 1).max() > 1e-4


@pytest.mark.parametrize("f", VALUES.values(), ids=VALUES.keys())
def test_values(f):
    assert_rounded_once(f(jnp.asarray(POINTS), jnp.asarray(C)), exact_value(POINTS, C))


@pytest.mark.parametrize("f", GRADIENTS.values(), ids=GRADIENTS.keys())
def test_gradients(f):
    assert_rounded_once(f(jnp.asarray(POINTS), jnp.asarray(C)), exact_gradient(POINTS, C))


@pytest.mark.parametrize("f", HESSIANS.values(), ids=HESSIANS.keys())
def test_second_derivatives(f):
    actual = jax.vmap(f, (0, None))(jnp.asarray(POINTS), jnp.asarray(C))
    assert_rounded_once(actual, exact_hessian(POINTS, C))


def test_the_other_argument_has_its_gradient_too():
    actual = jax.vmap(jax.grad(log_gap, 1), (0, None))(jnp.asarray(POINTS), jnp.asarray(C))
    squares = np.sum(POINTS.astype(np.float64) ** 2, -1)
    assert_rounded_once(actual, -squares / exact_gap(POINTS, C))


@pytest.mark.parametrize("f", CONDS.values(), ids=CONDS.keys())
def test_cond(f):
    factor = np.where(POINTS[:, 0] > 0, 1, 2)
    assert_rounded_once(f(jnp.asarray(POINTS), jnp.asarray(C)), factor * exact_value(POINTS, C))


@pytest.mark.parametrize("f", COND_GRADIENTS.values(), ids=COND_GRADIENTS.keys())
def test_gradients_of_cond(f):
    factor = np.where(POINTS[:, :1] > 0, 1, 2)
    assert_rounded_once(f(jnp.asarray(POINTS), jnp.asarray(C)), factor * exact_gradient(POINTS, C))


def test_while_loop():
    """Steps towards the point with log gap -3 by Newton's method in |x|: it converges at all only if f is right."""

    @jax.jit
    @jax.vmap
    def solve(x):
        def newton(state):
            x, n = state
            return x - (log_gap(x, C) + 3) * x / jnp.sum(x * jax.grad(log_gap)(x, C)), n + 1

        return jax.lax.while_loop(lambda s: (jnp.abs(log_gap(s[0], C) + 3) > 1e-5) & (s[1] < 50), newton, (x, 0))

    x, n = solve(jnp.asarray(POINTS))
    assert x.dtype == jnp.float32
    assert n.max() < 50
    np.testing.assert_allclose(exact_value(np.asarray(x), C), -3, atol=2e-5)


# --- what comes out ---------------------------------------------------------------------------------------------------


def test_the_result_is_rounded_once():
    def part_that_float32_loses(x):
        return x + 2.0**-30 - x

    assert part_that_float32_loses(jnp.float32(1)) == 0
    assert in_float64(part_that_float32_loses)(jnp.float32(1)) == 2.0**-30


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_the_dtype_is_that_of_the_arguments(dtype):
    x = jnp.full(5, 0.25, dtype)
    f = in_float64(lambda x, c: {"scaled": c * x, "sum": jnp.sum(x), "parts": (x[0], [x[1:]])})
    for run in (f, jax.jit(f)):
        for c in (2.0, jnp.asarray(2, dtype)):
            assert {v.dtype for v in jax.tree.leaves(run(x, c))} == {jnp.dtype(dtype)}
    assert jax.grad(lambda x: f(x, 2.0)["sum"])(x).dtype == dtype


def test_python_floats_alone_give_the_default_dtype():
    assert in_float64(lambda a, b: a * b)(0.5, 0.25).dtype == jnp.float32


def test_integers_and_keys_pass_unchanged():
    n, key = jnp.arange(5, dtype=jnp.int8), jax.random.key(0)
    f = in_float64(lambda x, n, key, flag: (x * n.astype(x.dtype), n, key, flag))
    scaled, same_n, same_key, flag = f(jnp.full(5, 0.5), n, key, jnp.array(True))
    assert scaled.dtype == jnp.float32
    assert same_n.dtype == jnp.int8
    assert same_n.tolist() == [0, 1, 2, 3, 4]
    assert same_key == key
    assert flag.dtype == bool
    assert in_float64(lambda n: n / jnp.full(5, 3, n.dtype))(n).dtype == jnp.float32


def test_nothing_of_64_bits_leaks_out():
    ranks = in_float64(lambda x: (jnp.argsort(x), jnp.sum(x > 0), x, jnp.cumsum(x)))
    x = jnp.asarray(POINTS[0])
    for f in (ranks, jax.jit(ranks), lambda x: jax.vmap(ranks)(x[None])):
        assert {v.dtype for v in jax.tree.leaves(f(x))} == {jnp.dtype(jnp.int32), jnp.dtype(jnp.float32)}
    assert jax.tree.leaves(jax.jvp(log_gap, (x, C), (x, C)))[1].dtype == jnp.float32
    primal, pull = jax.vjp(log_gap, x, jnp.asarray(C))
    assert {v.dtype for v in pull(jnp.ones_like(primal))} == {jnp.dtype(jnp.float32)}
    assert not jax.config.read("jax_enable_x64")
    assert jnp.arange(2.0).dtype == jnp.float32


def test_it_is_compiled_once():
    traced = []
    f = in_float64(lambda x: (traced.append(x), 2 * x)[1])
    for x in POINTS[:3]:
        f(x)
    assert len(traced) == 1


def test_keywords():
    x = jnp.asarray(POINTS[0])
    assert log_gap(x, c=C) == log_gap(x, C) == log_gap(c=C, x=x)
    assert log_gap(x, c=0.5).dtype == jnp.float32


def test_under_x64_float64_comes_out():
    with jax.enable_x64(True):
        x, c = jnp.asarray(POINTS, jnp.float64), jnp.asarray(C, jnp.float64)
        f = jax.vmap(log_gap, (0, None))
        for actual, exact in (
            (f(x, c), exact_value(POINTS, C)),
            (jax.jit(jax.vmap(jax.grad(log_gap), (0, None)))(x, c), exact_gradient(POINTS, C)),
            (jax.vmap(jax.hessian(log_gap), (0, None))(x, c), exact_hessian(POINTS, C)),
        ):
            assert actual.dtype == jnp.float64
            np.testing.assert_allclose(actual, exact, rtol=1e-9)
        assert f(x.astype(jnp.float32), c.astype(jnp.float32)).dtype == jnp.float32
        assert log_gap(x[0], 0.5).dtype == jnp.float64
        assert in_float64(jnp.argsort)(x[0]).dtype == jnp.int64


def test_safe_sqrt_is_sqrt_with_a_flat_zero_and_hides_no_nan():
    w = np.array([0.0, 1e-30, 0.25, 9.0], np.float32)
    np.testing.assert_array_equal(safe_sqrt(w), np.sqrt(w))
    np.testing.assert_allclose(jax.vmap(jax.grad(safe_sqrt))(w), [0, *(0.5 / np.sqrt(w[1:]))], rtol=1e-6)
    with jax.debug_nans(False):
        assert np.isnan(safe_sqrt(np.array([np.nan, -1.0], np.float32))).all()


SMOOTH = {
    "sinhc": lambda a: mpmath.sinh(a) / a,
    "asinhc": lambda a: mpmath.asinh(a) / a,
    "tanhc": lambda a: mpmath.tanh(a) / a,
    "asinh_squared": lambda a: mpmath.asinh(a) ** 2,
    "log_sinhc": lambda a: mpmath.log(mpmath.sinh(a) / a),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_functions_that_are_smooth_at_0_are_exact_on_both_sides_of_their_switch(name):
    w = np.concatenate([np.logspace(-12, -2, 21), [0.999 / 64, 1.001 / 64, 0.1, 1, 9]])
    with mpmath.workdps(50):
        exact = np.array([float(SMOOTH[name](mpmath.sqrt(mpmath.mpf(x)))) for x in w])
    with jax.enable_x64(True):
        found = np.asarray(getattr(precision, name)(jnp.asarray(w)))
    # log_sinhc subtracts logarithms of about 1 for a value of 1/400 at the switch, which leaves 13 digits.
    np.testing.assert_allclose(found, exact, rtol=3e-13 if name == "log_sinhc" else 1e-15)
