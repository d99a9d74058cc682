"""What a run leaves behind and shows meanwhile: metrics.jsonl, TensorBoard, a progress line, summary.json, a table.

A row is a flat dict of one run at one evaluation: run, seed, step, epoch, wall_s, samples_per_s, loss, its terms, and
the metrics that were measured. metrics.jsonl has every row; what else is here follows from rows.
"""

import functools
import json
import math
import struct
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ternary_jax import terminal
from ternary_jax.engine.task import Metric, RunError

Row = Mapping[str, Any]


class Log(NamedTuple):
    """Where rows go. Files are open only while something is written, so a log needs no care when a run fails.

    path: metrics.jsonl
    began: unix seconds at which wall_s would have been 0, had all sessions been one
    tags: the columns that TensorBoard shows. watch: the one of them whose exponential mean it shows too
    share: of its last shown value that a scalar must move by to be shown again
    boards: for each run its event file, and tag -> (step, value) as measured, and as shown; empty without TensorBoard
    """

    path: Path
    began: float
    tags: tuple[str, ...]
    watch: str
    share: float
    boards: list[tuple[Path, dict[str, tuple[int, float]], dict[str, tuple[int, float]]]]


def open_log(
    workdir: Path, step: int, runs: Sequence[Row], metrics: Sequence[str], watch: str, share: float | None, since: float
) -> Log:
    """A log that goes on from `step`: later rows, and a line that a kill cut short, are gone; for step 0, all of them.

    runs: {"run", "seed", "hypers": {key: number}} of each. share: None for no TensorBoard. since: unix seconds from
    which wall_s counts, plus that of the last row kept; `process_start()` in a program of its own.
    """
    path, kept, rows = workdir / "metrics.jsonl", [], []
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    for line in lines if step else []:
        try:
            row = _row(line if line.endswith(b"\n") else b"")
            early = row["step"] <= step and row["wall_s"] >= 0
        except (ValueError, KeyError, TypeError, AttributeError):
            terminal.say(f"{path} has a line that is cut short or damaged: it is left out")
            continue
        if early:
            rows.append(row)
            kept.append(line)
    if len(kept) < len(lines) or not lines:
        write_whole(path, b"".join(kept))
    began = since - max((row["wall_s"] for row in rows), default=0.0)
    boards = [] if share is None else [(_event_file(workdir, run, metrics), {}, {}) for run in runs]
    log = Log(path, began, ("loss", "gradient_ratio", "control/tau", *metrics), watch, share or 0.0, boards)
    for row in rows if boards else []:
        _show(log, row)
    return log


def write(log: Log, rows: Sequence[Row], histograms: Mapping[int, Mapping[str, np.ndarray]] | None = None) -> None:
    """Append rows, a line each. histograms: run -> name -> values, for TensorBoard alone."""
    _append(log.path, "".join(json.dumps(_plain(row), allow_nan=False) + "\n" for row in rows).encode())
    for row in rows if log.boards else []:
        _show(log, row, (histograms or {}).get(row["run"], {}))


def amend(log: Log, more: Mapping[int, Row]) -> None:
    """Further metrics into the last row of each of these runs: run -> name -> value."""
    rows = read(log.path.parent)
    last = {row["run"]: row for row in rows}
    for run in more.keys() & last.keys():
        last[run].update(more[run])
        if log.boards:
            _show(log, {k: last[run][k] for k in ("run", "step", "wall_s")} | {**more[run], log.watch: math.nan})
    write_whole(log.path, "".join(json.dumps(_plain(row), allow_nan=False) + "\n" for row in rows).encode())


def close(log: Log) -> None:
    """Show the last value of every scalar that moved too little to be shown, at the step it is of."""
    for file, measured, shown in log.boards:
        for tag, (step, value) in measured.items():
            if shown[tag][0] < step:
                _record(file, step=step, summary={"value": [{"tag": tag, "simple_value": value}]})


def read(workdir: Path) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl, if there is one; what was not finite is nan. A line without an end is being written or
    was cut short, and is no row.
    """
    file = workdir / "metrics.jsonl"
    lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    return [_row(line) for line in lines if line.endswith(b"\n")]


def _row(line: bytes) -> dict[str, Any]:
    return {k: math.nan if v is None else v for k, v in json.loads(line).items()}


def write_whole(path: Path, data: bytes) -> None:
    """The file has its old contents or the new, whenever the process is killed."""
    part = path.with_name(path.name + ".part")
    with _disk(path):
        part.write_bytes(data)
        part.replace(path)


def _append(path: Path, data: bytes) -> None:
    with _disk(path), open(path, "ab") as file:
        file.write(data)


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        fix = "free some space, or make it writable, and start again with the same workdir"
        raise RunError(f"{path} cannot be written ({e.strerror}): {fix}") from e


def _plain(value: Any) -> Any:
    """As JSON has it: numpy's numbers are Python's, and what is not finite is null."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --- TensorBoard ------------------------------------------------------------------------------------------------------
