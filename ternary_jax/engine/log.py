"""What a run leaves behind and shows meanwhile: metrics.jsonl, TensorBoard, a progress line, summary.json, a table.

A row is a flat dict of one run at one evaluation: run, seed, step, epoch, wall_s, samples_per_s, loss, its terms, the
metrics that were measured. metrics.jsonl holds every row; all else here follows from the rows, and can be made again.
"""

import errno
import functools
import json
import math
import os
import statistics
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ternary_jax.engine.task import Metric, RunError

IMPORTED = time.time()
LIBRARIES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "ternary_jax")
NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
Row = Mapping[str, Any]


class Board(NamedTuple):
    """TensorBoard of one run.

    path: its event file of this session
    latest: tag -> (step, value), of what was measured
    shown: tag -> value, of what was last written
    """

    path: Path
    latest: dict[str, tuple[int, float]]
    shown: dict[str, float]


class Log(NamedTuple):
    """Where rows go. Files are opened for each write only, so there is nothing to close.

    path: metrics.jsonl
    began: unix seconds at which wall_s was 0, had there been one session without a pause
    watch: the metric whose exponential mean is shown
    tags: the columns of a row that TensorBoard shows
    share: of the value last shown, by which a scalar has to move to be shown again
    boards: one per run, or none
    """

    path: Path
    began: float
    watch: str
    tags: tuple[str, ...]
    share: float
    boards: list[Board]


def open_log(
    workdir: Path,
    step: int,
    runs: Sequence[Row],
    metrics: Sequence[Metric],
    watch: str,
    tensorboard: bool = True,
    share: float = 0.01,
    started: float | None = None,
) -> Log:
    """A log that goes on after `step`: rows after it, and a line that a kill cut short, are gone; all are for step 0.

    runs: {"run", "seed", "hypers": {key: number}} of each. started: unix seconds, of the process unless given.
    """
    path, kept = Path(workdir) / "metrics.jsonl", []
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    for line in lines if step else []:
        with suppress(ValueError):  # the line is cut short, or is not ours
            if line.endswith(b"\n") and (row := json.loads(line))["step"] <= step:
                kept.append((line, row))
    if len(kept) < len(lines) or not lines:
        write_whole(path, b"".join(line for line, _ in kept))
    rows = [row for _, row in kept]
    past_s = max((row["wall_s"] or 0.0 for row in rows), default=0.0)
    began = (process_start() if started is None else started) - past_s
    tags = ("loss", "gradient_ratio", "control/tau", *(m.name for m in metrics))
    boards = [_open_board(Path(workdir), run, tags[3:], step) for run in runs] if tensorboard else []
    log = Log(path, began, watch, tags, share, boards)
    for row in rows if tensorboard else []:
        _news(log, row)  # what the last session showed, and its mean, without showing it again
    return log


def write(log: Log, rows: Sequence[Row], histograms: Mapping[int, Mapping[str, np.ndarray]] | None = None) -> None:
    """Append rows, one line each, in one write. histograms: run -> name -> values, for TensorBoard."""
    _append(log.path, "".join(json.dumps(_plain(row), allow_nan=False) + "\n" for row in rows).encode())
    for row in rows if log.boards else []:
        drawn = _histograms((histograms or {}).get(row["run"], {}))
        _show(log.boards[row["run"]], row["step"], _news(log, row), drawn)


def close(log: Log) -> None:
    """Show the last value of every scalar that had not moved enough to be shown, at the step it is of."""
    for board in log.boards:
        due = {tag: at for tag, at in board.latest.items() if board.shown[tag] != at[1]}
        for step in sorted({step for step, _ in due.values()}):
            _show(board, step, {tag: value for tag, (at, value) in due.items() if at == step})
        board.shown.update({tag: value for tag, (_, value) in due.items()})


