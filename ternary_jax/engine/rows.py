"""From the reports of chunks to the rows of the log: one row for each run and evaluation, and a line of progress."""

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
    """The log of the workdir, cut back to `step`."""
    told = training.static.log
    share = told.tensorboard_share if told.tensorboard else None
    watch = training.static.stop.watch
    opened, kept = log.open_log(training.workdir, step, training.started)
    return tensorboard.open_board(opened, kept, runs(training), [*training.metrics], ("loss",), watch, share)


def record(
    training: Training, book: tensorboard.Board, window: Window, clock: Clock, state: TrainState | None
) -> tuple[Window, Clock]:
    """Write the rows of an evaluation and show the progress; -> the chunks that a later row still needs, the clock.

    window: chunks up to the one with the evaluation
    state: at that evaluation, for histograms; None if the next chunk has used it up
    """
    steps, now, batch = training.plan, time.time(), training.static.train.batch_size
    end, report = window[-1]
    begun = (end - 1) // steps.cheap * steps.cheap
    chunks = [(report.info, report.counts) for at, report in window if begun < at <= end]
    seconds = now - clock.since
    place = {"step": end, "wall_s": now - book.log.began, "samples_per_s": (end - begun) * batch / seconds}
    costly = bool(steps.costly) and steps.due(end, steps.costly)
    rows = _rows(training, chunks, report, costly, place | _epoch(training, end))
    clock = clock._replace(
        since=now, samples=clock.samples + (end - begun) * batch * len(rows), busy_s=clock.busy_s + seconds
    )
    histograms = _histograms(state) if training.static.log.histograms and state is not None else None
    log.write(book.log, rows)
    tensorboard.show(book, rows, histograms)
    if rows:
        clock = clock._replace(printed=_show(training, rows, clock.printed))
    abreast = np.min(report.stop.at[report.stop.reason == stopping.RUNNING], initial=end)
    needed = [(at, report) for at, report in window if at > (abreast - 1) // steps.cheap * steps.cheap]
    return needed, clock


def runs(training: Training) -> list[dict[str, Any]]:
    """Number, seed and traced values of each run."""
    paths = jax.tree_util.tree_leaves_with_path(training.hypers)
    named = {jax.tree_util.keystr(path, simple=True, separator="."): values for path, values in paths}
    seeds = named.pop("seed")
    return [  # seven digits: as they were typed, not as float32 rounds them
        {"run": k, "seed": int(seeds[k]), "hypers": {name: float(f"{v[k]:.7g}") for name, v in named.items()}}
        for k in range(training.static.runs)
    ]


def _rows(training, chunks, report, costly, place) -> list[dict[str, Any]]:
    """A row for each run that counts in the last chunk. chunks: (info, counts) since the last evaluation."""
    weights = np.stack([counts for _, counts in chunks])

    def mean(*values):
        """Over the chunks that count; in the others, values may be anything."""
        return np.sum(np.where(weights, np.stack(values), 0), 0) / np.maximum(weights.sum(0), 1)

    found = columns(jax.tree.map(mean, *(info for info, _ in chunks)))
    found |= {name: report.metrics[name] for name, metric in training.metrics.items() if costly >= metric.costly}
    seeds = training.hypers.seed
    return [
        {"run": int(k), "seed": int(seeds[k]), **place, **{name: float(v[k]) for name, v in found.items()}}
        for k in np.flatnonzero(report.counts)
    ]


def _epoch(training, end):
    """{"epoch"}; {} of a task that has no epochs."""
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
    """run -> name of a parameter -> values."""
    leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(state.params))
    named = {"params/" + jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}
    return {k: {name: leaf[k] for name, leaf in named.items()} for k in range(len(state.stop.reason))}
