"""A pool of states, which the updates of earlier steps have made: so a cube is trained on states of any age.

An entry is the states of a cube and the face that drives it. A step draws a batch of entries. A share of them is made
fresh: a new face, and the start states of the parameters. The others go on with their own face. Of a share, a block of
k x k x k cells is lost before the updates. After the step, the states are written back to their entries. No gradient
goes through the pool.

A fresh entry has the age 0 and no states of its own: they are learned, and those of the step in which it is drawn are
meant. A share at random is replaced, and not the worst, as a loss that selects its batch reports another mean.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax.lattice.cube import cube, drives, neighbours


class Pool(NamedTuple):
    """The entries.

    states: (size, cells, channels) after the last update; of no meaning at the age 0
    faces: (size, height, width), the inputs
    ages: (size,) int32, updates since an entry was fresh
    """

    states: Array
    faces: Array
    ages: Array


class Drawn(NamedTuple):
    """The entries of a batch: their numbers (B,), all different, and what they begin the step with.

    lost: (B, cells) bool, the cells whose states are lost; () without damage
    """

    numbers: Array
    states: Array
    faces: Array
    ages: Array
    lost: Any


def init(key: Array, static: Any) -> Pool:
    """A pool of fresh entries."""
    size, (width, height, depth) = static.pool.size, cube.size(static)
    states = jnp.zeros((size, width * height * depth, static.model.channels))
    return Pool(states, drives.inputs(key, size, static), jnp.zeros(size, jnp.int32))


def sample(key: Array, pool: Pool, static: Any) -> Drawn:
    """The batch of a step."""
    batch, own = static.train.batch_size, static.pool
    key_numbers, key_fresh, key_faces, key_damage = jax.random.split(key, 4)
    numbers = jax.random.choice(key_numbers, own.size, (batch,), replace=False)
    fresh = jax.random.bernoulli(key_fresh, own.fresh, (batch,))
    faces = jnp.where(fresh[:, None, None], drives.inputs(key_faces, batch, static), pool.faces[numbers])
    ages = jnp.where(fresh, 0, pool.ages[numbers])
    return Drawn(numbers, pool.states[numbers], faces, ages, _lost(key_damage, batch, static) if own.damage else ())


def begin(params: Any, drawn: Drawn, static: Any) -> Array:
    """The states (cells, B, channels) before the updates of a step."""
    states = jnp.moveaxis(drawn.states, 0, 1)
    states = jnp.where((drawn.ages == 0)[None, :, None], cube.start(params, len(drawn.ages), static), states)
    return jnp.where(drawn.lost.T[:, :, None], 0, states) if static.pool.damage else states


def put(pool: Pool, drawn: Drawn, states: Array, updates: int) -> Pool:
    """The pool after a step. states: (B, cells, channels) after these updates."""
    at = drawn.numbers
    return Pool(
        pool.states.at[at].set(states),
        pool.faces.at[at].set(drawn.faces),
        pool.ages.at[at].set(drawn.ages + updates),
    )


# --- inside -----------------------------------------------------------------------------------------------------------


def _lost(key: Array, batch: int, static: Any) -> Array:
    """(B, cells) bool: a block of pool.block cells along each axis, anywhere in the cube, in a share of the batch."""
    own, size = static.pool, cube.size(static)
    key_share, key_block = jax.random.split(key)
    damaged = jax.random.bernoulli(key_share, own.damage, (batch,))

    def block(key):
        corner = jax.random.randint(key, (3,), 0, jnp.asarray(size) - own.block + 1)
        return neighbours.block(corner, own.block, *size)

    return damaged[:, None] & jax.vmap(block)(jax.random.split(key_block, batch))
