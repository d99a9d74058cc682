"""The loss `centroid`: the squared distance of points to the Frechet mean of their residue ball, within a batch."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from ternary_jax import poincare
from ternary_jax.config.keys import real
from ternary_jax.vae import geometry
from ternary_jax.vae.losses import masked
from ternary_jax.vae.losses.registry import LossSpec, WeightedTerms
from ternary_jax.vae.outputs import BranchOutput

LEVELS = (1, 2, 3, 4)
STEPS = 3  # error of a mean after 3 steps: at most 3e-3 of the way to its furthest row; of the loss: 1e-5


def mean_squared_distance(z: Array, rows: Array, level: int, c: geometry.C) -> Array:
    """d(z_i, m)^2, mean over the rows in balls of two rows or more, m the Frechet mean of the ball i mod 3^level. -> ()

    z (n, dim), rows (n,) int32. m minimises the mean of d^2, so by the envelope theorem the gradient with m constant is
    the whole gradient, in z and in c. For d itself this is wrong, and d has a kink at the mean. The originals use d to
    a mean that each step moves inward, so that their loss cannot reach 0, and balls of the last digits, which are no
    balls of the tree.
    """
    ball, n_balls = rows % 3**level, 3**level
    z_constant, c_constant = lax.stop_gradient((z, c))
    m = means(z_constant, ball, n_balls, c_constant)
    d2 = jax.vmap(geometry.squared_dist, (0, 0, None))(z, m[ball], c)
    return masked.mean(d2, _size(z, ball, n_balls)[ball] >= 2)


def means(z: Array, ball: Array, n_balls: int, c: geometry.C) -> Array:
    """Frechet means of the rows (n, dim) of each ball (n,) int32, (n_balls, dim); 0 for a ball without rows.

    `STEPS` steps from the gyromidpoints, by segment sums over all balls at once; in R^n the arithmetic means.
    """
    if c is None:
        return _sums(z, ball, n_balls) / jnp.maximum(_size(z, ball, n_balls), 1)[:, None]
    return lax.fori_loop(0, STEPS, lambda _, m: step_to_means(m, z, ball, c), midpoints(z, ball, n_balls, c))


def midpoints(z: Array, ball: Array, n_balls: int, c: ArrayLike) -> Array:
    """`poincare.gyromidpoint` of the rows of each ball, (n_balls, dim); 0 for a ball without rows.

    T^2 - c|S|^2 is at least the square of the number of rows; maximum undoes rounding below that.
    """
    conformal = jax.vmap(poincare.conformal_factor, (0, None))(z, c)
    s, t = _sums(conformal[:, None] * z, ball, n_balls), _sums(conformal - 1, ball, n_balls)
    size = jnp.maximum(_size(z, ball, n_balls), 1)
    return s / (t + jnp.sqrt(jnp.maximum(t**2 - c * jnp.sum(s * s, -1), size**2)))[:, None]


def step_to_means(m: Array, z: Array, ball: Array, c: ArrayLike) -> Array:
    """exp_m(mean_i log_m(z_i) / mean_i(t_i coth t_i)), t_i = sqrt(c) d(m, z_i), (n_balls, dim): a step to the means.

    The divisor bounds the Hessian (cosine rule of Zhang and Sra, arXiv 1602.06053, for curvature bounded below), so no
    step raises the mean of d^2. Without it a step is too long by up to t coth t, and diverges where that exceeds 2.
    """
    at, n_balls = m[ball], len(m)
    logs = jax.vmap(poincare.log, (0, 0, None))(at, z, c)
    t = jnp.sqrt(c) * jax.vmap(poincare.dist, (0, 0, None))(at, z, c)
    t = jnp.maximum(t, 1e-6)  # t coth t is 1 there
    bound = jnp.maximum(_sums(t / jnp.tanh(t), ball, n_balls), 1)
    return jax.vmap(poincare.exp, (0, 0, None))(m, _sums(logs, ball, n_balls) / bound[:, None], c)


def _size(z, ball, n_balls):
    return _sums(jnp.ones_like(z[:, 0]), ball, n_balls)


def _sums(rows, ball, n_balls):
    return jax.ops.segment_sum(rows, ball, n_balls)


def _centroid(output: BranchOutput, h: Any) -> WeightedTerms:
    below = [k for k in LEVELS if k < output.n_digits]  # a ball of level D is one operation
    of_level = {k: mean_squared_distance(output.points.z, output.batch.rows, k, output.c) for k in below}
    return {f"centroid_{k}": (h.decay ** (k - 1), found) for k, found in of_level.items()}


LOSSES = (LossSpec("centroid", _centroid, {"decay": real(0, 1, traced=True)}, place=17),)
