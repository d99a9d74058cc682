"""What the host makes of the reports of chunks: rows, warnings, checkpoints, and at the end files and a summary."""

import io
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from ternary_jax import terminal
from ternary_jax.engine import checkpoint, log, stopping
from ternary_jax.engine.step import StepInfo, TrainState
from ternary_jax.engine.task import Metric, RunError, Task
from ternary_jax.keys import ConfigError
from ternary_jax.provenance import provenance


class Report(NamedTuple):
    """What the host reads of a chunk, of all runs.

    info: means over its steps; metrics, stop: as carried at its end
    moved: whether the run was not held; counts: whether it moved, and all was finite
    """

    info: StepInfo
    metrics: dict[str, Array]
    stop: stopping.StopState
    moved: Array
    counts: Array


class Plan(NamedTuple):
    """How a run is cut, all in steps: an epoch, the run, a chunk, and what is due after every so many.

    costly: 0 where they are never measured, or at the end alone
    """

    epoch: int
    total: int
    chunk: int
    cheap: int
    costly: int
    checkpoint: int

    def due(self, end: Any, every: int) -> Any:
        """Whether something is due at step `end`, a number or an array: every so many steps, and at the end."""
        return (end % every == 0) | (end == self.total)


class Desk(NamedTuple):
    """All that the host works by.

    metrics: those that are measured, by name
    config: as resolved, for the checkpoints
    again: how the run is started once more, for the messages
    started: unix seconds from which wall_s counts
    names: of what has to be finite, in the order of `StopState.bad_term`
    """

    task: Task
    static: Any
    hypers: Any
    steps: Plan
    metrics: dict[str, Metric]
    workdir: Path
    config: dict[str, Any]
    again: str
    started: float
    names: Sequence[str] = ()


def measured(task: Task, static: Any) -> dict[str, Metric]:
    """The metrics that a config measures, by name."""
    return {m.name: m for m in task.metrics if static.evaluate.costly_every or not m.costly}


def refuse_unknown_metrics(desk: Desk) -> None:
    """A ConfigError where the config speaks of a metric that is not measured, or not when it is asked for."""
    static, targets = desk.static, stopping.targets_of(desk.static)
    asked = {"stop.watch": static.stop.watch} | {f"targets.{name}": name for name in targets}
    if static.checkpoint.best_metric != "loss":
        asked["checkpoint.best_metric"] = static.checkpoint.best_metric
    for key, name in asked.items():
        if name not in desk.metrics:
            raise ConfigError(f"config.{key}={name} is not measured: there are {', '.join(desk.metrics)}")
        rare = desk.metrics[name].costly and static.evaluate.costly_every != static.evaluate.cheap_every
        if rare and not key.startswith("targets."):
            raise ConfigError(
                f"config.{key}={name} is measured every {static.evaluate.costly_every} epochs only: name a cheap one, "
                f"or set evaluate.costly_every to evaluate.cheap_every={static.evaluate.cheap_every}"
            )
    if static.stop.on_targets and not targets:
        raise ConfigError("config.stop.on_targets=True needs targets: set targets.METRIC, or leave it False")


def policy(desk: Desk) -> checkpoint.Policy:
    """Which checkpoints are kept."""
    c = desk.static.checkpoint
    return checkpoint.Policy(c.latest, c.best, desk.steps.checkpoint * c.keep_every)


def open_book(desk: Desk, step: int) -> log.Log:
    """The log of the workdir, cut back to `step`."""
    told = desk.static.log
    share = told.tensorboard_share if told.tensorboard else None
    return log.open_log(desk.workdir, step, _runs(desk), [*desk.metrics], desk.static.stop.watch, share, desk.started)


def warn(desk: Desk, report: Report) -> None:
    """Say which runs met something that is not finite in the chunk."""
    for k in np.flatnonzero(report.moved & ~report.counts):
        stop = report.stop
        went = f"back to step {stop.at[k]:,}, at {float(stop.rate[k]):g} of the learning rate"
        said = went if stop.reason[k] == stopping.RUNNING else "it stops"
        terminal.say(f"run {k} (seed {desk.hypers.seed[k]}): {_bad(desk, stop, k)}; {said}")


