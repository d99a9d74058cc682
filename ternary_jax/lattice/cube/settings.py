"""The keys of a config of the cube, and the rules that involve several of them."""

from typing import Any

from ternary_jax.config.keys import choice, flag, integer, real, words
from ternary_jax.engine import start
from ternary_jax.errors import ConfigError
from ternary_jax.lattice import blur, targets
from ternary_jax.lattice.cube import cube
from ternary_jax.lattice.cube.cell import KINDS, WEIGHTS

TARGETS = (*(name for name in targets.NAMES if targets.planes(name) == 1), *targets.PRODUCTS)
CUBE = {  # of a cube, whatever it learns
    "lattice.width": integer(1, 256),
    "lattice.height": integer(1, 256),
    "lattice.depth": integer(1, 256),
    "model.cell": choice(*KINDS),
    "model.weights": choice(*WEIGHTS),
    "model.rank": integer(1, 256),
    "model.channels": integer(1, 4096),
    "model.private": integer(0, 4095),
    "model.hidden": integer(1, 8192),
    "model.carry": flag(),
    "model.readout": choice("own", "shared"),
    "model.schedule": choice("sweep", "all"),
    "model.repeats": integer(1, 64),
    "model.updates": integer(1, 10_000),
    "model.leak": real(0, 1, excluded=(0,)),
    "model.fire": real(0, 1, excluded=(0,)),
    "model.noise": real(0, 100),
    "model.dropout": real(0, 0.99),
    **start.KEYS,
    "start.frozen": words(),
}
KEYS = {
    **CUBE,
    **targets.keys(TARGETS),
    **blur.KEYS,
    "losses.window": flag(),
    "targets.r2": real(0, 1),
}


def check(config: Any) -> None:
    """Raise a ConfigError if keys contradict each other."""
    check_cube(config)
    targets.check(config)
    if config.model.schedule == "sweep" and config.losses.window:
        raise ConfigError(
            "config.losses.window=True is of the updates of config.model.schedule=all, and a sweep has one end: give "
            "config.losses.window=False"
        )


def check_cube(config: Any) -> None:
    """Raise a ConfigError if keys of CUBE contradict each other."""
    _check_private(config.model)
    _check_updates(config.model, config.lattice.depth)
    _check_fire(config.model)


def _check_private(model: Any) -> None:
    if model.private >= model.channels:
        raise ConfigError(
            f"config.model.private={model.private} of config.model.channels={model.channels} leave nothing that a cell "
            "shows: give fewer"
        )


def _check_updates(model: Any, depth: int) -> None:
    """Refuse an output that cannot depend on the input."""
    needed = cube.least_updates(model, depth)
    if model.schedule == "all" and model.updates < needed:
        raise ConfigError(
            f"config.model.updates={model.updates} do not reach the last layer of config.lattice.depth={depth}, as a "
            f"value moves by one cell in an update: give {needed} or more"
        )


def _check_fire(model: Any) -> None:
    if model.schedule == "sweep" and model.fire < 1:
        raise ConfigError(
            f"config.model.fire={model.fire} lets a share of the cells rest, and config.model.schedule=sweep updates "
            "each layer as a whole: give config.model.fire=1.0, or config.model.schedule=all"
        )
