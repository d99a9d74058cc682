"""Curriculum from structure to ranking: tau, the share of the ranking in a mix, follows the radial loss.

    tau <- clip(tau + rate clip(1 - radial / aim, -1, 1), 0, 1)

While the radial loss is over its aim tau falls, back to the radii; under it tau rises, by up to `rate` a step, and the
ranking takes over. Where the loss is weighed by 1 - tau, this closes a loop: as the radii lose weight their loss grows,
until it is at the aim and tau rests, or tau is 1 and the radii hold by themselves. A rule by time would leave them
whether they are in order or not. The error is bounded, as one bad batch is to cost no more than a step; tau sums up all
of them, so no running mean is needed. In the originals an untrained network moved tau, and the ranking was always 0.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from ternary_jax.config.keys import flag, real
from ternary_jax.control.chain import Control
from ternary_jax.errors import ConfigError
from ternary_jax.vae import factors
from ternary_jax.vae.controllers.declaration import Controller, Part


def curriculum(start: Callable[[Any], Any], rate: float, aim: float, radial: tuple[str, ...]) -> Control:
    """Set the knob tau, and carry it, (). start: hypers -> tau before the first step.

    rate: per step, small: 1 / rate steps at least lie between all radii and all ranking
    aim: of the radial loss, positive; radial: its names among the signals of the last step, which are averaged
    """

    def update(tau, signals, controls):
        loss = jnp.mean(jnp.stack([signals.last[name] for name in radial]))
        loss = jnp.where(jnp.isfinite(loss), loss, aim)  # before the first step
        tau = jnp.clip(tau + rate * jnp.clip(1 - loss / aim, -1, 1), 0, 1)
        return tau, controls._replace(knobs=controls.knobs | {"tau": tau}), {}

    return Control(lambda hypers: jnp.asarray(start(hypers), jnp.float32), update)


# --- of the ternary task ----------------------------------------------------------------------------------------------


def _make(static, scope):
    own = static.curriculum
    radial = tuple(f"{loss}_{b}" for loss in factors.RADIAL for b in scope.losses.get(loss, ""))  # their first terms
    return Part(curriculum(lambda hypers: hypers.knobs.tau, own.rate, own.aim, radial), signals=radial)


def check(config: Any, losses: Any) -> None:
    """A curriculum has radial losses to follow, and knobs to turn."""
    if config.curriculum.on and (losses.keys().isdisjoint(factors.RADIAL) or config.control == "none"):
        raise ConfigError(
            "config.curriculum.on=True follows the radial losses, and mixes them with the ranking: set the `on` of one "
            f"of {', '.join(factors.RADIAL)}, and config.control"
        )


CONTROLLER = Controller(
    name="curriculum",
    keys={"curriculum.on": flag(), "curriculum.rate": real(0, 1), "curriculum.aim": real(1e-6, 1e6)},
    on=lambda static: static.curriculum.on,
    make=_make,
    place=60,
    check=check,
)
