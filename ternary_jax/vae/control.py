"""The controllers of a run: those of the table `CONTROLLERS` that are on in its config, as fields of its Task."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array

from ternary_jax.config.keys import Key, choice, real
from ternary_jax.errors import ConfigError
from ternary_jax.vae import loss_factors
from ternary_jax.vae.branch import BRANCHES
from ternary_jax.vae.controllers import CONTROLLERS
from ternary_jax.vae.controllers.declaration import Controller, Scope
from ternary_jax.vae.losses import registry

KEYS: dict[str, Key] = {
    "control": choice("none", "schedules", "statenet", "schedules+statenet"),
    **{f"knobs.{name}": real(0, 100, traced=True) for name in ("lambda_1", "lambda_2", "lambda_3", "ranking")},
    "knobs.tau": real(0, 1, traced=True),
    **{name: key for one in CONTROLLERS for name, key in one.keys.items()},
}


def stored(static: Any) -> dict[str, Any]:
    """{controller: the arrays that it needs from disk}, of the controllers that are on."""
    return {one.name: one.stored(static) for one in _controllers_on(static)}


def make_control(static: Any, scope: Scope) -> dict[str, Any]:
    """The fields controllers, schedules, signals and look_ahead of the Task: the controllers that are on, in order."""
    parts = {one.name: one.make(static, scope) for one in _controllers_on(static)}
    ahead = [part.look_ahead for part in parts.values() if part.look_ahead]
    if len(ahead) > 1:
        names = ", ".join(one.controller for one in ahead)
        raise ConfigError(f"the controllers {names} all learn by look-ahead, and a run can have one: turn others off")
    return dict(
        controllers={name: part.control for name, part in parts.items() if part.control},
        schedules={name: row for part in parts.values() for name, row in part.schedules.items()},
        signals=tuple(dict.fromkeys(name for part in parts.values() for name in part.signals)),
        look_ahead=ahead[0] if ahead else None,
    )


def knobs(static: Any, hypers: Any) -> dict[str, Array]:
    """The initial values of all knobs: those of the model, of the group `knobs` and of the controllers that are on."""
    found = {}
    if static.model.curvature == "controlled":
        found["c"] = hypers.model.c
    if any(getattr(static.model, b).posterior == "wrapped" for b in BRANCHES):
        found["sigma"] = hypers.prior.sigma
    if static.control != "none":
        found |= hypers.knobs._asdict() | {"rho": hypers.model.rho}
    for one in _controllers_on(static):
        found |= one.knobs(static, hypers)
    return {name: jnp.asarray(value) for name, value in found.items()}


def observed(static: Any, seen: Mapping[str, Any], terms: Mapping[str, Array], key: Array) -> dict[str, Array]:
    """The signals that only controllers read. seen: BranchOutput by branch; terms: of the losses; key: of the step."""
    return {name: x for one in _controllers_on(static) for name, x in one.observe(seen, terms, key).items()}


# The order fixes the rounding of products: shared knobs, then those of the controllers, the last of the chain first.
_FACTORS = (*loss_factors.SHARED, *(factor for one in reversed(CONTROLLERS) for factor in one.factors))
if _unknown := {name for factor in _FACTORS for name in factor.losses} - registry.table().keys():
    raise ValueError(
        f"factors scale {', '.join(sorted(_unknown))}, which are no losses: there are {', '.join(registry.table())}"
    )


def knob_factors(knobs: Mapping[str, Array], losses: Mapping[str, str], hypers: Any) -> loss_factors.Factors:
    """The factors of these knobs on the weights of the losses that are on."""
    return loss_factors.evaluated(_FACTORS, knobs, losses, hypers)


def check(config: Any, losses: Mapping[str, str]) -> None:
    """Raise the ConfigError of the first rule of the controllers that the config breaks. losses: those that are on."""
    _check_curvature(config)
    _check_injection(config)
    for one in CONTROLLERS:
        one.check(config, losses)


def _check_curvature(config):
    needed = config.prior.homeostat or "statenet" in config.control
    if needed != (config.model.curvature == "controlled"):
        raise ConfigError(
            "config.model.curvature=controlled goes with config.prior.homeostat=True, or with a config.control of "
            "statenet: set both, or neither"
        )


def _check_injection(config):
    if config.control != "none" and not config.model.cross_injection:
        raise ConfigError(
            f"config.control={config.control} has the knob rho, which only the cross-injection reads: set "
            "config.model.cross_injection=True, or config.control=none"
        )


def _controllers_on(static: Any) -> Iterator[Controller]:
    return (one for one in CONTROLLERS if one.on(static))
