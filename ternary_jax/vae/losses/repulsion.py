"""The loss `repulsion`: all points repel each other, independent of their valuations."""

from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ternary_jax.vae.losses import masked, pairs
from ternary_jax.vae.losses.registry import LossSpec, WeightedTerms, positive
from ternary_jax.vae.outputs import BranchOutput


def gaussian(d: Array, pair_v: Array, width: ArrayLike, n_digits: int) -> Array:
    """exp(-(d / width)^2), mean over pairs of different operations, (n,) and (n,) -> (). RepulsionLoss, width 0.5.

    A few pairs of each row have the same mean as all B^2 pairs of the originals. The width has to be of the size of the
    distances: for latents N(0, I) the mean is (1 + 4 / width^2)^(-dim / 2), 1.4e-10 at width 0.5 in 16 dimensions, and
    in the originals it was at most 1e-5 in training.
    """
    return masked.mean(jnp.exp(-jnp.square(d / width)), pair_v < n_digits)


def _repulsion(output: BranchOutput, h: Any) -> WeightedTerms:
    d, v = pairs.distances(output, output.points.u, pairs.euclidean)
    return {"repulsion": (1, gaussian(d, v, h.width, output.n_digits))}


_KEYS = {"width": positive()}
LOSSES = (LossSpec("repulsion", _repulsion, _KEYS, uses=("pairs",), families=("autoencoder",), place=16),)
