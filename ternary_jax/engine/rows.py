"""Rows of the log from the reports of chunks, one for each run and evaluation; and the progress line."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ternary_jax import terminal
from ternary_jax.config import documentation
from ternary_jax.config.checks import length, unit
from ternary_jax.engine import performance, stopping
from ternary_jax.engine.columns import columns, tags
from ternary_jax.engine.host_context import Clock, Training
from ternary_jax.engine.program import Report
from ternary_jax.engine.step import TrainState
from ternary_jax.errors import RunError
from ternary_jax.workdir import rows as log
from ternary_jax.workdir import tensorboard


class ChunkMeans(NamedTuple):
    """The share of a chunk in the row of the next evaluation. The window of a row is the list of its chunks.

    end: the step after which the chunk ended
    counts: (runs,) bool, as in `Report`
    means: column -> (runs,), means over the steps of the chunk
    """

    end: int
    counts: np.ndarray
    means: Mapping[str, np.ndarray]


def chunk_means(end: int, report: Report) -> ChunkMeans:
    """The ChunkMeans of a report."""
    return ChunkMeans(end, np.asarray(report.counts), columns(report.info))


def to_json(window: Sequence[ChunkMeans]) -> list[Any]:
    """A window for the metadata of a checkpoint between two evaluations, so that resuming changes no row."""
    return [[one.end, one.counts.tolist(), {name: x.tolist() for name, x in one.means.items()}] for one in window]


def from_metadata(training: Training, metadata: Mapping[str, Any], info: Any) -> list[ChunkMeans]:
    """The window in the metadata of a checkpoint; [] where it was made at an evaluation. info: of the program.

    It is that of `to_json` to the last bit, as JSON holds every digit of a float32. A RunError for anything else,
    because a checkpoint may be a stranger's.
    """
    try:
        window = [
            ChunkMeans(int(end), np.array(counts, bool), {name: np.array(x, np.float32) for name, x in means.items()})
            for end, counts, means in metadata.get("window", ())
        ]
    except (TypeError, ValueError, AttributeError, OverflowError):
        window = None
    names, shape = {*columns(info)}, (training.static.runs,)
    if window is None or any(
        one.means.keys() != names or {x.shape for x in (one.counts, *one.means.values())} != {shape} for one in window
    ):
        raise RunError(
            f"the newest checkpoint in {training.workdir} has no valid means since its last evaluation: move it away, "
            "and start again"
        )
    return window


def open_log(training: Training, step: int, info: Any) -> tensorboard.Board:
    """The log of the workdir and its TensorBoard files, without the rows after `step`. info: of the program."""
    settings, watch = training.static.log, training.static.stop.watch
    share = settings.tensorboard_share if settings.tensorboard else None
    opened, kept = log.open_log(training.workdir, step, training.started, training.static.runs)
    _say_missing(training, step, {row["step"] for row in kept})
    metrics = {name: metric.tag or f"metrics/{name}" for name, metric in training.metrics.items()}
    return tensorboard.open_board(opened, kept, _hyperparameters(training), metrics, tags(info), watch, share)


def _hyperparameters(training: Training) -> list[dict[str, Any]]:
    """The runs as by `run_table`, each with the values of the config that differ from those of its base config."""
    changed = documentation.changed(training.config) if training.static.log.tensorboard else {}
    return [
        run | {"hypers": {key: run["hypers"].get(key, x) for key, x in changed.items()}} for run in run_table(training)
    ]


def _say_missing(training: Training, step: int, kept: set[int]) -> None:
    """Say which evaluations up to `step` have no row: a log may have lost some, and nothing can measure them again."""
    cheap = training.plan.cheap
    if missing := [k for k in range(cheap, step + 1, cheap) if k not in kept]:
        steps = ", ".join(f"{k:,}" for k in missing[:5]) + f" and {len(missing) - 5} more" * (len(missing) > 5)
        terminal.say(f"{training.workdir}/metrics.jsonl has no rows of step {steps}: they are lost; the run goes on")


def mean(chunks: Sequence[ChunkMeans], name: str) -> np.ndarray:
    """(runs,): the mean of a column over the chunks in which a run counts, as others are undefined; 0 without any."""
    weights = np.stack([one.counts for one in chunks])
    return np.sum(np.where(weights, np.stack([one.means[name] for one in chunks]), 0), 0) / np.maximum(
        weights.sum(0), 1
    )


def record(
    training: Training,
    board: tensorboard.Board,
    window: Sequence[ChunkMeans],
    report: Report,
    clock: Clock,
    state: TrainState | None,
) -> tuple[list[ChunkMeans], Clock]:
    """Write the rows of an evaluation and show the progress; -> (chunks that a later row still needs, clock).

    window: the chunks up to the one that ends with the evaluation; report: that of this last one
    state: the state at that evaluation, for histograms; None if it was donated to the next chunk
    """
    steps, now, batch = training.plan, time.time(), training.static.train.batch_size
    end = window[-1].end
    begun = (end - 1) // steps.cheap * steps.cheap
    chunks = [one for one in window if begun < one.end <= end]
    seconds, done = now - clock.since, end - max(begun, clock.first)
    place = {"step": end, "wall_s": now - board.log.began, "samples_per_s": done * batch / seconds}
    if training.static.log.level == "performance":
        place |= performance.columns(seconds, done, jax.local_devices()[0])
    costly = bool(steps.costly) and steps.due(end, steps.costly)
    rows = _rows(training, chunks, report, costly, place | _epoch(training, end))
    clock = clock._replace(since=now, samples=clock.samples + done * batch * len(rows), busy_s=clock.busy_s + seconds)
    histograms = _histograms(state) if training.static.log.histograms and state is not None else None
    log.write(board.log, rows)
    tensorboard.show(board, rows, histograms)
    if rows:
        clock = _show(training, rows, clock)
    # A single run that diverges is saved at the step where it is held, and may be resumed there.
    reason = report.stop.reason
    going = reason == stopping.RUNNING if np.any(reason == stopping.RUNNING) else reason == stopping.NOT_FINITE
    abreast = np.min(report.stop.at[going], initial=end)
    return [one for one in window if one.end > abreast // steps.cheap * steps.cheap], clock


def advance(training: Training, chunk: ChunkMeans, clock: Clock) -> None:
    """Move the bar, if there is one, at the end of a chunk without an evaluation."""
    if not terminal.has_bar():
        return
    running, runs = int(np.sum(chunk.counts)), training.static.runs
    where = f"{running} of {runs} runs, " * (runs > 1) + _place(training, chunk.end)
    left = _left_s(training, chunk.end, running, clock.rate) if clock.rate else None
    loss = float(np.median(chunk.means["loss"][chunk.counts])) if running else math.nan
    share = chunk.end / training.plan.total
    terminal.advance(terminal.Progress(share, where, clock.rate or None, left, {"loss": loss}))


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
    """A row for each run that counts in the last chunk. chunks: those since the last evaluation."""
    found = {name: mean(chunks, name) for name in chunks[-1].means}
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


def _show(training: Training, rows: Sequence[Mapping[str, Any]], clock: Clock) -> Clock:
    """Show the progress by new rows; -> the clock."""
    static, step = training.static, rows[-1]["step"]
    clock = clock._replace(rate=rows[-1]["samples_per_s"] * len(rows))
    where, left = _place(training, step), _left_s(training, step, len(rows), clock.rate)
    first = (static.stop.watch, *stopping.targets_of(static))
    if terminal.has_bar():
        shown = [name for name in dict.fromkeys((*first, *training.metrics)) if name in training.metrics]
        values = {k: x for k, x in terminal.medians(rows, ("loss", *shown)).items() if k == "loss" or math.isfinite(x)}
        where = f"{len(rows)} of {static.runs} runs, " * (static.runs > 1) + where
        terminal.advance(terminal.Progress(step / training.plan.total, where, clock.rate, left, values))
        return clock
    shown = sorted(training.metrics, key=lambda name: name != static.stop.watch)
    line = terminal.progress_line(rows, shown, where, static.runs, clock.rate, left)
    return clock._replace(printed=terminal.progress(line, static.log.progress_s, clock.printed))


def _place(training: Training, step: int) -> str:
    """How far the training is, in words: "epoch 3/96"; in a sweep, with the group before it."""
    train = training.static.train
    where = f"{unit(train)[:-1]} {step / training.plan.unit:.0f}/{length(train)}"
    return f"{training.within.label}, {where}" if training.within else where


def _left_s(training: Training, step: int, running: int, rate: float) -> float:
    """Seconds to go at this rate of all runs that train; those of the later trainings of a sweep are counted too."""
    later = training.within.later if training.within else 0
    return ((training.plan.total - step) * training.static.train.batch_size * running + later) / rate


def _histograms(state: TrainState) -> dict[int, dict[str, np.ndarray]]:
    """{run: {name of a parameter: values}}."""
    leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(state.params))
    named = {"params/" + jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}
    return {k: {name: leaf[k] for name, leaf in named.items()} for k in range(len(state.stop.reason))}
