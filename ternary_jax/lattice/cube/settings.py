"""The keys of a config of the cube, and the rules that involve several of them."""

from typing import Any

from ternary_jax.config.keys import choice, flag, integer, real, words
from ternary_jax.engine import start
from ternary_jax.errors import ConfigError
from ternary_jax.lattice import blur, targets
from ternary_jax.lattice.cube import cube, drives, losses
from ternary_jax.lattice.cube.cell import KINDS, WEIGHTS

STREAMED = tuple(name for name in targets.MOVING if name != "shift")  # maps from bits to bits
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
    "wall.on": flag(),
    "wall.hole": integer(1, 256),
    **start.KEYS,
    "start.frozen": words(),
}
KEYS = {
    **CUBE,
    **targets.keys(TARGETS),
    **blur.KEYS,
    "data.drive": choice(*drives.KINDS),
    "data.shown": integer(1, 10_000),
    "data.every": integer(1, 10_000),
    "pool.on": flag(),
    "pool.size": integer(1, 2**20),
    "pool.fresh": real(0, 1, excluded=(0,)),
    "pool.damage": real(0, 1),
    "pool.block": integer(1, 256),
    "losses.window": choice("end", "mean", "random"),
    **{f"losses.{name}.on": flag() for name in losses.NAMES},
    **{f"losses.{name}.weight": real(0, 1000, traced=True) for name in losses.NAMES},
    "targets.r2": real(0, 1),
}


def check(config: Any) -> None:
    """Raise a ConfigError if keys contradict each other."""
    check_cube(config)
    targets.check(config)
    _check_sweep(config)
    _check_losses(config)
    if config.data.drive == "pulse":
        _check_pulse(config)
    if config.data.drive == "stream":
        _check_stream(config)
    if config.pool.on:
        _check_pool(config)


def check_cube(config: Any) -> None:
    """Raise a ConfigError if keys of CUBE contradict each other."""
    _check_private(config.model)
    _check_updates(config.model, config.lattice.depth)
    _check_fire(config.model)
    if config.wall.on:
        _check_wall(config)


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


def _check_wall(config: Any) -> None:
    """A wall has a layer before and after it, and a hole that is smaller than the face."""
    lattice, hole = config.lattice, config.wall.hole
    if lattice.depth < 3:
        raise ConfigError(
            f"config.wall.on=True needs layers on both sides of the wall, and config.lattice.depth={lattice.depth} "
            "has none: give a depth of 3 or more, or config.wall.on=False"
        )
    if hole > min(lattice.width, lattice.height) or hole == lattice.width == lattice.height:
        raise ConfigError(
            f"config.wall.hole={hole} leaves no wall, or is larger than the face of config.lattice.width="
            f"{lattice.width} by config.lattice.height={lattice.height}: give fewer cells, or config.wall.on=False"
        )


def _check_sweep(config: Any) -> None:
    """Refuse what needs several updates by a face, where a sweep has one."""
    if config.model.schedule != "sweep":
        return
    for key, value, plain in (
        ("losses.window", config.losses.window, "end"),
        ("data.drive", config.data.drive, "held"),
        ("pool.on", config.pool.on, False),
    ):
        if value != plain:
            raise ConfigError(
                f"config.{key}={value} needs config.model.schedule=all, as a sweep passes each layer once and keeps "
                f"no states: give config.{key}={plain}, or config.model.schedule=all"
            )


def _check_losses(config: Any) -> None:
    """The objective depends on the target, and layers are compared where there are two."""
    own = config.losses
    if not (own.fit.on or own.cosine.on):
        raise ConfigError(
            "config.losses.fit.on=False and config.losses.cosine.on=False leave no loss that depends on the target: "
            "give one of them True"
        )
    if own.blur.width and not own.fit.on:
        raise ConfigError(
            f"config.losses.blur.width={own.blur.width} blurs the residual of config.losses.fit, and config.losses.fit."
            "on=False leaves it out: give config.losses.blur.width=0.0, or config.losses.fit.on=True"
        )
    if own.layers.on and config.lattice.depth == 1:
        raise ConfigError(
            "config.losses.layers.on=True compares adjacent layers, and config.lattice.depth=1 has one: give a greater "
            "depth, or config.losses.layers.on=False"
        )


def _check_pulse(config: Any) -> None:
    shown, updates = config.data.shown, config.model.updates
    if shown >= updates:
        raise ConfigError(
            f"config.data.shown={shown} drives until the answer after config.model.updates={updates}, so there is "
            "nothing to remember: give fewer, or config.data.drive=held"
        )


def _check_stream(config: Any) -> None:
    """A stream has maps from bits to bits, and as many updates as a number of whole bits takes."""
    data, updates = config.data, config.model.updates
    if data.target not in STREAMED:
        raise ConfigError(
            f"config.data.target={data.target} does not map bits to bits, which config.data.drive=stream needs: give "
            f"{', '.join(STREAMED)}"
        )
    if data.shown > data.every:
        raise ConfigError(
            f"config.data.shown={data.shown} drives longer than config.data.every={data.every}, after which the next "
            "bit comes: give fewer"
        )
    arrival = cube.least_updates(config.model, config.lattice.depth)
    if updates < data.every + arrival - 1 or (updates - arrival + 1) % data.every:
        raise ConfigError(
            f"config.model.updates={updates} are no whole number of bits, each config.data.every={data.every} updates, "
            f"and the {arrival - 1} after which the last one arrives: give n x {data.every} + {arrival - 1} for n "
            f"bits, such as {8 * data.every + arrival - 1}"
        )


def _check_pool(config: Any) -> None:
    """A pool holds a batch, its block fits into the cube, and its entries have one face."""
    pool, lattice, batch = config.pool, config.lattice, config.train.batch_size
    least = min(lattice.width, lattice.height, lattice.depth)
    if config.data.drive == "stream":
        raise ConfigError(
            "config.pool.on=True goes on with the face of each state, and config.data.drive=stream has a new one for "
            "each bit: give config.pool.on=False"
        )
    if pool.size < batch:
        raise ConfigError(
            f"config.pool.size={pool.size} is less than config.train.batch_size={batch}, and no state is drawn twice "
            "in a step: give a larger pool, or a smaller batch"
        )
    if pool.damage and pool.block > least:
        raise ConfigError(
            f"config.pool.block={pool.block} cells do not fit into the {lattice.width} x {lattice.height} x "
            f"{lattice.depth} cells of the cube: give {least} or fewer"
        )
