"""Ranking losses on triplets: the row of higher pair valuation to the anchor belongs nearer to it than the other row.

Rows i (the anchor), j, k; d_j = d(z_i, z_j) and v_j = v(|i - j|), likewise k, (n,) each. The positive is the row of
higher valuation. Triplets are random, or the worst of the batch.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from ternary_jax import ternary
from ternary_jax.config.keys import real
from ternary_jax.precision import exact_matmul
from ternary_jax.vae import geometry
from ternary_jax.vae.losses import masked, pairs
from ternary_jax.vae.losses.registry import LossSpec, WeightedTerms, weight
from ternary_jax.vae.outputs import BranchOutput
from ternary_jax.vae.streams import TRIPLETS, stream

Order = Callable[[Any, Any, Any], Array]
BLOCK = 1 << 18  # distances that `mine` computes at once, 1 MB: all at 512 rows, those of 64 anchors at 4,096


class Triplets(NamedTuple):
    """positive, negative (anchors,) int32: row numbers; found (anchors,) bool: whether the anchor has both."""

    positive: Array
    negative: Array
    found: Array


# --- losses -----------------------------------------------------------------------------------------------------------


def required_margin(v_j: Array, v_k: Array, least: ArrayLike, slope: ArrayLike) -> Array:
    """least + slope |v_j - v_k|, (n,). 0.05 and 0.15 in PAdicRankingLossV2."""
    return jnp.add(least, slope * jnp.abs(v_j - v_k).astype(float))


def ordered(d_j: Array, d_k: Array, v_j: Array, v_k: Array, margin: ArrayLike) -> Array:
    """max(0, d(positive) - d(negative) + margin), mean over triplets with v_j != v_k, -> (); margin () or (n,).

    The positive may be j or k; the originals drop triplets in which it is k. PAdicRankingLoss, margin 0.1.
    """
    sign = jnp.sign(v_j - v_k).astype(d_j.dtype)
    return masked.mean(jax.nn.relu(sign * (d_j - d_k) + margin), v_j != v_k)


def violated(d_p: Array, d_n: Array, found: Array, margin: ArrayLike) -> Array:
    """d_p - d_n + margin, mean over the triplets found where it is above 0, -> (): semi-hard ones, or harder.

    Triplets that keep their margin are not in the mean, where they would dilute the last violations.
    """
    short = d_p - d_n + margin
    return masked.mean(short, found & (short > 0))


# --- which triplets ---------------------------------------------------------------------------------------------------


def shifts(key: Array, n: int) -> tuple[Array, Array]:
    """Two different shifts s, t uniform in [1, n), n >= 3: (i, i - s mod n, i - t mod n) are n triplets, by rolls.

    Their rows are distinct by construction; the originals draw three rows and move an equal one on by one.
    """
    key, other = jax.random.split(key)
    s = jax.random.randint(key, (), 1, n)
    return s, 1 + (s - 1 + jax.random.randint(other, (), 1, n - 1)) % (n - 1)


def mine(points: Array, rows: Array, anchors: int, c: geometry.C, order: Order, n_digits: int) -> Triplets:
    """The worst triplet of each of the first `anchors` rows, by their distances to all rows, without a gradient.

    points (n, dim), rows (n,) int32 their operations. The positive is the furthest of the rows of highest valuation to
    the anchor, the negative the nearest of the rows of lower valuation than that. A row of the anchor's own operation
    is neither: it is the same point. About `BLOCK` distances exist at a time, because all n^2 of 4,096 rows are 64 MB
    per array. The loss then computes the distances of the triplets alone, with gradients. The originals loop on the
    host.
    """
    points, c = lax.stop_gradient((points, c))

    def of_anchor(anchor):
        point, row = anchor
        d = order(point, points, c)
        v = ternary.pair_valuation(row, rows, n_digits)
        highest = jnp.max(jnp.where(v < n_digits, v, -1))
        lower = v < highest
        positive, negative = _argmax(jnp.where(v == highest, d, -jnp.inf)), _argmax(jnp.where(lower, -d, -jnp.inf))
        return Triplets(positive, negative, jnp.any(lower))

    return lax.map(of_anchor, (points[:anchors], rows[:anchors]), batch_size=max(1, BLOCK // len(rows)))


def _argmax(x):
    """argmax, (n,) -> (), the first place of the maximum. On CPU jnp.argmax is not vectorised, and 4 times as slow."""
    places = jnp.arange(len(x), dtype=jnp.int32)
    return jnp.min(jnp.where(x == jnp.max(x), places, len(x) - 1))


# --- which distance ---------------------------------------------------------------------------------------------------


class Measure(NamedTuple):
    """distance: of two points, differentiable; order: a point, points (n, dim), c -> (n,), increasing in the distance.

    order is a matrix product, and has rounding errors between near points.
    """

    distance: pairs.Distance
    order: Order


def _squared(x, points, _):
    """|x - y|^2."""
    return jnp.sum(jnp.square(points), -1) + jnp.sum(jnp.square(x)) - 2 * exact_matmul(points, x)


def _chord(x, points, c):
    """|x - y|^2 / (1 - c|y|^2); |x - y|^2 in R^n."""
    squared = _squared(x, points, c)
    return squared if c is None else squared / (1 - c * jnp.sum(jnp.square(points), -1))


EUCLIDEAN = Measure(pairs.euclidean, _squared)  # of tangent vectors, independent of c
HYPERBOLIC = Measure(geometry.dist, _chord)  # of points, in the geometry of the latent space


def _ranking(output: BranchOutput, h: Any) -> WeightedTerms:
    d_j, d_k, v_j, v_k = _random_triplets(output, output.points.u, EUCLIDEAN)
    return {"ranking": (1, ordered(d_j, d_k, v_j, v_k, h.margin))}


def _ranking_v2(output: BranchOutput, h: Any) -> WeightedTerms:
    mined, drawn = _mined_and_random(output, h, output.points.u, EUCLIDEAN)
    return {"ranking_v2_mined": mined, "ranking_v2_random": drawn}


def _ranking_hyperbolic(output: BranchOutput, h: Any) -> WeightedTerms:
    mined, drawn = _mined_and_random(output, h, output.points.z, HYPERBOLIC)
    return {"ranking_hyperbolic_mined": mined, "ranking_hyperbolic_random": drawn}


def _mined_and_random(output: BranchOutput, h: Any, points: Array, measure: Measure) -> tuple[tuple, tuple]:
    """The worst triplets of the first half of the batch, and random ones, each with its share of the weight."""
    rows, half = output.batch.rows, max(1, len(output.batch.rows) // 2)
    positive, negative, found = mine(points, rows, half, output.c, measure.order, output.n_digits)

    def worst(a):
        return a[:half], a[positive], a[negative]

    d_p, d_n, v_p, v_n = _distances_and_valuations(output, worst(points), worst(rows), measure)
    d_j, d_k, v_j, v_k = _random_triplets(output, points, measure)
    return (
        (h.hard_share, violated(d_p, d_n, found, required_margin(v_p, v_n, h.margin, h.slope))),
        (1 - h.hard_share, ordered(d_j, d_k, v_j, v_k, required_margin(v_j, v_k, h.margin, h.slope))),
    )


def _random_triplets(output: BranchOutput, points: Array, measure: Measure) -> tuple[Array, ...]:
    """n random triplets. All losses and branches of a step draw them from one key, so they have the same triplets."""
    moved = shifts(stream(output.batch.key, TRIPLETS), len(output.batch.rows))
    of_points, of_rows = ((a, *(jnp.roll(a, shift, 0) for shift in moved)) for a in (points, output.batch.rows))
    return _distances_and_valuations(output, of_points, of_rows, measure)


def _distances_and_valuations(output: BranchOutput, points: Any, rows: Any, measure: Measure) -> tuple[Array, ...]:
    """(d_j, d_k, v_j, v_k) of triplets; points, rows: of anchor, j and k."""
    (x, *others), (i, *other_rows) = points, rows
    return *(pairs.each(measure.distance, x, y, output.c) for y in others), *(
        ternary.pair_valuation(i, j, output.n_digits) for j in other_rows
    )


_KEYS = {"margin": weight(), "slope": weight(), "hard_share": real(0, 1, traced=True)}
LOSSES = (
    LossSpec("ranking", _ranking, {"margin": weight()}, uses=("triplets",), families=("ranking",), place=13),
    LossSpec("ranking_v2", _ranking_v2, _KEYS, uses=("triplets",), families=("ranking",), place=14),
    LossSpec("ranking_hyperbolic", _ranking_hyperbolic, _KEYS, uses=("triplets",), families=("ranking",), place=15),
)
