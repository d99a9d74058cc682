"""The keys of a config of the energy-flow lattice, and the rules that involve several of them."""

import os
from typing import Any

import jax

from ternary_jax.config.keys import choice, flag, integer, real, words
from ternary_jax.engine import start
from ternary_jax.errors import ConfigError
from ternary_jax.lattice import blur, targets

FLOW = {  # of a model of flows, whatever it learns
    "lattice.width": integer(2, 256),
    "lattice.height": integer(2, 256),
    "lattice.depth": integer(2, 256),
    "model.steps": integer(2, 4096),
    "model.hidden": integer(2, 8192),
    "model.layers": integer(1, 64),
    "model.neuron_hidden": integer(1, 8192),
    "model.neuron_output": integer(1, 8192),
    "model.movement_hidden": integer(1, 8192),
    "model.movement_scale": real(0, 10),
    "model.frequencies": integer(0, 12),
    "model.channels": integer(1, 1024),
    "model.content": flag(),
    "model.zero_energy": flag(),
    "model.energy": choice("multiply", "tanh"),
    "model.reach": real(0, 256),
    "model.drift": real(0, 256),
    "model.planes": integer(1, 2),
    "model.walls": choice("inward", "through", "reflect", "clip"),
    "model.cells_scale": real(0, 10),
    "model.freeze": flag(),
    "model.still": flag(),
    "model.children": integer(0, 64),
    "model.children_scale": real(0, 10),
    "model.noise": real(0, 256),
    "model.dropout": real(0, 0.99),
    "model.collect": choice("spread", "round", "average"),
    "barrier.on": flag(),
    "barrier.x": real(0, 255),
    "barrier.first_row": integer(0, 255),
    "barrier.last_row": integer(0, 255),
    "barrier.softness": real(0, 256),
    "barrier.share": real(0, 1),
    "interaction.kind": choice("none", "pool", "attention", "field"),
    "interaction.messages": integer(1, 1024),
    "interaction.linear": flag(),
    "interaction.radius": integer(1, 64),
    "interaction.decay": real(0, 1),
    "losses.push.on": flag(),
    "losses.push.weight": real(0, 1000, traced=True),
    "losses.occupancy.on": flag(),
    "losses.occupancy.weight": real(0, 1000, traced=True),
    "losses.distance.on": flag(),
    "losses.distance.weight": real(0, 1000, traced=True),
    **start.KEYS,
    "start.frozen": words(),
}
KEYS = {
    **FLOW,
    **targets.keys(targets.NAMES),
    **blur.KEYS,
    "targets.r2": real(0, 1),
}


def check(config: Any) -> None:
    """Raise a ConfigError if keys contradict each other."""
    _check_target(config)
    targets.check(config)
    _check_ways(config)
    _check_amplitude(config)
    check_flow(config)


def check_flow(config: Any) -> None:
    """Raise a ConfigError if keys of FLOW contradict each other."""
    _check_drift(config)
    _check_energy(config)
    _check_what_stays(config)
    if config.barrier.on:
        _check_barrier(config)


def check_to_train(config: Any) -> None:
    """Raise a ConfigError if the flows that are trained at once do not fit this machine."""
    if jax.default_backend() == "cpu":
        _check_memory(config)


def _check_target(config: Any) -> None:
    """A target has as many output faces as the model."""
    data, planes = config.data, config.model.planes
    needed = targets.planes(data.target)
    if planes != needed:
        raise ConfigError(
            f"config.data.target={data.target} has {needed} output face{'s' * (needed > 1)}, and config.model.planes="
            f"{planes}: give config.model.planes={needed}"
        )


def _check_drift(config: Any) -> None:
    """Refuse flows that cannot reach an output face in their steps."""
    model, lattice = config.model, config.lattice
    away, most = lattice.depth - 1, model.drift * model.steps
    if model.planes == 2:
        away /= 2
    else:
        most *= 2
    if model.drift and most < away:
        raise ConfigError(
            f"config.model.steps={model.steps} of config.model.drift={model.drift} reach {most:g} cells of the {away:g}"
            f" to the output face of config.lattice.depth={lattice.depth}: give more steps, or config.model.drift=0.0, "
            "which follows from the two"
        )


