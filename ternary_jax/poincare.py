"""The Poincare ball: pure functions on single points, batched by `jax.vmap`.

One meaning of c > 0 everywhere: sectional curvature -c, ball radius 1/sqrt(c), conformal factor
lambda_x = 2 / (1 - c|x|^2). c is the last argument, traced, and has a gradient.

Precision. 1 - c|x|^2 cancels near the edge: float32 has no digit of it at |x| = 1 - 1e-7, and the gradients of x (+) y
and log_x(y) cancel once more. So functions run in float64 for any dtype of the argument, and round once, at the end.
Only the distances of pairs, which are many (`dist`, `squared_dist`, `tangent_dist`), run in the dtype of the argument,
in forms that do not cancel, from the float64 gaps of the two points. Compensated float32 sums give exact values but no
exact gradients, with three times the code: see `experiments/accuracy_geometry.py`.

Validity. Only `project` moves its input to make it valid. A point on or outside the edge, a NaN, or c <= 0 gives NaN;
`check` raises an error with the reason. At singular points, `where` selects the input of a formula, not its output.

Formulas: Ungar, "A Gyrovector Space Approach to Hyperbolic Geometry" (2009); Ganea et al., arXiv 1805.09112.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from ternary_jax.precision import asinh_squared, asinhc, in_float64, log_sinhc, safe_sqrt, sinhc, tanhc

# --- distances --------------------------------------------------------------------------------------------------------


def dist(x: ArrayLike, y: ArrayLike, c: ArrayLike) -> Array:
    """d(x, y) = (2/sqrt c) arcsinh( sqrt(c)|x - y| / sqrt((1 - c|x|^2)(1 - c|y|^2)) ). Exactly 0, gradient 0, at x = y.

    Below |x - y| = 1e-19 the square underflows in float32, and the distance is 0.
    """
    squared, stretch = _chord(x, y, c)
    return _unit(c).astype(squared.dtype) * jnp.arcsinh(safe_sqrt(squared) * stretch)


def squared_dist(x: ArrayLike, y: ArrayLike, c: ArrayLike) -> Array:
    """d(x, y)^2, smooth everywhere: its Hessian at x = y is 2 lambda_x^2, where that of `dist`^2 would be 0."""
    squared, stretch = _chord(x, y, c)
    return _unit(c).astype(squared.dtype) ** 2 * asinh_squared(squared * stretch**2)


@in_float64
def dist0(x: ArrayLike, c: ArrayLike) -> Array:
    """d(0, x) = (2/sqrt c) artanh(sqrt(c)|x|), by arcsinh as in `dist`. Gradient 0 at 0, the tip of a cone."""
    return 2 / jnp.sqrt(c) * jnp.arcsinh(safe_sqrt(c * _sq(x) / _gap(x, c)))


def tangent_dist(u: ArrayLike, v: ArrayLike, c: ArrayLike) -> Array:
    """d(exp_0(u), exp_0(v)) from the tangent vectors: accurate at d = 40, where the float32 ball ends at 13.

    With a = sqrt(c)|u|, b = sqrt(c)|v| and t the angle between them,
        sinh^2(sqrt(c) d/2) = sinh^2(a - b) + sinh(2a) sinh(2b) sin^2(t/2).
    a - b and 2 sin(t/2) = |u/|u| - v/|v|| come from u - v, so that neighbours do not cancel. A much shorter vector has
    no reliable direction: there a form that is smooth in it is used. Not finite beyond 88/sqrt(c).
    """
    u, v = jnp.asarray(u), jnp.asarray(v)
    of_u, of_v = _tangent_point(u, c), _tangent_point(v, c)
    a, b = of_u[0], of_v[0]
    short, long = jnp.where(a < b, a, b), jnp.where(a < b, b, a)
    smooth = (short <= long / 8) & (short < 0.5)
    q = jnp.where(smooth, _smooth_half(of_u, of_v, smooth), _polar_half(u, v, of_u, of_v, c))
    far = q > 1e4  # the square in the derivative of arcsinh overflows for large q; log(2q) is as exact there
    grown = jnp.where(far, jnp.log(jnp.where(far, 2 * q, 1)), jnp.arcsinh(jnp.where(far, 1, q)))
    return _unit(c).astype(grown.dtype) * grown


# --- gyrovector operations, exponential and logarithm -----------------------------------------------------------------


@in_float64
def mobius_add(x: ArrayLike, y: ArrayLike, c: ArrayLike) -> Array:
    """x (+) y = ((1 + 2c<x,y> + c|y|^2) x + (1 - c|x|^2) y) / (1 + 2c<x,y> + c^2 |x|^2 |y|^2)."""
    return _add(x, y, _gap(x, c), _gap(y, c), c)


@in_float64
def exp(x: ArrayLike, u: ArrayLike, c: ArrayLike) -> Array:
    """exp_x(u) = x (+) tanh(sqrt(c) lambda_x |u| / 2) u / (sqrt(c)|u|)."""
    return _exp(x, u, c)


@in_float64
def translate(x: ArrayLike, u: ArrayLike, c: ArrayLike) -> Array:
    """x (+) exp_0(u), or exp_x of the transport of u from 0 to x; exact even if exp_0(u) rounds to the edge."""
    return _translate(x, u, _gap(x, c), c)


@in_float64
def log(x: ArrayLike, y: ArrayLike, c: ArrayLike) -> Array:
    """log_x(y) = (2 / (sqrt(c) lambda_x)) artanh(sqrt(c)|m|) m/|m| with m = (-x) (+) y; the inverse of exp_x."""
    return _log(x, y, c)


@in_float64
def exp0(u: ArrayLike, c: ArrayLike) -> Array:
    """exp_0(u) = tanh(sqrt(c)|u|) u / (sqrt(c)|u|). From sqrt(c)|u| = 9 on it rounds to the edge itself in float32."""
    return jnp.where(jnp.greater(c, 0), 1.0, jnp.nan) * tanhc(c * _sq(u)) * u


@in_float64
def log0(x: ArrayLike, c: ArrayLike) -> Array:
    """log_0(x) = artanh(sqrt(c)|x|) x / (sqrt(c)|x|)."""
    gap = _gap(x, c)
    return asinhc(c * _sq(x) / gap) / jnp.sqrt(gap) * x


@in_float64
def transport(x: ArrayLike, y: ArrayLike, u: ArrayLike, c: ArrayLike) -> Array:
    """Parallel transport along the geodesic from x to y: (lambda_x / lambda_y) gyr[y, -x] u.

    The gyration is regrouped in s = y - x, as `_add` is in x + y.
    """
    s = _difference(y, x)
    n, gap_x, gap_y, xu, su = c * _sq(s), _gap(x, c), _gap(y, c), jnp.sum(x * u), jnp.sum(s * u)
    turn = (gap_x * su - n * xu) * x - ((1 - gap_x) * su + (gap_y + n) * xu) * s
    return gap_y / gap_x * (u + 2 * c / (gap_x * gap_y + n) * turn)


@in_float64
def transport0(x: ArrayLike, u: ArrayLike, c: ArrayLike) -> Array:
    """Parallel transport from 0 to x: (lambda_0 / lambda_x) u = (1 - c|x|^2) u."""
    return _gap(x, c) * u


# --- scales of the metric ---------------------------------------------------------------------------------------------


@in_float64
def gap(x: ArrayLike, c: ArrayLike) -> Array:
    """1 - c|x|^2, positive inside the ball, NaN elsewhere. From c and |x|^2: sqrt(c) x would amplify its rounding."""
    return _gap(x, c)


@in_float64
def conformal_factor(x: ArrayLike, c: ArrayLike) -> Array:
    """lambda_x = 2 / (1 - c|x|^2)."""
    return _conformal(x, c)


@in_float64
def riemannian_gradient(x: ArrayLike, g: ArrayLike, c: ArrayLike) -> Array:
    """The gradient with respect to the metric at x, from the Euclidean one: g / lambda_x^2."""
    return jnp.divide(g, _conformal(x, c) ** 2)


def max_norm(dtype: jax.typing.DTypeLike) -> float:
    """sqrt(c) times the largest norm that `project` leaves: 1 - eps^(3/4), d(0, x) = 12.6 / sqrt(c) in float32."""
    return 1 - float(jnp.finfo(dtype).eps) ** 0.75


def project(x: ArrayLike, c: ArrayLike) -> Array:
    """The nearest point with sqrt(c)|x| <= `max_norm`, for a point that a step or rounding has moved outside."""
    return _shortened(x, max_norm(jnp.result_type(float, x)), c)


@in_float64
def _shortened(x, limit, c):
    norm = jnp.sqrt(c) * _norm(x)
    outside = norm > limit
    return jnp.where(outside, limit / jnp.where(outside, norm, 1.0), 1.0) * x


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


# --- means ------------------------------------------------------------------------------------------------------------


@in_float64
def gyromidpoint(points: ArrayLike, weights: ArrayLike, c: ArrayLike) -> Array:
    """Weighted midpoint of points (n, dim) with weights (n,): the centroid of the hyperboloid, in closed form.

    m = S / (T + sqrt(T^2 - c|S|^2)), S = sum_i w_i lambda_i x_i, T = sum_i w_i (lambda_i - 1).
    """
    weights, conformal = _nonnegative(weights), jax.vmap(_conformal, (0, None))(points, c)
    s = _weighted_sum(weights * conformal, points)
    t = jnp.sum(weights * (conformal - 1))
    return s / (t + jnp.sqrt(t**2 - c * _sq(s)))


MEAN_STEPS = 16


@in_float64
def frechet_mean(points: ArrayLike, weights: ArrayLike, c: ArrayLike) -> Array:
    """argmin_m sum_i w_i d(m, x_i)^2 over points (n, dim) with weights (n,) >= 0; NaN if it does not converge.

    Newton's method from the gyromidpoint, with `MEAN_STEPS` steps at most; six suffice for points of norm 1 - 1e-6, and
    weights of very different size need more. The objective is convex. In units of the metric its Hessian is sum_i w_i
    (1 along the direction of x_i, r coth r across it). A step that would raise the objective is halved.
    The derivative is implicit, at the root of sum_i w_i log_m(x_i).
    """
    weights = _nonnegative(weights) / jnp.sum(weights)

    def logs_from(m):
        return jax.vmap(_log, (None, 0, None))(m, points, c)

    def mean_log(m):
        return _weighted_sum(weights, logs_from(m))

    def squares(m, logs):
        return c * jax.vmap(_sq)(logs) * _conformal(m, c) ** 2

    def newton(state):
        m, _, n = state
        logs = logs_from(m)
        square = squares(m, logs)
        r = safe_sqrt(square)
        coth = jnp.where(r > 1e-4, r / jnp.tanh(jnp.where(r > 1e-4, r, 1.0)), 1 + square / 3)
        direction = logs / jnp.where(r > 0, safe_sqrt(jax.vmap(_sq)(logs)), 1.0)[:, None]
        outer = direction[:, :, None] * direction[:, None, :]
        hessian = jnp.sum(weights * coth) * jnp.eye(m.size) + _weighted_sum(weights * (1 - coth), outer)
        step = jnp.linalg.solve(hessian, _weighted_sum(weights, logs))

        def rises(t):
            moved = _exp(m, t * step, c)
            after = jnp.sum(weights * squares(moved, logs_from(moved)))
            return (after > jnp.sum(weights * square) * (1 + 1e-12)) & (t > 1e-6)

        t = jax.lax.while_loop(rises, lambda t: t / 2, 1.0)
        return _exp(m, t * step, c), jnp.sqrt(c * _sq(step)) * _conformal(m, c), n + 1

    def solve(_, start):
        m, length, _ = jax.lax.while_loop(lambda s: (s[1] > 1e-7) & (s[2] < MEAN_STEPS), newton, (start, jnp.inf, 0))
        return jnp.where(length <= 1e-7, m, jnp.nan)

    def tangent_solve(f, y):
        return jnp.linalg.solve(jax.jacfwd(f)(y), y)

    start = jax.lax.stop_gradient(gyromidpoint(points, weights, c))
    return jax.lax.custom_root(mean_log, start, solve, tangent_solve)


# --- the wrapped normal -----------------------------------------------------------------------------------------------


def wrapped_normal_sample(key: Array, mean: ArrayLike, scale: ArrayLike, c: ArrayLike) -> Array:
    """z = exp_mean( PT_{0->mean}( scale eps / lambda_0 ) ), eps ~ N(0, I), lambda_0 = 2. scale: one or (dim,).

    The scale is a Riemannian length: |log_mean(z)| in the metric is |scale eps|, at every mean.
    """
    mean, scale = jnp.asarray(mean), _scale(scale, mean)
    eps = jax.random.normal(key, mean.shape, mean.dtype)
    return translate(mean, scale * eps / 2, c)


@in_float64
def wrapped_normal_log_prob(z: ArrayLike, mean: ArrayLike, scale: ArrayLike, c: ArrayLike) -> Array:
    """Log density of `wrapped_normal_sample` at z with respect to the **Riemannian volume** lambda_z^dim dz.

    log N(v; 0, scale^2) - (dim - 1) log( sinh(sqrt(c)|v|) / (sqrt(c)|v|) ), v = lambda_0 PT_{mean->0} log_mean(z).
    Nagano et al., arXiv 1902.02992, with curvature -c.
    """
    v, scale = _conformal(mean, c) * _log(mean, z, c), _scale(scale, mean)
    normal = jnp.sum(-(v**2) / scale**2 / 2 - jnp.log(scale) - math.log(2 * math.pi) / 2)
    return normal - (v.size - 1) * log_sinhc(c * _sq(v))


# --- the formulas, in the arithmetic of the caller --------------------------------------------------------------------


def _sq(x):
    if jnp.ndim(x) != 1:
        raise ValueError(f"single points (dim,) are meant, not {jnp.shape(x)}: batch with jax.vmap")
    return jnp.sum(x * x)  # not jnp.dot: matrix units round float32 to 10 bits


def _conformal(x, c):
    return 2 / _gap(x, c)


def _difference(x, y):
    if jnp.shape(x) != jnp.shape(y):
        raise ValueError(f"two points of one ball are meant, not {jnp.shape(x)} and {jnp.shape(y)}")
    return jnp.subtract(x, y)


def _norm(x):
    return safe_sqrt(_sq(x))


def _scale(scale, mean):
    if jnp.ndim(scale) and jnp.shape(scale) != jnp.shape(mean):
        raise ValueError(f"scale is one number or {jnp.shape(mean)} as the mean is, not {jnp.shape(scale)}")
    return jnp.where(jnp.greater(scale, 0), scale, jnp.nan)


def _nonnegative(weights):
    return jnp.where(weights >= 0, weights, jnp.nan)


def _weighted_sum(weights, rows):
    return jnp.sum(weights.reshape(-1, *[1] * (rows.ndim - 1)) * rows, 0)


def _gap(x, c):
    g = 1 - c * _sq(x)
    return jnp.where((g > 0) & (c > 0), g, jnp.nan)


def _chord(x, y, c):
    """(q, s): q = |x - y|^2, s = sqrt(c / (gap_x gap_y)); sqrt(q) s = sinh(sqrt(c) d(x, y) / 2).

    The difference comes first, because |x|^2 + |y|^2 - 2<x,y> cancels for neighbours. One factor per point, rounded
    once, saves the division of a pair and three roundings of the gradient.
    """
    return _sq(_difference(x, y)), _stretch(x, c) * _stretch(y, c)


@in_float64
def _stretch(x, c):
    return jnp.sqrt(jnp.sqrt(c) / _gap(x, c))


@in_float64
def _unit(c):
    return 2 / jnp.sqrt(c)


@in_float64
def _tangent_point(u, c):
    """The factors of one vector in `tangent_dist`: a = sqrt(c)|u|, sqrt(sinh 2a), sinh^2 a, sqrt(c) sinhc(2a) u."""
    square = c * _sq(u)
    a = safe_sqrt(square)
    return a, safe_sqrt(jnp.sinh(2 * a)), square * sinhc(square) ** 2, jnp.sqrt(c) * sinhc(4 * square) * u


def _polar_half(u, v, of_u, of_v, c):
    """sinh(sqrt(c) d/2) of `tangent_dist` by lengths and angle; finite, but wrong, if a vector is 0."""
    norm_u, norm_v, total = _norm(u), _norm(v), _norm(u) + _norm(v)
    longer = jnp.sum((u - v) * (u + v)) / jnp.where(total > 0, total, 1)
    turn = ((u - v) - v * (longer / jnp.where(norm_v > 0, norm_v, 1))) / jnp.where(norm_u > 0, norm_u, 1)
    radial = jnp.sinh(jnp.sqrt(c) * longer)
    around = of_u[1] * of_v[1] * _norm(turn) / 2
    scale = jax.lax.stop_gradient(jnp.where(jnp.abs(radial) > around, jnp.abs(radial), around))
    scale = jnp.where(scale > 0, scale, 1)  # without the scale, the squares overflow from d = 44 on
    return scale * safe_sqrt((radial / scale) ** 2 + (around / scale) ** 2)


def _smooth_half(of_u, of_v, used):
    """sqrt(sinh^2 a + sinh^2 b + 2 sinh^2 a sinh^2 b - 2c <sinhc(2a) u, sinhc(2b) v>), the same; 0 unless used."""
    (sinh2_a, bent_u), (sinh2_b, bent_v) = ([jnp.where(used, part, 0) for part in of[2:]] for of in (of_u, of_v))
    return safe_sqrt(sinh2_a + sinh2_b + 2 * sinh2_a * sinh2_b - 2 * jnp.sum(bent_u * bent_v))


def _add(x, y, gap_x, gap_y, c):
    """x (+) y in s = x + y, without cancellation: (gap_x s + c|s|^2 x) / (gap_x gap_y + c|s|^2)."""
    s = _difference(x, -y)
    n = c * _sq(s)
    return (gap_x * s + n * x) / (gap_x * gap_y + n)


def _exp(x, u, c):
    gap_x = _gap(x, c)
    return _translate(x, u / gap_x, gap_x, c)


def _translate(x, u, gap_x, c):
    w = c * _sq(u)
    within = jnp.where(w < 1e5, w, 1e5)  # sech^2 is 1e-274 there
    sinh2 = within * sinhc(within) ** 2
    # The gap of the second summand is sech^2; computed from the point, it would cancel.
    return _add(x, tanhc(w) * u, gap_x, 1 / (1 + sinh2), c)


def _log(x, y, c):
    s = _difference(y, x)
    n, gap_x, gap_y = c * _sq(s), _gap(x, c), _gap(y, c)
    w = n / (gap_x * gap_y)
    return asinhc(w) / jnp.sqrt(1 + w) / gap_y * (gap_x * s - n * x)