def record(desk: Desk, book: log.Log, window: list[tuple[int, Report]], clock: dict, state: TrainState | None) -> None:
    """Write the rows of an evaluation, and show the progress. window: end and report of the chunks so far."""
    static, steps, now = desk.static, desk.steps, time.time()
    end, report = window[-1]
    begun = (end - 1) // steps.cheap * steps.cheap
    chunks = [(report.info, report.counts) for at, report in window if begun < at <= end]
    samples, seconds = (end - begun) * static.train.batch_size, now - clock["since"]
    place = dict(step=end, epoch=end / steps.epoch, wall_s=now - book.began, samples_per_s=samples / seconds)
    costly = bool(steps.costly) and steps.due(end, steps.costly)
    rows = _rows(desk, chunks, report, costly, place)
    clock |= dict(since=now, samples=clock["samples"] + samples * len(rows), busy_s=clock["busy_s"] + seconds)
    log.write(book, rows, _histograms(state) if static.log.histograms and state is not None else None)
    if rows:
        shown = sorted(desk.metrics, key=lambda name: name != static.stop.watch)
        left = (steps.total - end) * static.train.batch_size / place["samples_per_s"]
        rate = place["samples_per_s"] * len(rows)
        line = terminal.progress_line(rows, shown, static.train.epochs, static.runs, rate, left)
        clock["printed"] = terminal.progress(line, static.log.progress_s, clock.get("printed", 0.0))
    abreast = np.min(report.stop.at[report.stop.reason == stopping.RUNNING], initial=end)
    window[:] = [(at, report) for at, report in window if at > (abreast - 1) // steps.cheap * steps.cheap]


def save(desk: Desk, store: checkpoint.Store, report: Report, end: int, state: TrainState) -> None:
    """Begin to save the state after the chunk that ended at step `end`, unless a run has been put back and is behind.

    A single run that met something not finite is held before the chunk in which it did. It is saved as of there, and
    as running: so it can go on by other rules.
    """
    stop = report.stop
    if np.all(np.isin(stop.reason, stopping.DIVERGED)):
        if desk.static.runs > 1 or stop.reason[0] == stopping.GREW:
            return
        end = int(stop.at[0])
        running = jax.device_put(np.full_like(stop.reason, stopping.RUNNING))
        state = state._replace(stop=state.stop._replace(reason=running))
    elif np.any(stop.at[stop.reason == stopping.RUNNING] != end):
        return
    checkpoint.wait(store)  # until then, a step under way is not among those that are there
    if end and end not in store.metrics:
        metrics = {name: np.asarray(value, float).tolist() for name, value in report.metrics.items()}
        metadata = {"config": desk.config, "metrics": metrics, **provenance()}
        checkpoint.save(store, end, state, _rank(desk, report), metadata)


def conclude(
    desk: Desk, store: checkpoint.Store, book: log.Log, clock: dict, state: TrainState, stop: Any, end: int
) -> dict[str, Any]:
    """Close the books; where all runs have ended, export; write the summary; -> it. RunError where all diverged."""
    terminal.progress()
    checkpoint.wait(store)
    diverged = bool(np.all(np.isin(stop.reason, stopping.DIVERGED)))
    finished = not diverged and (end == desk.steps.total or bool(np.all(stop.reason != stopping.RUNNING)))
    if finished:
        _measure_last(desk, book, state, stop)
        _export(desk, state)
    log.close(book)
    endings = _endings(desk, stop)
    summary = _summary(desk, clock, endings, finished)
    if diverged:
        raise RunError(_what_to_do(desk, store, stop, endings))
    if not finished:
        where = f", and saved at step {end:,} of {desk.steps.total:,}" if end else " before the first step"
        terminal.say(f"interrupted{where}; to go on: {desk.again}")
    return summary


# --- inside -----------------------------------------------------------------------------------------------------------


def _rows(desk, chunks, report, costly, place) -> list[dict[str, Any]]:
    """A row of metrics.jsonl for each run that counts in the last chunk. chunks: infos since the last evaluation."""
    weights = np.stack([counts for _, counts in chunks])

    def mean(*values):
        """Over the chunks that count; in the others, values may be anything."""
        return np.sum(np.where(weights, np.stack(values), 0), 0) / np.maximum(weights.sum(0), 1)

    columns = _columns(desk.task, jax.tree.map(mean, *(info for info, _ in chunks)))
    columns |= {name: report.metrics[name] for name, metric in desk.metrics.items() if costly >= metric.costly}
    return [
        {"run": int(k), "seed": int(desk.hypers.seed[k]), **place, **{name: float(v[k]) for name, v in columns.items()}}
        for k in np.flatnonzero(report.counts)
    ]


def _columns(task: Task, info: StepInfo) -> dict[str, Any]:
    norms = info.gradient
    named: dict[str, Any] = {
        "loss": info.loss,
        **{f"loss/{name}": value for name, value in info.terms.items()},
        **info.signals,
        "gradient_norm": info.gradient_norm,
        **{f"gradient/{group}": norm for group, norm in norms.items()},
    }
    if task.ratio:
        above, below = (norms[group] for group in task.ratio)
        named["gradient_ratio"] = np.divide(above, below, out=np.full_like(above, np.inf), where=below > 0)
    rates = {f"rate/{group}": factor for group, factor in info.rates.items()}
    return named | rates | {f"control/{name}": value for name, value in info.knobs.items()}


def _measure_last(desk: Desk, book: log.Log, state: TrainState, stop: Any) -> None:
    """Into the last row of a run that has not just been measured in full, the costly metrics of its state."""
    steps, wanted = desk.steps, range(desk.static.runs if desk.static.evaluate.costly_every else 0)
    early = [k for k in wanted if not (steps.costly and steps.due(stop.at[k], steps.costly))]
    early = [k for k in early if stop.reason[k] not in stopping.DIVERGED]
    if early:
        costly = jax.jit(jax.vmap(desk.task.costly, (0, 0, 0, None)))
        metrics = jax.device_get(costly(state.params, state.knobs, desk.hypers, jax.device_put(desk.task.data)))
        log.amend(book, {k: {name: float(value[k]) for name, value in metrics.items()} for k in early})


def _rank(desk: Desk, report: Report) -> float:
    """What the best checkpoint has least of: the mean over the runs where it is finite."""
    name = desk.static.checkpoint.best_metric
    values = report.info.loss if name == "loss" else -desk.metrics[name].better * report.metrics[name]
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else math.inf


def _runs(desk: Desk) -> list[dict[str, Any]]:
    """Number, seed and traced values of each run."""
    paths = jax.tree_util.tree_leaves_with_path(desk.hypers)
    named = {jax.tree_util.keystr(path, simple=True, separator="."): values for path, values in paths}
    seeds = named.pop("seed")
    return [  # seven digits: as they were typed, not as float32 rounds them
        {"run": k, "seed": int(seeds[k]), "hypers": {name: float(f"{v[k]:.7g}") for name, v in named.items()}}
        for k in range(desk.static.runs)
    ]


def _bad(desk: Desk, stop: Any, run: Any) -> str:
    return f"{desk.names[int(stop.bad_term[run])]} was not finite at step {stop.bad_step[run]:,}"


def _endings(desk: Desk, stop: Any) -> list[dict[str, Any]]:
    """{"reason", "step", "detail"} of each run."""
    out = []
    for k, reason in enumerate(stop.reason):
        detail = (
            f"its loss grew over {desk.static.stop.divergence:g} times its first" if reason == stopping.GREW else ""
        )
        if reason == stopping.NOT_FINITE:
            detail = _bad(desk, stop, k)
        elif stop.rollbacks[k]:
            detail = f"rolled back {stop.rollbacks[k]} times, last because {_bad(desk, stop, k)}"
        said = stopping.describe(int(reason), desk.static.stop.watch)
        out.append({"reason": said, "step": int(stop.at[k]), "detail": detail})
    return out


def _what_to_do(desk: Desk, store: checkpoint.Store, stop: Any, endings: Sequence[dict[str, Any]]) -> str:
    """One sentence for every run that diverged, or all of them: what happened, what is left, how to go on."""
    runs = desk.static.runs
    what = "the run diverged: " if runs == 1 else f"all {runs} runs diverged, run 0 first in this list: "
    what += "; ".join(dict.fromkeys(ending["detail"] for ending in endings[:3]))
    good = f"the last good checkpoint is step {max(store.metrics):,}" if store.metrics else "there is no checkpoint yet"
    fix = "start anew in another --workdir with a lower train.learning_rate"
    if runs == 1 and stop.reason[0] == stopping.NOT_FINITE:
        fix = f"to go on from there at half the learning rate: {desk.again} --config.train.on_nan=rollback"
        if stop.rollbacks[0]:
            more = f"--config.train.max_rollbacks={2 * desk.static.train.max_rollbacks}"
            fix = f"{stop.rollbacks[0]} rollbacks did not help; to go on at a still lower rate: {desk.again} {more}"
    return f"{what}; {good} in {desk.workdir}; {fix}"


def _histograms(state: TrainState) -> dict[int, dict[str, np.ndarray]]:
    """run -> name of a parameter -> values."""
    leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(state.params))
    named = {"params/" + jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}
    return {k: {name: leaf[k] for name, leaf in named.items()} for k in range(len(state.stop.reason))}


