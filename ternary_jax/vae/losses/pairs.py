"""Pairs of rows of a batch: row b with row (b - shift) mod n, for each of the random shifts of a step."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax import ternary
from ternary_jax.precision import safe_sqrt
from ternary_jax.vae.outputs import BranchOutput

Distance = Callable[[Any, Any, Any], Array]  # x (dim,), y (dim,), c -> (), differentiable


def euclidean(x: Array, y: Array, _: Any) -> Array:
    """|x - y| of two tangent vectors, independent of c. Gradient 0 at x = y."""
    return safe_sqrt(jnp.sum(jnp.square(x - y)))


def pairs(a: Array, shifts: Array) -> tuple[Array, Array]:
    """The rows of all pairs, (k n, ...) twice: a, and a rolled by each shift, which is cheaper than a gather on CPU."""
    rolled = [jnp.roll(a, shift, 0) for shift in shifts]
    return jnp.concatenate([a] * len(rolled)), jnp.concatenate(rolled)


def radii(output: BranchOutput) -> tuple[Array, Array, Array, Array]:
    """(r_i, r_j, v_i, v_j) of all pairs, (k n,) each."""
    (r_i, r_j), (v_i, v_j) = (pairs(a, output.batch.shifts) for a in (output.points.r, output.batch.v))
    return r_i, r_j, v_i, v_j


def distances(output: BranchOutput, points: Array, distance: Distance) -> tuple[Array, Array]:
    """Distances and pair valuations of all pairs, (k n,) each."""
    (i, j), (x, y) = (pairs(a, output.batch.shifts) for a in (output.batch.rows, points))
    return each(distance, x, y, output.c), ternary.pair_valuation(i, j, output.n_digits)


def each(distance: Distance, x: Array, y: Array, c: Array | None) -> Array:
    """Distances of the rows of x and y, (n, dim) each -> (n,)."""
    return jax.vmap(distance, (0, 0, None))(x, y, c)
