"""The geometry of the latent space: the ball of curvature -c, or R^n where c is None.

`model.geometry` chooses it once, in `forward.curvature`: all else asks c. R^n is a geometry of its own and not the ball
of c = 0, which does not exist: its c is None, so a formula of the ball that is used there by mistake raises an error.

Convention of R^n: the limit c -> 0 of the ball, as in geoopt for k = 0. The metric is lambda^2 |dz|^2 with lambda = 2,
so d(x, y) = 2|x - y|, exp_x(v) = x + v, log_x(y) = y - x, and transport and `project` are identities. With
d(x, y) = |x - y| instead, every width, margin and target of a loss would be twice as long as it is in the ball.

A share f of the ball's radius, as the targets of the radii and `max_radius` are, is the radius 2 artanh(f) of c = 1. So
radii, their targets and the tangent vectors log_0(z) are those of the ball, and only the distances of points off one
ray differ. R^n is where the parameters are too: nothing is projected, and the optimizer is the one of the parameters.
"""

from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ternary_jax import poincare
from ternary_jax.config.keys import Key, choice
from ternary_jax.config.split import per_run
from ternary_jax.errors import ConfigError
from ternary_jax.precision import safe_sqrt

KEYS: dict[str, Key] = {"model.geometry": choice("poincare", "euclidean")}
C = ArrayLike | None


def dist(x: Array, y: Array, c: C) -> Array:
    """d(x, y) of two points (dim,); 2|x - y| in R^n. Gradient 0 at x = y."""
    return 2 * safe_sqrt(jnp.sum(jnp.square(x - y))) if c is None else poincare.dist(x, y, c)


def squared_dist(x: Array, y: Array, c: C) -> Array:
    """d(x, y)^2; 4|x - y|^2 in R^n."""
    return 4 * jnp.sum(jnp.square(x - y)) if c is None else poincare.squared_dist(x, y, c)


def dist0(x: Array, c: C) -> Array:
    """d(0, x); 2|x| in R^n."""
    return 2 * safe_sqrt(jnp.sum(jnp.square(x))) if c is None else poincare.dist0(x, c)


def log0(x: Array, c: C) -> Array:
    """log_0(x); x in R^n."""
    return x if c is None else poincare.log0(x, c)


def norm(z: Array, c: C) -> Array:
    """sqrt(c)|z| in [0, 1), or |z| in R^n, (..., dim) -> (...). The root is the last operation."""
    square = jnp.sum(z * z, -1)
    return jnp.sqrt(square if c is None else c * square)


def length(at_c_1: ArrayLike, c: C) -> Any:
    """A length in units of 1/sqrt(c); of 1 in R^n."""
    return at_c_1 if c is None else at_c_1 / jnp.sqrt(c)


def radius(share: ArrayLike, c: C) -> Array:
    """d(0, z) = (2 / sqrt c) artanh(share) of a point with sqrt(c)|z| = share, elementwise; 2 artanh(share) in R^n."""
    return length(2, c) * jnp.arctanh(share)


def share(radius: Array, c: C) -> Array:
    """The inverse of `radius`, in [0, 1)."""
    return jnp.tanh((radius if c is None else jnp.sqrt(c) * radius) / 2)


def check(config: Any) -> None:
    """Raise a ConfigError if a key asks for a curvature, and R^n has none."""
    if config.model.geometry == "poincare":
        return
    neutral = {"model.c": 1.0, "model.curvature": "fixed", "rates.curvature": 1.0, "prior.homeostat": False}
    for key, value in neutral.items():
        group, name = key.split(".")
        for given in per_run(config[group][name], config.runs):
            if given != value:
                _refuse(key, given, f"leave it at {value}")
    for b in "AB":
        if config.model[b].posterior == "wrapped":
            _refuse(f"model.{b}.posterior", "wrapped", "gaussian is the posterior of R^n; set that")
    if "statenet" in config.control:
        _refuse("control", config.control, "StateNet sets c; give none or schedules")


def _refuse(key: str, value: Any, fix: str) -> None:
    raise ConfigError(
        f"config.{key}={value} needs a curvature, and config.model.geometry=euclidean has none: {fix}, or set "
        "config.model.geometry=poincare"
    )
