"""The cells of a cube and their neighbours. Cell (x, y, z) has the number (z height + y) width + x, z the depth."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

OWN, BEFORE, AFTER = 0, 1, 2  # places in a row of `table`: the cell itself, and those at z - 1 and z + 1
SEVEN = 7
STEPS = ((0, 0, 0), (-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1))  # (z, y, x)


def table(width: int, height: int, depth: int) -> np.ndarray:
    """(cells, 7) int32: of each cell the numbers of itself, of z - 1, z + 1, y - 1, y + 1, x - 1 and x + 1.

    Outside of the cube it is the number after that of the last cell.
    """
    z, y, x = np.meshgrid(np.arange(depth), np.arange(height), np.arange(width), indexing="ij")
    columns = []
    for dz, dy, dx in STEPS:
        inside = (z + dz >= 0) & (z + dz < depth) & (y + dy >= 0) & (y + dy < height)
        inside &= (x + dx >= 0) & (x + dx < width)
        number = ((z + dz) * height + y + dy) * width + x + dx
        columns.append(np.where(inside, number, depth * height * width).ravel())
    return np.stack(columns, 1).astype(np.int32)


def table_of_layer(width: int, height: int) -> np.ndarray:
    """(width height, 7) int32: the same for one layer, in rows of it, then of the layer before, then of that after."""
    cells, own = width * height, np.arange(width * height)
    found = table(width, height, 1)
    found[found == cells] = 3 * cells
    found[:, BEFORE], found[:, AFTER] = own + cells, own + 2 * cells
    return found


@jax.named_scope("gather")
def gather(shown: Array, numbers: Array) -> Array:
    """What the cells of each row of `numbers` (n, 7) show, of shown (cells, B, d): (n, 7, B, d), zeros outside."""
    return jnp.pad(shown, ((0, 1), (0, 0), (0, 0)))[numbers]


def block(corner: Array, side: int, width: int, height: int, depth: int) -> Array:
    """(cells,) bool: the cells of a block of side x side x side whose least x, y and z are the corner (3,)."""
    z, y, x = np.indices((depth, height, width)).reshape(3, -1)
    inside = [(own >= least) & (own < least + side) for own, least in zip((x, y, z), corner, strict=True)]
    return inside[0] & inside[1] & inside[2]
