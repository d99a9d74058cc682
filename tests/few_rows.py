"""Hand-written rows of metrics.jsonl, and the metrics that they contain."""

import math
from typing import Any

from ternary_jax.metric import Metric
from ternary_jax.workdir import summary

NAN = math.nan
METRICS = (
    Metric("coverage", 1, 1.0, 5e-5, 0.0),
    Metric("hierarchy", -1, -0.832, 0.0, 0.35),
    Metric("q", 1, NAN, NAN, NAN),
)
NAMES = tuple(m.name for m in METRICS)


def describe(run, **more):
    return {"run": run, "seed": 7 + run, "hypers": {"train.learning_rate": 1e-3 * (run + 1)}, **more}


def row(step, run=0, **more: Any):
    base = {"run": run, "seed": 7 + run, "step": step, "epoch": step / 39, "wall_s": step / 100, "samples_per_s": 61e3}
    return {**base, "loss": 100.0 / (step + 1), "loss/radial": 1.5, "coverage": step / 1000, **more}


def finished(rows, runs, targets, **facts):
    stops = [{"reason": "diverged" if k == 1 else "converged", "step": 300 + k, "detail": "so"} for k in range(runs)]
    described = [describe(k, stop=stops[k]) for k in range(runs)]
    return summary.summarise(rows, "ternary", METRICS, described, targets, **facts)
