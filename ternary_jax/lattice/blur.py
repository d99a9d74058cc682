"""A loss that sees how near a value came: the residual under a Gaussian filter, whose width falls to 0 in a training.

A loss of single cells pays nothing for a value that is still on its way. A flow between two cells counts less than one
on a cell, so it stays within three cells of its start; in a cube, only values with a short way are learned
(`permutation_own_sharp` in experiments/cube.py). A blurred loss pays for every cell that a value comes nearer.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from ternary_jax.config.keys import Key, integer, real
from ternary_jax.control import schedules
from ternary_jax.engine.plan import plan
from ternary_jax.engine.task import Context
from ternary_jax.lattice import faces

KEYS: dict[str, Key] = {
    "losses.blur.width": real(0, 256),
    "losses.blur.share": real(0, 1),
    "losses.blur.padding": integer(0, 256),
}


def falling(static: Any) -> dict[str, np.ndarray]:
    """The schedule of the width, by name; it falls to 0 in `losses.blur.share` of the run. {} without a width."""
    blur = static.losses.blur
    return {"blur": schedules.falling(blur.width, blur.share, plan(static, None).total)} if blur.width else {}


def fit(residual: Array, static: Any, context: Context) -> Array:
    """The mean square of a residual (..., height, width), blurred; without a width, of the residual itself."""
    blur = static.losses.blur
    seen = faces.blurred(residual, context.signals.schedule["blur"], blur.padding) if blur.width else residual
    return jnp.sum(jnp.square(seen)) / residual.size
