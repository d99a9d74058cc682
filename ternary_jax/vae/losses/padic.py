"""The losses `metric` and `norm`: distances and radii as powers of 3. A radius is the distance to operation 0 at 0.

The norm loss of the originals uses max_k |z_k|^(3^-k), coordinates as digits. That is no length of the space: it
changes with a rotation of the basis, and has an infinite gradient where a coordinate is 0.
"""

from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ternary_jax.vae.losses import levels, pairs
from ternary_jax.vae.losses.registry import LossSpec, WeightedTerms, positive
from ternary_jax.vae.outputs import BranchOutput


def targets(scale: ArrayLike, n_digits: int) -> Array:
    """scale 3^-v, (D + 1,): scale times the 3-adic distance; 0 at v = D, the distance of an operation to itself."""
    v = jnp.arange(n_digits + 1, dtype=float)
    return jnp.where(v < n_digits, scale * 3.0**-v, 0)


def squared_error(length: Array, v: Array, targets: Array) -> Array:
    """(length - target_v)^2, mean over all n, -> (). PAdicMetricLoss.

    length, v (n,): distances and valuations of pairs, or radii and valuations of operations
    """
    return jnp.mean(jnp.square(length - levels.at(targets, v)))


def _metric(output: BranchOutput, h: Any) -> WeightedTerms:
    d, v = pairs.distances(output, output.points.u, pairs.euclidean)
    return {"metric": (1, squared_error(d, v, targets(h.scale, output.n_digits)))}


def _norm(output: BranchOutput, h: Any) -> WeightedTerms:
    return {"norm": (1, squared_error(output.points.r, output.batch.v, targets(h.scale, output.n_digits)))}


LOSSES = (
    LossSpec("metric", _metric, {"scale": positive()}, uses=("pairs",), place=11),
    LossSpec("norm", _norm, {"scale": positive()}, place=12),
)
