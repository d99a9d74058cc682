"""A free table: one trained point of the ball per operation, without an encoder, fitted to the residue tree."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.typing import ArrayLike

from ternary_jax import poincare, ternary


class State(NamedTuple):
    """The carry of `fit`.

    points: (N, dim), row i the point of operation i.
    opt_state: state of the optax transformation.
    """

    points: Array
    opt_state: optax.OptState


def init(key: Array, dim: int, c: ArrayLike, n_digits: int = 9, p: int = 3, scale: float = 1e-2) -> Array:
    """N = p^D points around the origin, (N, dim) float32: d(0, z) is `scale` times the norm of a normal vector."""
    tangent = scale / 2 * jax.random.normal(key, (ternary.n_operations(n_digits, p), dim), jnp.float32)
    return jax.vmap(poincare.exp0, (0, None))(tangent, c)


def targets_of_tree(edge: ArrayLike, n_digits: int = 9) -> Array:
    """Distances in the residue tree with edges of length `edge`, by pair valuation: 2 edge (D - v), (D + 1,).

    The operations are the leaves, all at depth D. The path between two leaves turns at the node of level v, the
    smallest residue ball that holds both.
    """
    return jnp.multiply(2 * edge, n_digits - jnp.arange(n_digits + 1, dtype=jnp.float32))


def draw_pairs(key: Array, n: int, n_digits: int = 9, p: int = 3) -> tuple[Array, Array]:
    """n random pairs i != j with pair valuation uniform in 0 .. D-1, (n,) int32 each.

    Pairs of uniform operations are unsuitable: a share of only p^(1-D) are siblings (pair valuation D - 1).
    """
    key_i, key_v, key_digit, key_rest = jax.random.split(key, 4)
    n_operations = ternary.n_operations(n_digits, p)
    i = jax.random.randint(key_i, (n,), 0, n_operations)
    power = jnp.asarray(p ** np.arange(n_digits + 1), jnp.int32)
    v = jax.random.randint(key_v, (n,), 0, n_digits)
    other_digit = (i // power[v] + jax.random.randint(key_digit, (n,), 1, p)) % p
    rest = jax.random.randint(key_rest, (n,), 0, power[n_digits - 1 - v])
    return i, i % power[v] + power[v] * other_digit + power[v + 1] * rest


def sampled_stress(
    points: Array, i: Array, j: Array, targets: Array, c: ArrayLike, n_digits: int = 9, p: int = 3
) -> Array:
    """Relative stress, the mean over pairs of (d(z_i, z_j) / t - 1)^2 with t = targets[pair valuation]. i != j."""
    t = targets[ternary.pair_valuation(i, j, n_digits, p)]
    return jnp.mean((jax.vmap(poincare.dist, (0, 0, None))(points[i], points[j], c) / t - 1) ** 2)


def stress(points: Array, targets: Array, c: ArrayLike, n_digits: int = 9, p: int = 3) -> Array:
    """The expectation of `sampled_stress` over `draw_pairs`, -> (): all N^2 pairs, each valuation of equal weight."""
    n = ternary.n_operations(n_digits, p)
    every = np.arange(n)

    def row(k):
        v = ternary.pair_valuation(k, every, n_digits, p)
        other = every != k
        d = jax.vmap(poincare.dist, (None, 0, None))(points[k], points, c)
        error = (d / jnp.where(other, targets[v], 1) - 1) ** 2
        share = jnp.asarray(1 / (n_digits * (p - 1) * p ** np.arange(n_digits - 1, -1.0, -1)), d.dtype)
        return jnp.sum(jnp.where(other, error * share[jnp.where(other, v, 0)], 0))

    return jnp.mean(jax.lax.map(row, jnp.arange(n)))


def fit(
    state: State,
    steps: Array,
    key: Array,
    tx: optax.GradientTransformation,
    targets: Array,
    c: ArrayLike,
    n_pairs: int = 512,
    n_digits: int = 9,
    p: int = 3,
) -> tuple[State, Array]:
    """Descend `sampled_stress` on fresh pairs in each of `steps` (k,) -> state, losses (k,).

    A step draws its pairs from fold_in(key, step), so a fit in chunks equals a fit in one piece: give arange(k) for a
    first chunk of k steps. Pure: jit it, and vmap it over keys and settings.
    """

    def step(state, n):
        i, j = draw_pairs(jax.random.fold_in(key, n), n_pairs, n_digits, p)
        loss, gradient = jax.value_and_grad(sampled_stress)(state.points, i, j, targets, c, n_digits, p)
        updates, opt_state = tx.update(gradient, state.opt_state, state.points)
        points = jnp.asarray(optax.apply_updates(state.points, updates))
        return State(points, opt_state), loss

    return jax.lax.scan(step, state, steps)


class Setting(NamedTuple):
    """What a fit is of: n_digits and dim of the table, c of the ball, edge of the tree, its steps of `pairs` each.

    chunks: the steps are one compiled scan, called this often; it divides them
    """

    n_digits: int
    dim: int
    c: float
    edge: float
    steps: int
    pairs: int
    chunks: int


class Fits:
    """Fits from `n` learning rates and keys at once, with a cosine decay, as one compiled program.

    make: learning-rate schedule -> optax transformation of a table of points
    compile_s, run_s: seconds of compiling, and of the last call
    """

    def __init__(self, make: Callable[[Callable[[Array], Array]], optax.GradientTransformation], n: int, of: Setting):
        def transformation(rate):
            return make(lambda n: rate * 0.5 * (1 + jnp.cos(jnp.pi * n / of.steps)))

        def start(rate, key):
            points = init(jax.random.fold_in(key, 0), of.dim, of.c, of.n_digits)
            return State(points, transformation(rate).init(points))

        def chunk(state, steps, rate, key):
            targets = targets_of_tree(of.edge, of.n_digits)
            return fit(
                state, steps, jax.random.fold_in(key, 1), transformation(rate), targets, of.c, of.pairs, of.n_digits
            )

        began = time.perf_counter()
        self.steps = jnp.arange(of.steps).reshape(of.chunks, -1)
        rates, keys = jnp.ones(n), jax.random.split(jax.random.key(0), n)
        self.start = jax.jit(jax.vmap(start)).lower(rates, keys).compile()
        program: Any = jax.jit(jax.vmap(chunk, (0, None, 0, 0)), donate_argnums=0)
        self.program = program.lower(self.start(rates, keys), self.steps[0], rates, keys).compile()
        self.compile_s, self.run_s = time.perf_counter() - began, 0.0

    def __call__(
        self, rates: Array, keys: Array, progress: Callable[[int], object] = lambda step: None
    ) -> tuple[Array, np.ndarray]:
        """The points (n, N, dim), and the losses (n, steps). progress: called after each chunk, with the steps done."""
        began = time.perf_counter()
        state, losses = self.start(rates, keys), []
        for number, steps in enumerate(self.steps, 1):
            state, loss = self.program(state, steps, rates, keys)
            losses.append(np.asarray(loss))
            progress(number * len(steps))
        self.run_s = time.perf_counter() - began
        return state.points, np.concatenate(losses, 1)
