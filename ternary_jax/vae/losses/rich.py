"""The loss `rich`, RichHierarchy: it orders levels by their mean radii, and leaves the radii inside a level free.

The originals weight level_means by 5, floor by 2, separation by 3, and reconstruction by 1.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ternary_jax.vae.losses import masked
from ternary_jax.vae.losses.levels import Levels, adjacent, statistics
from ternary_jax.vae.losses.registry import LossSpec, WeightedTerms, weight
from ternary_jax.vae.outputs import BranchOutput


def level_means(levels: Levels, targets: Array) -> Array:
    """(mean_v - target_v)^2, mean over the levels present, -> ()."""
    return masked.mean(jnp.square(levels.mean - targets), levels.size > 0)


def floor(levels: Levels, reference: Array, kappa: ArrayLike) -> Array:
    """max(0, kappa - variance_v / reference_v)^2, mean over the levels v < D of more than one row, -> ().

    reference (D + 1,): variances of the geodesic radius, as of `band_variance`. A level of one row has no variance, and
    the rows of level D, one operation, differ by noise alone: neither is in the mean. In the originals a level of one
    row meets its floor, and level D counts as any other.
    """
    below_top = jnp.arange(reference.shape[0]) < reference.shape[0] - 1
    short = jax.nn.relu(kappa - levels.variance / reference)
    return masked.mean(jnp.square(short), (levels.size > 1) & below_top)


def band_variance(targets: Array) -> Array:
    """width_v^2 / 12, the variance of a level that fills its band uniformly, (D + 1,) -> (D + 1,).

    Bands meet midway between adjacent targets; the outer half of the first and the inner half of the last mirror
    their other halves. The originals use the variance at initialisation, in Euclidean units. In a re-run their trained
    levels had 12 to 108 times that variance, so their floor has no effect.
    """
    between = (targets[1:] + targets[:-1]) / 2
    edges = jnp.concatenate([2 * targets[:1] - between[:1], between, 2 * targets[-1:] - between[-1:]])
    return jnp.square(jnp.diff(edges)) / 12


def separation(levels: Levels, gap: ArrayLike) -> Array:
    """max(0, mean_b - mean_a + gap), summed over adjacent present levels a < b, -> ()."""
    crossed = jax.nn.relu(levels.mean[None, :] - levels.mean[:, None] + gap)
    return jnp.sum(jnp.where(adjacent(levels), crossed, 0))


def _rich(output: BranchOutput, h: Any) -> WeightedTerms:
    found = statistics(output.points.r, output.batch.v, output.n_digits)
    return {
        "rich_means": (h.means, level_means(found, output.targets)),
        "rich_floor": (h.floor, floor(found, band_variance(output.targets), h.kappa)),
        "rich_separation": (h.separation, separation(found, h.gap)),
    }


_KEYS = {"means": weight(), "floor": weight(), "separation": weight(), "kappa": weight(), "gap": weight()}
LOSSES = (LossSpec("rich", _rich, _KEYS, place=7),)