def read(workdir: Path) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl; what was not finite is nan."""
    with open(Path(workdir) / "metrics.jsonl", encoding="utf-8") as file:
        return [{k: math.nan if v is None else v for k, v in json.loads(line).items()} for line in file]


@functools.cache
def process_start() -> float:
    """Unix seconds at which this process began, before its imports; where no system tells, when this was imported."""
    with suppress(OSError, AttributeError, ValueError, IndexError):
        ticks = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]  # the name before it may hold spaces
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(ticks) / os.sysconf("SC_CLK_TCK")
        if 0 <= age - (time.time() - IMPORTED) < 3600:  # in some containers the two clocks do not agree
            return time.time() - age
    return IMPORTED


# --- files ------------------------------------------------------------------------------------------------------------


def write_whole(path: Path, data: bytes) -> None:
    """The file has the old contents or the new, whenever the process is killed."""
    part = path.with_name(path.name + ".part")
    with _disk(path):
        try:
            with open(part, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _append(path: Path, data: bytes) -> None:
    with _disk(path), open(path, "ab") as file:
        file.write(data)


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        fix = "free some space" if e.errno in NO_SPACE else "make it writable"
        raise RunError(f"{path} cannot be written ({e.strerror}): {fix} and start again with the same workdir") from e


def _plain(value: Any) -> Any:
    """As JSON has it: numpy's numbers are Python's, and what is not finite is null."""
    if isinstance(value, Mapping):
        return {key: _plain(v) for key, v in value.items()}
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --- TensorBoard ------------------------------------------------------------------------------------------------------
# Records are framed and appended here. SummaryWriter has two threads and a queue per run, and a full disk ends the
# thread that empties the queue: ten events later the run would wait for ever.


def _tensorboardx():
    """tensorboardX, without torch: it looks for torch, which takes seconds to import, and then makes no use of it."""
    hide = "torch" not in sys.modules
    if hide:
        sys.modules["torch"] = None  # pyright: ignore[reportArgumentType]
    try:
        from tensorboardX import record_writer, summary
        from tensorboardX.proto import event_pb2, summary_pb2
    finally:
        if hide:
            del sys.modules["torch"]
    return record_writer.masked_crc32c, summary, event_pb2, summary_pb2


def _open_board(workdir: Path, run: Row, metrics: Sequence[str], step: int) -> Board:
    """A new event file in the run's folder, that hides the points after `step` of those before it."""
    folder = workdir / "tensorboard" / f"run_{run['run']:03d}"
    with _disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"events.out.tfevents.{len(list(folder.iterdir())):05d}"  # read in the order of their names
    _, summary, event_pb2, _ = _tensorboardx()
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    hypers = {"seed": run["seed"], **run["hypers"]}
    experiment, session, _ = summary.hparams(_plain(hypers), dict.fromkeys(metrics))
    events = [{"file_version": "brain.Event:2"}, {"step": step + 1 if step else 0, "session_log": start}]
    _record(path, [*events, {"summary": experiment}, {"summary": session}])
    return Board(path, {}, {})


def _news(log: Log, row: Row) -> dict[str, float]:
    """The scalars of a row that are finite and have moved since they were shown; notes that they are shown now."""
    latest, shown = log.boards[row["run"]][1:]
    values = {tag: float(row[tag]) for tag in log.tags if row.get(tag) is not None and math.isfinite(row[tag])}
    if log.watch in values:
        ema, value = f"{log.watch}_ema", values[log.watch]
        before = latest.get(ema, (0, value))[1]
        values[ema] = before + 0.1 * (value - before)
    latest |= {tag: (row["step"], value) for tag, value in values.items()}
    moved = {k: v for k, v in values.items() if k not in shown or abs(v - shown[k]) > log.share * abs(shown[k])}
    shown |= moved
    return moved


def _show(board: Board, step: int, scalars: Mapping[str, float], drawn: Sequence[Any] = ()) -> None:
    value = _tensorboardx()[3].Summary.Value
    values = [*(value(tag=tag, simple_value=v) for tag, v in scalars.items()), *drawn]
    if values:
        _record(board.path, [{"step": step, "summary": _tensorboardx()[3].Summary(value=values)}])


def _histograms(arrays: Mapping[str, np.ndarray]) -> list[Any]:
    finite = {name: a[np.isfinite(a)] for name, a in arrays.items()}
    return [_tensorboardx()[1].histogram(name, a, bins=30).value[0] for name, a in finite.items() if a.size]


