r"""How far can |hierarchy|, Q and richness go together? A proven bound over all layouts of radii, and a search.

A layout gives each of the N = 3^D operations a radius in (0, R), no two equal; the metrics of radii are those of
`evaluate`. R is 0.95, the `max_radius` of the models.

**The bound, for |hierarchy| and richness.** Three steps, each exact.

1. Fix the order of the operations by radius, and so hierarchy. Richness is a sum of variances, which is convex in the
   radii, and ordered radii 0 <= s_1 <= ... <= s_N <= R are a simplex with the vertices s = R [rank > m]. So no layout
   of this order has more richness than the best vertex, at which all radii are 0 (inside) or R (outside). Layouts
   without ties approach it.
2. Let k_v of the t_v operations of level v be outside. Richness is then R^2 / (D + 1) sum_v x_v (1 - x_v), with the
   shares x = k / t. The best hierarchy has higher levels further in, among those inside and among those outside. It
   differs from the perfect order by all pairs of an outside operation of level v and an inside one of a level u < v.
   Each such pair costs the difference of the mean ranks, a_v - a_u:
   |hierarchy| = ceiling - sum_{u < v} c_uv x_v (1 - x_u), c_uv = t_u t_v (a_v - a_u) / D_N.
   Radii in the opposite order are the mirror image, with the same |hierarchy|.
3. So for every price L > 0, |hierarchy| + L richness <= F(L), the maximum of a quadratic form over the box [0, 1]^D.
   Its mixed derivatives are c_uv >= 0, so the best response of each share to the others is monotone, and every maximum
   lies between the least and the greatest fixed point of the best responses (Tarski). Where these differ, the box is
   split; a plane below each product drops boxes without the maximum. This gives F(L) up to 1e-9.

Every layout lies below every line richness = (F(L) - |hierarchy|) / L, so the lowest line is a bound. The shares of the
maximum, as whole numbers, are a layout that touches the line: there the bound is exact, up to the rounding of shares.
Between two such layouts it is the straight line through them, and layouts may stay below it.

**Corollaries.** Without overlap of levels, richness <= R^2 / (4 (D + 1)) (`references.richness_best`). And Q is at most
the ceiling of dist_corr plus 1.5 times the greatest |hierarchy| at this richness. This ignores what richness costs
dist_corr, so it is proven, and layouts may stay below it.

**The search, for Q.** Each level has two places, with a share of it at either. Random search moves places and shares to
the greatest Q at a given least richness, for each of FAMILIES. It proves nothing: what it finds are layouts, which
`evaluate` measures.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ternary_jax import ternary
from ternary_jax.vae import references

RADIUS = 0.95
WIDTH = 1e-6  # of the place of a share of a level: enough for distinct radii, too little to change richness


class Trade(NamedTuple):
    """What |hierarchy| costs and richness pays, by the share of each level that is outside.

    counts: t_v, (D + 1,)
    mean_rank: a_v, of the levels in ascending order, (D + 1,)
    scale: D_N, so that |hierarchy| is the sum of products of centred ranks over it
    ceiling: |hierarchy| of the perfect order without ties
    cost: c_uv for u < v, else 0, (D + 1, D + 1)
    pay: R^2 / (D + 1); 0 for the highest level, whose only operation has no variance
    """

    counts: np.ndarray
    mean_rank: np.ndarray
    scale: float
    ceiling: float
    cost: np.ndarray
    pay: np.ndarray


def trade(n_digits: int = 9, radius: float = RADIUS) -> Trade:
    """The constants of step 2 of the bound."""
    t = ternary.level_counts(n_digits).astype(float)
    n = t.sum()
    a = np.cumsum(t) - (t - 1) / 2
    spread = float((t * (a - (n + 1) / 2) ** 2).sum())
    scale = float(np.sqrt(spread * (n**3 - n) / 12))
    cost = np.triu((a[None] - a[:, None]) * t[:, None] * t[None] / scale, 1)
    return Trade(t, a, scale, spread / scale, cost, np.where(t > 1, radius**2 / (n_digits + 1), 0))


def hierarchy_of(x: np.ndarray, of: Trade) -> float:
    """|hierarchy| of the best layout with shares x (D + 1,) outside."""
    return float(of.ceiling - x @ of.cost.T @ (1 - x))


def richness_of(x: np.ndarray, of: Trade) -> float:
    """Richness of shares x outside, all radii being 0 or R."""
    return float((of.pay * x * (1 - x)).sum())


# --- the bound --------------------------------------------------------------------------------------------------------


class Line(NamedTuple):
    """|hierarchy| + price * richness <= value, for all layouts; shares (D + 1,) touch it up to rounding.

    boxes: how many the proof has looked at
    """

    price: float
    value: float
    shares: np.ndarray
    boxes: int


def line(price: float, of: Trade, tolerance: float = 1e-9, most: int = 100_000) -> Line:
    """The greatest |hierarchy| + price * richness, by step 3."""

    def total(x):
        return hierarchy_of(x, of) + price * richness_of(x, of)

    # The highest level has one operation: outside, it costs hierarchy and pays nothing.
    boxes, seen = [(np.zeros_like(of.counts), np.where(of.pay > 0, 1.0, 0.0))], 0
    best, shares = -np.inf, boxes[0][0]
    while boxes:
        low, high = boxes.pop()
        seen += 1
        if seen > most:
            raise RuntimeError(f"the bound at price {price:g} is not proven after {most} boxes: raise `tolerance`")
        low, high = (_fixed_point(price, of, low, high, start) for start in (low, high))
        for x in (low, high):
            if total(x) > best:
                best, shares = total(x), x
        if np.abs(high - low).max() < 1e-10 or _above(price, of, low, high) <= best + tolerance:
            continue
        widest = np.argmax((high - low) * (of.cost.sum(0) + of.cost.sum(1) + price * of.pay))
        middle = np.eye(len(low))[widest] * (high - low) / 2
        boxes += [(low, high - middle), (low + middle, high)]
    return Line(price, best + tolerance, shares, seen)


def bound_on_richness(hierarchy: np.ndarray, lines: Sequence[Line]) -> np.ndarray:
    """No layout with this |hierarchy| (n,) has more richness."""
    prices, values = (np.array([one[k] for one in lines])[None] for k in (0, 1))
    return ((values - np.abs(np.asarray(hierarchy, float))[:, None]) / prices).min(1)


def bound_on_hierarchy(richness: np.ndarray, lines: Sequence[Line], of: Trade) -> np.ndarray:
    """No layout with this richness (n,) has a greater |hierarchy|."""
    prices, values = (np.array([one[k] for one in lines])[None] for k in (0, 1))
    return np.minimum((values - prices * np.asarray(richness, float)[:, None]).min(1), of.ceiling)


def bound_on_q(richness: np.ndarray, lines: Sequence[Line], of: Trade, best_dist_corr: float) -> np.ndarray:
    """No layout with this richness (n,) has a greater Q."""
    return best_dist_corr + 1.5 * bound_on_hierarchy(richness, lines, of)


def bound_of_bands(n_digits: int = 9, radius: float = RADIUS) -> float:
    """No layout without overlap of levels has more richness."""
    return references.richness_best(n_digits) * radius**2


def _fixed_point(price, of, low, high, x):
    """Best responses in the box, from one of its corners on. They are monotone: every iterate bounds the maximum."""
    after = x
    for _ in range(2000):
        slope = of.cost.T @ (1 - x) - of.cost @ x
        paid = np.where(of.pay > 0, price * of.pay, 1)
        after = np.clip(np.where(of.pay > 0, 0.5 - slope / (2 * paid), 0), low, high)
        if np.abs(after - x).max() < 1e-14:
            break
        x = after
    return after


def _above(price, of, low, high):
    """A bound over the box: each product x_v (1 - x_u) by a plane below it, then each share by itself."""
    bounds = []
    for a, b in ((low, 1 - high), (high, 1 - low)):  # (x_v - a_v)(1 - x_u - b_u) >= 0 for both
        outside, inside = of.cost.T @ b, of.cost @ a  # factors of x_v and of 1 - x_u
        paid = price * of.pay
        free = np.where(paid > 0, 0.5 - (outside - inside) / (2 * np.where(paid > 0, paid, 1)), 0)
        x = np.clip(free, low, high)
        product = (of.cost * a[None] * b[:, None]).sum()
        bounds.append((paid * x * (1 - x) - outside * x - inside * (1 - x)).sum() + product)
    return of.ceiling + min(bounds)


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
