"""Means and rank correlations over seeds, with their 95 % intervals."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def interval(differences: Any) -> tuple[float, float, float]:
    """(mean, low, high) over seeds, with the 95 % interval by Student's t."""
    from scipy.stats import t as student

    d = np.asarray(differences, float)
    half = float(student.ppf(0.975, len(d) - 1)) * d.std(ddof=1) / np.sqrt(len(d))
    return float(d.mean()), float(d.mean() - half), float(d.mean() + half)


def between(differences: Any, form: str) -> str:
    """The mean of the differences and its interval, as text."""
    mean, low, high = (f"{x:+{form}}" for x in interval(differences))
    return f"{mean} [{low}, {high}]"


def less(row: Mapping[str, Any], other: Mapping[str, Any] | None, metric: str = "recall_1", form: str = ".3f") -> str:
    """The difference of a metric between two rows, with its interval over seeds; "" where the numbers of seeds differ.

    A row with a single value, such as a closed form, has this value for every seed.
    """
    if other is None:
        return ""
    a, b = (np.array(one["metrics"][metric]) for one in (row, other))
    n = max(len(a), len(b))
    alike = len(a) in (1, n) and len(b) in (1, n) and n > 1
    return between(np.broadcast_to(a, n) - np.broadcast_to(b, n), form) if alike else ""


def rank_correlation(x: Any, y: Any, resamples: int = 2000) -> tuple[float, float, float]:
    """(Spearman's correlation, low, high) with average ranks, and its 95 % interval by resampling the pairs.

    NaN if all x or all y are equal; a resample in which they are is left out. The draws have a fixed seed.
    """
    from scipy.stats import rankdata

    n = len(x)
    rows = np.concatenate([np.arange(n)[None], np.random.default_rng(0).integers(0, n, (resamples, n))])
    a, b = (rankdata(np.asarray(values)[rows], axis=1) - (n + 1) / 2 for values in (x, y))
    spread = np.sqrt((a * a).sum(1) * (b * b).sum(1))
    found = np.where(spread > 0, (a * b).sum(1) / np.where(spread > 0, spread, 1), np.nan)
    if np.isnan(found[0]):
        return np.nan, np.nan, np.nan
    low, high = np.nanquantile(found[1:], (0.025, 0.975))
    return float(found[0]), float(low), float(high)
