"""metrics.jsonl: one line, a row, for each run and evaluation.

A row is a flat dict of numbers: run, seed, step, wall_s, loss, its terms, and the metrics that were measured.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ternary_jax import terminal
from ternary_jax.errors import WorkdirError
from ternary_jax.workdir import files

Row = Mapping[str, Any]


class Log(NamedTuple):
    """The log of a training. The file is open only during a write, so nothing has to be closed when a run fails.

    path: metrics.jsonl
    began: unix seconds of wall_s = 0, as if all sessions were one
    """

    path: Path
    began: float


def open_log(workdir: Path, step: int, since: float) -> tuple[Log, list[dict[str, Any]]]:
    """(log, rows up to `step`); later rows and damaged lines are deleted from the file, at step 0 all rows.

    since: unix seconds of the start of this session; wall_s continues from that of the last row that is kept
    """
    path, kept, rows = workdir / "metrics.jsonl", [], []
    lines = _raw_lines(path)
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
        files.write_whole(path, b"".join(kept))
    return Log(path, since - max((row["wall_s"] for row in rows), default=0.0)), rows


def write(log: Log, rows: Sequence[Row]) -> None:
    """Append rows."""
    files.append(log.path, _lines(rows))


def amend(log: Log, more: Mapping[int, Row]) -> list[dict[str, Any]]:
    """Add metrics, {run: {name: value}}, to the last row of each of these runs; -> the added values as rows."""
    rows = read(log.path.parent)
    last = {row["run"]: row for row in rows}
    amended = [{k: last[run][k] for k in ("run", "step", "wall_s")} | {**more[run]} for run in more if run in last]
    for row in amended:
        last[row["run"]].update(row)
    files.write_whole(log.path, _lines(rows))
    return amended


def read(workdir: Path) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl, [] without the file. A value that was not finite is nan.

    A last line without an end of line is being written, or was cut short: it is left out. A WorkdirError for a damaged
    line.
    """
    file, rows = workdir / "metrics.jsonl", []
    for number, line in enumerate(_raw_lines(file), 1):
        try:
            rows += [_row(line)] if line.endswith(b"\n") else []
        except (ValueError, AttributeError) as e:
            fix = "start the training again with the same workdir, which leaves the line out"
            raise WorkdirError(f"line {number} of {file} is damaged ({e}): {fix}") from e
    return rows


def _raw_lines(file: Path) -> list[bytes]:
    return file.read_bytes().splitlines(keepends=True) if file.exists() else []


def _row(line: bytes) -> dict[str, Any]:
    return {k: math.nan if v is None else v for k, v in json.loads(line).items()}


def _lines(rows: Sequence[Row]) -> bytes:
    return "".join(f"{files.dumps(row)}\n" for row in rows).encode()
