"""Checkpoints of a training: which states are saved, which are kept, and which is the best."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from ternary_jax.engine import rows, stopping
from ternary_jax.engine.host_context import Training
from ternary_jax.engine.program import Report
from ternary_jax.engine.step import TrainState
from ternary_jax.errors import RunError
from ternary_jax.provenance import provenance
from ternary_jax.workdir import checkpoint
from ternary_jax.workdir import rows as rows_of_log


def policy(training: Training) -> checkpoint.Policy:
    """The config's rules of which checkpoints are kept."""
    c = training.static.checkpoint
    return checkpoint.Policy(c.latest, c.best, training.plan.checkpoint * c.keep_every)


def save(
    training: Training,
    store: checkpoint.Store,
    report: Report,
    state: TrainState,
    window: Sequence[rows.ChunkMeans],
) -> None:
    """Begin to save the state after the last chunk of `window`, unless a run was rolled back and is behind.

    window: the chunks since the evaluation before. A checkpoint between two evaluations holds them, for the next row,
        and ranks last among the best, as its metrics are those of an earlier state

    A single run whose loss or gradient was not finite is held before the chunk in which that happened. It is saved
    there, as running, so that it can be resumed with train.on_nan=rollback.
    """
    stop, end = report.stop, window[-1].end
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
        between = not training.plan.due(end, training.plan.cheap)
        metrics = {name: np.asarray(value, float).tolist() for name, value in report.metrics.items()}
        metadata: dict[str, Any] = {"config": training.config, "metrics": metrics, **provenance()}
        metadata |= {"window": rows.to_json([one for one in window if one.end <= end])} if between else {}
        checkpoint.save(store, end, state, math.inf if between else _rank(training, report, window), metadata)


def check_restored(training: Training, step: int, stop: Any) -> None:
    """Raise a RunError if a checkpoint has a StopState that no run has written: the host indexes by its values.

    Its checksums tell damage from what was written, and not what a stranger has written.
    """
    total = training.plan.total
    most = {"reason": stopping.NOT_FINITE, "at": total, "rollbacks": rows_of_log.MOST_STEPS, "bad_step": total}
    most["bad_term"] = max(len(training.observables) - 1, 0)
    bad = [name for name, high in most.items() if np.any(getattr(stop, name) > high)]
    bad += [name for name in most if np.any(getattr(stop, name) < (-1 if name == "bad_step" else 0))]
    bad += ["at"] * bool(step > total or np.any(stop.at[stop.reason == stopping.RUNNING] != step))
    if bad:
        raise RunError(
            f"checkpoint {step} in {training.workdir} is damaged (its stop.{bad[0]} is {getattr(stop, bad[0])!s:.50}): "
            "move it away, and start again"
        )


def _rank(training: Training, report: Report, window: Sequence[rows.ChunkMeans]) -> float:
    """The score of a checkpoint, lower is better: checkpoint.best_metric or minus it, as the mean over finite runs."""
    name = training.static.checkpoint.best_metric
    if name == "loss":
        values = rows.mean(window, "loss")[np.any([one.counts for one in window], 0)]
    else:
        values = -training.metrics[name].better * report.metrics[name]
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else math.inf
