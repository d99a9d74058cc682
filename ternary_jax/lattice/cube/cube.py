"""A cube of cells: a face drives its first layer, states move by one cell in an update, and the last layer is read.

Axes: S cells of a layer, N = S depth cells, B samples, C channels, t updates. States are (N, B, C) float32. A face
stands for the states w x + d of a layer, for a pixel x and learned w and d (C,): d lets a normalised state keep the
size of x.

An update gives a cell the target f(what it and its neighbours show), of cell.py. With `model.carry` the state of the
layer before is added, for the first layer that of the face, so that a value crosses the cube before anything is
learned; without it, the face is added to the states of the first layer. There are two schedules:

    all     in each of t updates every cell goes a share of the way:  s' = s + leak fire (target - s)
    sweep   layer after layer, while those behind it rest: with `model.carry` s = its first state + that of the layer
            before, then s' = s + f, `model.repeats` times; without it s' = f

In `all` the face drives every update, and the last layer shows it after `least_updates`. It has dynamics: states that
can be held, lost and healed. `sweep` is a map from face to face. It makes repeats N updates of cells, and `all` at
least N depth.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax.lattice.cube import cell, neighbours, wall

Params = dict[str, Any]


def init(key: Array, static: Any) -> Params:
    """The parameters by group: those of the cells, `start`: their first states, `drive` and `readout`."""
    model, (width, height, depth) = static.model, size(static)
    key_cells, key_drive, key_read, key_start = jax.random.split(key, 4)
    layer = width * height
    places = layer if model.readout == "own" else 1
    first = 1 if model.weights == "shared" else layer * depth  # cells that share all weights begin in one state
    return {
        **cell.init(key_cells, model, layer * depth),
        "start": {"state": 0.5 * jax.random.normal(key_start, (first, model.channels))},
        "drive": dict(zip(("weights", "bias"), jax.random.normal(key_drive, (2, model.channels)), strict=True)),
        "readout": {
            "weights": jax.random.normal(key_read, (places, model.channels)) / model.channels,
            "bias": jnp.zeros(places),
        },
    }


def start(params: Params, batch: int, static: Any) -> Array:
    """The states before the first update, (N, B, C)."""
    width, height, depth = size(static)
    shape = width * height * depth, batch, static.model.channels
    return wall.kept(jnp.broadcast_to(params["start"]["state"][:, None], shape), wall.there(static))


def least_updates(model: Any, depth: int) -> int:
    """Updates of all cells until the last layer depends on the face, which without `carry` is in the first layer."""
    return max(1, depth - (not model.carry))


def driven(params: Params, face: Array, key: Array | None = None, noise: float = 0.0) -> Array:
    """The states (S, B, C) that a face (B, height, width) stands for. key: of noise on its pixels; None: none."""
    if key is not None and noise:
        face = face + noise * jax.random.normal(key, face.shape)
    own = params["drive"]
    return face.reshape(len(face), -1).T[..., None] * own["weights"][None, None] + own["bias"][None, None]


@jax.named_scope("readout")
def read(params: Params, states: Array, static: Any) -> Array:
    """The face (B, height, width) of the last layer of states (N, B, C)."""
    width, height, _ = size(static)
    own = params["readout"]
    values = jnp.sum(states[-width * height :] * own["weights"][:, None], -1) + own["bias"][:, None]
    return values.T.reshape(-1, height, width)


def step(
    params: Params,
    states: Array,
    face: Array,
    static: Any,
    key: Array | None = None,
    on: Array | None = None,
    there: Any = None,
) -> Array:
    """All cells after one update by a face (B, height, width). key: of fire, noise and dropout; None: none of them.

    on: (B,) bool, the samples whose face drives; the others get neither w x nor d. None: all faces drive
    there: (N,) bool, the cells that are not removed; None: those that the wall of the config leaves
    """
    model, dtype, (width, height, _) = static.model, jnp.dtype(static.train.dtype), size(static)
    key_noise, key_dropout, key_fire = (None, None, None) if key is None else jax.random.split(key, 3)
    given, layer = driven(params, face, key_noise, model.noise), width * height
    there = wall.there(static) if there is None else there
    if on is not None:
        given = jnp.where(on[None, :, None], given, 0)
    before = states
    if not model.carry:
        states = states.at[:layer].add(given)
    own, shown = _shown(params, states, static, there)
    seven = neighbours.gather(shown, jnp.asarray(neighbours.table(*size(static))))
    target = cell.update(params, own, seven, model, dtype, key_dropout)
    if model.carry:
        target = target + _carried(jnp.concatenate([given, states[:-layer]]), model)
    after = states + model.leak * (target - states)
    if key_fire is not None and model.fire < 1:  # a cell that rests does not take in the face either
        after = jnp.where(jax.random.bernoulli(key_fire, model.fire, (*states.shape[:2], 1)), after, before)
    return wall.kept(after, there)


def run(
    params: Params, states: Array, drives: Array, static: Any, key: Array | None = None, on: Array | None = None
) -> tuple[Array, Array, Array]:
    """(states, faces that are read after each update (t, B, height, width), mean square of each update (t,)).

    drives: the face of each update, (t, B, height, width)
    on: (t, B) bool, whether it drives; None: it does
    """

    def body(states, xs):
        number, face, on = xs
        after = step(params, states, face, static, None if key is None else jax.random.fold_in(key, number), on)
        return after, (read(params, after, static), jnp.mean(jnp.square(after - states)))

    body = jax.checkpoint(body) if static.train.remat else body
    states, (faces, moved) = jax.lax.scan(body, states, (jnp.arange(len(drives)), drives, on))
    return states, faces, moved


def sweep(params: Params, face: Array, static: Any, key: Array | None = None) -> tuple[Array, Array]:
    """(states (N, B, C), the face that is read) after one sweep. key: of noise and dropout; None: neither."""
    model, dtype, (width, height, depth) = static.model, jnp.dtype(static.train.dtype), size(static)
    layer, batch, numbers = width * height, len(face), jnp.asarray(neighbours.table_of_layer(width, height))
    first, there = start(params, 1, static), wall.there(static)
    _, shown = _shown(params, first, static, there)
    after = jnp.concatenate([shown[layer:], jnp.zeros_like(shown[:layer])])
    layers = params.get("cells", {}), first, after, there
    layers = jax.tree.map(lambda x: x.reshape(depth, layer, *x.shape[1:]), layers)
    key_noise, key_dropout = (None, None) if key is None else jax.random.split(key)

    def key_of(update):
        """Keys as xs were rejected: the gradient of the scan reads them again, which jax's checker refuses."""
        return None if key_dropout is None else jax.random.fold_in(key_dropout, update)

    def of_layer(before, xs):
        (cells, state, after, there), number_of_layer = xs
        own = {**params, "cells": cells}
        states, seen = before
        state, after = (jnp.broadcast_to(x, (layer, batch, x.shape[-1])) for x in (state, after))
        state = state + (_carried(states, model) if model.carry else states)
        for number in range(model.repeats):
            u, shown = _shown(own, state, static, there)
            seven = neighbours.gather(jnp.concatenate([shown, seen, after]), numbers)
            change = cell.update(own, u, seven, model, dtype, key_of(number_of_layer * model.repeats + number))
            state = wall.kept(state + change if model.carry else change, there)
        _, shown = _shown(own, state, static, there)
        return (state if model.carry else jnp.zeros_like(state), shown), state

    of_layer = jax.checkpoint(of_layer) if static.train.remat else of_layer
    given = driven(params, face, key_noise, model.noise)
    nothing = jnp.zeros((layer, batch, shown.shape[-1]))
    _, states = jax.lax.scan(of_layer, (given, nothing), (layers, jnp.arange(depth)))
    states = states.reshape(depth * layer, batch, model.channels)
    return states, read(params, states, static)


def size(static: Any) -> tuple[int, int, int]:
    """(width, height, depth) of the cube, in cells."""
    return static.lattice.width, static.lattice.height, static.lattice.depth


# --- inside -----------------------------------------------------------------------------------------------------------


def _carried(states: Array, model: Any) -> Array:
    """What a layer gets of the states of the layer before: their public channels."""
    return jnp.where((jnp.arange(model.channels) < model.channels - model.private)[None, None], states, 0)


def _shown(params: Params, states: Array, static: Any, there: Any) -> tuple[Array, Array]:
    """cell.shown, where cells that are not there show nothing: with a gated cell, a state of zeros shows its bias."""
    own, shown = cell.shown(params, states, static.model, jnp.dtype(static.train.dtype))
    return own, wall.kept(shown, there)
