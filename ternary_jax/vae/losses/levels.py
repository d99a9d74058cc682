"""Statistics of the levels of a batch. A level is the set of all operations of one valuation 0 .. D."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from ternary_jax.precision import exact_matmul


class Levels(NamedTuple):
    """Radii by level. The mean and variance of an absent level are 0 without meaning; one row has variance 0."""

    size: Array  # (D + 1,) rows of the level, in the dtype of the radii
    mean: Array  # (D + 1,)
    variance: Array  # (D + 1,) unbiased


def statistics(r: Array, v: Array, n_digits: int) -> Levels:
    """mean_k = sum_{v_i = k} r_i / n_k, variance_k = sum_{v_i = k} (r_i - mean_k)^2 / (n_k - 1).

    E[r^2] - mean^2 would cancel: in float32 it loses a standard deviation of 1e-4 at a radius of 3.
    """
    member = (v[:, None] == jnp.arange(n_digits + 1, dtype=v.dtype)[None, :]).astype(r.dtype)
    size = jnp.sum(member, 0)
    mean = exact_matmul(r, member) / jnp.maximum(size, 1)
    deviation = r - exact_matmul(member, mean)
    return Levels(size, mean, exact_matmul(jnp.square(deviation), member) / jnp.maximum(size - 1, 1))


def adjacent(levels: Levels) -> Array:
    """True at [a, b] if levels a < b are present and no level between them is. (D + 1, D + 1)."""
    present = levels.size > 0
    position = jnp.cumsum(present)  # among the levels present, from 1
    return present[:, None] & present[None, :] & (position[None, :] == position[:, None] + 1)


def at(table: Array, v: Array) -> Array:
    """table[v], (D + 1,) and (n,) -> (n,); NaN for a level beyond the table, which plain indexing would clamp."""
    return table.at[v].get(mode="fill", fill_value=jnp.nan)
