"""Means over seeds with their intervals, by Student's t; differences of two settings, paired by seed or by Welch's t.

SciPy has the quantiles too. It is no dependency of the package, and for whole degrees of freedom the distribution has a
closed form: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np


class Interval(NamedTuple):
    """A mean and its interval; low and high are nan where there are fewer than two values.

    n: the number of values, or of pairs; of an unpaired difference, that of the smaller sample
    paired: whether the values are differences of two runs with the same seed
    """

    mean: float
    low: float
    high: float
    n: int
    paired: bool = False


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """mean +- t s / sqrt(n), s the standard deviation with n - 1, t the quantile with n - 1 degrees of freedom."""
    x = np.asarray(values, float)
    if len(x) < 2:
        return Interval(float(x.mean()) if len(x) else math.nan, math.nan, math.nan, len(x))
    half = student(confidence, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x))
    return Interval(float(x.mean()), float(x.mean() - half), float(x.mean() + half), len(x))


def difference(one: Mapping[Any, float], other: Mapping[Any, float], confidence: float = 0.95) -> Interval:
    """The mean of one minus other, each {seed: value}, with its interval: over the seeds that both have, as pairs.

    A value that one of them lacks takes its pair with it, and no other. With fewer than two pairs, the difference is
    that of all values, by Welch's t, for samples of unequal variance, with its degrees of freedom rounded down.
    """
    both = [seed for seed in one if seed in other]
    if len(both) > 1:
        return mean_interval([one[seed] - other[seed] for seed in both], confidence)._replace(paired=True)
    a, b = (np.asarray([*values.values()], float) for values in (one, other))
    mean, n = float(a.mean() - b.mean()) if len(a) and len(b) else math.nan, min(len(a), len(b))
    if n < 2:
        return Interval(mean, math.nan, math.nan, n)
    shares = np.array([a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)])
    total = float(shares.sum())
    if not total:
        return Interval(mean, mean, mean, n)
    free = total**2 / float((shares**2 / np.array([len(a) - 1, len(b) - 1])).sum())
    half = student(confidence, max(1, math.floor(free))) * math.sqrt(total)
    return Interval(mean, mean - half, mean + half, n)


@cache
def student(confidence: float, free: int) -> float:
    """t with P(|T| < t) = confidence, for T of Student's distribution with `free` degrees of freedom, by bisection."""
    low, high = 0.0, math.pi / 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (low, middle) if _within(middle, free) > confidence else (middle, high)
    return math.sqrt(free) * math.tan(low)


def _within(theta: float, free: int) -> float:
    """P(|T| < sqrt(free) tan(theta)).

    odd:  2/pi (theta + sin (cos + 2/3 cos^3 + ... + (2 4 ... (free - 3)) / (3 5 ... (free - 2)) cos^(free - 2)))
    even: sin (1 + 1/2 cos^2 + ... + (1 3 ... (free - 3)) / (2 4 ... (free - 2)) cos^(free - 2))
    """
    cos, sin = math.cos(theta), math.sin(theta)
    odd = free % 2
    term, total = (cos if odd else 1.0), 0.0
    for k in range(2 + odd, free + 1, 2):
        total += term
        term *= (k - 1) / k * cos**2
    return 2 / math.pi * (theta + sin * total) if odd else sin * total
