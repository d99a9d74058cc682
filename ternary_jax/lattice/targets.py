"""Maps of a face of values to one or two faces: what a lattice model is asked to learn, each with a known ceiling.

Inputs are independent and uniform in -amplitude .. amplitude, for `parity` one of the two. All maps but `route`, `gate`
and `parity` are linear. `gate` and `parity` need several inputs for each output: nothing that only moves values makes
them.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ternary_jax.config.keys import Key, choice, flag, integer, real
from ternary_jax.errors import ConfigError

MOVING = ("identity", "shift", "shift_wrapped", "mirror", "permutation")  # each output is one input, or 0
NAMES = (*MOVING, "blur", "dense", "route")
PRODUCTS = ("gate", "parity")  # each output is a product of inputs


class Target(NamedTuple):
    """A map of a face.

    table: an array with a row for each map of this name, the data of the task
    apply: a row of the table, inputs (B, height, width) -> (B, planes, height, width)
    planes: how many output faces
    signs: whether inputs are +-amplitude
    destinations: the table, (maps, S) int32: the number of the cell that each input goes to, -1 where to none; or None
    """

    table: np.ndarray
    apply: Any
    planes: int
    signs: bool
    destinations: np.ndarray | None


def make(name: str, width: int, height: int, shift: int, maps: int) -> Target:
    """The target of this name on a face of height x width cells.

    shift: cells to the right, of both shifts; what leaves the face is lost, or comes back on the left if it is wrapped
    maps: how many permutations or dense matrices there are; a run learns one of them
    """
    if name in MOVING:
        destinations = np.stack(_destinations(name, width, height, shift, maps)).astype(np.int32)
        return Target(_sources(destinations), _move, 1, False, destinations)
    if name == "dense":
        return Target(np.stack([orthogonal(seed, width * height) for seed in range(maps)]), _mix, 1, False, None)
    return Target(np.zeros((1, 0), np.float32), _OTHERS[name], planes(name), signs(name), None)


def inputs(key: Array, batch: int, width: int, height: int, amplitude: float, signs: bool = False) -> Array:
    """(batch, height, width), independent and uniform in -amplitude .. amplitude; signs: the ends alone."""
    drawn = jax.random.uniform(key, (batch, height, width), minval=-amplitude, maxval=amplitude)
    return jnp.where(drawn < 0, -amplitude, amplitude) if signs else drawn


def evaluated(number: int, width: int, height: int, amplitude: float, signs: bool = False) -> np.ndarray:
    """(number, height, width) inputs for all evaluations of all runs; no step draws them."""
    drawn = amplitude * (2 * uniform(20_000, number * height * width) - 1)
    return (
        (np.where(drawn < 0, -amplitude, amplitude) if signs else drawn).reshape(-1, height, width).astype(np.float32)
    )


def planes(name: str) -> int:
    """How many output faces the target of this name has."""
    return 2 if name == "route" else 1


def signs(name: str) -> bool:
    """Whether the inputs of the target of this name are +-amplitude."""
    return name == "parity"


def longest_way(name: str, width: int, height: int, shift: int, maps: int) -> int:
    """The most cells along x or y between an input and the output that it goes to; 0 where inputs go nowhere alone."""
    if name not in MOVING:
        return 0
    gone, sources = np.stack(_destinations(name, width, height, shift, maps)), np.arange(width * height)
    gone = np.where(gone < 0, sources, gone)
    return int(max(np.abs(gone % width - sources % width).max(), np.abs(gone // width - sources // width).max()))


def orthogonal(seed: int, n: int) -> np.ndarray:
    """An orthogonal matrix (n, n), drawn uniformly: the Q of normal entries, with the signs of the diagonal of R."""
    q, r = np.linalg.qr(normal(seed, n * n).reshape(n, n))
    return (q * np.sign(np.diagonal(r))).astype(np.float32)


def normal(seed: int, n: int) -> np.ndarray:
    """(n,) float64, standard normal, by Box-Muller: numpy may change its own normals in any release."""
    u, v = np.split(uniform(seed, 2 * n), 2)
    return np.sqrt(-2 * np.log1p(-u)) * np.cos(2 * np.pi * v)


def uniform(seed: int, n: int) -> np.ndarray:
    """(n,) float64, uniform in 0 .. 1, from the raw stream of PCG64, which no release of numpy changes (NEP 19)."""
    return np.random.PCG64(seed).random_raw(n).astype(np.float64) / 2.0**64


def permutation(seed: int, n: int) -> np.ndarray:
    """A random order of 0 .. n - 1."""
    return np.argsort(np.random.PCG64(seed).random_raw(n), kind="stable")


def keys(names: tuple[str, ...]) -> dict[str, Key]:
    """The keys of a config that choose one of these targets, and its faces; `check` has their rules."""
    return {
        "data.target": choice(*names),
        "data.shift": integer(0, 255),
        "data.maps": integer(1, 1024),
        "data.map": integer(0, 1023, traced=True),
        "data.shuffled": flag(),
        "data.amplitude": real(0, 10, excluded=(0,)),
        "data.evaluated": integer(2, 2**16),
    }


def check(config: Any) -> None:
    """Refuse a shift off the face or onto itself, products of one column, a map or another face that is not there."""
    data, width = config.data, config.lattice.width
    if data.target == "shift" and data.shift >= width:
        raise ConfigError(
            f"config.data.shift={data.shift} shifts everything off a face with config.lattice.width={width}: give a "
            "smaller shift"
        )
    if data.target == "shift_wrapped" and data.shift % width == 0:
        raise ConfigError(
            f"config.data.shift={data.shift} shifts a face with config.lattice.width={width} onto itself: give a shift "
            "that is no multiple of the width"
        )
    if data.target in ("gate", "parity") and width < 2:
        raise ConfigError(
            f"config.data.target={data.target} takes several values of a row, and config.lattice.width={width} has "
            "one: give a greater width"
        )
    if np.max(data.map) >= data.maps:
        raise ConfigError(
            f"config.data.map={np.max(data.map)} has to be less than config.data.maps={data.maps}: give a smaller "
            "number, or more maps"
        )
    if data.shuffled and config.train.batch_size == config.train.microbatches:
        raise ConfigError(
            f"config.data.shuffled=True takes the target of another face, and config.train.batch_size="
            f"{config.train.batch_size} with config.train.microbatches={config.train.microbatches} has one at a time: "
            "give a larger batch"
        )


# --- inside -----------------------------------------------------------------------------------------------------------


def _destinations(name, width, height, shift, maps):
    """The number of the cell that each input goes to, by map."""
    y, x = np.divmod(np.arange(width * height), width)
    if name == "permutation":
        return [permutation(seed, width * height) for seed in range(maps)]
    if name == "mirror":
        return [y * width + width - 1 - x]
    if name == "shift":
        return [np.where(x + shift < width, y * width + x + shift, -1)]
    return [y * width + (x + (shift if name == "shift_wrapped" else 0)) % width]


def _sources(destinations):
    """The inverse: the number of the input of each output, -1 where none arrives."""
    found = np.full_like(destinations, -1)
    for sources, gone in zip(found, destinations, strict=True):
        sources[gone[gone >= 0]] = np.flatnonzero(gone >= 0)
    return found


def _move(sources, x):
    values = x.reshape(len(x), -1)
    return jnp.where(sources < 0, 0, values[:, sources]).reshape(len(x), 1, *x.shape[1:])


def _mix(matrix, x):
    mixed = jnp.matmul(x.reshape(len(x), -1), matrix.T, precision=jax.lax.Precision.HIGHEST)
    return mixed.reshape(len(x), 1, *x.shape[1:])


def _blur(_, x):
    """The mean of the 3 x 3 cells around each, with zeros outside the face."""
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1)))
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return (rows[:, None, :, :-2] + rows[:, None, :, 1:-1] + rows[:, None, :, 2:]) / 9


def _route(_, x):
    """Positive values to the first face, negative ones to the second."""
    return jnp.stack([jnp.maximum(x, 0), jnp.minimum(x, 0)], 1)


def _gate(_, x):
    """Each value times the one on its right; the last of a row times the one on its left."""
    return (x * jnp.concatenate([x[..., 1:], x[..., -2:-1]], -1))[:, None]


def _parity(_, x):
    """The product of the signs of a row up to each cell."""
    return jnp.cumprod(jnp.sign(x), 2)[:, None]


_OTHERS = {"blur": _blur, "route": _route, "gate": _gate, "parity": _parity}
