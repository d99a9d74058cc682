"""What a trained cube can be asked: to show what it makes of faces."""

from collections.abc import Callable
from typing import Any

import jax
from jax import Array

from ternary_jax.engine.task import Verbs
from ternary_jax.errors import QuestionError
from ternary_jax.lattice import user_faces
from ternary_jax.lattice.cube import drives

MOST_UPDATES = 100_000  # of one question


def verbs(static: Any, outputs: Callable[..., Any]) -> Verbs:
    """What a cube of a config can be asked. outputs: static, params, inputs, updates -> (faces (t, ...), ...)."""
    shape, what = (static.lattice.height, static.lattice.width), "faces (B, height, width)"
    if static.data.drive == "stream":
        shape, what = (drives.bits(static), *shape), "streams of bits (B, bits, height, width)"
    read = jax.jit(lambda params, x, updates: outputs(static, params, x, updates)[0], static_argnums=2)

    def make(params, context, part):
        def run(x: Any, updates: int = static.model.updates) -> Array:
            """faces (B, height, width), or bits (B, bits, height, width), as the config drives the cube -> faces read.

            The faces of the last layer after each update, (updates, B, height, width); of a sweep (1, B, ...).
            """
            if not isinstance(updates, int) or not 1 <= updates <= MOST_UPDATES:
                raise QuestionError(f"updates={updates!r} is not allowed: give an int from 1 to {MOST_UPDATES}")
            return read(params, user_faces.checked(x, shape, what), updates)

        return {"run": run}

    return Verbs(make)
