"""Layouts of radii, and a search for those with much Q and much richness. The bound on them is `vae.bounds`.

**The search, for Q.** Each level has two places, with a share of it at either. Random search moves places and shares to
the greatest Q at a given least richness, for each of FAMILIES. It proves nothing: what it finds are layouts, which
`evaluate` measures.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ternary_jax import ternary
from ternary_jax.vae.bounds import RADIUS, Trade

WIDTH = 1e-6  # of the place of a share of a level: enough for distinct radii, too little to change richness


# --- layouts ----------------------------------------------------------------------------------------------------------


class Layout(NamedTuple):
    """Shares of levels at places. level (K,) int; place (K,), from 0 to 1 = R; share (K,), in all 1 for each level."""

    level: np.ndarray
    place: np.ndarray
    share: np.ndarray


def evenly(n_digits: int = 9) -> Layout:
    """A place for each level, at equal distances: the greatest Q, without richness."""
    level = two_places(n_digits)
    return Layout(level, 1 - level / n_digits, np.where(level == n_digits, 1, 0.5))


def two_places(n_digits: int = 9) -> np.ndarray:
    """The levels of the places of a layout, in the order of the places without overlap: D, then D - 1 twice, to 0."""
    return np.concatenate([[n_digits], np.repeat(np.arange(n_digits - 1, -1, -1), 2)])


def by_shares(x: np.ndarray) -> Layout:
    """The layout of step 2 as one of two places a level, from which a search can start."""
    level = two_places(len(x) - 1)
    outside = np.concatenate([[0], np.tile([0, 1], len(x) - 1)])
    share = np.where(outside == 1, x[level], 1 - x[level])
    return Layout(level, outside.astype(float), np.where(level == len(x) - 1, 1.0, share))


def radii(layout: Layout, n_digits: int = 9, radius: float = RADIUS) -> np.ndarray:
    """The radius of each operation, (3^D,) float64, all distinct; places that coincide have higher levels further in.

    The shares of a level are dealt out evenly along its operations, so that the samples of `evaluate` see them alike.
    """
    v, found = ternary.valuations(n_digits), np.zeros(3**n_digits)
    order = np.lexsort((-layout.level, layout.place))
    used = [k for k in order if layout.share[k] > 0]
    for level in range(n_digits + 1):
        rows, own = np.flatnonzero(v == level), [k for k in used if layout.level[k] == level]
        turn = np.argsort(np.arange(len(rows)) * 0.6180339887498949 % 1)  # evenly, and unlike any period of digits
        ends = np.rint(np.cumsum(layout.share[own]) * len(rows)).astype(int)
        for k, part in zip(own, np.split(rows[turn], ends[:-1]), strict=True):
            at = WIDTH * (used.index(k) + 1 + np.arange(len(part)) / (len(part) + 1)) / len(used)
            found[part] = at + layout.place[k] * (radius - 3 * WIDTH)
    return found


def uniform(edges: np.ndarray, n_digits: int = 9) -> np.ndarray:
    """Radii (3^D,) of bands that are filled uniformly: edges (D + 2,) fall from the outer one of level 0 to 0."""
    v, found = ternary.valuations(n_digits), np.zeros(3**n_digits)
    for level in range(n_digits + 1):
        rows = np.flatnonzero(v == level)
        turn = np.argsort(np.argsort(np.arange(len(rows)) * 0.6180339887498949 % 1))
        found[rows] = edges[level + 1] + (turn + 0.5) / len(rows) * (edges[level] - edges[level + 1])
    return found


# --- the search -------------------------------------------------------------------------------------------------------


class Scores(NamedTuple):
    """Of B layouts, (B,) each: the limit of narrow places, over all pairs of operations, with ties broken at random."""

    hierarchy: np.ndarray
    richness: np.ndarray
    dist_corr: np.ndarray


def scores(level: np.ndarray, place: np.ndarray, share: np.ndarray, of: Trade, radius: float = RADIUS) -> Scores:
    """The metrics of B layouts: level (K,), place and share (B, K)."""
    mass = of.counts[level] * share
    order = np.argsort(place - 1e-9 * level, 1)
    ordered = np.take_along_axis(mass, order, 1)
    rank = np.cumsum(ordered, 1) - (ordered - 1) / 2
    middle = (of.counts.sum() + 1) / 2
    h = (ordered * (rank - middle) * (of.mean_rank[level[order]] - middle)).sum(1) / of.scale
    own = (level[None] == np.arange(len(of.counts))[:, None]).astype(float)
    mean, square = (share * place) @ own.T, (share * place**2) @ own.T
    richness = (of.pay / radius**2 * (square - mean**2)).sum(1) * radius**2
    return Scores(np.abs(h), richness, _dist_corr(level, place, mass, of))


def _dist_corr(level, place, mass, of):
    i, j = np.triu_indices(len(level))
    pairs = np.where(i == j, mass[:, i] * (mass[:, j] - 1) / 2, mass[:, i] * mass[:, j]).clip(0)
    gap, n = np.abs(level[i] - level[j]), pairs.sum(1)[:, None]
    by_gap = np.stack([(pairs * (gap == g)).sum(1) for g in range(len(of.counts))], 1)
    mean_by_gap = np.cumsum(by_gap, 1) - by_gap / 2 - n / 2
    distance = np.abs(place[:, i] - place[:, j])
    order = np.argsort(distance, 1, kind="stable")
    distance, ordered = (np.take_along_axis(a, order, 1) for a in (distance, pairs))
    end = np.cumsum(ordered, 1)
    new = np.diff(distance, axis=1) > 1e-12  # a run of equal distances has the mean of its ranks
    edge = np.ones((len(place), 1), bool)
    start = np.maximum.accumulate(np.where(np.hstack([edge, new]), end - ordered, 0), 1)
    last = np.minimum.accumulate(np.where(np.hstack([new, edge]), end, np.inf)[:, ::-1], 1)[:, ::-1]
    rank = (start + last) / 2 - n / 2
    other = np.take_along_axis(mean_by_gap, gap[order], 1)
    spread = (by_gap * mean_by_gap**2).sum(1) * n[:, 0] ** 3 / 12
    return (ordered * rank * other).sum(1) / np.sqrt(spread)


FAMILIES = {
    "level 0 spread": "bands without overlap, of which that of level 0 alone has a width",
    "bands": "bands without overlap, each with both ends filled",
    "free": "two places for each level, anywhere",
}


def search(least: float, of: Trade, starts: Sequence[Layout], family: str, generations: int, seed: int = 0) -> Layout:
    """A layout of a family with at least this richness and a great Q: the best of small random changes, repeated.

    A lack of richness counts as ten times its share in units of Q, so that a start may lack some.
    """
    rng, level = np.random.default_rng(seed), two_places(len(of.counts) - 1)

    def total(place, share):
        got = scores(level, place, share, of)
        return got.dist_corr + 1.5 * got.hierarchy - 10 * np.clip(1 - got.richness / least, 0, None)

    first = [np.stack([getattr(one, name) for one in starts]) for name in ("place", "share")]
    found = total(*first)
    most, (place, share) = found.max(), (a[found.argmax()] for a in first)
    for _ in range(generations):
        changed = _changed(rng, place, share, family)
        found = total(*changed)
        if found.max() > most:
            most, (place, share) = found.max(), (a[found.argmax()] for a in changed)
    return Layout(level, place, share)


def _changed(rng, place, share, family, children=32):
    """Children (children, K) of one layout: a few coordinates move, by a step of a size of its own for each child."""
    step = np.exp(rng.uniform(np.log(1e-3), 0, (children, 1)))

    def moved(x):
        shape = (children, len(x))
        return np.clip(x + step * rng.normal(size=shape) * (rng.uniform(size=shape) < 3 / len(place)), 0, 1)

    places, first = moved(place), moved(share[1::2])
    if family != "free":  # sorted, they are in the order of the levels
        places = np.sort(places, 1)
    if family == "level 0 spread":
        places[:, 2:-2:2] = places[:, 1:-2:2]
    shares = np.stack([first, 1 - first], -1).reshape(children, -1)
    return places, np.concatenate([np.ones((children, 1)), shares], 1)
