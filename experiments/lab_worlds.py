"""Worlds: runs of one config that differ in what no schedule of the step alone can fit.

A world is a few numbers of one run, traced and vmapped over runs, so one compiled program plays all worlds of a `Size`:

    rate     factor on all learning rates, exp U(log 1/4, log 8)
    scale    factor on the initial weight matrices, exp U(log 1/2, log 2)
    noise    norm of a noise that is added to the gradient of each step, exp U(log 0.03, log 1); clipping is at 1
    weights  factors on the weights of two of the losses WEIGHED, exp U(log 0.3, log 3); R has those of the config
    shock    at a random time, one of KINDS

A world lies between a run and its player: `inside` gives the task as this world has it. The rate is a controller, the
last of the chain, so that no player sees its factor; weights, noise and wrong labels are in the loss; the scale is in
`init`; `shocked` moves an encoder between two steps. `inside` closes over the traced world, so neither the engine nor
the carry of a run knows of worlds, and a world is never checkpointed: it is drawn again from its number. A part that is
None is not in the program at all; a part of its NEUTRAL value is, and changes nothing.

A loss that a world weighs, and the noise, are not in the loss terms that a player reads: they are unweighted, and the
noise has the value 0. Worlds of training, validation and test have numpy generators and run seeds of their own.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from ternary_jax.control.chain import Control

SPLITS = ("training", "validation", "test")
SEEDS = 5 * 10**8  # run seeds of each split; those of other experiments are below 10**8
FIRST_SEED = 2 * 10**8
SEEDS_OF_WORLD = 16  # the most runs of one world
RATE, SCALE, NOISE, WEIGHT = (1 / 4, 8.0), (1 / 2, 2.0), (0.03, 1.0), (0.3, 3.0)
WEIGHED = ("reconstruction", "prior", "stratification", "ranking_v2")  # losses of v5_10 that knobs of a player scale
KINDS = ("weights", "rate", "labels")
CALM = -1  # the kind of a world without a shock
ENCODERS = ("encoder_A", "encoder_B")
JUMP = 8.0  # factor on the rates in a shock of the rate
AT = (0.25, 0.75)  # shares of a run between which a shock begins
LENGTH = (0.03, 0.08)  # of a shock of the rate or of the labels, as a share of the run
SIZE = (0.3, 1.0)  # of a shock of the weights: length of the move over the norm of the encoder
STREAM = 300  # of the key of a step, see `ternary_jax.vae.streams`


class Size(NamedTuple):
    """A group of runs of one shape, which one program plays: its space 3^n_digits, batch and epochs."""

    n_digits: int
    batch: int
    epochs: int


TRAINING_SIZES = (Size(5, 48, 80), Size(6, 48, 27), Size(7, 96, 20))  # 480, 432 and 460 steps
TEST_SIZES = (Size(7, 96, 20), Size(9, 512, 54))  # the second has 2,106 steps


class Shock(NamedTuple):
    """A shock of one run; steps at <= step < end.

    kind: of KINDS, or CALM. "weights": after the step `at`, an encoder moves by size x its norm, in a direction that is
        drawn once; "rate": the rates are JUMP times as high; "labels": the loss reads the digits of other operations,
        by one permutation, beside valuations and indices of the right ones
    size, encoder: of a shock of the weights; encoder: of ENCODERS
    seed: of the direction, and of the permutation
    """

    kind: Any
    at: Any
    end: Any
    size: Any
    encoder: Any
    seed: Any


class World(NamedTuple):
    """The numbers of a world, see the module. weights: factor by loss. None: a part that no run of the program has."""

    rate: Any = None
    scale: Any = None
    noise: Any = None
    weights: Any = None
    shock: Any = None


# --- drawing worlds ---------------------------------------------------------------------------------------------------


def draw(split: str, numbers: Any, steps: int) -> World:
    """The worlds of these numbers of a split, arrays (n,); steps: of a run."""
    found = [_one(np.random.default_rng((SPLITS.index(split), int(k))), steps) for k in numbers]
    return jax.tree.map(lambda *x: np.stack(x), *found)


def _one(rng, steps):
    def spread(low, high):
        return np.float32(math.exp(rng.uniform(math.log(low), math.log(high))))

    rate, scale, noise = spread(*RATE), spread(*SCALE), spread(*NOISE)
    weights = dict.fromkeys(WEIGHED, np.float32(1))
    weights |= {WEIGHED[k]: spread(*WEIGHT) for k in rng.choice(len(WEIGHED), 2, replace=False)}
    kind, at, length = rng.integers(len(KINDS)), round(rng.uniform(*AT) * steps), round(rng.uniform(*LENGTH) * steps)
    size, encoder, seed = rng.uniform(*SIZE), rng.integers(len(ENCODERS)), rng.integers(2**31)
    whole = (np.int32(x) for x in (kind, at, at + max(1, length), encoder, seed))
    kind, at, end, encoder, seed = whole
    return World(rate, scale, noise, weights, Shock(kind, at, end, np.float32(size), encoder, seed))


def neutral(n: int) -> World:
    """n worlds that change nothing, in the program that plays all worlds."""
    one, none, still = np.float32(1), np.float32(0), np.int32(0)
    world = World(one, one, none, dict.fromkeys(WEIGHED, one), Shock(np.int32(CALM), still, still, none, still, still))
    return jax.tree.map(lambda x: np.repeat(x[None], n), world)


def run_seeds(split: str, numbers: Any, each: int = 1) -> np.ndarray:
    """(n each,) seeds of `each` runs of each world, world after world; no two splits share one."""
    if each > SEEDS_OF_WORLD:
        raise ValueError(f"{each} runs of one world: there are seeds for {SEEDS_OF_WORLD}")
    first = FIRST_SEED + SEEDS * SPLITS.index(split) + SEEDS_OF_WORLD * np.asarray(numbers, np.int64)
    return (first[:, None] + np.arange(each)[None]).ravel().astype(np.int32)


def rows(worlds: World) -> list[dict[str, Any]]:
    """The worlds as flat rows of a result, one a run."""
    shock = worlds.shock._asdict()
    weights = {f"weight_{name}": x for name, x in worlds.weights.items()}
    parts = worlds._replace(weights=None, shock=None)._asdict()
    flat = {name: x for name, x in parts.items() if x is not None} | weights
    flat |= {f"shock_{name}": x for name, x in shock.items() if name not in ("kind", "seed")}
    return [
        {"shock": "none" if kind == CALM else KINDS[kind]} | {name: x[k].item() for name, x in flat.items()}
        for k, kind in enumerate(shock["kind"])
    ]


# --- what a world changes, of one run ---------------------------------------------------------------------------------


def inside(task: Any, world: World, data: Any) -> Any:
    """The task as this world has it. Call it where a run is traced, not in a step. data: `Task.data`, on the device."""
    if world.scale is not None:
        task = task._replace(init=functools.partial(_scaled, task.init, world.scale))
    if world.rate is not None or world.shock is not None:
        task = task._replace(controllers={**task.controllers, "world": _rates(world)})
    if (world.noise, world.weights, world.shock) != (None, None, None):
        task = task._replace(loss=_loss(task.loss, world, data))
    return task


def shocked(world: World, params: Any) -> Callable[[Any, Array], Any] | None:
    """state, number of the step -> the state after a shock of the weights; None in worlds without shocks.

    The direction is drawn here, outside of the scan. params: for their shapes
    """
    if world.shock is None:
        return None
    shock, directions = world.shock, {}
    for k, group in enumerate(ENCODERS):
        vector, back = ravel_pytree(params[group])
        drawn = jax.random.normal(jax.random.fold_in(jax.random.key(shock.seed), k), vector.shape)
        directions[group] = back(drawn / jnp.linalg.norm(drawn))

    def moved(state, number):
        changed = {}
        for k, group in enumerate(ENCODERS):
            own, now = state.params[group], is_on(shock, "weights", number) & (number == shock.at)
            length = shock.size * jnp.linalg.norm(ravel_pytree(own)[0])
            changed[group] = _moved_if(now & (shock.encoder == k), own, length, directions[group])
        return state._replace(params=state.params | changed)

    return moved


def _moved_if(condition, params, length, direction):
    return jax.tree.map(lambda x, e: jnp.where(condition, x + length * e, x), params, direction)


def is_on(shock: Shock, kind: str, step: Any) -> Any:
    """Whether the shock is of this kind, and the step is within it."""
    return (shock.kind == KINDS.index(kind)) & (shock.at <= step) & (step < shock.end)


def _scaled(init, scale, key, hypers):
    """Initial parameters with all matrices times the scale; biases, gains and a learned c stay."""
    return jax.tree.map(lambda x: scale * x if x.ndim > 1 else x, init(key, hypers))


def _rates(world):
    def update(state, signals, controls):
        factor = jnp.float32(1) if world.rate is None else world.rate
        if world.shock is not None:
            factor = factor * jnp.where(is_on(world.shock, "rate", signals.step), JUMP, 1)
        return state, controls._replace(rates={group: factor * x for group, x in controls.rates.items()}), {}

    return Control(lambda hypers: (), update)


def _loss(loss, world, data):
    """The loss under the weights of the world, of wrong labels during such a shock, with noise in its gradient."""
    wrong = None if world.shock is None else _permuted(data.operations, world.shock.seed)

    def of(params, batch, context):
        if world.weights is not None:
            context = context._replace(hypers=_weighted(context.hypers, world.weights))
        if wrong is not None:
            on, right = is_on(world.shock, "labels", context.step), context.data.operations
            context = context._replace(data=context.data._replace(operations=jnp.where(on, wrong, right)))
        found = loss(params, batch, context)
        if world.noise is not None:
            found = found._replace(total=found.total + noise_term(params, context.key, world.noise))
        return found

    return of


def _permuted(rows, seed):
    return rows[jax.random.permutation(jax.random.key(seed), len(rows))]


def _weighted(hypers, weights):
    """The hypers with these factors on the weights of losses. The loss alone sees them: R and the log do not."""
    losses = hypers.losses
    for name, factor in weights.items():
        own = getattr(losses, name)
        losses = losses._replace(**{name: own._replace(weight=factor * own.weight)})
    return hypers._replace(losses=losses)


def noise_term(params: Any, key: Array, norm: Any) -> Array:
    """<params - sg(params), noise>: 0, with the noise of this norm as its gradient.

    The noise of a parameter is +-norm / sqrt(number of parameters): a random bit costs a thirtieth of a normal draw,
    of which a step of a small network would spend half of its time, and Adam averages the signs over many steps.
    """
    vector, _ = ravel_pytree(params)
    words = jax.random.bits(jax.random.fold_in(key, STREAM), (-(-vector.size // 32),))
    bits = (words[:, None] >> jnp.arange(32, dtype=jnp.uint32)[None]) & 1
    signs = 2 * bits.ravel()[: vector.size].astype(vector.dtype) - 1
    return jnp.vdot(vector - jax.lax.stop_gradient(vector), norm / math.sqrt(vector.size) * signs)
