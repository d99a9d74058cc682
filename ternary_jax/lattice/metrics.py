"""How well outputs match targets, and where the flows of values end."""

import jax.numpy as jnp
from jax import Array


def r2(outputs: Array, targets: Array, axes: tuple[int, ...] | None = None) -> Array:
    """1 - sum (outputs - targets)^2 / sum (targets - mean)^2; the mean is that of each output over the samples, axis 0.

    1: exact; 0: as good as the mean; below 0: worse. axes: those of the sums; by default all.
    """
    wrong = jnp.sum(jnp.square(outputs - targets), axes)
    return 1 - wrong / jnp.sum(jnp.square(targets - jnp.mean(targets, 0, keepdims=True)), axes)


def landed(points: Array, destinations: Array, width: int) -> Array:
    """The share of flows whose nearest cell is the one that they should reach; those that go nowhere do not count.

    points (b, n, 2) in cells, destinations (n,) int32, -1 for nowhere.
    """
    nearest = jnp.round(points).astype(jnp.int32)
    right = nearest[..., 1] * width + nearest[..., 0] == destinations[None]
    goes = destinations >= 0
    return jnp.sum(right & goes[None]) / (right.shape[0] * jnp.sum(goes))


def covered(points: Array, width: int, height: int) -> Array:
    """The share of the cells of a face on which at least one point (..., n, 2) lies, after rounding."""
    nearest = jnp.round(points).astype(jnp.int32)
    number = nearest[..., 1] * width + nearest[..., 0]
    return jnp.mean(jnp.any(number[..., None] == jnp.arange(width * height)[None, None], -2))
