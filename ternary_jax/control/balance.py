"""Two branches of one model, held against each other by the norms of their gradients, measured before clipping.

The norm of a branch is the root of the summed squares over its groups, and r = B / A the ratio of the running means of
the two norms: 1 until both were seen, and where either is 0. A task that chains one of these lists `names` of both
branches among its signals.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from ternary_jax.control.chain import Control, Signals


class Norms(NamedTuple):
    """Running sums of the norms of both branches, (): as both began with 0, their ratio is that of means."""

    A: Array
    B: Array

    def ratio(self) -> Array:
        """r = B / A."""
        known = (self.A > 0) & (self.B > 0)
        return jnp.where(known, self.B, 1) / jnp.where(known, self.A, 1)


class Weights(NamedTuple):
    """norms: of both branches; moved: by how much lambda_1 and lambda_2 are off what they were set to, (2,)."""

    norms: Norms
    moved: Array


def names(groups: Sequence[str]) -> tuple[str, ...]:
    """What a controller reads of these groups in the signals of the last step."""
    return tuple(f"gradient/{group}" for group in groups)


def norm(signals: Signals, groups: Sequence[str]) -> Array:
    """Of the gradient of these groups together, in the last step; +inf before the first."""
    return functools.reduce(jnp.hypot, [signals.last[name] for name in names(groups)])


def gradient_balance(
    groups_A: Sequence[str], groups_B: Sequence[str], decay: float, low: float, high: float
) -> Control:
    """Factors on the losses of the branches: knobs balance_A = clip(r, low, high), balance_B = clip(1/r, low, high).

    decay: of the running means, per step, more than 1/3. For with these factors on the losses, r is a ratio of norms
    that have them in it. Where r0 is the one without, and the factors are on all losses of a branch, log r moves by
    (1 - decay)(log r0 - 3 log r) a step, to first order: it settles at r0^(1/3), with the gradients of A still the
    smaller where r0 > 1, and at 1/3 it would swing.
    """

    def update(norms, signals, controls):
        norms = _followed(norms, signals, groups_A, groups_B, decay)
        r = norms.ratio()
        balance = {"balance_A": jnp.clip(r, low, high), "balance_B": jnp.clip(1 / r, low, high)}
        return norms, controls._replace(knobs=controls.knobs | balance)

    return Control(lambda hypers: _none_seen(), update)


def balance_weights(
    groups_A: Sequence[str],
    groups_B: Sequence[str],
    decay: float,
    every: int,
    rate: float,
    band: tuple[float, float],
    bounds: tuple[float, float],
) -> Control:
    """Move the weights of the branches' losses, knobs lambda_1 of A and lambda_2 of B, against the ratio r.

    Once in `every` steps: where r > band[1], lambda_1 += rate and lambda_2 -= rate; where r < band[0] the reverse; each
    within `bounds`, or where it was set to if that is outside. So the branch with the smaller gradients gains. In the
    originals it was the one with the larger, which feeds on itself; but there the rule never ran.
    """

    def update(state, signals, controls):
        norms = _followed(state.norms, signals, groups_A, groups_B, decay)
        r = norms.ratio()
        due = signals.step % every == 0
        sign = jnp.where(due & (r > band[1]), 1, jnp.where(due & (r < band[0]), -1, 0))
        before = jnp.stack([controls.knobs["lambda_1"], controls.knobs["lambda_2"]])
        step = rate * jnp.stack([sign, -sign]).astype(before.dtype)
        low, high = jnp.minimum(before, bounds[0]), jnp.maximum(before, bounds[1])
        after = jnp.clip(before + state.moved + step, low, high)
        knobs = controls.knobs | {"lambda_1": after[0], "lambda_2": after[1]}
        return Weights(norms, after - before), controls._replace(knobs=knobs)

    return Control(lambda hypers: Weights(_none_seen(), jnp.zeros(2, jnp.float32)), update)


def _none_seen():
    return Norms(jnp.float32(0), jnp.float32(0))


def _followed(norms: Norms, signals: Signals, groups_A, groups_B, decay) -> Norms:
    """The norms after the last step; without both of them, as before the first, what they were."""
    seen = Norms(norm(signals, groups_A), norm(signals, groups_B))
    both = jnp.isfinite(seen.A) & jnp.isfinite(seen.B)
    seen = Norms(*(jnp.where(both, new, old) for new, old in zip(seen, norms, strict=True)))
    return Norms(*(old + (1 - decay) * (new - old) for new, old in zip(seen, norms, strict=True)))
