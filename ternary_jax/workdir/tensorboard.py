"""TensorBoard event files, one folder for each run, written without SummaryWriter.

On a full disk, the thread of SummaryWriter ends; some points later its queue is full, and the run would block forever.
"""

import functools
import math
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ternary_jax.workdir import files, safe_files
from ternary_jax.workdir.rows import Log, Row


class Board(NamedTuple):
    """A log and its TensorBoard files.

    log: its `began` gives the wall clock of a row
    tags: the columns that are shown, each with its tag
    watch: the column whose exponential mean is shown too
    share: a scalar is shown again once it has moved by more than this share of its last shown value
    runs: (event file, measured, shown) of each run, the latter two as tag -> (step, value); [] without TensorBoard
    """

    log: Log
    tags: Mapping[str, str]
    watch: str
    share: float
    runs: list[tuple[Path, dict[str, tuple[int, float]], dict[str, tuple[int, float]]]]


def open_board(
    log: Log,
    rows: Sequence[Row],
    runs: Sequence[Row],
    metrics: Mapping[str, str],
    further: Mapping[str, str],
    watch: str,
    share: float | None,
) -> Board:
    """Replace the event files by new ones that show `rows`, the rows up to the step from which the training resumes.

    runs: {"run", "seed", "hypers": {key: number, text or bool}} of each, for the tab of hyperparameters
    metrics: columns that are shown, each with its tag, GROUP/NAME; also in the tab of hyperparameters
    further: other columns that are shown, the same
    share: as in `Board`; None: no TensorBoard
    """
    opened = [] if share is None else [(_event_file(log.path.parent, run, [*metrics.values()]), {}, {}) for run in runs]
    board = Board(log, {**further, **metrics}, watch, share or 0.0, opened)
    show(board, rows)
    return board


def show(board: Board, rows: Sequence[Row], histograms: Mapping[int, Mapping[str, np.ndarray]] | None = None) -> None:
    """Show the scalars of rows that are finite and have moved. histograms: {run: {name: values}}."""
    for row in rows if board.runs else []:
        _show(board, row, (histograms or {}).get(row["run"], {}))


def close(board: Board) -> None:
    """Show the last value of every scalar that moved too little to be shown, at its own step."""
    for file, measured, shown in board.runs:
        for tag, (step, value) in measured.items():
            if shown[tag][0] < step:
                _record(file, step=step, summary={"value": [{"tag": tag, "simple_value": value}]})


@functools.cache
def _tensorboardx() -> Any:
    """The tensorboardX package, without its unused import of torch, which takes seconds where torch is installed."""
    sys.modules.setdefault("torch", None)  # pyright: ignore[reportArgumentType]
    import tensorboardX

    if sys.modules["torch"] is None:
        del sys.modules["torch"]
    return tensorboardX


def _event_file(workdir: Path, run: Row, metrics: Sequence[str]) -> Path:
    """A new event file in the run's folder, with the hyperparameters; older files are deleted.

    All points are written again: TensorBoard's faster data server ignores purge_step, the usual way to resume.
    """
    folder = workdir / "tensorboard" / f"run_{run['run']:03d}"
    with files.os_error_as_run_error(folder):
        for each in (folder.parent, folder):
            safe_files.make_folder(each)
        for old in folder.glob("*tfevents*"):
            old.unlink()
    file = folder / f"events.out.tfevents.{time.time_ns()}"  # an open TensorBoard only sees a new name
    hypers = {"seed": run["seed"], **run["hypers"]}
    _record(file, file_version="brain.Event:2")
    _record(file, session_log={"status": 1})  # START: a TensorBoard that is open forgets the old file
    for about in _tensorboardx().summary.hparams(hypers, dict.fromkeys(metrics))[:2]:  # the tab, and its line
        _record(file, summary=about)
    return file


def _show(board: Board, row: Row, histograms: Mapping[str, np.ndarray]) -> None:
    file, measured, shown = board.runs[row["run"]]
    values = {tag: float(row[k]) for k, tag in board.tags.items() if k in row and math.isfinite(row[k])}
    if (watch := board.tags.get(board.watch, "")) in values:
        ema, value = f"{watch}_ema", values[watch]
        _, before = measured.get(ema, (0, value))
        values[ema] = before + 0.1 * (value - before)
    measured.update({k: (row["step"], v) for k, v in values.items()})
    moved = {k: v for k, v in values.items() if k not in shown or abs(v - shown[k][1]) > board.share * abs(shown[k][1])}
    shown.update({k: measured[k] for k in moved})
    drawn = [dict(tag=k, simple_value=v) for k, v in moved.items()]
    finite = {name: a[np.isfinite(a)] for name, a in histograms.items()}
    drawn += [_tensorboardx().summary.histogram(name, a, bins=30).value[0] for name, a in finite.items() if a.size]
    if drawn:
        _record(file, step=row["step"], wall_time=board.log.began + row["wall_s"], summary={"value": drawn})


def _record(file: Path, **event: Any) -> None:
    """Append an event as a TFRecord: length, checksum of the length, event, checksum of the event."""
    crc = _tensorboardx().record_writer.masked_crc32c
    data = _tensorboardx().proto.event_pb2.Event(**{"wall_time": time.time(), **event}).SerializeToString()
    length = struct.pack("<Q", len(data))
    files.append(file, length + struct.pack("<I", crc(length)) + data + struct.pack("<I", crc(data)))
