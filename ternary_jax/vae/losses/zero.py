"""The zero-structure loss of the originals: a defect, kept for the ablation of its cost.

It counts zero *trits* where the valuation counts leading zero *digits*, and the trit 0 is the digit 1. So every
operation that begins with the trit 0, a third of all, has valuation 0, and `pull` moves it inward where the radial
losses move it outward. Over the 3^9 operations the Spearman correlation of the two counts is -0.48. `correlation` uses
the number of all zero trits. The originals weight the two by 0.5 and 0.3, and their sum by 0.5.
"""

from typing import Any

import jax.numpy as jnp
import optax
from jax import Array, lax
from jax.typing import ArrayLike

from ternary_jax.config.keys import real
from ternary_jax.vae.losses import levels
from ternary_jax.vae.losses.registry import LossSpec, WeightedTerms, weight
from ternary_jax.vae.outputs import BranchOutput


def leading(x: Array) -> Array:
    """Number of leading zero trits, from digit 0 on, (n, D) -> (n,) int32."""
    return jnp.sum(jnp.cumprod((x == 0).astype(jnp.int32), -1), -1, dtype=jnp.int32)


def pull(r: Array, x: Array, targets: Array) -> Array:
    """mean_i smoothL1(r_i - target_z), z = leading(x_i), beta 1, trits (n, D) -> (). Targets of the radial losses."""
    return jnp.mean(optax.huber_loss(r, levels.at(targets, leading(x))))


def correlation(r: Array, x: Array, aim: ArrayLike) -> Array:
    """(corr(number of zero trits, r) - aim)^2 with Pearson's correlation, trits (n, D) -> (). Originals: aim -0.3.

    A correlation with values that are equal up to rounding counts as 0.
    """
    a, b = _centred(jnp.sum(x == 0, -1).astype(r.dtype)), _centred(r)
    product = jnp.mean(jnp.square(a)) * jnp.mean(jnp.square(b))
    spread = product > 0
    corr = jnp.where(spread, jnp.mean(a * b) / jnp.sqrt(jnp.where(spread, product, 1)), 0)
    return jnp.square(corr - aim)


def _centred(a: Array) -> Array:
    """Deviations from the mean in units of max - min; 0 if all values are equal.

    Correlations do not depend on the unit, so the gradient is exact with min and max as constants.
    """
    low, high = lax.stop_gradient((jnp.min(a), jnp.max(a)))
    spread = high - low > 8 * jnp.finfo(a.dtype).eps * jnp.maximum(jnp.abs(low), jnp.abs(high))
    unit = jnp.where(spread, (a - low) / jnp.where(spread, high - low, 1), 0)
    return unit - jnp.mean(unit)


def _zero(output: BranchOutput, h: Any) -> WeightedTerms:
    return {
        "zero": (h.pull, pull(output.points.r, output.batch.x, output.targets)),
        "zero_correlation": (h.correlation, correlation(output.points.r, output.batch.x, h.aim)),
    }


_KEYS = {"pull": weight(), "correlation": weight(), "aim": real(-1, 1, traced=True)}
LOSSES = (LossSpec("zero", _zero, _KEYS, place=9),)