# Without SummaryWriter: a full disk ends the thread it writes from, and some points later the run would wait for ever.


@functools.cache
def _tensorboardx() -> Any:
    """The package without torch, which it imports for seconds where it finds it, and then does not need."""
    sys.modules.setdefault("torch", None)  # pyright: ignore[reportArgumentType]
    import tensorboardX

    if sys.modules["torch"] is None:
        del sys.modules["torch"]
    return tensorboardX


def _event_file(workdir: Path, run: Row, metrics: Sequence[str]) -> Path:
    """A new file in the run's folder, in place of the old, with its hyperparameters.

    The points up to here are shown again: the usual purge_step is not honoured by TensorBoard's faster data server.
    """
    folder = workdir / "tensorboard" / f"run_{run['run']:03d}"
    with _disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*tfevents*"):
            old.unlink()
    file = folder / f"events.out.tfevents.{time.time_ns()}"  # a new name, or a TensorBoard that looks on would miss it
    hypers = _plain({"seed": run["seed"], **run["hypers"]})
    _record(file, file_version="brain.Event:2")
    _record(file, session_log={"status": 1})  # START: a TensorBoard that looks on forgets the old file
    for about in _tensorboardx().summary.hparams(hypers, dict.fromkeys(metrics))[:2]:  # the tab, and this run's line
        _record(file, summary=about)
    return file


def _show(log: Log, row: Row, histograms: Mapping[str, np.ndarray] | None = None) -> None:
    """The scalars of a row that are finite and have moved since they were shown."""
    file, measured, shown = log.boards[row["run"]]
    values = {k: float(row[k]) for k in log.tags if k in row and math.isfinite(row[k])}
    if log.watch in values:
        ema, value = f"{log.watch}_ema", values[log.watch]
        _, before = measured.get(ema, (0, value))
        values[ema] = before + 0.1 * (value - before)
    measured.update({k: (row["step"], v) for k, v in values.items()})
    moved = {k: v for k, v in values.items() if k not in shown or abs(v - shown[k][1]) > log.share * abs(shown[k][1])}
    shown.update({k: measured[k] for k in moved})
    drawn = [dict(tag=k, simple_value=v) for k, v in moved.items()]
    finite = {name: a[np.isfinite(a)] for name, a in (histograms or {}).items()}
    drawn += [_tensorboardx().summary.histogram(name, a, bins=30).value[0] for name, a in finite.items() if a.size]
    if drawn:
        _record(file, step=row["step"], wall_time=log.began + row["wall_s"], summary={"value": drawn})


def _record(file: Path, **event: Any) -> None:
    """Append an event as a TFRecord: its length and that one's checksum, itself and its checksum."""
    crc = _tensorboardx().record_writer.masked_crc32c
    data = _tensorboardx().proto.event_pb2.Event(**{"wall_time": time.time(), **event}).SerializeToString()
    length = struct.pack("<Q", len(data))
    _append(file, length + struct.pack("<I", crc(length)) + data + struct.pack("<I", crc(data)))


def summary(rows: Sequence[Row], task: str, metrics: Sequence[Metric], runs: Sequence[Row], targets: Row, **facts: Any):
    """What summary.json says. facts: what does not follow from rows, such as compile_s; they are taken over.

    runs: {"run", "seed", "hypers", "stop": {"reason", "step", "detail"}} of each. targets: metric -> value.
    """
    of = {m.name: m for m in metrics}
    sign = {m.name: m.better for m in metrics}
    final, best, reached = ([{} for _ in runs], [{} for _ in runs], [None for _ in runs])
    for row in rows:
        k = row["run"]
        for name in [name for name in sign if name in row]:
            final[k][name] = value = row[name]
            before = best[k].get(name, {"value": -sign[name] * math.inf})["value"]
            if sign[name] * value > sign[name] * before and not of[name].beyond(value):
                best[k][name] = {"value": value, "step": row["step"]}
        met = [of[name].meets(row.get(name, math.nan), value) for name, value in targets.items()]
        reached[k] = row["wall_s"] if reached[k] is None and met and all(met) else reached[k]
    last = max(rows, key=lambda row: row["step"], default={})
    out = {"task": task, "steps": last.get("step"), "epochs": last.get("epoch"), "wall_s": last.get("wall_s")}
    lists = {"stop": [run["stop"]["reason"] for run in runs], "time_to_ceiling_s": reached}
    out |= {key: values if len(runs) > 1 else values[0] for key, values in lists.items()} | {"targets": targets}
    about = {m.name: dict(zip(("ceiling", "chance", "untrained"), m[2:5], strict=True)) for m in metrics}
    out["metrics"] = {name: about[name] | {"better": "higher" if sign[name] > 0 else "lower"} for name in sign}
    out["runs"] = [{**run, "final": final[k], "best": best[k]} for k, run in enumerate(runs)]
    return _plain(out | facts)
