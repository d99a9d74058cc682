"""StateNet: a network that sees the state of a training and turns its controls, a little at a time.

Attention over groups of inputs, a bottleneck of 14, and 8 corrections (8,274 parameters):

    x = sign(s) log(1 + |s|) of the 20 inputs s; what is not finite, as before the first step, is 0
    a = softmax(dense 12(x)), a weight for each group of inputs
    h = dense 14(relu(dense 64(tanh(layer norm(dense 64(a x))))))
    delta = tanh(dense 8(relu(dense 64(h)))), in (-1, 1)

That of the documents has two more heads of attention, of 126 and 84 parameters, whose weights nothing reads; they are
left out. The last layer begins as 0, and then nothing is turned. A factor on all rates and seven knobs are moved, by
`TURNS`, off what the controllers before this one have set them to, and moves add up. The factor of the originals, 1 +
0.1 delta, did not: without a schedule, no network could have brought a rate down. There nothing trained the network;
here `delta`, `moved`, `corrections` and the update of the Control are differentiable in its parameters.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from ternary_jax.control import balance
from ternary_jax.control.chain import Control, Controls, Signals
from ternary_jax.initializers import uniform

# What is seen, in order; the inputs of a group share a weight.
GROUPS = (
    ("entropy_A",),
    ("entropy_B",),
    ("kl_A",),
    ("kl_B",),
    ("gradient_ratio", "rho"),
    ("lambda_1", "lambda_2", "lambda_3"),
    ("coverage_A", "coverage_B", "missing"),
    ("ranking_A", "ranking_B"),
    ("radius_A", "radius_B"),
    ("sigma", "c"),
    ("radial",),
    ("tau",),
)
INPUTS = tuple(name for group in GROUPS for name in group)
ADAM = optax.scale_by_adam()


class Turn(NamedTuple):
    """How delta moves a knob, by an offset o that begins as 0; v is what the knob was set to.

    kind: "add", v + o, with o += scale delta; "grow", v exp(o), with o += scale delta; "multiply", v exp(o), with
        o += log(1 + scale delta)
    low, high: of the knob; of "multiply", of exp(o). Where v itself is beyond them, it is the bound
    """

    kind: str
    scale: float
    low: float
    high: float


# Scales and bounds are those of v5.10; of sigma and c, those that it had and never applied, by logarithms. There the
# ranking weight itself was held in 0.1 .. 1.5, here the factor on it is. Of the rate the bounds are ours. Where a
# homeostat has brought sigma beyond 2, as in configs/v5_10.py, it can only be lowered.
TURNS = {
    "rate": Turn("multiply", 0.1, 0.02, 2.0),
    "lambda_1": Turn("add", 0.02, 0.5, 0.95),
    "lambda_2": Turn("add", 0.02, 0.5, 0.95),
    "lambda_3": Turn("add", 0.02, 0.15, 0.75),
    "ranking": Turn("multiply", 0.3, 0.1, 1.5),
    "sigma": Turn("grow", 0.05, 0.3, 2.0),
    "c": Turn("grow", 0.02, 0.5, 4.0),
    "tau": Turn("add", 0.1, 0.0, 1.0),
}
OUTPUTS = tuple(TURNS)


class Sources(NamedTuple):
    """Under which names the inputs are found that are not knobs.

    last: of the last step: entropy_A, entropy_B, kl_A, kl_B, radius_A, radius_B, radial
    running: of the last step too, whose running means are seen: coverage_A, coverage_B, ranking_A, ranking_B
    groups_A, groups_B: of parameters, whose gradients make gradient_ratio, B / A
    """

    last: dict[str, str]
    running: dict[str, str]
    groups_A: tuple[str, ...]
    groups_B: tuple[str, ...]

    def signals(self) -> tuple[str, ...]:
        """What a task lists in its signals for these."""
        return (
            *self.last.values(),
            *self.running.values(),
            *balance.names(self.groups_A),
            *balance.names(self.groups_B),
        )


class StateNetState(NamedTuple):
    """What StateNet carries.

    params: of the network; adam: of its optimizer; rate: that it learns at
    running: means of `Sources.running`, by the name of the input
    offsets: of each of TURNS, ()
    """

    params: Any
    adam: Any
    rate: Array
    running: dict[str, Array]
    offsets: dict[str, Array]


class StateNet(nn.Module):
    """x (20,) -> delta (8,) in (-1, 1), all 0 at the start."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        attention = nn.softmax(_dense(len(GROUPS), "attention")(x))
        h = nn.LayerNorm(name="norm")(_dense(64, "encoder_0")(attention[_GROUP_OF] * x))
        h = _dense(14, "encoder_2")(nn.relu(_dense(64, "encoder_1")(nn.tanh(h))))
        h = nn.relu(_dense(64, "decoder_0")(h))
        return nn.tanh(nn.Dense(len(OUTPUTS), kernel_init=nn.initializers.zeros, name="decoder_1")(h))


def init(key: Array) -> Any:
    """The parameters, with which nothing is turned yet."""
    return StateNet().init(key, jnp.zeros(len(INPUTS), jnp.float32))["params"]


def save(path: Path, params: Any) -> None:
    """As arrays by LAYER/NAME, for `load`."""
    arrays: Any = {f"{layer}/{name}": np.asarray(a) for layer, part in params.items() for name, a in part.items()}
    np.savez(path, **arrays)


