"""The end of each run in words: for the terminal, for summary.json, and for the error of runs that diverged."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ternary_jax import terminal
from ternary_jax.engine import stopping
from ternary_jax.engine.host_context import Training
from ternary_jax.engine.program import Report


def warn(training: Training, report: Report) -> None:
    """Print which runs had a loss or gradient in this chunk that was not finite."""
    for k in np.flatnonzero(report.moved & ~report.counts):
        stop = report.stop
        rollback = f"back to step {stop.at[k]:,}, at {float(stop.rate[k]):g} of the learning rate"
        outcome = rollback if stop.reason[k] == stopping.RUNNING else "it stops"
        terminal.say(f"run {k} (seed {training.hypers.seed[k]}): {_not_finite(training, stop, k)}; {outcome}")


def endings(training: Training, stop: Any) -> list[dict[str, Any]]:
    """{"reason", "step", "detail"} of each run."""
    out = []
    for k, reason in enumerate(stop.reason):
        detail = ""
        if reason == stopping.GREW:
            detail = f"its loss grew over {training.static.stop.divergence:g} times its first"
        elif reason == stopping.NOT_FINITE:
            detail = _not_finite(training, stop, k)
        elif stop.rollbacks[k]:
            detail = f"rolled back {stop.rollbacks[k]} times, last because {_not_finite(training, stop, k)}"
        under_way = reason == stopping.RUNNING and stop.at[k] < training.plan.total
        words = stopping.describe(int(reason), training.static.stop.watch, training.static.train)
        out.append({"reason": "interrupted" if under_way else words, "step": int(stop.at[k]), "detail": detail})
    return out


def diverged_message(training: Training, saved: Sequence[int], stop: Any) -> str:
    """The error where all runs diverged: what happened, the last checkpoint of the steps in `saved`, how to go on."""
    n, details = training.static.runs, [ending["detail"] for ending in endings(training, stop)]
    what = "the run diverged: " if n == 1 else f"all {n} runs diverged, run 0 first in this list: "
    what += "; ".join(dict.fromkeys(details[:3]))
    good = f"the last good checkpoint is step {max(saved):,}" if saved else "there is no checkpoint yet"
    if n == 1 and stop.reason[0] == stopping.NOT_FINITE and stop.bad_step[0] == 0:
        return f"{what}; at the first step no learning rate helps: look at the data, the loss and the initial values"
    fix = "start anew in another --workdir with a lower train.learning_rate"
    if n == 1 and stop.reason[0] == stopping.NOT_FINITE:
        place = "there" if saved else "its start"
        fix = f"to go on from {place} at half the learning rate: {training.again} --config.train.on_nan=rollback"
        if stop.rollbacks[0]:
            more = f"--config.train.max_rollbacks={2 * training.static.train.max_rollbacks}"
            fix = f"{stop.rollbacks[0]} rollbacks did not help; to go on at a still lower rate: {training.again} {more}"
    return f"{what}; {good} in {training.workdir}; {fix}"


def _not_finite(training: Training, stop: Any, run: Any) -> str:
    return f"{training.observables[int(stop.bad_term[run])]} was not finite at step {stop.bad_step[run]:,}"
