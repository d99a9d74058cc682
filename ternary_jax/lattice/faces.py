"""Faces of a lattice: values at points between the cells are spread over cells and read back; residuals are blurred.

A face has height x width cells at the integer points x in 0 .. width - 1, y in 0 .. height - 1; cell (x, y) has the
number y width + x. The weights of a point are one small dense matrix per axis, and a scatter was rejected: XLA runs it
one point after the other on a CPU, and its gradient with respect to the point would have to be written by hand.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike


def cells(width: int, height: int) -> Array:
    """The points (x, y) of all cells in the order of their numbers, (height width, 2)."""
    y, x = jnp.divmod(jnp.arange(width * height), width)
    return jnp.stack([x, y], -1).astype("float32")


def hat(x: Array, size: int, radius: float = 1.0) -> Array:
    """The weights of the cells 0 .. size - 1 for points x (...): max(0, 1 - |x - cell| / radius) / radius, (..., size).

    For an integer radius they sum to 1 wherever no weight falls outside the face; at radius 1 they are those of linear
    interpolation. x has to be in 0 .. size - 1.

    On a cell, where a flow at a wall lies, the gradient is that of the interval after it, and on the last cell that of
    the one before it. The gradients of abs and maximum at 0 were rejected: on the last cell they lead out of the face.
    """
    number, x = _numbers(size, x.ndim), x[..., None]
    first = jnp.clip(jnp.floor(jax.lax.stop_gradient(x)), 0, size - 2)  # the cell at which the interval of x begins
    distance = jnp.where(number > first, number - x, x - number)
    return jnp.where(jnp.abs(number - first - 0.5) < radius, 1 - distance / radius, 0) / radius


def spread(points: Array, values: Array, width: int, height: int, radius: float = 1.0) -> Array:
    """The sum over n points of their values, by the weights `hat` of each axis: (..., height, width, c).

    points (..., n, 2); values (..., n, c). A leading axis may be 1 in one of the two. The sum is not divided by the
    weights: such an average does not change where points lie on each other, so learned points would gather in one cell.
    """
    across, down = hat(points[..., 0], width, radius), hat(points[..., 1], height, radius)
    weighted = across[..., :, None] * values[..., None, :]
    return jnp.einsum("...ny,...nxc->...yxc", down, weighted)


def read(points: Array, field: Array, radius: float = 1.0) -> Array:
    """The values of a field (..., height, width, c) at points (..., n, 2), by the weights of `spread`: (..., n, c)."""
    height, width = field.shape[-3:-1]
    across, down = hat(points[..., 0], width, radius), hat(points[..., 1], height, radius)
    rows = jnp.einsum("...ny,...yxc->...nxc", down, field)
    return jnp.sum(across[..., None] * rows, -2)


def blurred(residual: Array, sigma: ArrayLike, padding: int) -> Array:
    """A residual (..., height, width), in a frame of zeros of `padding` cells, under a Gaussian filter of width sigma.

    The filter has the sum of squares 1 in the plane, so noise without correlation keeps its mean square, and sigma = 0
    is the identity. Without the frame, a value at the edge would weigh less than one in the middle.
    """
    height, width = residual.shape[-2:]
    down, across = (_gaussian(size, sigma, padding) for size in (height, width))
    return jnp.einsum("ay,...yx,bx->...ab", down, residual, across)


def _numbers(size, ndim):
    """0 .. size - 1 along the last of ndim + 1 axes."""
    return jnp.arange(size, dtype="float32").reshape((1,) * ndim + (size,))


def _gaussian(size, sigma, padding):
    """(size + 2 padding, size): entry (a, j) is the filter at the distance from cell a - padding to cell j."""
    reach = size + padding
    square = jnp.maximum(jnp.asarray(sigma, "float32"), 1e-3) ** 2
    filtered = jnp.exp(-jnp.square(jnp.arange(-reach, reach + 1, dtype="float32")) / (2 * square))
    filtered /= jnp.sqrt(jnp.sum(jnp.square(filtered)))
    distance = jnp.arange(-padding, size + padding)[:, None] - jnp.arange(size)[None]
    return filtered[distance + reach]
