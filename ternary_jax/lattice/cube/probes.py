"""Probes of a cube of the schedule "all": what it holds and heals, how far it sees, and what its cells have learned.

Pure functions of the parameters of one run, without noise. given (B, height, width) are inputs, wanted the faces that
should be shown; T is model.updates. Every docstring has the formula and its null: what a cube that does not have the
property gives. The null of all r2 is also an untrained cube, which is at 0 or below.
"""

from math import comb
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ternary_jax.errors import ConfigError
from ternary_jax.lattice import metrics
from ternary_jax.lattice.cube import cell, cube, drives, neighbours, wall

SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5)  # of the cells that a lesion removes
NOISES = (0.01, 0.1, 0.3, 1.0)  # of the root of the mean square of all states of a sample
FRONT = 0.01  # of the greatest slope: a cell with less of it is not reached
Params = dict[str, Any]


# --- r2 by update -----------------------------------------------------------------------------------------------------


def r2_by_update(
    params: Params,
    given: Array,
    wanted: Array,
    static: Any,
    updates: int,
    begun: Any = None,
    key: Array | None = None,
    there: Any = None,
) -> tuple[Array, Array]:
    """(r2 after each update (updates,), the last states): an attractor has r2(1000) = r2(2 T).

    Null: a cube that is trained for one moment T, whose r2 falls after it.

    begun: (states (N, B, C), updates before) to go on from; None: the start
    key: of fire; None: all cells are updated. there: (N,) bool, as in cube.step
    """
    _check(static)
    states, before = (cube.start(params, len(given), static), 0) if begun is None else begun

    def body(states, number):
        ages = jnp.full(len(given), before + number)
        (face,), on = drives.of_updates(given, 1, static, ages)
        own = None if key is None else jax.random.fold_in(key, number)
        after = cube.step(params, states, face, static, own, None if on is None else on[0], there)
        return after, metrics.r2(cube.read(params, after, static), wanted)

    states, r2 = jax.lax.scan(body, states, jnp.arange(updates))
    return r2, states


def after_noise(
    params: Params, given: Array, wanted: Array, static: Any, key: Array, updates: int, noises: tuple = (0.0, *NOISES)
) -> Array:
    """(noises, 1 + updates): r2 at 2 T and after each further update, where at 2 T each state s becomes s + a r e.

    a is the noise, r^2 the mean square of all states of the sample, and e of a normal distribution with variance 1.
    Null: r2 stays where the noise has put it. The row of noise 0 is the most that can return.
    """
    states = _settled(params, given, wanted, static)
    drawn = wall.kept(_scale(states) * jax.random.normal(key, states.shape), wall.there(static))
    return jax.lax.map(lambda a: _on(params, given, wanted, static, states + a * drawn, updates), jnp.asarray(noises))


def after_damage(
    params: Params,
    given: Array,
    wanted: Array,
    static: Any,
    corner: Array,
    side: int,
    updates: int,
    key: Array | None = None,
) -> Array:
    """(2 + updates,): r2 at 2 T, then where a block of side^3 cells has lost its states, then after each update.

    corner: the least x, y and z of the block, (3,). key: of random states of the size of the others; None: zeros
    Null: a cube that does not heal stays at the second value.
    """
    states = _settled(params, given, wanted, static)
    lost = neighbours.block(corner, side, *cube.size(static))[:, None, None]
    other = jnp.zeros_like(states) if key is None else _scale(states) * jax.random.normal(key, states.shape)
    before = metrics.r2(cube.read(params, states, static), wanted)
    damaged = wall.kept(jnp.where(lost, other, states), wall.there(static))
    return jnp.concatenate([before[None], _on(params, given, wanted, static, damaged, updates)])


def updates_to_regrow(curve: Array, share: float = 0.99) -> Array:
    """The updates after which r2 of `after_damage` stays at share r2(2 T) or more; -1 where it does not by its end.

    Also -1 where r2(2 T) is 0 or less, as there is nothing to grow back.

    A block far from the last layer costs nothing at first, so the first update of a good r2 would be the wrong one.
    Null: -1; 0 where the damage never costs anything.
    """
    low = curve[1:] < share * curve[0]
    last = jnp.where(jnp.any(low), len(low) - jnp.argmax(low[::-1]), 0)
    return jnp.where((last == len(low)) | (curve[0] <= 0), -1, last)


def asynchronous(
    params: Params, given: Array, wanted: Array, static: Any, key: Array, updates: int, fire: float = 0.5
) -> Array:
    """(updates,): r2 after each update, in each of which a cell is updated with the chance `fire`, only now.

    Null: the same cube after fire t updates of all cells, as a value then has moved as far in the mean.
    """
    model = static.model._replace(fire=fire, noise=0.0, dropout=0.0)
    return r2_by_update(params, given, wanted, static._replace(model=model), updates, None, key)[0]


