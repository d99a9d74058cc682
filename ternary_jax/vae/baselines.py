"""Baselines that need no encoder."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.typing import ArrayLike

from ternary_jax import poincare, ternary

# --- the free embedding table: one point of the ball per operation, nothing shared ------------------------------------


class TableState(NamedTuple):
    """What a fit of the table carries.

    points: (N, dim), row i the point of operation i.
    opt_state: state of the optax transformation.
    """

    points: Array
    opt_state: optax.OptState


def table_init(key: Array, dim: int, c: ArrayLike, n_digits: int = 9, p: int = 3, scale: float = 1e-2) -> Array:
    """N = p^D points around the origin, (N, dim) float32: d(0, z) is `scale` times the norm of a normal vector."""
    tangent = scale / 2 * jax.random.normal(key, (ternary.n_operations(n_digits, p), dim), jnp.float32)
    return jax.vmap(poincare.exp0, (0, None))(tangent, c)


def table_targets(edge: ArrayLike, n_digits: int = 9) -> Array:
    """Distances in the residue tree with edges of length `edge`, by pair valuation: 2 edge (D - v), (D + 1,).

    The operations are the leaves, all at depth D; the path between two leaves turns at level v, their residue ball.
    """
    return 2 * edge * (n_digits - jnp.arange(n_digits + 1, dtype=jnp.float32))


def table_pairs(key: Array, n: int, n_digits: int = 9, p: int = 3) -> tuple[Array, Array]:
    """n random pairs i != j with pair valuation uniform in 0 .. D-1, (n,) int32 each.

    Under uniform pairs the siblings, a share of p^(1-D), would never be seen.
    """
    key_i, key_v, key_digit, key_rest = jax.random.split(key, 4)
    n_operations = ternary.n_operations(n_digits, p)
    i = jax.random.randint(key_i, (n,), 0, n_operations)
    power = jnp.asarray(p ** np.arange(n_digits + 1), jnp.int32)
    v = jax.random.randint(key_v, (n,), 0, n_digits)
    other_digit = (i // power[v] + jax.random.randint(key_digit, (n,), 1, p)) % p
    rest = jax.random.randint(key_rest, (n,), 0, power[n_digits - 1 - v])
    return i, i % power[v] + power[v] * other_digit + power[v + 1] * rest


def table_loss(points: Array, i: Array, j: Array, targets: Array, c: ArrayLike, n_digits: int = 9, p: int = 3) -> Array:
    """Relative stress, the mean over pairs of (d(z_i, z_j) / t - 1)^2 with t = targets[pair valuation]. i != j."""
    t = targets[ternary.pair_valuation(i, j, n_digits, p)]
    return jnp.mean((jax.vmap(poincare.dist, (0, 0, None))(points[i], points[j], c) / t - 1) ** 2)


def table_stress(points: Array, targets: Array, c: ArrayLike, n_digits: int = 9, p: int = 3) -> Array:
    """The expectation of `table_loss` over `table_pairs`: from all N^2 pairs, the D valuations weighted equally. ()."""
    n = ternary.n_operations(n_digits, p)
    i = jnp.arange(n)

    def row(k):
        v = ternary.pair_valuation(k, i, n_digits, p)
        other = i != k
        d = jax.vmap(poincare.dist, (None, 0, None))(points[k], points, c)
        error = (d / jnp.where(other, targets[v], 1) - 1) ** 2
        share = jnp.asarray(1 / (n_digits * (p - 1) * p ** np.arange(n_digits - 1, -1.0, -1)), d.dtype)
        return jnp.sum(jnp.where(other, error * share[jnp.where(other, v, 0)], 0))

    return jnp.mean(jax.lax.map(row, i))


def table_fit(
    state: TableState,
    steps: Array,
    key: Array,
    tx: optax.GradientTransformation,
    targets: Array,
    c: ArrayLike,
    n_pairs: int = 512,
    n_digits: int = 9,
    p: int = 3,
) -> tuple[TableState, Array]:
    """Descend `table_loss` on fresh pairs in each of `steps` (k,) -> state, losses (k,).

    The steps are numbers, arange(k) for a first chunk of k: the pairs of a step come from fold_in(key, step), so that
    a fit in chunks is the fit in one piece. Pure: to be jitted, and vmapped over keys and settings.
    """

    def step(state, n):
        i, j = table_pairs(jax.random.fold_in(key, n), n_pairs, n_digits, p)
        loss, gradient = jax.value_and_grad(table_loss)(state.points, i, j, targets, c, n_digits, p)
        updates, opt_state = tx.update(gradient, state.opt_state, state.points)
        points = jnp.asarray(optax.apply_updates(state.points, updates))
        return TableState(points, opt_state), loss

    return jax.lax.scan(step, state, steps)