def load(path: Path) -> Any:
    """The parameters that `save` has written. A ValueError where they are not those of this network."""
    with np.load(path) as file:
        found = {name: np.float32(file[name]) for name in file.files}
    layers = jax.eval_shape(init, jax.random.key(0))
    wanted = {f"{layer}/{name}": a.shape for layer, part in layers.items() for name, a in part.items()}
    given = {name: a.shape for name, a in found.items()}
    if differ := [name for name in wanted | given if wanted.get(name) != given.get(name)]:
        raise ValueError(f"{', '.join(differ)} in {path} are not those of this network")
    if bad := [name for name, a in found.items() if not np.isfinite(a).all()]:
        raise ValueError(f"{', '.join(bad)} in {path} are not finite")
    return {layer: {name: found[f"{layer}/{name}"] for name in part} for layer, part in layers.items()}


def delta(params: Any, seen: dict[str, Array]) -> Array:
    """What the network says, (8,), in the order of OUTPUTS; seen: each of INPUTS, ()."""
    s = jnp.stack([seen[name] for name in INPUTS])
    s = jnp.where(jnp.isfinite(s), s, 0)
    said: Any = StateNet().apply({"params": params}, jnp.sign(s) * jnp.log1p(jnp.abs(s)))
    return said


def followed(running: dict[str, Array], signals: Signals, sources: Sources, decay: float) -> dict[str, Array]:
    """The running means after the last step; what is not finite, as before the first, is not there."""
    last = {name: signals.last[found] for name, found in sources.running.items()}
    return {
        name: mean + (1 - decay) * (jnp.where(jnp.isfinite(last[name]), last[name], mean) - mean)
        for name, mean in running.items()
    }


def observe(signals: Signals, running: dict[str, Array], knobs: dict[str, Array], sources: Sources) -> dict[str, Array]:
    """Each of INPUTS; what has no source is a knob."""
    seen = {name: signals.last[found] for name, found in sources.last.items()} | running
    of_A, of_B = balance.norm(signals, sources.groups_A), balance.norm(signals, sources.groups_B)
    known = jnp.isfinite(of_A) & jnp.isfinite(of_B) & (of_A > 0)
    seen["gradient_ratio"] = jnp.where(known, of_B, 0) / jnp.where(known, of_A, 1)
    seen["missing"] = 1 - jnp.maximum(seen["coverage_A"], seen["coverage_B"])
    return {name: seen[name] if name in seen else knobs[name] for name in INPUTS}


def moved(knobs: dict[str, Array], offsets: dict[str, Array], said: Array) -> dict[str, Array]:
    """The offsets once the network has said this, (8,), of knobs that were set to these.

    An offset ends where its knob meets a bound, so that the next move away from there counts in full.
    """
    after = {}
    for (name, turn), one in zip(TURNS.items(), said, strict=True):
        move = jnp.log1p(turn.scale * one) if turn.kind == "multiply" else turn.scale * one
        after[name] = jnp.clip(offsets[name] + move, *_room(turn, knobs[name]))
    return after


def corrections(knobs: dict[str, Array], offsets: dict[str, Array]) -> dict[str, Array]:
    """The knobs with these offsets, within their bounds."""
    after = {}
    for name, turn in TURNS.items():
        offset = jnp.clip(offsets[name], *_room(turn, knobs[name]))
        after[name] = knobs[name] + offset if turn.kind == "add" else knobs[name] * jnp.exp(offset)
    return knobs | after


def turned(controls: Controls, offsets: dict[str, Array]) -> Controls:
    """All rates and the knobs of TURNS moved by these offsets."""
    knobs = corrections(controls.knobs | {"rate": jnp.ones([])}, offsets)
    factor = knobs.pop("rate")
    return controls._replace(rates={group: factor * rate for group, rate in controls.rates.items()}, knobs=knobs)


def statenet(begin: Callable[[Any], tuple[Any, Any]], sources: Sources, interval: int, decay: float) -> Control:
    """Correct the rates and knobs anew at every `interval`-th step, and hold corrections in between.

    begin: hypers -> parameters of the network, and the rate that it learns at. It sees the knobs with the corrections
        so far.
    decay: of the running means, per step; they begin as 0
    """

    def start(hypers):
        params, rate = begin(hypers)
        return StateNetState(
            params=params,
            adam=ADAM.init(params),
            rate=jnp.asarray(rate),
            running={name: jnp.zeros([]) for name in sources.running},
            offsets={name: jnp.zeros([]) for name in TURNS},
        )

    def update(state, signals, controls):
        state = state._replace(running=followed(state.running, signals, sources, decay))
        knobs = controls.knobs | {"rate": jnp.ones([])}

        def renewed(state):
            now = corrections(knobs, state.offsets)
            said = delta(state.params, observe(signals, state.running, now, sources))
            return state._replace(offsets=moved(knobs, state.offsets, said))

        state = jax.lax.cond(signals.step % interval == 0, renewed, lambda state: state, state)
        return state, turned(controls, state.offsets)

    return Control(start, update)


def descend(state: StateNetState, slope: Any) -> StateNetState:
    """The state after a step of Adam along the gradient of the parameters."""
    updates, adam = ADAM.update(slope, state.adam)
    params = jax.tree.map(lambda p, u: p - state.rate * u, state.params, updates)
    return state._replace(params=params, adam=adam)


_GROUP_OF = np.repeat(np.arange(len(GROUPS), dtype=np.int32), [len(group) for group in GROUPS])


def _dense(width, name):
    return nn.Dense(width, name=name, kernel_init=uniform)


def _room(turn, v):
    """The least and the greatest offset of a knob that was set to v, with 0 between them."""
    if turn.kind == "add":
        low, high = turn.low - v, turn.high - v
    elif turn.kind == "grow":
        low, high = jnp.log(turn.low / v), jnp.log(turn.high / v)
    else:
        low, high = math.log(turn.low), math.log(turn.high)
    return jnp.minimum(low, 0), jnp.maximum(high, 0)