def _export(desk: Desk, state: TrainState) -> None:
    """embeddings/run_NNN.npz of every run."""
    (desk.workdir / "embeddings").mkdir(exist_ok=True)
    export, data = jax.jit(desk.task.export), jax.device_put(desk.task.data)
    for k in range(desk.static.runs):
        params, knobs, hypers = jax.tree.map(lambda x, k=k: x[k], (state.params, state.knobs, desk.hypers))
        file = io.BytesIO()
        np.savez(file, **jax.device_get(export(params, knobs, hypers, data)))
        log.write_whole(desk.workdir / "embeddings" / f"run_{k:03d}.npz", file.getvalue())


def _summary(desk: Desk, clock: dict[str, float], endings: Sequence[dict[str, Any]], finished: bool) -> dict[str, Any]:
    """Write summary.json; -> what it says."""
    facts = {
        "finished": finished,
        "compile_s": clock.get("compile_s"),
        "first_step_s": clock["stepped"] - desk.started if "stepped" in clock else None,
        "notes": desk.task.notes,
        "samples_per_s": clock["samples"] / clock["busy_s"] if clock.get("busy_s") else None,
        "device": jax.devices()[0].device_kind,
        **provenance(),
    }
    runs = [run | {"stop": ending} for run, ending in zip(_runs(desk), endings, strict=True)]
    summary = log.summary(
        log.read(desk.workdir),
        desk.task.name,
        [*desk.metrics.values()],
        runs,
        stopping.targets_of(desk.static),
        **facts,
    )
    log.write_whole(desk.workdir / "summary.json", (json.dumps(summary, indent=1, allow_nan=False) + "\n").encode())
    return summary
