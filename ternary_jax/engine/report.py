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

from ternary_jax.engine import checkpoint, log, stopping
from ternary_jax.engine.step import StepInfo, TrainState
from ternary_jax.engine.task import Metric, RunError, Task
from ternary_jax.keys import ConfigError
from ternary_jax.provenance import provenance


class Report(NamedTuple):
    """What the host reads of a chunk, of all runs. info: means over its steps; metrics, stop: as carried at its end."""

    info: StepInfo
    metrics: dict[str, Array]
    stop: stopping.StopState


class Plan(NamedTuple):
    """How a run is cut, all in steps: an epoch, the run, a chunk, and what is due after every so many."""

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
    """

    task: Task
    static: Any
    hypers: Any
    steps: Plan
    metrics: dict[str, Metric]
    workdir: Path
    config: dict[str, Any]
    again: str


def measured(task: Task, static: Any) -> dict[str, Metric]:
    """The metrics that a config measures, by name."""
    return {m.name: m for m in task.metrics if static.evaluate.costly_every or not m.costly}


def refuse_unknown_metrics(desk: Desk) -> None:
    """A ConfigError where the config speaks of a metric that is not measured."""
    static = desk.static
    asked = {"stop.watch": static.stop.watch} | {f"targets.{name}": name for name in _targets(static)}
    if static.checkpoint.best_metric != "loss":
        asked["checkpoint.best_metric"] = static.checkpoint.best_metric
    for key, name in asked.items():
        if name not in desk.metrics:
            raise ConfigError(f"config.{key}={name} is not measured: there are {', '.join(desk.metrics)}")


def policy(desk: Desk) -> checkpoint.Policy:
    """Which checkpoints are kept."""
    c = desk.static.checkpoint
    return checkpoint.Policy(c.latest, c.best, desk.steps.checkpoint * c.keep_every)


def open_book(desk: Desk, step: int) -> log.Log:
    """The log of the workdir, cut back to `step`."""
    told = desk.static.log
    share = told.tensorboard_share if told.tensorboard else None
    return log.open_log(
        desk.workdir, step, _runs(desk), [*desk.metrics], desk.static.stop.watch, share, log.process_start()
    )


def good(stop: stopping.StopState, end: int, chunk: int) -> np.ndarray:
    """Of which runs the chunk before `end` counts, (runs,): not held during it, and all finite."""
    held = (stop.reason != stopping.RUNNING) & (stop.step < end)
    return np.asarray(~held & (stop.bad_step < end - chunk))


def warn(desk: Desk, stop: stopping.StopState, names: Sequence[str], end: int) -> None:
    """Say what was not finite in the chunk before `end`; names: what `stop.bad_term` counts."""
    begin = end - desk.steps.chunk
    for k in np.flatnonzero((stop.bad_step >= begin) & (stop.bad_step < end)):
        went = f"back to step {begin:,}, at {float(stop.rate[k]):g} of the learning rate"
        stopped = stop.reason[k] != stopping.RUNNING
        log.say(f"run {k} (seed {desk.hypers.seed[k]}): {_bad(stop, names, k)}; {'it stops' if stopped else went}")


def record(desk: Desk, book: log.Log, window: Sequence[tuple[Report, np.ndarray]], end: int, clock: dict, state: Any):
    """Write the rows of an evaluation, and show the progress. window: the reports since the last, each with `good`."""
    static, steps, now = desk.static, desk.steps, time.time()
    samples, seconds = len(window) * steps.chunk * static.train.batch_size, now - clock["since"]
    place = dict(step=end, epoch=end / steps.epoch, wall_s=now - book.began, samples_per_s=samples / seconds)
    costly = bool(steps.costly) and steps.due(end, steps.costly)
    rows = _rows(desk.task, desk.hypers.seed, window, costly, place)
    clock |= dict(since=now, samples=clock["samples"] + samples * len(rows), busy_s=clock["busy_s"] + seconds)
    log.write(book, rows, _histograms(state) if static.log.histograms and state is not None else None)
    if rows:
        shown = sorted(desk.metrics, key=lambda name: name != static.stop.watch)
        left = (steps.total - end) * static.train.batch_size / place["samples_per_s"]
        rate = place["samples_per_s"] * len(rows)
        line = log.progress_line(rows, shown, static.train.epochs, static.runs, rate, left)
        clock["printed"] = log.progress(line, static.log.progress_s, clock.get("printed", 0.0))


def save(desk: Desk, store: checkpoint.Store, report: Report, end: int, state: TrainState) -> None:
    """Begin to save the state of step `end`.

    Where a single run has diverged, what is held is the state before the chunk in which it did. It is saved as that,
    and as running: so it can go on from there by other rules.
    """
    stop = report.stop
    if np.all(stop.reason == stopping.DIVERGED):
        if len(stop.reason) > 1 or stop.bad_step[0] < 0:
            return
        end = int(stop.bad_step[0]) // desk.steps.chunk * desk.steps.chunk
        running = jax.device_put(np.full_like(stop.reason, stopping.RUNNING))
        state = state._replace(stop=state.stop._replace(reason=running, step=jax.device_put(np.zeros_like(stop.step))))
    checkpoint.wait(store)  # until then, a step under way is not among those that are there
    if end and end not in store.metrics:
        metrics = {name: np.asarray(value, float).tolist() for name, value in report.metrics.items()}
        checkpoint.save(
            store, end, state, _rank(desk, report), {"config": desk.config, "metrics": metrics, **provenance()}
        )


def conclude(desk, store, book, state, stop, names, end, clock, finished) -> dict[str, Any]:
    """Close the books, export, and write the summary; -> it. RunError where every run has diverged."""
    log.progress()
    checkpoint.wait(store)
    diverged = bool(np.all(stop.reason == stopping.DIVERGED))
    if finished and not diverged:
        _measure_last(desk, book, state, stop, end)
        _export(desk, state)
    log.close(book)
    summary = _summary(desk, clock, _endings(desk, stop, names, end), finished and not diverged)
    if diverged:
        good = f"the last good checkpoint is step {max(store.metrics):,}" if store.metrics else "there is no checkpoint"
        raise RunError(
            f"{'the run' if desk.static.runs == 1 else 'every run'} diverged: {summary['runs'][0]['stop']['detail']}; "
            f"{good} in {desk.workdir}; to go on from there at half the learning rate: "
            f"{desk.again} --config.train.on_nan=rollback"
        )
    if not finished:
        where = f", and saved at step {end:,} of {desk.steps.total:,}" if end else " before the first step"
        log.say(f"interrupted{where}; to go on: {desk.again}")
    return summary


# --- inside -----------------------------------------------------------------------------------------------------------


def _rows(task, seeds, window, costly, place) -> list[dict[str, Any]]:
    """A row of metrics.jsonl for each run that counts at the end of the window."""
    report, counted = window[-1]
    weights = np.stack([weight for _, weight in window])

    def mean(*values):
        """Over the chunks that count; in the others, values may be anything."""
        return np.sum(np.where(weights, np.stack(values), 0), 0) / np.maximum(weights.sum(0), 1)

    columns = _columns(task, jax.tree.map(mean, *(report.info for report, _ in window)))
    columns |= {m.name: report.metrics[m.name] for m in task.metrics if m.name in report.metrics and costly >= m.costly}
    return [
        {"run": int(k), "seed": int(seeds[k]), **place, **{name: float(values[k]) for name, values in columns.items()}}
        for k in np.flatnonzero(counted)
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


def _measure_last(desk, book, state, stop, end):
    """The costly metrics of runs that stopped between two full evaluations, as one more row."""
    steps = desk.steps
    ends = [int(stop.step[k]) if stop.reason[k] else end for k in range(desk.static.runs)]
    if not steps.costly or all(steps.due(k, steps.costly) for k in ends):
        return
    costly = jax.jit(jax.vmap(desk.task.costly, (0, 0, None)))
    metrics = state.metrics | costly(state.params, jax.device_put(desk.hypers), jax.device_put(desk.task.data))
    metrics = jax.device_get(metrics)
    for k, last in enumerate(ends):
        if stop.reason[k] != stopping.DIVERGED and not steps.due(last, steps.costly):
            place = dict(step=last, epoch=last / steps.epoch, wall_s=time.time() - book.began)
            values = {name: float(value[k]) for name, value in metrics.items()}
            log.write(book, [{"run": k, "seed": int(desk.hypers.seed[k]), **place, **values}])


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
    return [
        {"run": k, "seed": int(seeds[k]), "hypers": {name: float(values[k]) for name, values in named.items()}}
        for k in range(desk.static.runs)
    ]


def _targets(static: Any) -> dict[str, float]:
    return static.targets._asdict() if hasattr(static, "targets") else {}


def _bad(stop: stopping.StopState, names: Sequence[str], run: Any) -> str:
    return f"{names[int(stop.bad_term[run])]} was not finite at step {stop.bad_step[run]:,}"


def _endings(desk: Desk, stop: stopping.StopState, names: Sequence[str], end: int) -> list[dict[str, Any]]:
    """{"reason", "step", "detail"} of each run."""
    out = []
    for k, reason in enumerate(stop.reason):
        detail = "its loss grew" if reason == stopping.DIVERGED else ""
        if stop.bad_step[k] >= 0 and names:
            detail = _bad(stop, names, k)
        step = int(stop.step[k]) if reason else end
        out.append({"reason": stopping.describe(int(reason), desk.static.stop.watch), "step": step, "detail": detail})
    return out


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
        params, hypers = jax.tree.map(lambda x, k=k: x[k], (state.params, desk.hypers))
        file = io.BytesIO()
        np.savez(file, **jax.device_get(export(params, hypers, data)))
        log.write_whole(desk.workdir / "embeddings" / f"run_{k:03d}.npz", file.getvalue())


def _summary(desk: Desk, clock: dict[str, float], endings: Sequence[dict[str, Any]], finished: bool) -> dict[str, Any]:
    """Write summary.json; -> what it says."""
    facts = {
        "finished": finished,
        "compile_s": clock.get("compile_s"),
        "first_step_s": clock.get("first_step_s"),
        "samples_per_s": clock["samples"] / clock["busy_s"] if clock.get("busy_s") else None,
        "device": jax.devices()[0].device_kind,
        **provenance(),
    }
    runs = [run | {"stop": ending} for run, ending in zip(_runs(desk), endings, strict=True)]
    summary = log.summary(
        log.read(desk.workdir), desk.task.name, [*desk.metrics.values()], runs, _targets(desk.static), **facts
    )
    log.write_whole(desk.workdir / "summary.json", (json.dumps(summary, indent=1, allow_nan=False) + "\n").encode())
    return summary
