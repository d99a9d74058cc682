"""Running means that controllers carry from step to step."""

from typing import Any

import jax.numpy as jnp
from jax import Array


def mean_after(mean: Array, x: Any, decay: float, known: Any = None) -> Array:
    """The running mean after x, mean + (1 - decay) (x - mean), elementwise.

    decay: per step, in [0, 1)
    known: mask of the values of x that count; elsewhere the mean does not change. By default the finite values, as
        signals are +inf before the first step
    """
    known = jnp.isfinite(x) if known is None else known
    return mean + (1 - decay) * (jnp.where(known, x, mean) - mean)


def mean_from_first(mean: Array, x: Any, decay: Any) -> Array:
    """`mean_after` of a mean that is inf before any value, and begins with the first finite one instead of with 0."""
    begun = jnp.isfinite(mean)
    after = mean_after(jnp.where(begun, mean, 0), x, decay)
    return jnp.where(begun, after, jnp.where(jnp.isfinite(x), x, jnp.inf))
