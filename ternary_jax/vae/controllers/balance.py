"""Balance of the two branches by the norms of their gradients, measured before clipping.

The norm of a branch is the root of the summed squares over its groups, and r = B / A the ratio of the running means of
the two norms: 1 until both were seen, and where either is 0. r is reported as control/balance/ratio.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from ternary_jax.config.keys import flag, real
from ternary_jax.control.chain import Control, Signals
from ternary_jax.control.running import mean_after
from ternary_jax.errors import ConfigError
from ternary_jax.vae import factors
from ternary_jax.vae.branch import BRANCHES
from ternary_jax.vae.controllers.declaration import Controller, Part
from ternary_jax.vae.factors import Factor


class Norms(NamedTuple):
    """Running sums of the norms of both branches, (): as both began with 0, their ratio is that of means."""

    A: Array
    B: Array

    def ratio(self) -> Array:
        """r = B / A."""
        known = (self.A > 0) & (self.B > 0)
        return jnp.where(known, self.B, 1) / jnp.where(known, self.A, 1)


class Weights(NamedTuple):
    """How the weights of the branches' losses are moved against r.

    every: steps between two moves; rate: of a move
    band: r within it moves nothing; bounds: of the weights
    """

    every: int
    rate: float
    band: tuple[float, float]
    bounds: tuple[float, float]


class BalanceState(NamedTuple):
    """norms: of both branches; moved: lambda_1 and lambda_2 less what they were set to, (2,); None where they stay."""

    norms: Norms
    moved: Array | None


def names(groups: Sequence[str]) -> tuple[str, ...]:
    """The signals of the last step that hold the norms of these groups."""
    return tuple(f"gradient/{group}" for group in groups)


def norm(signals: Signals, groups: Sequence[str]) -> Array:
    """Norm of the gradient of these groups together, in the last step; +inf before the first."""
    return functools.reduce(jnp.hypot, [signals.last[name] for name in names(groups)])


def balance(
    groups_A: Sequence[str],
    groups_B: Sequence[str],
    decay: float,
    bounds: tuple[float, float] | None = None,
    weights: Weights | None = None,
) -> Control:
    """Scale the losses of the branches against r, or move their weights, or both.

    bounds: sets the knobs balance_A = clip(r, *bounds) and balance_B = clip(1/r, *bounds), factors on the losses
    weights: moves the knobs lambda_1 of A and lambda_2 of B, see `_moved`
    decay: of the running means, per step; with `bounds` more than 1/3. For with these factors on the losses, r is a
        ratio of norms that have them in it. Where r0 is the one without, and the factors are on all losses of a branch,
        log r moves by (1 - decay)(log r0 - 3 log r) a step, to first order: it settles at r0^(1/3), with the gradients
        of A still the smaller where r0 > 1, and at 1/3 it would swing.
    """

    def init(hypers):
        norms = Norms(jnp.float32(0), jnp.float32(0))
        return BalanceState(norms, None if weights is None else jnp.zeros(2, jnp.float32))

    def update(state, signals, controls):
        norms, moved, knobs = _followed(state.norms, signals, groups_A, groups_B, decay), state.moved, controls.knobs
        r = norms.ratio()
        if bounds is not None:
            knobs = knobs | {"balance_A": jnp.clip(r, *bounds), "balance_B": jnp.clip(1 / r, *bounds)}
        if weights is not None:
            before = jnp.stack([knobs["lambda_1"], knobs["lambda_2"]])
            after = _moved(weights, r, before, moved, signals.step)
            knobs, moved = knobs | {"lambda_1": after[0], "lambda_2": after[1]}, after - before
        return BalanceState(norms, moved), controls._replace(knobs=knobs), {"ratio": r}

    return Control(init, update)


def _moved(rule: Weights, r: Array, before: Array, moved: Array, step: Array) -> Array:
    """lambda_1 and lambda_2, (2,), that were set to `before`, and are off it by `moved` so far.

    Once in `every` steps: where r > band[1], lambda_1 += rate and lambda_2 -= rate; where r < band[0] the reverse; each
    within `bounds`, or where it was set to if that is outside. So the branch with the smaller gradients gains. In the
    originals it was the one with the larger, which feeds on itself; but there the rule never ran.
    """
    due = step % rule.every == 0
    sign = jnp.where(due & (r > rule.band[1]), 1, jnp.where(due & (r < rule.band[0]), -1, 0))
    move = rule.rate * jnp.stack([sign, -sign]).astype(before.dtype)
    low, high = jnp.minimum(before, rule.bounds[0]), jnp.maximum(before, rule.bounds[1])
    return jnp.clip(before + moved + move, low, high)


def _followed(norms: Norms, signals: Signals, groups_A, groups_B, decay) -> Norms:
    """The norms after the last step; without both of them, as before the first, what they were."""
    seen = Norms(norm(signals, groups_A), norm(signals, groups_B))
    both = jnp.isfinite(seen.A) & jnp.isfinite(seen.B)
    return Norms(*(mean_after(old, new, decay, both) for new, old in zip(seen, norms, strict=True)))


# --- of the ternary task ----------------------------------------------------------------------------------------------


def _make(static, scope):
    own, (a, b) = static.balance, scope.groups.values()
    bounds = (1 / own.most, own.most) if own.gradients else None
    weights = Weights(scope.plan.unit, own.rate, (1 / own.band, own.band), (own.least, own.greatest))
    control = balance(a, b, own.decay, bounds, weights if own.weights else None)
    return Part(control, signals=(*names(a), *names(b)))


def _knobs(static, hypers):
    return {name: getattr(hypers.knobs, name) for name in ("lambda_1", "lambda_2")} if static.balance.weights else {}


def check(config: Any, losses: Any) -> None:
    """The bounds of the weights are in order."""
    own = config.balance
    if own.least >= own.greatest:
        raise ConfigError(
            f"config.balance.least={own.least} has to be less than config.balance.greatest={own.greatest}: give less"
        )


CONTROLLER = Controller(
    name="balance",
    keys={
        "balance.gradients": flag(),
        "balance.weights": flag(),
        "balance.decay": real(0.5, 0.9999),
        "balance.most": real(1, 1e3),
        "balance.rate": real(0, 1),
        "balance.band": real(1, 1e3),
        "balance.least": real(0, 100),
        "balance.greatest": real(0, 100),
    },
    on=lambda static: static.balance.gradients or static.balance.weights,
    make=_make,
    place=50,
    check=check,
    knobs=_knobs,
    factors=tuple(Factor(f"balance_{b}", factors.AUTOENCODER, b) for b in BRANCHES),
)
