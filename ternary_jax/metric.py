"""Metrics: name, direction and reference values of a measured value; and a task's criteria of success."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple


class Metric(NamedTuple):
    """A value that an evaluation measures.

    better: +1 where higher is better, -1 where lower is better
    best, chance: the best possible value, and that of chance; nan where there is none
    untrained: the value of an untrained model; nan where it is not known, None: the host measures it
    costly: measured only at the rare, full evaluations
    tolerance: a value may be beyond `best` by this much through rounding; a value further beyond is a collapse
    held_out_of: the metric that measures the same on the training set; "" where this one is not held out
    gap: instead of `held_out_of`, the metric whose value is the training set's minus this one
    tag: GROUP/NAME under which TensorBoard shows it, such as B/coverage; "" for metrics/NAME
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
    tag: str = ""

    def beyond(self, value: Any) -> Any:
        """Whether a value, or each of an array, is better than the best possible, as only a collapse is."""
        return self.better * value > self.better * self.best + self.tolerance  # False where no best is known

    def meets(self, value: Any, target: float) -> Any:
        """Whether a value, or each of an array, is as good as the target, and not beyond the best."""
        above = self.better * value - self.better * target
        most = self.better * (self.best - target) + self.tolerance if math.isfinite(self.best) else math.inf
        return (above >= 0) & (above <= most)


class Criteria(NamedTuple):
    """A task's criteria of success, which the analysis compares with the measured values.

    name: the part of the model that they concern
    levels: level of success -> metric -> target; from the lowest level to the highest
    checklist: metric -> target that every run should meet, without a collapse
    samples_per_s: throughput that all runs together should exceed; 0: none
    """

    name: str
    levels: Mapping[str, Mapping[str, float]]
    checklist: Mapping[str, float]
    samples_per_s: float = 0.0
