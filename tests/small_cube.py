"""Shared fixtures of the tests of ternary_jax.lattice.cube: a small cube, its parameters, its task."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ternary_jax.config import load_config, split
from ternary_jax.control.chain import Controls
from ternary_jax.engine.task import Context
from ternary_jax.lattice.cube import cube

CONFIG = Path(__file__).parents[1] / "configs" / "cube.py"
SMALL = {
    "lattice.width": 3,
    "lattice.height": 2,
    "lattice.depth": 3,
    "model.channels": 4,
    "model.hidden": 3,
    "model.rank": 2,
    "model.updates": 4,
    "losses.blur.width": 0.0,
}


def setting(**changes):
    given = SMALL | {key.replace("__", "."): value for key, value in changes.items()}
    return split(load_config(CONFIG, given))[0]


def drawn(static, key=0):
    """Parameters of which none is 0, as some are at the start of a training."""
    params, rng = cube.init(jax.random.key(key), static), np.random.default_rng(key)
    # By numpy: jax would compile a program for each shape.
    return jax.tree.map(
        lambda x: jnp.asarray((x + 0.3 * rng.normal(size=x.shape)).astype(x.dtype)), jax.device_get(params)
    )


def context(made, hypers, key=None, state=()):
    """The Context of a step of one run, or of an evaluation, where nothing is controlled."""
    data = jax.tree.map(jnp.asarray, made.data)
    return Context(jnp.int32(0), key, Controls({}, None, {}), hypers, data, state)


def first(hypers):
    """The hypers of run 0."""
    return jax.tree.map(lambda x: jnp.asarray(x[0]), hypers)


def wires(static):
    """Parameters of cells that add nothing: with `carry`, each pixel goes straight through its column, unchanged."""
    shapes = jax.eval_shape(lambda: cube.init(jax.random.key(0), static))
    params = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    for group in ("drive", "readout"):
        params[group]["weights"] = params[group]["weights"].at[..., 0].set(1)
    return params
