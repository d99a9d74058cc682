"""metrics.jsonl: one line, a row, for each run and evaluation.

A row is a flat dict of numbers: run, seed, step, wall_s, loss, its terms, and the metrics that were measured.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ternary_jax import terminal
from ternary_jax.errors import WorkdirError
from ternary_jax.workdir import files, safe_files

MOST_RUNS = 4096  # the bound of config.runs
FINITE = 2.0**128  # finite values of float32 are below this
MOST_STEPS = 2**31 - 1  # a step is an int32
MOST_SEED = 2**31 - 1  # the same
MOST_COLUMNS = 2000  # a run has some two hundred
SPARSEST = 20  # bound of columns * rows / values: every column becomes an array with an element for each row
NAME = 200  # characters of a name

Row = Mapping[str, Any]


class Log(NamedTuple):
    """The log of a training. The file is open only during a write, so nothing has to be closed when a run fails.

    path: metrics.jsonl
    began: unix seconds of wall_s = 0, as if all sessions were one
    """

    path: Path
    began: float


def open_log(workdir: Path, step: int, since: float, runs: int) -> tuple[Log, list[dict[str, Any]]]:
    """(log, rows up to `step`); later rows and damaged lines are deleted from the file, at step 0 all rows.

    since: unix seconds of the start of this session; wall_s continues from that of the last row that is kept
    runs: their number; a row of another run is damaged
    """
    path, kept, rows, n, damaged = workdir / "metrics.jsonl", [], [], 0, 0
    safe_files.check_file(path)
    for n, line in enumerate(safe_files.read_lines(path) if step else (), 1):  # noqa: B007
        try:
            row = _ended(line, runs)
        except ValueError:
            damaged += 1
            continue
        if row["step"] <= step:
            rows.append(row)
            kept.append(line)
    if damaged:
        lines = "a line that is" if damaged == 1 else f"{damaged:,} lines that are"
        terminal.say(f"{path} has {lines} cut short or damaged: left out")
    if len(kept) < n or not n:
        files.write_whole(path, b"".join(kept))
    return Log(path, since - max((row["wall_s"] for row in rows), default=0.0)), rows


def undamaged(workdir: Path, runs: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number of its line, row) of each row of metrics.jsonl that `open_log` would keep. runs: as in `open_log`."""
    for number, line in enumerate(safe_files.read_lines(workdir / "metrics.jsonl"), 1):
        with suppress(ValueError):
            yield number, _ended(line, runs)


def seeds_of(config: Mapping[str, Any]) -> Sequence[int]:
    """The seed of each run by the content of config.json; () where it has none that runs can have."""
    seed, runs = config.get("seed"), config["runs"]
    if type(seed) is int:
        return range(seed, seed + runs)
    return seed if isinstance(seed, list) and [*map(type, seed)] == [int] * runs else ()


def none_at_the_end(workdir: Path) -> str:
    """A sentence on a finished workdir whose log has no rows."""
    return (
        f"{workdir / 'metrics.jsonl'} has no rows, and summary.json says that the training is finished: put back a "
        "copy, or train again in another workdir"
    )


def foreign(workdir: Path, number: int, row: Row, seeds: Sequence[int]) -> str:
    """A sentence on a row that is not of its run by its seed; "" for one that is, or where no seeds are known.

    number: of its line; seeds: as from `seeds_of`
    """
    if not seeds or row["seed"] == seeds[row["run"]]:
        return ""
    return (
        f"line {number} of {workdir / 'metrics.jsonl'} is of another run (its seed is {row['seed']}, and in "
        f"config.json run {row['run']} has {seeds[row['run']]}): put back the log of this run, or name another workdir"
    )


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


def read(workdir: Path, runs: int = MOST_RUNS, seeds: Sequence[int] = ()) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl, [] without the file. A value that was not finite is nan. runs: as in `open_log`.

    A last line without an end of line is being written, or was cut short: it is left out. A WorkdirError for a damaged
    line, for names that no run has written, or for a row of another run by the seeds, which are as from `seeds_of`.
    """
    file, rows, names, values = workdir / "metrics.jsonl", [], set(), 0
    for number, line in enumerate(safe_files.read_lines(file), 1):
        try:
            row = parse(line, runs) if line.endswith(b"\n") else {}
        except ValueError as e:
            fix = f"delete line {number} of this file; a training that is not finished deletes it when it goes on"
            raise WorkdirError(f"line {number} of {file} is damaged ({e}): {fix}") from e
        if row and (of_another := foreign(workdir, number, row, seeds)):
            raise WorkdirError(of_another)
        rows += [row] if row else []
        names |= row.keys()
        values += len(row)
        if len(names) > MOST_COLUMNS or len(names) * len(rows) > SPARSEST * values:
            raise WorkdirError(
                f"{file} is damaged (its first {number:,} lines have {len(names):,} names of columns; a run has "
                f"at most {MOST_COLUMNS:,}, most of them in every row): put back a copy"
            )
    return rows


def parse(line: bytes, runs: int) -> dict[str, Any]:
    """The row in a line; a ValueError unless it is numbers or null by name, with run, seed, step and wall_s."""
    row = {k: math.nan if v is None else v for k, v in files.parse_object(line).items()}
    if bad := [name for name in row if not is_name(name)]:
        raise ValueError(f"{bad[0]!r:.50} is no name of a column")
    if bad := [name for name, value in row.items() if not is_number(value) or FINITE <= abs(value) < math.inf]:
        raise ValueError(f"its {bad[0]!r:.50} is no number, or beyond float32")
    for name, most in (("run", runs - 1), ("seed", MOST_SEED), ("step", MOST_STEPS)):
        if not isinstance(value := row.get(name), int) or not 0 <= value <= most:
            raise ValueError(f"its {name!r} has to be an int from 0 to {most}, and is {value!r:.50}")
    if not row.get("wall_s", -1) >= 0:
        raise ValueError("its 'wall_s' has to be 0 or more")
    return row


def is_number(value: Any) -> bool:
    """Whether this is a number that an array can hold: a float, or an int of 64 bits."""
    return isinstance(value, float) or (type(value) is int and -(2**63) <= value < 2**63)


def is_name(value: Any) -> bool:
    """Whether this is a text that can be shown as a name: printable, so without an end of line, and not long."""
    return isinstance(value, str) and len(value) <= NAME and value.isprintable()


def _ended(line: bytes, runs: int) -> dict[str, Any]:
    """The row in a line as from `parse`; a ValueError also for a line without its end, which was cut short."""
    return parse(line if line.endswith(b"\n") else b"", runs)


def _lines(rows: Sequence[Row]) -> bytes:
    return "".join(f"{files.dumps(row)}\n" for row in rows).encode()
