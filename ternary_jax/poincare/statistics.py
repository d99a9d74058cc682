"""Means of points of the ball, and the wrapped normal distribution."""

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ternary_jax.poincare import formulas
from ternary_jax.poincare.operations import translate
from ternary_jax.precision import cothc, in_float64, log_sinhc, safe_sqrt

# --- means ------------------------------------------------------------------------------------------------------------


@in_float64
def gyromidpoint(points: ArrayLike, weights: ArrayLike, c: ArrayLike) -> Array:
    """Weighted midpoint of points (n, dim) with weights (n,): the centroid of the hyperboloid, in closed form.

    m = S / (T + sqrt(T^2 - c|S|^2)), S = sum_i w_i lambda_i x_i, T = sum_i w_i (lambda_i - 1).
    """
    weights, conformal = _nonnegative(weights), jax.vmap(formulas.conformal, (0, None))(points, c)
    s = _weighted_sum(weights * conformal, points)
    t = jnp.sum(weights * (conformal - 1))
    return s / (t + jnp.sqrt(t**2 - c * formulas.sq(s)))


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
        return jax.vmap(formulas.log, (None, 0, None))(m, points, c)

    def mean_log(m):
        return _weighted_sum(weights, logs_from(m))

    def squares(m, logs):
        return c * jax.vmap(formulas.sq)(logs) * formulas.conformal(m, c) ** 2

    def newton(state):
        m, _, n = state
        logs = logs_from(m)
        square = squares(m, logs)
        r = safe_sqrt(square)
        coth = 1 + cothc(square)
        direction = logs / jnp.where(r > 0, safe_sqrt(jax.vmap(formulas.sq)(logs)), 1.0)[:, None]
        outer = direction[:, :, None] * direction[:, None, :]
        hessian = jnp.sum(weights * coth) * jnp.eye(m.size) + _weighted_sum(weights * (1 - coth), outer)
        step = jnp.linalg.solve(hessian, _weighted_sum(weights, logs))

        def rises(t):
            moved = formulas.exp(m, t * step, c)
            after = jnp.sum(weights * squares(moved, logs_from(moved)))
            return (after > jnp.sum(weights * square) * (1 + 1e-12)) & (t > 1e-6)

        t = jax.lax.while_loop(rises, lambda t: t / 2, 1.0)
        return formulas.exp(m, t * step, c), jnp.sqrt(c * formulas.sq(step)) * formulas.conformal(m, c), n + 1

    def solve(_, start):
        m, length, _ = jax.lax.while_loop(lambda s: (s[1] > 1e-7) & (s[2] < MEAN_STEPS), newton, (start, jnp.inf, 0))
        return jnp.where(length <= 1e-7, m, jnp.nan)

    def tangent_solve(f, y):
        return jnp.linalg.solve(jax.jacfwd(f)(y), y)

    start = jax.lax.stop_gradient(gyromidpoint(points, weights, c))
    return jax.lax.custom_root(mean_log, start, solve, tangent_solve)


# --- the wrapped normal ----------------------------------------------------------------------------------------------


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
    v, scale = formulas.conformal(mean, c) * formulas.log(mean, z, c), _scale(scale, mean)
    normal = jnp.sum(-(v**2) / scale**2 / 2 - jnp.log(scale) - math.log(2 * math.pi) / 2)
    return normal - (v.size - 1) * log_sinhc(c * formulas.sq(v))


def _scale(scale, mean):
    if jnp.ndim(scale) and jnp.shape(scale) != jnp.shape(mean):
        raise ValueError(f"scale is one number or {jnp.shape(mean)} as the mean is, not {jnp.shape(scale)}")
    return jnp.where(jnp.greater(scale, 0), scale, jnp.nan)


def _nonnegative(weights):
    return jnp.where(weights >= 0, weights, jnp.nan)


def _weighted_sum(weights, rows):
    return jnp.sum(weights.reshape(-1, *[1] * (rows.ndim - 1)) * rows, 0)
