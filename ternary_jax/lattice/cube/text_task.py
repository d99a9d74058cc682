"""The cube between texts: the face of a left side drives it, and what is read is judged among vectors of right sides.

A map from face to face is asked for, not a state that is held: of `model.schedule=all`, the face after model.updates
counts.
"""

from typing import Any

import jax.numpy as jnp
from jax import Array

from ternary_jax.engine.task import Context, Loss, Task
from ternary_jax.lattice.cube import cube, settings
from ternary_jax.lattice.cube.task import outputs
from ternary_jax.lattice.text import task as text
from ternary_jax.metric import Metric

KEYS = {**settings.CUBE, **text.KEYS}


def check(config: Any) -> None:
    """Raise a ConfigError if keys contradict each other."""
    text.check(config)
    settings.check_cube(config)


def make_task(static: Any) -> Task:
    """The task of a config, with its static values closed over."""
    return text.make(static, lattice(static))


def lattice(static: Any) -> text.Lattice:
    """The cube of a config, as a task of text has it."""
    width, height, depth = cube.size(static)

    def run(params: Any, faces: Array, context: Context | None) -> tuple[Array, Any]:
        key = None if context is None else context.key
        read, states, _ = outputs(static, params, faces, static.model.updates, key)
        return read[-1], jnp.mean(jnp.square(states))

    return text.Lattice(
        place=f"through a cube of {width} x {height} x {depth}",
        init=lambda key: cube.init(key, static),
        run=run,
        loss=lambda fit, square, hypers: Loss(fit, {"fit": fit}, {"state_square": square}),
        measured=lambda square: {"state_rms": jnp.sqrt(square)},
        metrics=(Metric("state_rms", -1, float("nan"), float("nan"), None),),
    )
