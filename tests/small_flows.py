"""Shared fixtures of the tests of ternary_jax.lattice.energy_flow: small lattices, their parameters, faces."""

import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np
from reference import energy_flow as reference

from ternary_jax.config import load_config, split
from ternary_jax.lattice.energy_flow import flow

CONFIG = Path(__file__).parents[1] / "configs" / "energy_flow.py"
SMALL = {
    "lattice.width": 5,
    "lattice.height": 4,
    "lattice.depth": 3,
    "model.steps": 3,
    "model.hidden": 6,
    "model.layers": 1,
    "model.neuron_hidden": 5,
    "model.neuron_output": 4,
    "model.movement_hidden": 7,
    "model.movement_scale": 3.0,
    "model.frequencies": 2,
    "model.reach": 2.0,
    "model.zero_energy": False,
    "model.walls": "reflect",
    "train.batch_size": 4,
    "train.steps": 20,
    "train.warmup_epochs": 0,
    "train.remat": False,
    "evaluate.cheap_every": 10,
    "checkpoint.every": 20,
    "data.evaluated": 8,
    "data.target": "shift",
}
FACES: Any = np.random.default_rng(2).uniform(-0.8, 0.8, (2, 4, 5)).astype(np.float32)


run, init = jax.jit(flow.run, static_argnums=(2, 3)), jax.jit(flow.init, static_argnums=1)
outputs = jax.jit(flow.outputs, static_argnums=1)


@functools.cache
def settings(**changes):
    """The static config with these changes; __ in a name stands for a point."""
    config = load_config(CONFIG, SMALL | {key.replace("__", "."): value for key, value in changes.items()})
    return split(config)[0]


def jittered(params, key=3):
    """All parameters moved a little, so that none is at a start of 0."""
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(key), len(leaves))
    return tree.unflatten([x + 0.2 * jax.random.normal(k, x.shape) for x, k in zip(leaves, keys, strict=True)])


@functools.cache
def model(**changes):
    """The static config with these changes, and parameters none of which is at its start."""
    static = settings(**changes)
    return static, jittered(init(jax.random.key(1), static))


def in_float64(tree):
    return jax.tree.map(lambda x: np.asarray(x, np.float64), tree)


def plain_loop(static, params, face, barrier=None):
    """(outputs, points) of one face by the plain float64 loop of tests/reference. barrier: (x, first row, last row)."""
    model = static.model
    sizes = (model.steps, model.frequencies, model.reach, model.layers, model.hidden, model.channels, model.planes)
    exchange = (static.interaction.kind, static.interaction.linear)
    return reference.run(in_float64(params), face.astype(float), flow.size(static), *sizes, exchange, barrier)
