"""The loss `bands`: a band of lengths for each valuation, for radii and distances alike.

A radius is a distance too, namely that to operation 0 at the origin. The band of valuation v is D_v = furthest ratio^v,
within a factor ratio^-width to either side. With width < 1/2 bands do not overlap: then the hierarchy is at its
ceiling, and every triplet is in order. Level 0 has no upper edge, so that its radii can differ; the first digit sets
the radius there. A spread that did not follow the tree would push neighbours apart, because the distance of two points
is at least the difference of their radii.
"""

from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ternary_jax import ternary
from ternary_jax.config.keys import real
from ternary_jax.vae import geometry
from ternary_jax.vae.losses import masked, pairs
from ternary_jax.vae.losses.radial import check_shares
from ternary_jax.vae.losses.registry import LossSpec, WeightedTerms, positive, share, weight
from ternary_jax.vae.outputs import BranchOutput


def centres(furthest: ArrayLike, ratio: ArrayLike, n_digits: int) -> Array:
    """log D_v = log furthest + v log ratio, (D + 1,)."""
    return jnp.log(furthest) + jnp.arange(n_digits + 1, dtype=float) * jnp.log(ratio)


def outside(length: Array, v: Array, centres: Array, half: ArrayLike, top: bool) -> Array:
    """max(0, |log length - centre_v| - half)^2, mean over the rows with a band, -> (). At v = 0 the lower edge only.

    length, v (n,): radii and valuations of operations, or distances and valuations of pairs; half: width log(1 / ratio)
    top: whether v = D has a band, from 0 up to its upper edge: radii do, pairs of one operation do not
    """
    last = centres.shape[0] - 1
    # log 0 is infinite: a length below the finest band by a factor e or more counts as that, with gradient 0.
    log = jnp.log(jnp.maximum(length, jnp.exp(centres[last] - 1)))
    above = jnp.where(v > 0, jnp.maximum(0, log - centres[v] - half), 0)
    below = jnp.where(v < last, jnp.maximum(0, centres[v] - half - log), 0)
    return masked.mean(above**2 + below**2, (v < last) | top)


def spread(r: Array, x: Array, outer: ArrayLike, between: ArrayLike, c0: geometry.C) -> Array:
    """(r_i - radius(f(x_i0)))^2 over the operations of level 0, f = outer for the digit 1, between for 2, -> ().

    Trits x (n, D). Two radii are enough: inside a band of width w the variance is at most w^2/4, with half of a level
    at either end.
    """
    target = jnp.where(x[:, 0] == 0, geometry.radius(outer, c0), geometry.radius(between, c0))
    return masked.mean((r - target) ** 2, x[:, 0] >= 0)


def _bands(output: BranchOutput, h: Any) -> WeightedTerms:
    rows, v, x, *_ = output.batch
    n_digits, n = output.n_digits, len(v) // 2
    centre = centres(geometry.length(h.furthest, output.c0), h.ratio, n_digits)
    half = -h.width * jnp.log(h.ratio)
    d = pairs.each(geometry.dist, output.points.z[:n], output.points.z[n:], output.c)
    pair_v = ternary.pair_valuation(rows[:n], rows[n:], n_digits)
    inner = v > 0  # `spread` sets the radii of level 0
    r = jnp.where(inner, output.points.r, jnp.exp(centre[0]))
    return {
        "band_radius": (h.radius, outside(r, v, centre, half, True)),
        "band_distance": (h.distance, outside(d, pair_v, centre, half, False)),
        "band_spread": (h.spread, spread(output.points.r, x, h.outer, h.between, output.c0)),
    }


def _check(config: Any, _: str) -> None:
    check_shares(config, "losses.bands", "between", "outer")


_KEYS = {
    "furthest": positive(),
    "ratio": real(1e-3, 0.999, traced=True),
    "width": real(0, 0.5, traced=True),
    "radius": weight(),
    "distance": weight(),
    "spread": weight(),
    "outer": share(),
    "between": share(),
}
LOSSES = (LossSpec("bands", _bands, _KEYS, uses=("partners",), check=_check, place=10),)