def _check_ways(config: Any) -> None:
    """Refuse flows that cannot reach their targets along x and y, where only they carry values there.

    The detour around a barrier is not counted.
    """
    model, lattice, data = config.model, config.lattice, config.data
    way = targets.longest_way(data.target, lattice.width, lattice.height, data.shift, data.maps)
    if config.interaction.kind == "none" and not model.still and model.steps * model.reach < way:
        raise ConfigError(
            f"config.model.steps={model.steps} of config.model.reach={model.reach} are {model.steps * model.reach:g} "
            f"cells, and {data.target} takes a flow {way} cells across the face: give more steps, or a longer reach"
        )


def _check_energy(config: Any) -> None:
    """Refuse tanh energies that do not depend on the input."""
    model = config.model
    if model.energy == "tanh" and not model.content and config.interaction.kind == "none":
        raise ConfigError(
            "config.model.energy=tanh and config.model.content=False make outputs that do not depend on the input: "
            "give config.model.content=True, or config.model.energy=multiply"
        )


def _check_amplitude(config: Any) -> None:
    """Refuse inputs that are larger than tanh energies can be."""
    data = config.data
    if config.model.energy == "tanh" and data.amplitude > 1:
        raise ConfigError(
            f"config.model.energy=tanh makes energies between -1 and 1, and config.data.amplitude={data.amplitude}: "
            "give 1 or less, or config.model.energy=multiply"
        )


def _check_what_stays(config: Any) -> None:
    """Refuse held flows that go on sending messages, and flows that stand still and are moved by noise."""
    model, kind = config.model, config.interaction.kind
    if model.freeze and kind != "none":
        raise ConfigError(
            f"config.model.freeze=True holds flows that have arrived, and with config.interaction.kind={kind} they "
            "would go on sending messages from the way: turn one of the two off"
        )
    if model.still and model.noise:
        raise ConfigError(
            f"config.model.still=True and config.model.noise={model.noise}, which moves flows: give "
            "config.model.noise=0.0"
        )


def _check_barrier(config: Any) -> None:
    """A barrier is between two columns, has open and closed rows, and stops flows that move."""
    barrier, (width, height) = config.barrier, (config.lattice.width, config.lattice.height)
    if not 0 < barrier.x < width - 1 or barrier.x == int(barrier.x):
        raise ConfigError(
            f"config.barrier.x={barrier.x} has to lie between two columns of config.lattice.width={width}: give a "
            f"number between 0 and {width - 1} that is not whole, such as {(width - 1) // 2 + 0.5}"
        )
    if not barrier.first_row <= barrier.last_row < height:
        raise ConfigError(
            f"config.barrier.first_row={barrier.first_row} and config.barrier.last_row={barrier.last_row} have to be "
            f"rows of config.lattice.height={height}, in this order: give two numbers from 0 to {height - 1}"
        )
    if barrier.last_row - barrier.first_row + 1 == height:
        raise ConfigError(
            f"config.barrier.first_row={barrier.first_row} and config.barrier.last_row={barrier.last_row} open all "
            f"rows of config.lattice.height={height}: open fewer, or give config.barrier.on=False"
        )
    if config.model.still:
        raise ConfigError(
            "config.barrier.on=True stops flows that move along x, and with config.model.still=True none does: turn "
            "one of the two off"
        )


def _check_memory(config: Any) -> None:
    """What the backward pass keeps fits the memory of the machine, about."""
    model, lattice, train = config.model, config.lattice, config.train
    ways = config.runs * lattice.width * lattice.height * (1 + model.children)
    flows = ways * (train.batch_size // train.microbatches)
    numbers = numbers_per_flow(model, train.remat) * (flows if model.content else ways)
    needed = 4 * (numbers + flows * model.channels * model.steps)
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise ConfigError(
            f"{flows:,} flows at once (config.model.children={model.children}, config.train.batch_size="
            f"{train.batch_size}) need about {needed / 2**30:,.0f} GiB, and this machine has {there / 2**30:,.0f}: "
            "give fewer children, a smaller batch, more config.train.microbatches, or config.train.remat=True"
        )


def numbers_per_flow(model: Any, remat: bool) -> int:
    """About how many floats a way keeps for the backward pass: the state of all steps, and the activations of one.

    The energies, of which each sample has its own, are not counted. Without remat also the four sums of each layer of
    the carrier, of all steps.
    """
    state = model.layers * model.hidden + 5
    inside = 8 * model.neuron_hidden + 2 * model.neuron_output + 14 * model.layers * model.hidden
    sums = 0 if remat else 4 * model.layers * model.hidden
    return model.steps * (state + sums) + inside + 3 * model.movement_hidden
