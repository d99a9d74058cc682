"""The loss `geodesic`: distances of pairs as a function of their pair valuation.

d = d(z_i, z_j) (n,), v = v(|i - j|) (n,) int32, which is D for two rows of one operation.
"""

from typing import Any

import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from ternary_jax.config.split import per_run
from ternary_jax.errors import ConfigError
from ternary_jax.vae import geometry
from ternary_jax.vae.losses import levels as by_level
from ternary_jax.vae.losses import masked, pairs
from ternary_jax.vae.losses.registry import LossSpec, WeightedTerms, positive
from ternary_jax.vae.outputs import BranchOutput


def targets(furthest: ArrayLike, scale: ArrayLike, n_digits: int) -> Array:
    """furthest exp(-v / scale), (D + 1,); 0 at v = D, where the two points are one. Both 3 in the originals."""
    v = jnp.arange(n_digits + 1, dtype=float)
    return jnp.where(v < n_digits, furthest * jnp.exp(-v / scale), 0)


def reachable(outer: ArrayLike, c0: geometry.C) -> Array:
    """The greatest distance of two points with sqrt(c0)|z| <= outer, that of antipodes, -> ().

    A target `furthest` beyond it cannot be met. The originals have 3.0 where 1.8 is reachable, and their outer levels
    leave the radial targets for it.
    """
    return 2 * geometry.radius(outer, c0)


def smooth_l1(d: Array, pair_v: Array, targets: Array) -> Array:
    """smoothL1(d - target_{pair_v}), beta 1, mean over pairs of different operations, -> (). PAdicGeodesicLoss.

    Two rows of one operation have distance 0 and target 0; in the mean they would only dilute the others.
    """
    error = optax.huber_loss(d, by_level.at(targets, pair_v))
    return masked.mean(error, pair_v < targets.shape[0] - 1)


def _geodesic(output: BranchOutput, h: Any) -> WeightedTerms:
    d, v = pairs.distances(output, output.points.z, geometry.dist)
    return {"geodesic": (1, smooth_l1(d, v, targets(h.furthest, h.scale, output.n_digits)))}


def check_reachable(config: Any, _: str) -> None:
    """The target `furthest` is reachable in every run."""
    values = (config.losses.geodesic.furthest, config.radii.outer, config.model.c)
    for furthest, outer, c in zip(*(per_run(value, config.runs) for value in values), strict=True):
        limit = float(reachable(outer, c))
        if furthest > limit:
            raise ConfigError(
                f"config.losses.geodesic.furthest={furthest} is out of reach: two points of radius "
                f"config.radii.outer={outer} are at most {limit:.4g} apart: give that or less"
            )


_KEYS = {"furthest": positive(), "scale": positive()}
LOSSES = (LossSpec("geodesic", _geodesic, _KEYS, uses=("pairs",), check=check_reachable, place=8),)
