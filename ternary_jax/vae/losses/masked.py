"""Means over some of the entries."""

import jax.numpy as jnp
from jax import Array


def mean(values: Array, mask: Array) -> Array:
    """Mean of the values where the mask of the same shape holds, -> (); 0, with gradient 0, where it holds nowhere."""
    number = jnp.sum(mask.astype(values.dtype))
    return jnp.sum(jnp.where(mask, values, 0)) / jnp.maximum(number, 1)
