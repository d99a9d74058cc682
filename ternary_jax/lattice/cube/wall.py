"""A wall across the cube: its middle layer, of which the cells of a square hole alone are there.

A cell that is not there keeps a state of zeros, shows nothing and hands nothing on, so every value has to cross the
layer through the hole. The wall removes cells; the barrier of the flows stops what moves.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array


def layer(depth: int) -> int:
    """The layer of the wall, counted from the face that drives."""
    return depth // 2


def there(static: Any) -> np.ndarray | None:
    """(cells,) bool: whether a cell is there; None where the config has no wall.

    The hole is in the middle of the face, and half a cell nearer to its origin where it cannot be.
    """
    if not static.wall.on:
        return None
    width, height, depth = static.lattice.width, static.lattice.height, static.lattice.depth
    found, hole = np.ones((depth, height, width), bool), static.wall.hole
    y, x = (height - hole) // 2, (width - hole) // 2
    found[layer(depth)] = False
    found[layer(depth), y : y + hole, x : x + hole] = True
    return found.ravel()


def kept(values: Array, there: Any) -> Array:
    """Values (n, B, d) of cells, zeros where a cell is not there, (n,) bool; None: all are."""
    return values if there is None else jnp.where(there[:, None, None], values, 0)
