"""Means over seeds with their 95 % intervals."""

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
