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
