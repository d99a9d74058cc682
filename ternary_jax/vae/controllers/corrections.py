"""How outputs of StateNet move knobs: by offsets that add up, each within the bounds of its knob."""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from ternary_jax.control.chain import Controls


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


def _room(turn, v):
    """The least and the greatest offset of a knob that was set to v, with 0 between them."""
    if turn.kind == "add":
        low, high = turn.low - v, turn.high - v
    elif turn.kind == "grow":
        low, high = jnp.log(turn.low / v), jnp.log(turn.high / v)
    else:
        low, high = math.log(turn.low), math.log(turn.high)
    return jnp.minimum(low, 0), jnp.maximum(high, 0)
