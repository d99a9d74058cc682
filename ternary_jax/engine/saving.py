"""Checkpoints of a training: which states are saved, which are kept, and which is the best."""

import math
from typing import Any

import jax
import numpy as np

from ternary_jax.engine import stopping
from ternary_jax.engine.host_context import Training
from ternary_jax.engine.program import Report
from ternary_jax.engine.step import TrainState
from ternary_jax.provenance import provenance
from ternary_jax.workdir import checkpoint


def policy(training: Training) -> checkpoint.Policy:
    """The config's rules of which checkpoints are kept."""
    c = training.static.checkpoint
    return checkpoint.Policy(c.latest, c.best, training.plan.checkpoint * c.keep_every)


def save(training: Training, store: checkpoint.Store, report: Report, end: int, state: TrainState) -> None:
    """Begin to save the state after the chunk that ended at step `end`, unless a run was rolled back and is behind.

    A single run whose loss or gradient was not finite is held before the chunk in which that happened. It is saved
    there, as running, so that it can be resumed with train.on_nan=rollback.
    """
    stop = report.stop
    if np.all(np.isin(stop.reason, stopping.DIVERGED)):
        if training.static.runs > 1 or stop.reason[0] == stopping.GREW:
            return
        end = int(stop.at[0])
        running = jax.device_put(np.full_like(stop.reason, stopping.RUNNING))
        state = state._replace(stop=state.stop._replace(reason=running))
    elif np.any(stop.at[stop.reason == stopping.RUNNING] != end):
        return
    checkpoint.wait(store)  # the step of a save that is under way is not in store.metrics yet
    if end and end not in store.metrics:
        metrics = {name: np.asarray(value, float).tolist() for name, value in report.metrics.items()}
        metadata: dict[str, Any] = {"config": training.config, "metrics": metrics, **provenance()}
        checkpoint.save(store, end, state, _rank(training, report), metadata)


def _rank(training: Training, report: Report) -> float:
    """The score of a checkpoint, lower is better: checkpoint.best_metric or minus it, as the mean over finite runs."""
    name = training.static.checkpoint.best_metric
    values = report.info.loss if name == "loss" else -training.metrics[name].better * report.metrics[name]
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else math.inf
