"""The keys of a config of the ternary task, and the rules between several keys."""

from typing import Any

from ternary_jax.config.keys import Key, choice, flag, real
from ternary_jax.engine import start
from ternary_jax.vae import branch, control, data, geometry
from ternary_jax.vae.losses import radial, registry

KEYS: dict[str, Key] = {
    **data.KEYS,
    **branch.KEYS,
    **geometry.KEYS,
    "model.c": registry.positive(),
    "model.curvature": choice("fixed", "learned", "controlled"),
    "model.cross_injection": flag(),
    "model.rho": real(0, 1, traced=True),
    "radii.inner": registry.share(),
    "radii.outer": registry.share(),
    **registry.config_keys(),
    **control.KEYS,
    **start.KEYS,
    "targets.coverage_B": real(0, 1),
    "targets.hierarchy_B": real(-1, 1),
}


def check(config: Any) -> None:
    """Raise a ConfigError if keys contradict each other."""
    data.check_split(config.data)
    data.check_batch(config)
    branch.check(config.model)
    geometry.check(config)
    radial.check_shares(config, "radii", "inner", "outer")
    registry.check(config)
    control.check(config, registry.on(config.losses))
