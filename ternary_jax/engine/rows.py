"""Rows of the log from the reports of chunks, one for each run and evaluation; and the progress line."""

import time
from typing import Any

import jax
import numpy as np

from ternary_jax import terminal
from ternary_jax.config.checks import length, unit
from ternary_jax.engine import stopping
from ternary_jax.engine.columns import columns
from ternary_jax.engine.host_context import Clock, Training
from ternary_jax.engine.program import Report
from ternary_jax.engine.step import TrainState
from ternary_jax.workdir import rows as log
from ternary_jax.workdir import tensorboard

Window = list[tuple[int, Report]]  # end and report of the chunks since the last evaluation


def open_log(training: Training, step: int) -> tensorboard.Board:
    """The log of the workdir and its TensorBoard files, without the rows after `step`."""
    settings, watch = training.static.log, training.static.stop.watch
    share = settings.tensorboard_share if settings.tensorboard else None
    opened, kept = log.open_log(training.workdir, step, training.started, training.static.runs)
    return tensorboard.open_board(opened, kept, run_table(training), [*training.metrics], ("loss",), watch, share)


def record(
    training: Training, board: tensorboard.Board, window: Window, clock: Clock, state: TrainState | None
) -> tuple[Window, Clock]:
    """Write the rows of an evaluation and show the progress; -> (chunks that a later row still needs, clock).

    window: the chunks up to the one that ends with the evaluation
    state: the state at that evaluation, for histograms; None if it was donated to the next chunk
    """
    steps, now, batch = training.plan, time.time(), training.static.train.batch_size
    end, report = window[-1]
    begun = (end - 1) // steps.cheap * steps.cheap
    chunks = [(report.info, report.counts) for at, report in window if begun < at <= end]
    seconds = now - clock.since
    place = {"step": end, "wall_s": now - board.log.began, "samples_per_s": (end - begun) * batch / seconds}
    costly = bool(steps.costly) and steps.due(end, steps.costly)
    rows = _rows(training, chunks, report, costly, place | _epoch(training, end))
    clock = clock._replace(
        since=now, samples=clock.samples + (end - begun) * batch * len(rows), busy_s=clock.busy_s + seconds
    )
    histograms = _histograms(state) if training.static.log.histograms and state is not None else None
    log.write(board.log, rows)
    tensorboard.show(board, rows, histograms)
    if rows:
        clock = clock._replace(printed=_show(training, rows, clock.printed))
    abreast = np.min(report.stop.at[report.stop.reason == stopping.RUNNING], initial=end)
    needed = [(at, report) for at, report in window if at > (abreast - 1) // steps.cheap * steps.cheap]
    return needed, clock


def run_table(training: Training) -> list[dict[str, Any]]:
    """{"run", "seed", "hypers"} of each run: its number, its seed and its other traced values."""
    paths = jax.tree_util.tree_leaves_with_path(training.hypers)
    named = {jax.tree_util.keystr(path, simple=True, separator="."): values for path, values in paths}
    seeds = named.pop("seed")
    return [  # seven digits give the value as it was typed, not as float32 rounds it
        {"run": k, "seed": int(seeds[k]), "hypers": {name: float(f"{v[k]:.7g}") for name, v in named.items()}}
        for k in range(training.static.runs)
    ]


def _rows(training, chunks, report, costly, place) -> list[dict[str, Any]]:
    """A row for each run that counts in the last chunk. chunks: (info, counts) of each since the last evaluation."""
    weights = np.stack([counts for _, counts in chunks])

    def mean(*values):
        """The mean over the chunks in which a run counts; in its other chunks the values are undefined."""
        return np.sum(np.where(weights, np.stack(values), 0), 0) / np.maximum(weights.sum(0), 1)

    found = columns(jax.tree.map(mean, *(info for info, _ in chunks)))
    found |= {name: report.metrics[name] for name, metric in training.metrics.items() if costly >= metric.costly}
    seeds = training.hypers.seed
    return [
        {"run": int(k), "seed": int(seeds[k]), **place, **{name: float(v[k]) for name, v in found.items()}}
        for k in np.flatnonzero(report.counts)
    ]


def _epoch(training, end):
    """{"epoch": value}; {} for a task without epochs."""
    samples, train = training.task.samples_per_epoch, training.static.train
    if train.epochs:
        return {"epoch": end / training.plan.unit}
    return {"epoch": end * train.batch_size / samples} if samples else {}


def _show(training, rows, printed):
    static, steps = training.static, training.plan
    shown = sorted(training.metrics, key=lambda name: name != static.stop.watch)
    rate, step = rows[-1]["samples_per_s"], rows[-1]["step"]
    where = f"{unit(static.train)[:-1]} {step / steps.unit:.0f}/{length(static.train)}"
    left = (steps.total - step) * static.train.batch_size / rate
    line = terminal.progress_line(rows, shown, where, static.runs, rate * len(rows), left)
    return terminal.progress(line, static.log.progress_s, printed)


def _histograms(state: TrainState) -> dict[int, dict[str, np.ndarray]]:
    """{run: {name of a parameter: values}}."""
    leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(state.params))
    named = {"params/" + jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}
    return {k: {name: leaf[k] for name, leaf in named.items()} for k in range(len(state.stop.reason))}
