"""Arithmetic at its edges: float64 where float32 cancels, x64 enabled or not, and functions that are smooth at 0."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

F = TypeVar("F", bound=Callable[..., Any])


def in_float64(f: F) -> F:
    """Run f in float64 and round what it returns once, to the floating dtype of its arguments.

    Arguments that are not floating do not change. An int64 result becomes the default integer, int32 without x64.
    Without x64, jax rounds a float64 argument to float32 before the call, as everywhere.
    f may use elementwise operations, sums, sorts, loops and linear solves. It may not use a matrix product or argmax:
    the transpose of the first and the lowering of the second happen outside the 64-bit context of this function, and
    fail. jnp.sum(x * y) works. tests/test_precision.py tests jit, vmap, scan, remat and both modes of differentiation.
    """

    def convert(tree, kind, dtype):
        return jax.tree.map(lambda v: jnp.asarray(v, dtype) if jnp.issubdtype(jnp.result_type(v), kind) else v, tree)

    @functools.wraps(f)
    def rounded_once(*args, **kwargs):
        leaves = jax.tree.leaves((args, kwargs))
        floating = jnp.result_type(float, *[v for v in leaves if jnp.issubdtype(jnp.result_type(v), jnp.floating)])
        integer = jnp.result_type(int)
        with jax.enable_x64(True):
            args, kwargs = convert((args, kwargs), jnp.floating, jnp.float64)
            rounded = convert(f(*args, **kwargs), jnp.floating, floating)
            return convert(rounded, jnp.int64, integer)

    return cast(F, jax.jit(rounded_once))


def safe_sqrt(w: ArrayLike) -> Array:
    """Sqrt w with gradient 0 at 0, where the gradient of jnp.sqrt is infinite; NaN stays NaN."""
    zero = jnp.equal(w, 0)
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, w)))


def exact_matmul(a: Array, b: Array) -> Array:
    """a @ b in the full precision of its dtype: the default of a GPU rounds float32 factors to ten bits."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def _polynomial(coefficients: Sequence[float], w: Any) -> Any:
    return functools.reduce(lambda total, a: total * w + a, reversed(coefficients))


def _smooth_at_zero(f: Callable[[Any], Array], taylor: Sequence[float]) -> Callable[[Any], Array]:
    """g(w) = f(sqrt w) for an even f, smooth at w = 0: below w = 1/64 it is the Taylor series in w."""

    def g(w):
        small = w < 1 / 64
        near = jnp.where(small, w, 0)
        series = _polynomial(taylor, near)
        return jnp.where(small, series, f(jnp.sqrt(jnp.where(small, 1, w))))

    return g


def _tanhc_taylor(n: int) -> list[float]:
    t = [1.0]  # from tanh' = 1 - tanh^2
    for k in range(1, n):
        t.append(-sum(t[i] * t[k - 1 - i] for i in range(k)) / (2 * k + 1))
    return t


sinhc = _smooth_at_zero(lambda a: jnp.sinh(a) / a, [1 / math.factorial(2 * k + 1) for k in range(9)])
asinhc = _smooth_at_zero(
    lambda a: jnp.arcsinh(a) / a,
    [(-1 / 4) ** k * math.comb(2 * k, k) / (2 * k + 1) for k in range(10)],
)
tanhc = _smooth_at_zero(lambda a: jnp.where(a < jnp.inf, jnp.tanh(a) / a, jnp.nan), _tanhc_taylor(10))
asinh_squared = _smooth_at_zero(
    lambda a: jnp.arcsinh(a) ** 2,
    [0, *((-1) ** (k - 1) * 4**k / (2 * k**2 * math.comb(2 * k, k)) for k in range(1, 11))],
)
log_sinhc = _smooth_at_zero(
    lambda a: a + jnp.log1p(-jnp.exp(-2 * a)) - jnp.log(2 * a),
    [0, 1 / 6, -1 / 180, 1 / 2835, -1 / 37800, 1 / 467775, -691 / 3831077250, 2 / 127702575],
)
# a coth a - 1
cothc = _smooth_at_zero(
    lambda a: a / jnp.tanh(a) - 1,
    [0, 1 / 3, -1 / 45, 2 / 945, -1 / 4725, 2 / 93555, -1382 / 638512875, 4 / 18243225],
)


def asinhc_deficit(w: Array) -> Array:
    """(1 - asinh(a) / a) / a^2 with a = sqrt(w), to the last digits of the dtype of w; 1/6 at 0.

    The difference cancels in float32 as far as a = 1. Up to a = 3.6 it is (sinh b - b) / b^3 times (b / a)^3 with
    b = asinh(a), whose series in b^2 has positive terms.
    """
    near, ratio = w < 13, asinhc(w)
    square = jnp.where(near, w * ratio**2, 0)
    series = _polynomial([1 / math.factorial(2 * k + 3) for k in range(13)], square)
    return jnp.where(near, ratio**3 * series, (1 - ratio) / jnp.where(near, 1, w))
