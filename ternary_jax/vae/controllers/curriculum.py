"""Curriculum from structure to ranking: tau, the share of the ranking in a mix, follows the radial loss.

    tau <- clip(tau + rate clip(1 - radial / aim, -1, 1), 0, 1)

While the radial loss exceeds its aim, tau falls and the radial losses gain weight; below the aim, tau rises by up to
`rate` a step and the ranking losses gain weight. As the weight of the radial losses is 1 - tau, this is a feedback
loop: they grow as they lose weight, until they are at the aim and tau is constant, or tau is 1. A schedule by time
would drop the radial losses whether the radii are in order or not. The clipped error limits the effect of one bad batch
to one step; tau integrates the errors, so no running mean is needed. In the originals, an untrained network set tau,
and the ranking loss was always 0.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from ternary_jax.config.keys import flag, real
from ternary_jax.control.chain import Control
from ternary_jax.errors import ConfigError
from ternary_jax.vae import loss_factors
from ternary_jax.vae.controllers.declaration import Controller, ControllerParts


def curriculum(start: Callable[[Any], Any], rate: float, aim: float, radial: tuple[str, ...]) -> Control:
    """Set the knob tau from the carried tau, (). start: hypers -> tau before the first step.

    rate: greatest change of tau per step; tau takes at least 1 / rate steps from 0 to 1
    aim: target of the radial loss, positive; radial: signals of the last step whose mean is the radial loss
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
    # The first term of each radial loss.
    radial = tuple(f"{loss}_{b}" for loss in loss_factors.RADIAL for b in scope.losses.get(loss, ""))
    return ControllerParts(curriculum(lambda hypers: hypers.knobs.tau, own.rate, own.aim, radial), signals=radial)


def check(config: Any, losses: Any) -> None:
    """Check that one of the radial losses is on, and that the config has the knob tau."""
    if config.curriculum.on and (losses.keys().isdisjoint(loss_factors.RADIAL) or config.control == "none"):
        raise ConfigError(
            "config.curriculum.on=True follows the radial losses, and mixes them with the ranking: set the `on` of one "
            f"of {', '.join(loss_factors.RADIAL)}, and config.control"
        )


CONTROLLER = Controller(
    name="curriculum",
    keys={"curriculum.on": flag(), "curriculum.rate": real(0, 1), "curriculum.aim": real(1e-6, 1e6)},
    on=lambda static: static.curriculum.on,
    make=_make,
    place=60,
    check=check,
)