def _record(path: Path, events: Sequence[Mapping[str, Any]]) -> None:
    """Append events as TFRecords: length, its checksum, the event, its checksum."""
    crc, _, event_pb2, _ = _tensorboardx()
    out = b""
    for event in events:
        data = event_pb2.Event(wall_time=time.time(), **event).SerializeToString()
        length = struct.pack("<Q", len(data))
        out += length + struct.pack("<I", crc(length)) + data + struct.pack("<I", crc(data))
    _append(path, out)


# --- stderr -----------------------------------------------------------------------------------------------------------


def progress_line(
    rows: Sequence[Row], shown: Sequence[str], epochs: int, rate: float, left_s: float, runs: int = 1
) -> str:
    """One line on the newest row of every run that still runs, of `runs`: medians. shown: metrics; two that were had.

    rate: samples per second, of all runs. left_s: seconds to go.
    """
    had = {k: [v for row in rows if math.isfinite(v := row.get(k, math.nan))] for k in ("epoch", "loss", *shown)}
    middle = {k: statistics.median(v) for k, v in had.items() if v}
    names = [k for k in shown if k in middle][:2]
    parts = [f"epoch {middle.get('epoch', 0):.0f}/{epochs}", f"loss {middle.get('loss', math.nan):.4g}"]
    parts += [f"{k} {_cell(middle[k])}" for k in names]
    parts += [f"{rate:,.0f} samples/s", f"{_span(left_s)} left"]
    return "  ".join([f"{len(rows)} of {runs} runs, median:", *parts] if runs > 1 else parts)


def progress(line: str, every_s: float = 0.0, printed: float = -math.inf) -> float:
    """Show the line on stderr, and give the time for the `printed` of the next call.

    In place and clipped on a terminal; elsewhere a line of its own, at most every `every_s` seconds.
    """
    now, width = time.monotonic(), _width()
    if not width and now - printed < every_s:
        return printed
    _put(f"\r{line[: width - 1]:{width - 1}}" if width else line + "\n")
    return now


def say(text: str = "") -> None:
    """Print to stderr, in place of the progress line. Without a text, only clear that line."""
    width = _width()
    _put((f"\r{'':{width - 1}}\r" if width else "") + (text and text + "\n"))


def _width() -> int:
    """The columns of the terminal; 0 where stderr is none."""
    with suppress(OSError, ValueError, AttributeError):
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    return 0


def _put(text: str) -> None:
    with suppress(OSError, ValueError, AttributeError):  # a terminal that was closed ends no run
        sys.stderr.write(text)
        sys.stderr.flush()


# --- the end ----------------------------------------------------------------------------------------------------------


def summary(rows: Sequence[Row], task: str, metrics: Sequence[Metric], runs: Sequence[Row], targets: Row, **facts: Any):
    """What WORKDIR/summary.json says: of the rows, and of facts, which are taken over as they are.

    runs: {"run", "seed", "hypers", "stop": {"reason", "step", "detail"}} of each. targets: metric -> value.
    """
    of = {run["run"]: [row for row in rows if row["run"] == run["run"]] for run in runs}
    sign = {m.name: m.better for m in metrics}

    def one(values):
        return values[0] if len(runs) == 1 else values

    def scores(rows):
        had = {name: [(row[name], row["step"]) for row in rows if name in row] for name in sign}
        ranked = {k: sorted((v for v in had[k] if not math.isnan(v[0])), key=lambda v: -sign[k] * v[0]) for k in sign}
        best = {k: dict(zip(("value", "step"), v[0], strict=True)) for k, v in ranked.items() if v}
        return {"final": {k: v[-1][0] for k, v in had.items() if v}, "best": best}

    def reached(rows):
        met = (all(sign[k] * row.get(k, math.nan) >= sign[k] * v for k, v in targets.items()) for row in rows)
        return next((row["wall_s"] for row, yes in zip(rows, met, strict=True) if yes and targets), None)

    last = max(rows, key=lambda row: row["step"], default={})
    out = {
        "task": task,
        "stop": one([run["stop"]["reason"] for run in runs]),
        "time_to_ceiling_s": one([reached(of[run["run"]]) for run in runs]),
        "targets": targets,
        "metrics": {m.name: {"ceiling": m.best, "chance": m.chance, "untrained": m.untrained,
                             "better": "higher" if m.better > 0 else "lower"} for m in metrics},
        "runs": [{**run, **scores(of[run["run"]])} for run in runs],
        "steps": last.get("step", 0), "epochs": last.get("epoch", 0), "wall_s": last.get("wall_s"),
    }
    return _plain({**out, **facts})


