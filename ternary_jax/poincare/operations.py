"""Gyrovector operations, exponential and logarithm, transport, and the scales of the metric."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from ternary_jax.poincare import formulas
from ternary_jax.precision import asinh_squared, asinhc, in_float64, sinhc, tanhc


@in_float64
def mobius_add(x: ArrayLike, y: ArrayLike, c: ArrayLike) -> Array:
    """x (+) y = ((1 + 2c<x,y> + c|y|^2) x + (1 - c|x|^2) y) / (1 + 2c<x,y> + c^2 |x|^2 |y|^2)."""
    return formulas.add(x, y, formulas.gap(x, c), formulas.gap(y, c), c)


@in_float64
def scalar_mul(t: ArrayLike, x: ArrayLike, c: ArrayLike) -> Array:
    """t (x) x = tanh(t artanh(sqrt(c)|x|)) x / (sqrt(c)|x|), the point on the ray 0x at t d(0, x). t: ()."""
    return _exp0(t * _log0(x, c), c)


@in_float64
def gyration(a: ArrayLike, b: ArrayLike, u: ArrayLike, c: ArrayLike) -> Array:
    """gyr[a, b] u = -(a (+) b) (+) (a (+) (b (+) u)), the rotation by which (+) is not associative; linear in u.

    Evaluated in closed form for any vector u, also one outside the ball.
    """
    return u + _turn(-jnp.asarray(b), a, u, c)


@in_float64
def geodesic(t: Any, x: ArrayLike, y: ArrayLike, c: ArrayLike) -> Array:
    """x (+) t (x) ((-x) (+) y) = exp_x(t log_x(y)): x at t = 0, y at t = 1, at the constant speed d(x, y). t: ().

    On the hyperboloid it is a X + b Y, a = sinh((1 - t) D) / sinh D, b = sinh(t D) / sinh D, D = sqrt(c) d(x, y). For t
    in [0, 1] no term is negative; exp_x of log_x loses the gap of x twice. NaN from t D = 700 on, beyond the edge.
    """
    gap_x, gap_y = formulas.gap(x, c), formulas.gap(y, c)
    square = 4 * asinh_squared(c * formulas.sq(formulas.difference(x, y)) / (gap_x * gap_y))
    a, b = ((share * sinhc(share**2 * square) / sinhc(square)) for share in (1 - t, t))
    return 2 * (a / gap_x * x + b / gap_y * y) / (1 - a - b + 2 * (a / gap_x + b / gap_y))


@in_float64
def exp(x: ArrayLike, u: ArrayLike, c: ArrayLike) -> Array:
    """exp_x(u) = x (+) tanh(sqrt(c) lambda_x |u| / 2) u / (sqrt(c)|u|)."""
    return formulas.exp(x, u, c)


@in_float64
def translate(x: ArrayLike, u: ArrayLike, c: ArrayLike) -> Array:
    """x (+) exp_0(u), or exp_x of the transport of u from 0 to x; exact even if exp_0(u) rounds to the edge."""
    return formulas.translate(x, u, formulas.gap(x, c), c)


@in_float64
def log(x: ArrayLike, y: ArrayLike, c: ArrayLike) -> Array:
    """log_x(y) = (2 / (sqrt(c) lambda_x)) artanh(sqrt(c)|m|) m/|m| with m = (-x) (+) y; the inverse of exp_x."""
    return formulas.log(x, y, c)


@in_float64
def exp0(u: ArrayLike, c: ArrayLike) -> Array:
    """exp_0(u) = tanh(sqrt(c)|u|) u / (sqrt(c)|u|). From sqrt(c)|u| = 9 on it rounds to the edge itself in float32."""
    return _exp0(u, c)


@in_float64
def log0(x: ArrayLike, c: ArrayLike) -> Array:
    """log_0(x) = artanh(sqrt(c)|x|) x / (sqrt(c)|x|)."""
    return _log0(x, c)


@in_float64
def transport(x: ArrayLike, y: ArrayLike, u: ArrayLike, c: ArrayLike) -> Array:
    """Parallel transport along the geodesic from x to y: (lambda_x / lambda_y) gyr[y, -x] u."""
    return formulas.gap(y, c) / formulas.gap(x, c) * (u + _turn(x, y, u, c))


@in_float64
def transport0(x: ArrayLike, u: ArrayLike, c: ArrayLike) -> Array:
    """Parallel transport from 0 to x: (lambda_0 / lambda_x) u = (1 - c|x|^2) u."""
    return formulas.gap(x, c) * u


def _exp0(u, c):
    return jnp.where(jnp.greater(c, 0), 1.0, jnp.nan) * tanhc(c * formulas.sq(u)) * u


def _log0(x, c):
    gap = formulas.gap(x, c)
    return asinhc(c * formulas.sq(x) / gap) / jnp.sqrt(gap) * x


def _turn(x, y, u, c):
    """gyr[y, -x] u - u, regrouped in s = y - x, as `formulas.add` is in x + y."""
    s = formulas.difference(y, x)
    n, gap_x, gap_y, xu, su = c * formulas.sq(s), formulas.gap(x, c), formulas.gap(y, c), jnp.sum(x * u), jnp.sum(s * u)
    turn = (gap_x * su - n * xu) * x - ((1 - gap_x) * su + (gap_y + n) * xu) * s
    return 2 * c / (gap_x * gap_y + n) * turn


# --- scales of the metric ---------------------------------------------------------------------------------------------


@in_float64
def gap(x: ArrayLike, c: ArrayLike) -> Array:
    """1 - c|x|^2, positive inside the ball, NaN elsewhere. From c and |x|^2: sqrt(c) x would amplify its rounding."""
    return formulas.gap(x, c)


@in_float64
def conformal_factor(x: ArrayLike, c: ArrayLike) -> Array:
    """lambda_x = 2 / (1 - c|x|^2)."""
    return formulas.conformal(x, c)


@in_float64
def riemannian_gradient(x: ArrayLike, g: ArrayLike, c: ArrayLike) -> Array:
    """The gradient with respect to the metric at x, from the Euclidean one: g / lambda_x^2."""
    return jnp.divide(g, formulas.conformal(x, c) ** 2)


def max_norm(dtype: jax.typing.DTypeLike) -> float:
    """sqrt(c) times the largest norm that `project` leaves: 1 - eps^(3/4), d(0, x) = 12.6 / sqrt(c) in float32."""
    return 1 - float(jnp.finfo(dtype).eps) ** 0.75


def project(x: ArrayLike, c: ArrayLike) -> Array:
    """The nearest point with sqrt(c)|x| <= `max_norm`, for a point that a step or rounding has moved outside.

    NaN if c is not positive: there is no ball to project to.
    """
    return _shortened(x, max_norm(jnp.result_type(float, x)), c)


@in_float64
def _shortened(x, limit, c):
    norm = jnp.sqrt(c) * formulas.norm(x)
    outside = norm > limit
    shortened = jnp.where(outside, limit / jnp.where(outside, norm, 1.0), 1.0)
    return jnp.where(jnp.greater(c, 0), shortened, jnp.nan) * x


def check(points: ArrayLike, c: ArrayLike) -> ArrayLike:
    """Return the points (..., dim), or raise a ValueError that counts those outside the ball. Not for use under jit."""
    dtype = jnp.result_type(float, points, c)  # the dtype of both in the functions here: float32 without x64
    c, wide = (np.asarray(v, dtype).astype(np.float64) for v in (c, points))
    if not (c > 0).all():
        raise ValueError(f"c must be positive, not {c}")
    norm = np.sqrt(np.square(wide).sum(-1) * c)
    bad = ~(norm < 1)
    if bad.any():
        nan = np.isnan(norm).sum()
        worst = f", the worst at sqrt(c)|x| = {np.nanmax(norm):.9g}" if nan < norm.size else ""
        raise ValueError(
            f"{bad.sum()} of {bad.size} points are not inside the ball of c = {c}: {nan} hold a NaN, "
            f"{bad.sum() - nan} lie on or outside the edge{worst}; the first is at {np.argwhere(bad)[0].tolist()}. "
            "`poincare.project` brings a point back; a NaN has to be traced to where it arose"
        )
    return points
