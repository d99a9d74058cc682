"""The hyperboloid model: X = (X_0, X_1, ..., X_dim) with -X_0^2 + X_1^2 + ... + X_dim^2 = -1/c and X_0 > 0.

The stereographic projection from (-1/sqrt(c), 0) is an isometry from it to the ball. The time coordinate is the first.
"""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ternary_jax.poincare import formulas
from ternary_jax.precision import in_float64


@in_float64
def to_hyperboloid(x: ArrayLike, c: ArrayLike) -> Array:
    """X = ((lambda_x - 1) / sqrt(c), lambda_x x), (dim,) -> (dim + 1,)."""
    conformal = formulas.conformal(x, c)
    return jnp.concatenate([((conformal - 1) / jnp.sqrt(c))[None], conformal * x])


def from_hyperboloid(point: ArrayLike, c: ArrayLike) -> Array:
    """x = (X_1, ..., X_dim) / (1 + sqrt(c) X_0), (dim + 1,) -> (dim,); NaN if X is not on the upper sheet.

    "On" allows for the rounding of the coordinates: c(X_0^2 - X_1^2 - ...) is 1 up to 8 eps c X_0^2.
    """
    return _from_hyperboloid(point, 8 * float(jnp.finfo(jnp.result_type(float, point)).eps), c)


@in_float64
def _from_hyperboloid(point, slack, c):
    time, space = point[0], point[1:]
    of_time, of_space, unit = c * time**2, c * formulas.sq(space), 1 + jnp.sqrt(c) * time
    on = (c > 0) & (time > 0) & (jnp.abs(of_time - of_space - 1) <= slack * of_time) & (of_space < unit**2)
    return jnp.where(on, 1, jnp.nan) * space / unit
