"""Running means that controllers carry from step to step."""

from typing import Any

import jax.numpy as jnp
from jax import Array


def mean_after(mean: Array, x: Any, decay: float, known: Any = None) -> Array:
    """The running mean after x, mean + (1 - decay) (x - mean), elementwise.

    decay: per step, in [0, 1)
    known: where x counts; the mean stays as it is elsewhere. By default where x is finite, as nothing was observed
        before the first step
    """
    known = jnp.isfinite(x) if known is None else known
    return mean + (1 - decay) * (jnp.where(known, x, mean) - mean)