# --- cells that are removed or exchanged ------------------------------------------------------------------------------


def lesion(
    params: Params, given: Array, wanted: Array, static: Any, key: Array, shares: tuple[float, ...] = SHARES
) -> Array:
    """(len(shares),): r2 after 2 T updates from the start, where a share of the cells is not there from the start on.

    The cells of a share are random, and among those of a greater one. Null: `r2_of_columns`.
    """
    cells = np.prod(cube.size(static))
    order = jax.random.permutation(key, int(cells))
    removed = jnp.asarray([round(share * int(cells)) for share in shares])
    return _of_cells(params, given, wanted, static, order[None] >= removed[:, None])


def r2_of_columns(width: int, height: int, depth: int, shares: tuple[float, ...] = SHARES) -> list[float]:
    """The closed form for values that go straight through the cube, each lost if one cell of its column is.

    Of n cells, m are removed: 1 - P(lost) = C(n - depth, m) / C(n, m), and a lost output that shows its mean costs its
    variance. Below it, a cell costs more than its column; above it, values go around.
    """
    n = width * height * depth
    removed = [round(share * n) for share in shares]
    return [comb(n - depth, m) / comb(n, m) for m in removed]


def without_layer(params: Params, given: Array, wanted: Array, static: Any) -> Array:
    """(depth,): r2 after 2 T updates from the start, where a layer is not there. Null: r2 of the whole cube.

    All values cross each layer, so r2 of a layer that is used is 0 or below. The cube of the documents keeps its r2
    without the layers 0 to 8.
    """
    depth = static.lattice.depth
    number = jnp.arange(np.prod(cube.size(static))) // (static.lattice.width * static.lattice.height)
    return _of_cells(params, given, wanted, static, number[None] != jnp.arange(depth)[:, None])


def swapped(params: Params, given: Array, wanted: Array, static: Any, pairs: Array) -> Array:
    """(pairs,): r2 after 2 T updates, where the two cells of a pair (pairs, 2) have each other's weights.

    Also the first states are swapped, and no weights of the readout. Null: r2 of the whole cube, which cells of one
    role keep, and all cells of shared weights.
    """
    first = params["start"]["state"]

    def score(pair):
        def swap(x):
            return x.at[pair].set(x[pair[::-1]])

        own = {"cells": jax.tree.map(swap, params["cells"])} if "cells" in params else {}
        start = {"state": swap(first) if len(first) > 1 else first}
        return r2_by_update(params | own | {"start": start}, given, wanted, static, 2 * static.model.updates)[0][-1]

    return jax.lax.map(score, pairs)


# --- what cells see and have learned ----------------------------------------------------------------------------------


def slopes(params: Params, face: Array, static: Any, updates: int) -> Array:
    """(updates, pixels, cells): the norm of the derivative of each state by each pixel of a face (height, width).

    They are exact derivatives, so one that is 0 says that the cell does not depend on the pixel: `cone` is where they
    may differ from 0. Null: a cube with a leak has them outside.
    """
    _check(static)

    def states(face):
        def body(states, number):
            (given,), on = drives.of_updates(face[None], 1, static, number[None])
            after = cube.step(params, states, given, static, None, None if on is None else on[0])
            return after, after[:, 0]

        return jax.lax.scan(body, cube.start(params, 1, static), jnp.arange(updates))[1]

    ways = jnp.eye(face.size).reshape(face.size, *face.shape)
    found = jax.vmap(lambda way: jax.jvp(states, (face,), (way,))[1], out_axes=1)(ways)
    return jnp.linalg.norm(found, axis=-1)


def cone(static: Any, updates: int) -> np.ndarray:
    """(updates, pixels, cells) bool: the light cone. A value is in its cell, and in an update in all that see it.

    With `carry` the first update brings the pixel to its cell; without it, the pixel is there before. Without a wall
    it is |x - x'| + |y - y'| + z + carry <= t.
    """
    width, height, depth = cube.size(static)
    table, layer, there = neighbours.table(width, height, depth), width * height, wall.there(static)
    pixels = np.eye(layer, layer * depth, dtype=bool)
    reached, found = np.zeros_like(pixels), []
    for _ in range(updates):
        seen = np.pad(reached if static.model.carry else reached | pixels, ((0, 0), (0, 1)))[:, table].any(2)
        reached = seen | pixels
        reached = reached if there is None else reached & there
        found.append(reached)
    return np.stack(found)


