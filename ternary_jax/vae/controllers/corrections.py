"""How the outputs of StateNet change knobs: through accumulated offsets, each within the bounds of its knob."""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from ternary_jax.control.chain import Controls


class KnobRule(NamedTuple):
    """How an output delta changes a knob of value v, through an offset o that starts at 0.

    kind: "add": v + o, with o += scale delta; "grow": v exp(o), with o += scale delta;
        "multiply": v exp(o), with o += log(1 + scale delta)
    low, high: bounds of the knob; of exp(o) for "multiply". If v itself is outside, v replaces the bound
    """

    kind: str
    scale: float
    low: float
    high: float


# Scales and bounds are those of v5.10, except for the bounds of the rate. v5.10 declared those of sigma and c, but
# never applied them; here sigma and c change by logarithms. v5.10 bounded the ranking weight itself by 0.1 and 1.5;
# here the factor on it has these bounds. If a homeostat sets sigma above 2, as in configs/v5_10.py, StateNet can only
# lower it.
KNOB_RULES = {
    "rate": KnobRule("multiply", 0.1, 0.02, 2.0),
    "lambda_1": KnobRule("add", 0.02, 0.5, 0.95),
    "lambda_2": KnobRule("add", 0.02, 0.5, 0.95),
    "lambda_3": KnobRule("add", 0.02, 0.15, 0.75),
    "ranking": KnobRule("multiply", 0.3, 0.1, 1.5),
    "sigma": KnobRule("grow", 0.05, 0.3, 2.0),
    "c": KnobRule("grow", 0.02, 0.5, 4.0),
    "tau": KnobRule("add", 0.1, 0.0, 1.0),
}
OUTPUTS = tuple(KNOB_RULES)


def new_offsets(knobs: dict[str, Array], offsets: dict[str, Array], outputs: Array) -> dict[str, Array]:
    """The offsets after another output of the network, (8,). knobs: their values without offsets.

    An offset stops where its knob meets a bound, so the next move away from the bound counts in full.
    """
    after = {}
    for (name, rule), delta in zip(KNOB_RULES.items(), outputs, strict=True):
        move = jnp.log1p(rule.scale * delta) if rule.kind == "multiply" else rule.scale * delta
        after[name] = jnp.clip(offsets[name] + move, *_offset_bounds(rule, knobs[name]))
    return after


def corrections(knobs: dict[str, Array], offsets: dict[str, Array]) -> dict[str, Array]:
    """The knobs with these offsets, within their bounds."""
    after = {}
    for name, rule in KNOB_RULES.items():
        offset = jnp.clip(offsets[name], *_offset_bounds(rule, knobs[name]))
        after[name] = knobs[name] + offset if rule.kind == "add" else knobs[name] * jnp.exp(offset)
    return knobs | after


def apply_offsets(controls: Controls, offsets: dict[str, Array]) -> Controls:
    """The Controls with these offsets on the knobs of KNOB_RULES; "rate" is a factor on all rates."""
    knobs = corrections(controls.knobs | {"rate": jnp.ones([])}, offsets)
    factor = knobs.pop("rate")
    return controls._replace(rates={group: factor * rate for group, rate in controls.rates.items()}, knobs=knobs)


def _offset_bounds(rule, v):
    """The least and the greatest offset of a knob of value v; 0 lies between them."""
    if rule.kind == "add":
        low, high = rule.low - v, rule.high - v
    elif rule.kind == "grow":
        low, high = jnp.log(rule.low / v), jnp.log(rule.high / v)
    else:
        low, high = math.log(rule.low), math.log(rule.high)
    return jnp.minimum(low, 0), jnp.maximum(high, 0)
