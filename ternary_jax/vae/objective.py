"""The one place where losses get their weights: what each loss of the config sees, its parts, and their sum."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax import poincare, ternary
from ternary_jax.vae.branch import Latent, Points
from ternary_jax.vae.losses import (
    bands,
    centroid,
    entropy,
    geodesic,
    levels,
    padic,
    prior,
    radial,
    ranking,
    reconstruction,
    repulsion,
    rich,
    zero,
)

Parts = dict[str, tuple[Any, Array]]


class Batch(NamedTuple):
    """Operations of a step: rows (n,) int32, their indices; v (n,) int32, valuations; x (n, D) trits.

    With partners, the two halves are pairs, row b and row b + n/2, at pair valuations 0 .. D-1 in turn.

    shifts: (k,) int32 in [1, n): row b is paired with row (b - shift) mod n, for each; None where no loss needs it
    key: what losses draw from, such as triplets; None where none does
    """

    rows: Array
    v: Array
    x: Array
    shifts: Any
    key: Any


class Seen(NamedTuple):
    """What the losses see of one branch on one batch.

    latent, points: of the encoder's mean; noise (n, dim), drawn: of a draw from the posterior, which the logits
        (n, D, 3) are decoded from; without one None, and that of the mean
    c: the curvature; c0: that at the start, which targets refer to
    sigma: scale of the prior, None where there is none
    targets: radial targets by level, (D + 1,)
    """

    batch: Batch
    latent: Latent
    points: Points
    noise: Any
    drawn: Points
    logits: Array
    c: Array
    c0: Array
    sigma: Any
    targets: Array


def total(
    seen: dict[str, Seen], on: dict[str, str], weights: Any, factors: dict[str, Array]
) -> tuple[Array, dict[str, Array]]:
    """(sum of weight x factor x part, the parts, unweighted, by PART_BRANCH), of the branches that a loss is on for.

    Parts of a joint loss are called by their own names.

    on: loss -> the branches it is on for, "A", "B" or "AB"; a joint one is on for "AB"
    weights: the group `losses` of the hypers
    factors: on the weights, by loss, or by LOSS_BRANCH; 1 for those that are not there
    """
    terms, summed = {}, jnp.float32(0)
    for name, branches in on.items():
        table: dict[str, Callable[[Any, Any], Parts]] = JOINT if name in JOINT else LOSSES
        group, views = getattr(weights, name), {"": seen} if name in JOINT else {f"_{b}": seen[b] for b in branches}
        for ending, view in views.items():
            with jax.named_scope(f"{name}{ending}"):
                of = [factors[k] for k in dict.fromkeys((name, f"{name}{ending}")) if k in factors]
                factor = functools.reduce(jnp.multiply, of, 1)
                for part, (weight, value) in table[name](view, group).items():
                    terms[f"{part}{ending}"] = value
                    summed += group.weight * factor * weight * value
    return summed, terms


def _reconstruction(seen: Seen, _: Any) -> Parts:
    return {"reconstruction": (1, reconstruction.cross_entropy(seen.logits, seen.batch.x))}


def _kl(seen: Seen, h: Any) -> Parts:
    return {"kl": (1, reconstruction.gaussian_kl(*seen.latent, h.free_bits))}  # pyright: ignore[reportArgumentType]


def _prior(seen: Seen, _: Any) -> Parts:
    scale = jnp.exp(seen.latent.log_variance / 2)  # pyright: ignore[reportOptionalOperand]
    return {"prior": (1, prior.wrapped_kl(scale * seen.noise, seen.drawn.u, scale, seen.sigma, seen.c))}


def _radial(seen: Seen, h: Any) -> Parts:
    (r_i, r_j), (v_i, v_j) = (pairs(a, seen.batch.shifts) for a in (seen.points.r, seen.batch.v))
    return {
        "radial": (1, radial.squared(seen.points.r, seen.batch.v, seen.targets, h.growth)),
        "radial_margin": (h.margin, radial.margin(r_i, r_j, v_i, v_j, seen.targets, h.share)),
    }


def _stratification(seen: Seen, _: Any) -> Parts:
    return {"stratification": (1, radial.stratification(seen.points.r, seen.batch.v, seen.targets))}


def _monotonic(seen: Seen, h: Any) -> Parts:
    found = radial.monotonic(seen.points.r, seen.batch.v, seen.targets, h.share, h.softness, h.pull)
    return {"monotonic": (1, found)}


def _rank(seen: Seen, h: Any) -> Parts:
    (r_i, r_j), (v_i, v_j) = (pairs(a, seen.batch.shifts) for a in (seen.points.r, seen.batch.v))
    return {"rank": (1, radial.rank(r_i, r_j, v_i, v_j, h.temperature))}


def _rich(seen: Seen, h: Any) -> Parts:
    found = levels.statistics(seen.points.r, seen.batch.v, len(seen.targets) - 1)
    return {
        "rich_means": (h.means, rich.level_means(found, seen.targets)),
        "rich_floor": (h.floor, rich.floor(found, rich.band_variance(seen.targets), h.kappa)),
        "rich_separation": (h.separation, rich.separation(found, h.gap)),
    }


def _geodesic(seen: Seen, h: Any) -> Parts:
    d, v = _of_pairs(seen, seen.points.z, poincare.dist)
    return {"geodesic": (1, geodesic.smooth_l1(d, v, geodesic.targets(h.furthest, h.scale, _n_digits(seen))))}


def _zero(seen: Seen, h: Any) -> Parts:
    return {
        "zero": (h.pull, zero.pull(seen.points.r, seen.batch.x, seen.targets)),
        "zero_correlation": (h.correlation, zero.correlation(seen.points.r, seen.batch.x, h.aim)),
    }


def _bands(seen: Seen, h: Any) -> Parts:
    n_digits, n = len(seen.targets) - 1, len(seen.batch.v) // 2
    centres = bands.centres(h.furthest / jnp.sqrt(seen.c0), h.ratio, n_digits)
    half = -h.width * jnp.log(h.ratio)
    d = _each(poincare.dist, seen.points.z[:n], seen.points.z[n:], seen.c)
    v = ternary.pair_valuation(seen.batch.rows[:n], seen.batch.rows[n:], n_digits)
    inner = seen.batch.v > 0  # level 0 has its place by `spread`
    r = jnp.where(inner, seen.points.r, jnp.exp(centres[0]))
    return {
        "band_radius": (h.radius, bands.outside(r, seen.batch.v, centres, half, True)),
        "band_distance": (h.distance, bands.outside(d, v, centres, half, False)),
        "band_spread": (h.spread, bands.spread(seen.points.r, seen.batch.x, h.outer, h.between, seen.c0)),
    }


def _metric(seen: Seen, h: Any) -> Parts:
    d, v = _of_pairs(seen, seen.points.u, ranking.EUCLIDEAN.distance)
    return {"metric": (1, padic.squared(d, v, padic.targets(h.scale, _n_digits(seen))))}


def _norm(seen: Seen, h: Any) -> Parts:
    return {"norm": (1, padic.squared(seen.points.r, seen.batch.v, padic.targets(h.scale, _n_digits(seen))))}


def _ranking(seen: Seen, h: Any) -> Parts:
    d_j, d_k, v_j, v_k = _at_random(seen, seen.points.u, ranking.EUCLIDEAN)
    return {"ranking": (1, ranking.ordered(d_j, d_k, v_j, v_k, h.margin))}


def _ranking_v2(seen: Seen, h: Any) -> Parts:
    mined, drawn = _half_mined(seen, h, seen.points.u, ranking.EUCLIDEAN)
    return {"ranking_v2_mined": mined, "ranking_v2_random": drawn}


def _ranking_hyperbolic(seen: Seen, h: Any) -> Parts:
    mined, drawn = _half_mined(seen, h, seen.points.z, ranking.HYPERBOLIC)
    return {"ranking_hyperbolic_mined": mined, "ranking_hyperbolic_random": drawn}


def _half_mined(seen: Seen, h: Any, points: Array, measure: ranking.Measure) -> tuple[tuple, tuple]:
    """The worst triplets of the first half of the batch, and random ones, each with its share of the weight."""

    def margin(v_j, v_k):
        return ranking.margin(v_j, v_k, h.margin, h.slope)

    rows, half = seen.batch.rows, max(1, len(seen.batch.rows) // 2)
    positive, negative, found = ranking.mine(points, rows, half, seen.c, measure.order, _n_digits(seen))

    def worst(a):
        return a[:half], a[positive], a[negative]

    d_p, d_n, v_p, v_n = _of_triplets(seen, worst(points), worst(rows), measure.distance)
    d_j, d_k, v_j, v_k = _at_random(seen, points, measure)
    return (
        (h.hard_share, ranking.violated(d_p, d_n, found, margin(v_p, v_n))),
        (1 - h.hard_share, ranking.ordered(d_j, d_k, v_j, v_k, margin(v_j, v_k))),
    )


def _repulsion(seen: Seen, h: Any) -> Parts:
    d, v = _of_pairs(seen, seen.points.u, ranking.EUCLIDEAN.distance)
    return {"repulsion": (1, repulsion.gaussian(d, v, h.width, _n_digits(seen)))}


def _centroid(seen: Seen, h: Any) -> Parts:
    below = [k for k in centroid.LEVELS if k < _n_digits(seen)]  # a ball of level D is one operation
    of_level = {k: centroid.squared(seen.points.z, seen.batch.rows, k, seen.c) for k in below}
    return {f"centroid_{k}": (h.decay ** (k - 1), found) for k, found in of_level.items()}


def _entropy(seen: Seen, _: Any) -> Parts:
    return {"entropy": (1, -entropy.of_mean(seen.logits))}


def _focus(seen: Seen, h: Any) -> Parts:
    share = jnp.tanh(jnp.sqrt(seen.c) * seen.points.r / 2)  # sqrt(c)|z|
    return {"focus": (1, reconstruction.focus(seen.logits, seen.batch.x, share, h.power, h.least))}


def _alignment(seen: dict[str, Seen], _: Any) -> Parts:
    return {"alignment": (1, entropy.alignment(*(one.logits for one in seen.values())))}


LOSSES: dict[str, Callable[[Seen, Any], Parts]] = {
    "reconstruction": _reconstruction,
    "kl": _kl,
    "prior": _prior,
    "radial": _radial,
    "stratification": _stratification,
    "monotonic": _monotonic,
    "rank": _rank,
    "rich": _rich,
    "geodesic": _geodesic,
    "zero": _zero,
    "bands": _bands,
    "metric": _metric,
    "norm": _norm,
    "ranking": _ranking,
    "ranking_v2": _ranking_v2,
    "ranking_hyperbolic": _ranking_hyperbolic,
    "repulsion": _repulsion,
    "centroid": _centroid,
    "entropy": _entropy,
    "focus": _focus,
}
JOINT: dict[str, Callable[[dict[str, Seen], Any], Parts]] = {"alignment": _alignment}  # of both branches at once
USE_SHIFTS = ("radial", "rank", "geodesic", "metric", "repulsion")
USE_KEY = ("ranking", "ranking_v2", "ranking_hyperbolic")


def pairs(a: Array, shifts: Array) -> tuple[Array, Array]:
    """The rows of all pairs, (k n, ...) twice: a rolled by each shift. On CPU a gather of as many rows costs more."""
    rolled = [jnp.roll(a, shift, 0) for shift in shifts]
    return jnp.concatenate([a] * len(rolled)), jnp.concatenate(rolled)


def _of_pairs(seen, points, distance):
    """Distances of all pairs, and the valuations of their differences, (k n,) each."""
    (i, j), (x, y) = (pairs(a, seen.batch.shifts) for a in (seen.batch.rows, points))
    return _each(distance, x, y, seen.c), ternary.pair_valuation(i, j, _n_digits(seen))


def _at_random(seen, points, measure):
    """Of n random triplets, the same ones in every loss and branch of a step; as a key is used once, by its fold."""
    shifts = ranking.shifts(jax.random.fold_in(seen.batch.key, 0), len(seen.batch.rows))
    of_points, of_rows = ((a, *(jnp.roll(a, shift, 0) for shift in shifts)) for a in (points, seen.batch.rows))
    return _of_triplets(seen, of_points, of_rows, measure.distance)


def _of_triplets(seen, points, rows, distance):
    """(d_j, d_k, v_j, v_k) of anchors to two others each; points, rows: of the three."""
    (x, *others), (i, *other_rows) = points, rows
    return *(_each(distance, x, y, seen.c) for y in others), *(
        ternary.pair_valuation(i, j, _n_digits(seen)) for j in other_rows
    )


def _each(distance, x, y, c):
    return jax.vmap(distance, (0, 0, None))(x, y, c)


def _n_digits(seen):
    return len(seen.targets) - 1
