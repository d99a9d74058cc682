"""The homeostat of the prior: it sets the scale sigma of a wrapped normal at the origin, and c, minus the curvature.

A draw exp_0(sigma eps / 2) from the prior has the geodesic radius sigma |eps| at every c. Its mean is sigma m(d), with

    m(d) = E |eps| = sqrt 2 Gamma((d + 1) / 2) / Gamma(d / 2), about sqrt(d - 1/2)

in d dimensions. sigma follows R, the mean radius of the decoded draws, so that the prior covers them. c brings the KL
per coordinate, K, to its target. The sign depends on the projection. A direction-radius projection fixes sqrt(c)|z|:
the radius 2 artanh(sqrt(c)|z|) / sqrt(c) shrinks as c rises, and K falls. A projection by exp_0 fixes the tangent
vector: its radius does not depend on c, draws around it lie further out as c grows, and K rises.

    log sigma += rate_sigma clip(log(R / (sigma m(d))), -1, 1)
    log c     += +-rate_c   clip(log(K / target), -1, 1), + if K falls as c rises

R and K are running means. The errors are clipped logarithms, so n steps change c by at most a factor exp(rate_c n): a
rate below log(bound / start) / steps never meets the bound. In the originals, the target was 1 nat for all 16
coordinates together, where the KL was 40 to 120, and c met its bound within an epoch.
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
from ternary_jax.vae.controllers.declaration import Controller, ControllerParts


class Rule(NamedTuple):
    """The parameters of the homeostat.

    decay: of the running means, per step
    kl: target KL of one coordinate, nats
    falls: whether the KL falls as c rises, see the module
    sigma_rate, c_rate: greatest change of log sigma and log c in a step
    sigma_bounds, c_bounds: least and greatest value
    """

    decay: float
    kl: float
    falls: bool
    sigma_rate: float
    c_rate: float
    sigma_bounds: tuple[float, float]
    c_bounds: tuple[float, float]


class PriorState(NamedTuple):
    """log_sigma, log_c: of the prior; radius, kl: running means of R and K, whose initial errors are 0."""

    log_sigma: Array
    log_c: Array
    radius: Array
    kl: Array


def homeostat(
    start: Callable[[Any], tuple[Any, Any]], rule: Rule, dim: int, radii: tuple[str, ...], kls: tuple[str, ...]
) -> Control:
    """Set the knobs sigma and c. start: hypers -> initial (sigma, c).

    radii, kls: names of signals of the last step; the mean of the radii is R, the mean of the KLs is d K
    """
    log_m = math.log(2) / 2 + math.lgamma((dim + 1) / 2) - math.lgamma(dim / 2)

    def init(hypers):
        log_sigma, log_c = (jnp.log(jnp.float32(x)) for x in start(hypers))
        return PriorState(log_sigma, log_c, jnp.exp(log_sigma + log_m), jnp.float32(rule.kl))

    def update(state, signals, controls):
        prior_radius = jnp.exp(state.log_sigma + log_m)
        radius = _updated_mean(state.radius, _mean(signals, radii), prior_radius, rule.decay)
        kl = _updated_mean(state.kl, _mean(signals, kls) / dim, rule.kl, rule.decay)
        log_sigma = _step(state.log_sigma, rule.sigma_rate, jnp.log(radius / prior_radius), rule.sigma_bounds)
        error = jnp.log(kl / rule.kl)
        log_c = _step(state.log_c, rule.c_rate, error if rule.falls else -error, rule.c_bounds)
        knobs = controls.knobs | {"sigma": jnp.exp(log_sigma), "c": jnp.exp(log_c)}
        return PriorState(log_sigma, log_c, radius, kl), controls._replace(knobs=knobs), {}

    return Control(init, update)


def _mean(signals, names):
    return jnp.mean(jnp.stack([signals.last[name] for name in names]))


def _updated_mean(mean, x, about, decay):
    """The running mean after x, clipped to a factor e^2 around `about`; unchanged if x is not finite.

    The clip keeps one outlier from dominating the mean for thousands of steps, and keeps the mean positive although a
    sampled KL may be negative.
    """
    known = jnp.isfinite(x)
    x = jnp.clip(jnp.where(known, x, about), about * math.exp(-2), about * math.exp(2))
    return mean_after(mean, x, decay, known)


def _step(log, rate, error, bounds):
    return jnp.clip(log + rate * jnp.clip(error, -1, 1), math.log(bounds[0]), math.log(bounds[1]))


# --- of the ternary task ----------------------------------------------------------------------------------------------


def _make(static, scope):
    own, bounds, branches = static.prior, (static.prior.least, static.prior.most), scope.losses["prior"]
    falls = getattr(static.model, branches[0]).projection == "direction_radius"
    rule = Rule(own.decay, own.kl, falls, own.sigma_rate, own.c_rate, bounds, bounds)
    radii, kls = (tuple(f"{kind}_{b}" for b in branches) for kind in ("drawn_radius", "prior"))
    control = homeostat(lambda hypers: (hypers.prior.sigma, hypers.model.c), rule, static.model.dim, radii, kls)
    return ControllerParts(control, signals=(*radii, *kls))


def check(config: Any, losses: Any) -> None:
    """Check that the prior is on, that c has one sign of effect, and that sigma and c start within their bounds."""
    if not config.prior.homeostat:
        return
    if not (branches := losses.get("prior", "")):
        raise ConfigError("config.prior.homeostat=True moves a prior that is off: set config.losses.prior.on")
    if len({config.model[b].projection for b in branches}) > 1:
        raise ConfigError(
            "config.prior.homeostat=True moves one c for both branches, but c has opposite effects on a "
            "direction_radius and an exp_map: set config.model.A.projection and .B.projection to the same"
        )
    low, high = config.prior.least, config.prior.most
    for key, values in {"prior.sigma": config.prior.sigma, "model.c": config.model.c}.items():
        if outside := [value for value in np.atleast_1d(values) if not low <= value <= high]:
            raise ConfigError(
                f"config.{key}={outside[0]} is outside config.prior.least={low} to config.prior.most={high}, the "
                "bounds of the homeostat: give a value between them"
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
    observe=lambda outputs, terms, key: {f"drawn_radius_{b}": jnp.mean(one.drawn.r) for b, one in outputs.items()},
)
