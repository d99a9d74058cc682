"""Balance of the two branches by the norms of their gradients, measured before clipping.

The norm of a branch is the root of the summed squares over its groups. r = B / A is the ratio of the running means of
the two norms; r = 1 until both norms are known, and where either is 0. The log shows r as control/balance/ratio.
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
from ternary_jax.vae import loss_factors
from ternary_jax.vae.branch import BRANCHES
from ternary_jax.vae.controllers.declaration import Controller, ControllerParts
from ternary_jax.vae.loss_factors import Factor


class Norms(NamedTuple):
    """Running means of the gradient norms of both branches, (). Both start at 0: this bias cancels in their ratio."""

    A: Array
    B: Array

    def ratio(self) -> Array:
        """r = B / A."""
        known = (self.A > 0) & (self.B > 0)
        return jnp.where(known, self.B, 1) / jnp.where(known, self.A, 1)


class Weights(NamedTuple):
    """The rule that changes the weights of the branches' losses.

    every: steps between two changes; rate: size of a change
    band: interval of r in which the weights do not change; bounds: of the weights
    """

    every: int
    rate: float
    band: tuple[float, float]
    bounds: tuple[float, float]


class BalanceState(NamedTuple):
    """norms: of both branches; moved: the offsets of lambda_1 and lambda_2, (2,); None if the weights do not change."""

    norms: Norms
    moved: Array | None


def names(groups: Sequence[str]) -> tuple[str, ...]:
    """The names of the signals with the gradient norms of these groups."""
    return tuple(f"gradient/{group}" for group in groups)


def norm(signals: Signals, groups: Sequence[str]) -> Array:
    """Gradient norm of these groups together, in the last step; +inf before the first."""
    return functools.reduce(jnp.hypot, [signals.last[name] for name in names(groups)])


def balance(
    groups_A: Sequence[str],
    groups_B: Sequence[str],
    decay: float,
    bounds: tuple[float, float] | None = None,
    weights: Weights | None = None,
) -> Control:
    """Scale the losses of the branches by r, or change their weights according to r, or both.

    bounds: sets the knobs balance_A = clip(r, *bounds) and balance_B = clip(1/r, *bounds), factors on the losses
    weights: changes the knobs lambda_1 of A and lambda_2 of B, see `_new_weights`
    decay: of the running means, per step; with `bounds`, more than 1/3. The factors are part of the gradients whose
        ratio is r. If r0 is the ratio without factors, and the factors apply to all losses of a branch, log r changes
        by (1 - decay)(log r0 - 3 log r) a step, to first order. It converges to r0^(1/3), where A still has the smaller
        gradients if r0 > 1; a decay of 1/3 would oscillate.
    """

    def init(hypers):
        norms = Norms(jnp.float32(0), jnp.float32(0))
        return BalanceState(norms, None if weights is None else jnp.zeros(2, jnp.float32))

    def update(state, signals, controls):
        norms = _updated_norms(state.norms, signals, groups_A, groups_B, decay)
        r, offsets, knobs = norms.ratio(), state.moved, controls.knobs
        if bounds is not None:
            knobs = knobs | {"balance_A": jnp.clip(r, *bounds), "balance_B": jnp.clip(1 / r, *bounds)}
        if weights is not None:
            before = jnp.stack([knobs["lambda_1"], knobs["lambda_2"]])
            after = _new_weights(weights, r, before, offsets, signals.step)
            knobs, offsets = knobs | {"lambda_1": after[0], "lambda_2": after[1]}, after - before
        return BalanceState(norms, offsets), controls._replace(knobs=knobs), {"ratio": r}

    return Control(init, update)


def _new_weights(rule: Weights, r: Array, before: Array, offsets: Array, step: Array) -> Array:
    """lambda_1 and lambda_2, (2,). before: their values without this controller; offsets: its changes so far.

    Once in `every` steps: where r > band[1], lambda_1 += rate and lambda_2 -= rate; where r < band[0] the reverse. So
    the branch with the smaller gradients gains weight. Each weight stays within `bounds`; a bound that excludes its
    value in `before` is moved to that value. The originals have the opposite rule, a positive feedback, in code that
    never runs.
    """
    due = step % rule.every == 0
    sign = jnp.where(due & (r > rule.band[1]), 1, jnp.where(due & (r < rule.band[0]), -1, 0))
    move = rule.rate * jnp.stack([sign, -sign]).astype(before.dtype)
    low, high = jnp.minimum(before, rule.bounds[0]), jnp.maximum(before, rule.bounds[1])
    return jnp.clip(before + offsets + move, low, high)


def _updated_norms(norms: Norms, signals: Signals, groups_A, groups_B, decay) -> Norms:
    """The running means after the last step; unchanged unless the norms of both branches are finite."""
    latest = Norms(norm(signals, groups_A), norm(signals, groups_B))
    both = jnp.isfinite(latest.A) & jnp.isfinite(latest.B)
    return Norms(*(mean_after(old, new, decay, both) for new, old in zip(latest, norms, strict=True)))


# --- of the ternary task ----------------------------------------------------------------------------------------------


def _make(static, scope):
    own, (a, b) = static.balance, scope.groups.values()
    bounds = (1 / own.most, own.most) if own.gradients else None
    weights = Weights(scope.plan.unit, own.rate, (1 / own.band, own.band), (own.least, own.greatest))
    control = balance(a, b, own.decay, bounds, weights if own.weights else None)
    return ControllerParts(control, signals=(*names(a), *names(b)))


def _knobs(static, hypers):
    return {name: getattr(hypers.knobs, name) for name in ("lambda_1", "lambda_2")} if static.balance.weights else {}


def check(config: Any, losses: Any) -> None:
    """Check that the lower bound of the weights is less than the upper."""
    own = config.balance
    if own.least >= own.greatest:
        raise ConfigError(
            f"config.balance.least={own.least} has to be less than config.balance.greatest={own.greatest}: lower it"
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
    factors=tuple(Factor(f"balance_{b}", loss_factors.AUTOENCODER, b) for b in BRANCHES),
)
