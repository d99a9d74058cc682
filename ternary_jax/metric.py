"""What a figure is called, what it is to be compared with, and what is asked of it."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple


class Metric(NamedTuple):
    """A figure of an evaluation.

    better: +1 where higher is better, -1 where lower
    best, chance: of this metric; nan where it has none
    untrained: the same without training; nan where it is not known, None where the host is to measure it
    costly: measured at the rare, full evaluations only
    tolerance: how far beyond `best` rounding may carry it; further out is a collapse, not a success
    held_out_of: the metric that is the same figure over what is trained on; "" where this one is not held out
    gap: instead of `held_out_of`, the metric that is that figure less this one
    """

    name: str
    better: int
    best: float
    chance: float
    untrained: float | None
    costly: bool = False
    tolerance: float = 1e-4
    held_out_of: str = ""
    gap: str = ""

    def beyond(self, value: Any) -> Any:
        """Whether a value, or each of an array, is better than the best possible, as that of a collapse is."""
        return self.better * value > self.better * self.best + self.tolerance  # False where no best is known

    def meets(self, value: Any, target: float) -> Any:
        """Whether a value, or each of an array, is as good as the target, and not beyond the best."""
        above = self.better * value - self.better * target
        most = self.better * (self.best - target) + self.tolerance if math.isfinite(self.best) else math.inf
        return (above >= 0) & (above <= most)


class Criteria(NamedTuple):
    """What a task asks of a training; its own words, which the analysis puts beside the figures.

    name: of the part of the model that is asked about
    levels: level of success -> metric -> value; from the least level to the greatest
    checklist: metric -> value that every run should reach, without being beyond the best
    samples_per_s: that all runs together should exceed; 0: nothing is asked
    """

    name: str
    levels: Mapping[str, Mapping[str, float]]
    checklist: Mapping[str, float]
    samples_per_s: float = 0.0
