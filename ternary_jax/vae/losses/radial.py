"""Losses of the radius as a function of the valuation: rarer levels lie nearer to the origin.

The originals compare Euclidean ends of the range with geodesic radii, and so use 0.42 of the ball. Here the ends are
shares of the ball's radius. The distance of two levels follows from `targets`, which are not linear in v.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from ternary_jax.config.keys import real
from ternary_jax.config.split import per_run
from ternary_jax.errors import ConfigError
from ternary_jax.vae import geometry
from ternary_jax.vae.losses import levels as by_level
from ternary_jax.vae.losses import masked, pairs, rich
from ternary_jax.vae.losses.registry import LossSpec, WeightedTerms, positive, weight
from ternary_jax.vae.outputs import BranchOutput


def targets(inner: ArrayLike, outer: ArrayLike, c0: geometry.C, n_digits: int) -> Array:
    """`geometry.radius` of f_v, (D + 1,), with f_v linear in v from outer at v = 0 to inner at v = D.

    c0 is the curvature at the start of training: with the learned c, training could move the targets to the radii.
    """
    return geometry.radius(jnp.linspace(outer, inner, n_digits + 1), c0)


def weighted_squared_error(r: Array, v: Array, targets: Array, growth: ArrayLike) -> Array:
    """mean_i w_i (r_i - target_{v_i})^2, w_i = 1 + exp(growth v_i), -> (). RadialHierarchyLoss, growth 0.4."""
    weight = 1 + jnp.exp(growth * v.astype(r.dtype))
    return jnp.mean(weight * jnp.square(r - by_level.at(targets, v)))


def separation_hinge(r_i: Array, r_j: Array, v_i: Array, v_j: Array, targets: Array, share: ArrayLike) -> Array:
    """max(0, share (target_l - target_h) - (r_l - r_h)), mean over pairs of different level, l the lower, h the higher.

    (n,) four times -> (); 0 if all pairs are of one level. RadialHierarchyLoss, share 0.5; it uses only the pairs with
    v_i > v_j, and targets linear in v.
    """
    outward = jnp.sign(v_j - v_i).astype(r_i.dtype)  # 1 if i belongs further out than j, -1 if further in
    wanted = share * (by_level.at(targets, v_i) - by_level.at(targets, v_j))
    return masked.mean(jax.nn.relu(outward * (wanted - (r_i - r_j))), v_i != v_j)


def rank(r_i: Array, r_j: Array, v_i: Array, v_j: Array, temperature: ArrayLike) -> Array:
    """|v_i - v_j| sigmoid(-sign(v_i - v_j)(r_j - r_i) / temperature), mean over pairs of different level.

    (n,) four times -> (). GlobalRankLoss, temperature 0.1.
    """
    steps = (v_i - v_j).astype(r_i.dtype)
    wrong = -jnp.sign(steps) * (r_j - r_i) / temperature
    return masked.mean(jnp.abs(steps) * jax.nn.sigmoid(wrong), v_i != v_j)


def stratification(r: Array, v: Array, targets: Array) -> Array:
    """mean_i (1 + v_i / D) smoothL1(r_i - target_{v_i}), beta 1, -> (). RadialStratificationLoss."""
    weight = 1 + v.astype(r.dtype) / (targets.shape[0] - 1)
    return jnp.mean(weight * optax.huber_loss(r, by_level.at(targets, v)))


def monotonic(r: Array, v: Array, targets: Array, share: ArrayLike, softness: ArrayLike, pull: ArrayLike) -> Array:
    """mean over adjacent present levels k < l of softness softplus(x_kl / softness)
    + pull mean over present levels of (m_k - target_k)^2, with m_k the mean radius of a level and
    x_kl = share (target_k - target_l) - (m_k - m_l), -> ().

    MonotonicRadialLoss, softness 0.05, pull 0.5, share 1 (its least margin of 0.02 has no effect in its own range).
    """
    levels = by_level.statistics(r, v, targets.shape[0] - 1)
    short = share * _pairwise_difference(targets) - _pairwise_difference(levels.mean)
    order = masked.mean(jnp.multiply(softness, jax.nn.softplus(short / softness)), by_level.adjacent(levels))
    return order + pull * rich.level_means(levels, targets)


def _pairwise_difference(table: Array) -> Array:
    return table[:, None] - table[None, :]


def _radial(output: BranchOutput, h: Any) -> WeightedTerms:
    of_pairs = pairs.radii(output)
    return {
        "radial": (1, weighted_squared_error(output.points.r, output.batch.v, output.targets, h.growth)),
        "radial_margin": (h.margin, separation_hinge(*of_pairs, output.targets, h.share)),
    }


def _stratification(output: BranchOutput, _: Any) -> WeightedTerms:
    return {"stratification": (1, stratification(output.points.r, output.batch.v, output.targets))}


def _monotonic(output: BranchOutput, h: Any) -> WeightedTerms:
    found = monotonic(output.points.r, output.batch.v, output.targets, h.share, h.softness, h.pull)
    return {"monotonic": (1, found)}


def _rank(output: BranchOutput, h: Any) -> WeightedTerms:
    return {"rank": (1, rank(*pairs.radii(output), h.temperature))}


_share = real(0, 1, traced=True)
LOSSES = (
    LossSpec(
        "radial",
        _radial,
        {"growth": real(0, 10, traced=True), "margin": weight(), "share": _share},
        uses=("pairs",),
        families=("radial",),
        place=3,
    ),
    LossSpec("stratification", _stratification, families=("radial",), place=4),
    LossSpec(
        "monotonic",
        _monotonic,
        {"share": _share, "softness": positive(), "pull": weight()},
        families=("radial",),
        place=5,
    ),
    LossSpec("rank", _rank, {"temperature": positive()}, uses=("pairs",), families=("radial",), place=6),
)


def check_shares(config: Any, name: str, low: str, high: str) -> None:
    """The shares `low` < `high` of the ball's radius of a group are in order, and a projection can reach them."""
    group = config
    for part in name.split("."):
        group = group[part]
    direct = "direction_radius" in (config.model.A.projection, config.model.B.projection)
    limit = config.model.max_radius if direct else 1
    most = f"config.model.max_radius={limit}" if direct else "1, the edge of the ball"
    for less, more in zip(per_run(group[low], config.runs), per_run(group[high], config.runs), strict=True):
        if not less < more <= limit:
            raise ConfigError(
                f"config.{name}.{low}={less} has to be less than config.{name}.{high}={more}, and that at most {most}"
            )
