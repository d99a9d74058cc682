"""The homeostat of the prior: a wrapped normal at the origin, of scale sigma, in a ball of curvature -c.

A draw of it, exp_0(sigma eps / 2), has the geodesic radius sigma |eps| at every c, in the mean sigma m(d) with

    m(d) = E |eps| = sqrt 2 Gamma((d + 1) / 2) / Gamma(d / 2), about sqrt(d - 1/2)

in d dimensions. So sigma follows R, the mean radius of the draws that are decoded, and the prior covers them. c
brings the KL per coordinate, K, to its target. Where sqrt(c)|z| is what a model says, as of a direction-radius
projection, a radius 2 artanh(sqrt(c)|z|) / sqrt(c) shrinks as c rises, and K falls; where it says a tangent vector, as
exp_0 takes it, the radius stays, a draw from there lies the further out the more space is bent, and K rises:

    log sigma += rate_sigma clip(log(R / (sigma m(d))), -1, 1)
    log c     += +-rate_c   clip(log(K / target), -1, 1), + where K falls with c

R and K are running means. Errors are of a logarithm and bounded, so no signal moves c by more than a factor
exp(rate_c n) in n steps: a rate of less than log(bound / start) over the number of steps never meets the bound. In the
originals the target was 1 nat for all 16 coordinates together, where the KL was 40 to 120, and c met its bound within
an epoch.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from ternary_jax.config.keys import flag, real
from ternary_jax.control.chain import Control
from ternary_jax.control.running import mean_after
from ternary_jax.errors import ConfigError
from ternary_jax.vae.controllers.declaration import Controller, Part


class Rule(NamedTuple):
    """How the prior is moved.

    decay: of the running means, per step
    kl: the target of the KL of one coordinate, nats
    falls: whether the KL falls as c rises, see above
    sigma_rate, c_rate: what a logarithm moves by in a step, at an error of a factor e and more
    sigma_bounds, c_bounds: the least and the greatest value
    """

    decay: float
    kl: float
    falls: bool
    sigma_rate: float
    c_rate: float
    sigma_bounds: tuple[float, float]
    c_bounds: tuple[float, float]


class PriorState(NamedTuple):
    """log_sigma, log_c: of the prior; radius, kl: running means of R and K, which begin where nothing is turned."""

    log_sigma: Array
    log_c: Array
    radius: Array
    kl: Array


def homeostat(
    start: Callable[[Any], tuple[Any, Any]], rule: Rule, dim: int, radii: tuple[str, ...], kls: tuple[str, ...]
) -> Control:
    """Set the knobs sigma and c. start: hypers -> sigma and c of the first step.

    radii, kls: names among the signals of the last step, whose means are R, and d K, summed over the coordinates
    """
    log_m = math.log(2) / 2 + math.lgamma((dim + 1) / 2) - math.lgamma(dim / 2)

    def init(hypers):
        log_sigma, log_c = (jnp.log(jnp.float32(x)) for x in start(hypers))
        return PriorState(log_sigma, log_c, jnp.exp(log_sigma + log_m), jnp.float32(rule.kl))

    def update(state, signals, controls):
        wide = jnp.exp(state.log_sigma + log_m)
        radius = _followed(state.radius, _mean(signals, radii), wide, rule.decay)
        kl = _followed(state.kl, _mean(signals, kls) / dim, rule.kl, rule.decay)
        log_sigma = _moved(state.log_sigma, rule.sigma_rate, jnp.log(radius / wide), rule.sigma_bounds)
        over = jnp.log(kl / rule.kl)
        log_c = _moved(state.log_c, rule.c_rate, over if rule.falls else -over, rule.c_bounds)
        knobs = controls.knobs | {"sigma": jnp.exp(log_sigma), "c": jnp.exp(log_c)}
        return PriorState(log_sigma, log_c, radius, kl), controls._replace(knobs=knobs), {}

    return Control(init, update)


def _mean(signals, names):
    return jnp.mean(jnp.stack([signals.last[name] for name in names]))


def _followed(mean, x, about, decay):
    """The running mean after x, which is not counted where it is not finite, as before the first step.

    What is off by more than a factor e^2 counts as that: it says no more, and one such value would be remembered for
    thousands of steps. So the mean stays positive, also where a sampled KL was not.
    """
    seen = jnp.isfinite(x)
    x = jnp.clip(jnp.where(seen, x, about), about * math.exp(-2), about * math.exp(2))
    return mean_after(mean, x, decay, seen)


def _moved(log, rate, error, bounds):
    return jnp.clip(log + rate * jnp.clip(error, -1, 1), math.log(bounds[0]), math.log(bounds[1]))


# --- of the ternary task ----------------------------------------------------------------------------------------------


def _make(static, scope):
    own, bounds, branches = static.prior, (static.prior.least, static.prior.most), scope.losses["prior"]
    falls = getattr(static.model, branches[0]).projection == "direction_radius"
    rule = Rule(own.decay, own.kl, falls, own.sigma_rate, own.c_rate, bounds, bounds)
    radii, kls = (tuple(f"{kind}_{b}" for b in branches) for kind in ("drawn_radius", "prior"))

    def begin(hypers):
        return hypers.prior.sigma, hypers.model.c

    return Part(homeostat(begin, rule, static.model.dim, radii, kls), signals=(*radii, *kls))


def check(config: Any, losses: Any) -> None:
    """A homeostat has a prior to move, which begins within its bounds, and one way in which c moves it."""
    if config.prior.homeostat:
        branches = losses.get("prior", "")
        _check_loss(branches)
        _check_projections(config.model, branches)
        _check_begin("prior.sigma", config.prior.sigma, config.prior)
        _check_begin("model.c", config.model.c, config.prior)


def _check_loss(branches):
    if not branches:
        raise ConfigError("config.prior.homeostat=True moves a prior that is off: set config.losses.prior.on")


def _check_projections(model, branches):
    if len({model[b].projection for b in branches}) > 1:
        raise ConfigError(
            "config.prior.homeostat=True moves one c for both branches, and it acts the other way on a "
            "direction_radius than on an exp_map: set config.model.A.projection and .B.projection to the same"
        )


def _check_begin(key, values, prior):
    for value in np.atleast_1d(values):
        if not prior.least <= value <= prior.most:
            raise ConfigError(
                f"config.{key}={value} is outside config.prior.least={prior.least} to config.prior.most={prior.most}, "
                "where the homeostat holds it: give a value between them"
            )


CONTROLLER = Controller(
    name="prior",
    keys={
        "prior.sigma": real(1e-6, 1e6, traced=True),
        "prior.homeostat": flag(),
        "prior.decay": real(0, 0.9999),
        "prior.kl": real(1e-3, 1e3),
        "prior.sigma_rate": real(0, 1),
        "prior.c_rate": real(0, 1),
        "prior.least": real(1e-3, 1),
        "prior.most": real(1, 1e3),
    },
    on=lambda static: static.prior.homeostat,
    make=_make,
    place=40,
    check=check,
    observe=lambda seen, terms, key: {f"drawn_radius_{b}": jnp.mean(one.drawn.r) for b, one in seen.items()},
)
