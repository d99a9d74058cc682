"""What other models make of a target, in numpy where there is a closed form: a lattice model is shown beside them.

Faces are rows here: inputs (n, S), outputs (n, planes S).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from ternary_jax.lattice import faces, metrics

Rows = np.ndarray


def affine_per_cell(x: Rows, y: Rows) -> tuple[Rows, Rows]:
    """(slope, offset), (planes S,) each, of the best a x_c + b for each output cell c from the input at the same cell.

    The ceiling of a model that moves nothing and mixes nothing. An input that is always the same has the slope 0.
    """
    x = np.tile(x, y.shape[1] // x.shape[1])
    centred = x - x.mean(0)
    square = (centred**2).sum(0)
    slope = (centred * y).sum(0) / np.where(square > 0, square, 1)
    return slope, y.mean(0) - slope * x.mean(0)


def ridge(x: Rows, y: Rows, penalty: float = 1e-3) -> tuple[Rows, Rows]:
    """(matrix, offset) of the linear map of all inputs with the least square error and penalty n |matrix|^2."""
    centred, n = x - x.mean(0), len(x)
    matrix = np.linalg.solve(centred.T @ centred + penalty * n * np.eye(x.shape[1]), centred.T @ (y - y.mean(0)))
    return matrix, y.mean(0) - x.mean(0) @ matrix


def near(x: Rows, y: Rows, width: int, reach: int, penalty: float = 1e-3) -> tuple[Rows, Rows]:
    """`ridge`, where an output cell sees the inputs within `reach` cells along x and y together; one face of outputs.

    The best that a linear model does in which a value moves by `reach` cells at most.
    """
    row, column = np.divmod(np.arange(x.shape[1]), width)
    seen = np.abs(row[:, None] - row) + np.abs(column[:, None] - column) <= reach
    matrix, offset = np.zeros((x.shape[1], y.shape[1])), np.zeros(y.shape[1])
    for cell in range(y.shape[1]):
        own = seen[:, cell]
        matrix[own, cell], offset[cell] = ridge(x[:, own], y[:, cell], penalty)
    return matrix, offset


def cone(matrix: Rows, width: int, reach: int) -> float:
    """The best r2 for a linear target (S, S) if a value moves by at most `reach` cells along x and y together.

    Inputs are independent, of one variance, so an output cell explains the squares of the entries that it can see.
    """
    row, column = np.divmod(np.arange(len(matrix)), width)
    seen = np.abs(row[:, None] - row) + np.abs(column[:, None] - column) <= reach
    return float((matrix**2)[seen].sum() / (matrix**2).sum())


def train(network: Any, draw: Any, key: Array, steps: int, rate: float) -> Any:
    """The parameters after `steps` of Adam with a cosine schedule; draw: key -> (inputs, outputs) of fresh faces."""
    key, start, first = jax.random.split(key, 3)
    params = network.init(start, draw(first)[0])
    tx = optax.adam(optax.cosine_decay_schedule(rate, steps))

    def step(carry, number):
        params, opt = carry
        x, y = draw(jax.random.fold_in(key, number))
        gradient = jax.grad(lambda p: jnp.mean(jnp.square(network.apply(p, x) - y)))(params)
        updates, opt = tx.update(gradient, opt)
        return (optax.apply_updates(params, updates), opt), None

    return jax.lax.scan(step, (params, tx.init(params)), jnp.arange(1, steps + 1))[0][0]


def score(outputs: Any, y: Any) -> float:
    """r2 of rows."""
    return float(metrics.r2(jnp.asarray(outputs), jnp.asarray(y)))


def alone(matrix: Rows, width: int, height: int, spread: bool, parts: int = 20) -> float:
    """The best r2 for a linear target (S, S) of flows that do not interact, one for each input, each with any gain.

    Inputs are independent, of one variance, so flow i at a point with weights w explains (w m_i)^2 / |w|^2 of column
    m_i, and the best points are found one flow at a time: on a grid of 1 / parts cells, or among the cells alone.
    """
    step = 1 / parts if spread else 1.0
    x, y = np.arange(0, width - 1 + step / 2, step), np.arange(0, height - 1 + step / 2, step)
    across, down = (np.asarray(faces.hat(jnp.asarray(v), n), float) for v, n in ((x, width), (y, height)))
    weights = np.einsum("ay,bx->abyx", down, across).reshape(-1, width * height)
    explained = (weights @ matrix) ** 2 / (weights**2).sum(-1)[:, None]
    return float(explained.max(0).sum() / (matrix**2).sum())
