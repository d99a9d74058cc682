"""Phases of training: reconstruction alone, then also the structure losses, then also the geodesic loss.

The knobs `structure` and `geometry` are 0 before their phase begins, then 1.
"""

from typing import Any

import numpy as np

from ternary_jax.config.checks import length, unit
from ternary_jax.config.keys import integer, real
from ternary_jax.control import schedules
from ternary_jax.errors import ConfigError
from ternary_jax.vae import loss_factors
from ternary_jax.vae.controllers.declaration import Controller, ControllerParts
from ternary_jax.vae.loss_factors import Factor


def _make(static, scope):
    begins = dict(structure=static.phases.structure_from, geometry=static.phases.geometry_from)
    steps = np.arange(scope.plan.total)
    rows = {name: (steps >= scope.plan.unit * at).astype("float32") for name, at in begins.items()}
    return ControllerParts(schedules.follow(structure="structure", geometry="geometry"), rows)


def check(config: Any, losses: Any) -> None:
    """Check that the phases begin before the end of the run, and in order."""
    total, phases = length(config.train), config.phases
    if phases.geometry_from >= total:
        raise ConfigError(
            f"config.phases.geometry_from={phases.geometry_from} is never reached in config.train."
            f"{unit(config.train)}={total}: give an earlier one, or more {unit(config.train)}"
        )
    if phases.geometry_from < phases.structure_from:
        raise ConfigError(
            f"config.phases.geometry_from={phases.geometry_from} comes before the structure that it follows, "
            f"config.phases.structure_from={phases.structure_from}: give that epoch or a later one"
        )


CONTROLLER = Controller(
    name="phases",
    keys={
        "phases.structure_from": integer(0, 10**7),
        "phases.geometry_from": integer(0, 10**7),
        "phases.radial_after": real(0, 1, traced=True),
    },
    on=lambda static: bool(static.phases.geometry_from),
    make=_make,
    place=20,
    check=check,
    factors=(
        Factor("structure", loss_factors.STRUCTURE),
        Factor("geometry", ("radial",), value=lambda knob, hypers: 1 - (1 - hypers.phases.radial_after) * knob),
        Factor("geometry", ("geodesic",)),
    ),
)