def provenance() -> dict[str, Any]:
    """versions and commit, for the facts of a summary; null what cannot be told."""
    versions: dict[str, str | None] = {"python": sys.version.split()[0], **dict.fromkeys(LIBRARIES)}
    for name in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    root, commit = Path(__file__).resolve().parents[2], None
    with suppress(OSError, subprocess.SubprocessError):
        git = ["git", "--no-optional-locks", "-C", str(root)]
        told = [subprocess.run([*git, *a.split()], capture_output=True, text=True, check=True, timeout=5).stdout.strip()
                for a in ("rev-parse --show-toplevel HEAD", "status --porcelain --untracked-files=no")]
        top, head = told[0].splitlines()
        # Installed into somebody's environment, the package may lie in a checkout of something else.
        commit = head + "-dirty" * bool(told[1]) if Path(top) == root else None
    return {"versions": versions, "commit": commit}


def table(summary: Mapping[str, Any]) -> str:
    """A summary as a person reads it: what stopped it, then a line per metric; "-": no figure."""
    runs, metrics = summary["runs"], summary["metrics"]
    lines = [["metric", *(["final", "best so far", "at step"] if len(runs) == 1 else ["median", "worst", "best"]),
              "ceiling", "chance", "untrained"]]
    for name, about in metrics.items():
        if len(runs) == 1:
            best = runs[0]["best"].get(name, {})
            cells = [_cell(runs[0]["final"].get(name)), _cell(best.get("value")), f"{best.get('step', '-')}"]
        else:
            values = sorted(v for run in runs if (v := run["final"].get(name)) is not None)
            values = values if about["better"] == "higher" else values[::-1]
            cells = [_cell(v) for v in (statistics.median(values), values[0], values[-1])] if values else ["-"] * 3
        lines.append([name, *cells, *("-" if (v := about[k]) is None else f"{v:.5g}" for k in lines[0][4:])])
    return "\n".join([_headline(summary), "", columns(lines)])


def _headline(summary: Mapping[str, Any]) -> str:
    """What stopped the runs, at which step, after how long, at which rate, and when the targets were met."""
    runs, times = summary["runs"], summary["time_to_ceiling_s"]
    times = [t for t in (times if len(runs) > 1 else [times]) if t is not None]
    stops = [run["stop"] for run in runs]
    counts = Counter(stop["reason"] for stop in stops).most_common()
    first, last = min(s["step"] for s in stops), max(s["step"] for s in stops)
    at = f"at step {last:,}" if first == last else f"at steps {first:,} to {last:,}"
    why = stops[0]["reason"] if len(runs) == 1 else f"{len(runs)} runs: {counts[0][1]} {counts[0][0]}"
    for reason, n in counts[1:]:  # the exceptions by their numbers
        why += f", {n} {reason} (" + ", ".join(str(r["run"]) for r in runs if r["stop"]["reason"] == reason) + ")"
    parts = [f"{summary['task']}: {why}, {at}, after {_span(summary['wall_s'])}"]
    parts += [f"{summary['samples_per_s']:,.0f} samples/s"] if summary.get("samples_per_s") else []
    if summary["targets"]:
        met = f"targets met after {_span(statistics.median(times))}" if times else "targets not met"
        parts += [met if len(runs) == 1 else f"{met} in {len(times)} of {len(runs)} runs"]
    return "; ".join(parts)


def columns(lines: Sequence[Sequence[str]]) -> str:
    """Cells as text: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.2e}" if 0 < abs(value) < 1e-3 else f"{value:.5f}"


def _span(s: float | None) -> str:
    return "-" if s is None else f"{s:.1f} s" if s < 120 else f"{s / 60:.0f} min" if s < 7200 else f"{s / 3600:.1f} h"