def front(found: Array, static: Any) -> Array:
    """(updates,): the distance of the farthest cell whose slope by a pixel exceeds FRONT of the greatest slope.

    found: `slopes`. front / t is the effective speed in cells an update, 1 at most, that of the light cone. Null: an
    untrained cube, which is slower, as its slopes fall with the distance.
    """
    width, height, depth = cube.size(static)
    z, y, x = np.indices((depth, height, width)).reshape(3, -1)
    layer = width * height
    away = np.abs(x[None] - x[:layer, None]) + np.abs(y[None] - y[:layer, None]) + z[None] + static.model.carry
    reached = found > FRONT * jnp.max(found, (1, 2), keepdims=True)
    return jnp.max(jnp.where(reached, away[None], 0), (1, 2))


def shared_rule(params: Params, given: Array, static: Any, key: Array, rows: int = 64) -> Array:
    """The share of the variance of the updates of cells that one rule for all cells explains.

    All cells get the same rows of a state and of what its neighbours show, drawn from those after T updates, and answer
    y_i(row). The best single rule in least squares is their mean m(row), so the share is

        1 - sum |y_i - m|^2 / sum |y_i - mean of all|^2

    Only cells that the wall leaves are asked and counted. Null: 1 / cells, where cells have nothing in common, as an
    untrained cube with weights of its own; 1 where they are shared.
    """
    _check(static)
    model, dtype, cells = static.model, jnp.dtype(static.train.dtype), int(np.prod(cube.size(static)))
    faces, on = drives.of_updates(given, model.updates, static)
    states = cube.run(params, cube.start(params, len(given), static), faces, static, None, on)[0]
    there = wall.there(static)
    kept = jnp.asarray(np.arange(cells) if there is None else np.flatnonzero(there))
    shown = wall.kept(cell.shown(params, states, model, dtype)[1], there)
    seven = neighbours.gather(shown, jnp.asarray(neighbours.table(*cube.size(static))))
    key_cell, key_sample = jax.random.split(key)
    at = (
        kept[jax.random.randint(key_cell, (rows,), 0, len(kept))],
        jax.random.randint(key_sample, (rows,), 0, len(given)),
    )
    same = jnp.broadcast_to(states[at][None], (cells, rows, model.channels))
    seen = jnp.moveaxis(seven[at[0], :, at[1]], 0, 1)
    seen = jnp.broadcast_to(seen[None], (cells, *seen.shape))
    own, mine = cell.shown(params, same, model, dtype)
    answers = cell.update(params, own, seen.at[:, neighbours.OWN].set(mine), model, dtype)[kept]
    left = jnp.sum(jnp.square(answers - jnp.mean(answers, 0, keepdims=True)))
    return 1 - left / jnp.sum(jnp.square(answers - jnp.mean(answers, (0, 1), keepdims=True)))


def enlarged(static: Any, width: int, height: int, depth: int, updates: int) -> Any:
    """The static config of a cube of another size, for the same parameters. Null: r2 of the size of the training."""
    model = static.model
    if model.weights != "shared" or model.readout != "shared":
        raise ConfigError(
            f"config.model.weights={model.weights} and config.model.readout={model.readout} have parts for each cell, "
            "which another size does not have: give shared for both"
        )
    lattice = static.lattice._replace(width=width, height=height, depth=depth)
    return static._replace(lattice=lattice, model=model._replace(updates=updates))


# --- inside -----------------------------------------------------------------------------------------------------------


def _check(static: Any) -> None:
    """Refuse a cube without states that go on, and one without a single face."""
    if static.model.schedule != "all":
        raise ConfigError(
            f"config.model.schedule={static.model.schedule} has no states that go on, which the probes follow: give all"
        )
    if static.data.drive == "stream":
        raise ConfigError("config.data.drive=stream has no face that is held, which the probes ask for: give held")


def _settled(params: Params, given: Array, wanted: Array, static: Any) -> Array:
    """The states after 2 T updates."""
    return r2_by_update(params, given, wanted, static, 2 * static.model.updates)[1]


def _on(params: Params, given: Array, wanted: Array, static: Any, states: Array, updates: int) -> Array:
    """(1 + updates,): r2 of these states at 2 T, and after each further update."""
    now = metrics.r2(cube.read(params, states, static), wanted)
    begun = states, 2 * static.model.updates
    return jnp.concatenate([now[None], r2_by_update(params, given, wanted, static, updates, begun)[0]])


def _of_cells(params: Params, given: Array, wanted: Array, static: Any, there: Array) -> Array:
    """r2 after 2 T updates for each row of `there` (n, cells), of the cells that the wall leaves."""
    own = wall.there(static)
    there = there if own is None else there & own[None]

    def score(kept):
        begun = wall.kept(cube.start(params, len(given), static), kept), 0
        return r2_by_update(params, given, wanted, static, 2 * static.model.updates, begun, None, kept)[0][-1]

    return jax.lax.map(score, there)


def _scale(states: Array) -> Array:
    """The root of the mean square of all states of each sample, (1, B, 1)."""
    return jnp.sqrt(jnp.mean(jnp.square(states), (0, 2), keepdims=True))
