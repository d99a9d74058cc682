"""Constant factors on the learning rates of the groups of parameters."""

from functools import partial

from ternary_jax.config.keys import real
from ternary_jax.control import groups
from ternary_jax.vae.branch import BRANCHES
from ternary_jax.vae.controllers.declaration import Controller, ControllerParts

_rate = partial(real, 0, 1e3, traced=True)


def _make(static, scope):
    names = [*dict.fromkeys(group for own in scope.groups.values() for group in own)]
    names += ["curvature"] if static.model.curvature == "learned" else []
    names += ["controller"] if static.controller.on else []
    return ControllerParts(groups.scale(lambda hypers: {group: getattr(hypers.rates, group) for group in names}))


CONTROLLER = Controller(
    name="rates",
    keys={f"rates.{part}_{b}": _rate() for part in ("encoder", "projection", "decoder") for b in BRANCHES}
    | {"rates.curvature": _rate(), "rates.controller": _rate()},
    on=lambda static: True,
    make=_make,
    place=0,
)
