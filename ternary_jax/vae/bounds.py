r"""How far |hierarchy|, Q and richness can go together: a proven bound over all layouts of radii.

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
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ternary_jax import ternary
from ternary_jax.vae import references

RADIUS = 0.95
PRICES = np.geomspace(1e-5, 100, 29)  # of the lines of the bound


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
