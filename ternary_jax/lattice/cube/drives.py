"""What drives a cube in each update, and the faces that it should show: by `data.drive`

    held    a face drives every update
    pulse   a face drives the first `data.shown` updates; then nothing does, and the cube has to remember it
    stream  every `data.every` updates there is a new face of bits, which drives the first `data.shown` of them; the
            cube has to show, for each pixel, the parity of all bits so far

A bit is -amplitude or amplitude, and a parity is their product in units of the amplitude, which has the same values.
Where nothing drives, the first layer gets neither w x nor the bias d, as d alone would be a drive by a face of zeros.
Inputs are faces (B, height, width), or bits (B, bits, height, width).
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from ternary_jax.lattice import targets
from ternary_jax.lattice.cube.cube import least_updates

KINDS = {"held": "", "pulse": " of a pulse", "stream": " of the parity of a stream"}  # and words for the name of a task
SILENT = (10, 100)  # updates without a drive, after which a pulse is asked for in an evaluation
LONG = 64  # bits of the streams of an evaluation


def inputs(key: Array, batch: int, static: Any) -> Array:
    """New inputs, drawn."""
    lattice, data, streamed = static.lattice, static.data, static.data.drive == "stream"
    number = batch * (bits(static) if streamed else 1)
    found = targets.inputs(key, number, lattice.width, lattice.height, data.amplitude, _signs(data))
    return found.reshape(batch, -1, *found.shape[1:]) if streamed else found


def evaluated(static: Any) -> np.ndarray:
    """The inputs of all evaluations of all runs; no step draws them."""
    lattice, data, streamed = static.lattice, static.data, static.data.drive == "stream"
    number = data.evaluated * (max(LONG, bits(static)) if streamed else 1)
    found = targets.evaluated(number, lattice.width, lattice.height, data.amplitude, _signs(data))
    return found.reshape(data.evaluated, -1, *found.shape[1:]) if streamed else found


def bits(static: Any) -> int:
    """Bits of a stream in training: those whose answers lie within model.updates."""
    return (static.model.updates - arrival(static) + 1) // static.data.every


def updates_for(number: int, static: Any) -> int:
    """Updates after which the parity of the first `number` bits of a stream is asked for.

    That is the last update before the next bit can reach the last layer.
    """
    return static.data.every * number + arrival(static) - 1


def arrival(static: Any) -> int:
    """The first update after which the last layer can depend on the face of the first one."""
    return least_updates(static.model, static.lattice.depth)


def held(face: Array, updates: int) -> tuple[Array, None]:
    """`of_updates` of a face that drives all of them."""
    return jnp.broadcast_to(face, (updates, *face.shape)), None


def of_updates(given: Array, updates: int, static: Any, ages: Array | None = None) -> tuple[Array, Array | None]:
    """(the face of each update (updates, B, height, width), whether it drives (updates, B)) of inputs; None: always.

    ages: (B,) updates that each sample has had before; None: 0
    """
    data, numbers = static.data, jnp.arange(updates)
    if data.drive == "held":
        return held(given, updates)
    if data.drive == "pulse":
        before = jnp.zeros(len(given), jnp.int32) if ages is None else ages
        return jnp.broadcast_to(given, (updates, *given.shape)), before[None] + numbers[:, None] < data.shown
    on = (numbers % data.every < data.shown) & (numbers < data.every * given.shape[1])
    faces = given[:, np.minimum(np.arange(updates) // data.every, given.shape[1] - 1)]
    return jnp.moveaxis(faces, 1, 0), jnp.broadcast_to(on[:, None], (updates, len(given)))


def asked(static: Any) -> tuple[int, slice]:
    """(updates of a training step, those of them after which an answer is asked for), by losses.window.

    "end": after the last of model.updates; else T .. 2 T with T = model.updates, and of a stream after each bit
    """
    model, data, one = static.model, static.data, static.losses.window == "end"
    last = model.updates if model.schedule == "all" else 1
    if data.drive == "stream":
        return last, slice(last - 1 if one else updates_for(1, static) - 1, None, data.every)
    return last if one else 2 * last, slice(last - 1, None)


def answers(given: Array, static: Any) -> Array:
    """The faces whose map should be shown, (1, B, height, width); of a stream (bits, B, height, width), by bit."""
    if static.data.drive != "stream":
        return given[None]
    amplitude = static.data.amplitude
    return amplitude * jnp.cumprod(jnp.moveaxis(given, 1, 0) / amplitude, 0)


# --- inside -----------------------------------------------------------------------------------------------------------


def _signs(data: Any) -> bool:
    """Whether inputs are -amplitude or amplitude: the bits of a stream, and what a target asks for."""
    return data.drive == "stream" or targets.signs(data.target)
