"""The one place where losses get their weights: what each loss of the config sees, its parts, and their sum."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax import poincare, ternary
from ternary_jax.vae.branch import Latent, Points
from ternary_jax.vae.losses import bands, geodesic, levels, prior, radial, reconstruction, rich, zero

Parts = dict[str, tuple[Any, Array]]


class Batch(NamedTuple):
    """Operations of a step: rows (n,) int32, their indices; v (n,) int32, valuations; x (n, D) trits.

    With partners, the two halves are pairs, row b and row b + n/2, at pair valuations 0 .. D-1 in turn.

    shifts: (k,) int32 in [1, n): row b is paired with row (b - shift) mod n, for each; None where no loss needs it
    """

    rows: Array
    v: Array
    x: Array
    shifts: Any


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

    on: loss -> the branches it is on for, "A", "B" or "AB"
    weights: the group `losses` of the hypers
    factors: on the weights, by loss, or by LOSS_BRANCH; 1 for those that are not there
    """
    terms, summed = {}, jnp.float32(0)
    for name, branches in on.items():
        for b in branches:
            group = getattr(weights, name)
            with jax.named_scope(f"{name}_{b}"):
                factor = functools.reduce(jnp.multiply, [factors[k] for k in (name, f"{name}_{b}") if k in factors], 1)
                for part, (weight, value) in LOSSES[name](seen[b], group).items():
                    terms[f"{part}_{b}"] = value
                    summed += group.weight * factor * weight * value
    return summed, terms


def _reconstruction(seen: Seen, _: Any) -> Parts:
    return {"reconstruction": (1, reconstruction.cross_entropy(seen.logits, seen.batch.x))}


def _kl(seen: Seen, h: Any) -> Parts:
    return {"kl": (1, reconstruction.gaussian_kl(*seen.latent, h.free_bits))}  # pyright: ignore[reportArgumentType]


def _prior(seen: Seen, _: Any) -> Parts:
    scale = jnp.exp(seen.latent.log_variance / 2)  # pyright: ignore[reportOptionalOperand]
    return {"prior": (1, prior.tangent_kl(scale * seen.noise, seen.drawn.u, scale, seen.sigma, seen.c))}


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
    n_digits = len(seen.targets) - 1
    i, j = pairs(seen.batch.rows, seen.batch.shifts)
    z_i, z_j = pairs(seen.points.z, seen.batch.shifts)
    d, v = _dist(z_i, z_j, seen.c), ternary.pair_valuation(i, j, n_digits)
    return {"geodesic": (1, geodesic.smooth_l1(d, v, geodesic.targets(h.furthest, h.scale, n_digits)))}


def _zero(seen: Seen, h: Any) -> Parts:
    return {
        "zero": (h.pull, zero.pull(seen.points.r, seen.batch.x, seen.targets)),
        "zero_correlation": (h.correlation, zero.correlation(seen.points.r, seen.batch.x, h.aim)),
    }


def _bands(seen: Seen, h: Any) -> Parts:
    n_digits, n = len(seen.targets) - 1, len(seen.batch.v) // 2
    centres = bands.centres(h.furthest / jnp.sqrt(seen.c0), h.ratio, n_digits)
    half = -h.width * jnp.log(h.ratio)
    d = _dist(seen.points.z[:n], seen.points.z[n:], seen.c)
    v = ternary.pair_valuation(seen.batch.rows[:n], seen.batch.rows[n:], n_digits)
    inner = seen.batch.v > 0  # level 0 has its place by `spread`
    r = jnp.where(inner, seen.points.r, jnp.exp(centres[0]))
    return {
        "band_radius": (h.radius, bands.outside(r, seen.batch.v, centres, half, True)),
        "band_distance": (h.distance, bands.outside(d, v, centres, half, False)),
        "band_spread": (h.spread, bands.spread(seen.points.r, seen.batch.x, h.outer, h.between, seen.c0)),
    }


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
}
USE_SHIFTS = ("radial", "rank", "geodesic")


def pairs(a: Array, shifts: Array) -> tuple[Array, Array]:
    """The rows of all pairs, (k n, ...) twice: a rolled by each shift. On CPU a gather of as many rows costs more."""
    rolled = [jnp.roll(a, shift, 0) for shift in shifts]
    return jnp.concatenate([a] * len(rolled)), jnp.concatenate(rolled)


def _dist(x, y, c):
    return jax.vmap(poincare.dist, (0, 0, None))(x, y, c)
