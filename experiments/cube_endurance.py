"""Does a cube train for long without a fault: no loss that is not a number, no memory that grows, no trace of a kill?

    python experiments/cube_endurance.py [ROW...] [--quick]

Each row, by default all, is a training by `python -m ternary_jax.main`: 100 and 1,000 steps of 8 x 8 x 4 cells, and 10
of 15 x 15 x 11, all with weights of their own and all cells updated. Its memory (resident, as Linux counts it) is read
from outside ten times a second. The time after the first row has five parts. The growth is the least memory of the
fifth part over that of the second; the first is left out, as the first checkpoint imports what writes checkpoints. Then
the same training is killed (SIGKILL) after the checkpoint of half of its steps, and started again: its checkpoint, rows
and exports should be those of the first, bit for bit.

Writes results/cube_endurance.json after each row; rows that are not named keep their values.
"""

import json
import math
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import lab
from lab_cube_rows import ALL, FULL, SMALL
from lab_lattice import with_rows
from lab_process import differing, ended, left_behind, newest, start

from ternary_jax import terminal
from ternary_jax.tables import columns

CONFIG = "configs/cube.py"
MOST = 0.01  # growth of memory
HOUR = 3600.0
ROWS: dict[str, tuple[dict[str, Any], int]] = {  # changes to the config, steps
    "small_100": (SMALL, 100),
    "small_1000": (SMALL, 1000),
    # At 1.6e-2, the rate of the small cube, the full one diverges in its second step.
    "full_10": (FULL | ALL | {"data.evaluated": 32, "train.learning_rate": 1e-3}, 10),
}
QUICK = ("small_100",)


def main() -> None:
    """Train, kill, compare, print and write the results."""
    parser = lab.parser(__doc__, quick="one row")
    parser.add_argument("rows", nargs="*", metavar="ROW", choices=[*ROWS, []], help=f"some of {', '.join(ROWS)}")
    given = parser.parse_args()
    for name in given.rows or (QUICK if given.quick else ROWS):
        rows = {name: endured(name, *ROWS[name])}
        print(table(rows), flush=True)
        lab.write("cube_endurance", with_rows(lab.read("cube_endurance", given), {"rows": rows}, ROWS), given)


def endured(name: str, changes: dict[str, Any], steps: int) -> dict[str, Any]:
    """A row: what a training left, and whether a killed one left the same."""
    overrides = [f"{key}={value}" for key, value in (changes | rhythm(steps)).items()]
    with tempfile.TemporaryDirectory() as folder:
        whole, killed, cache = Path(folder, "whole"), Path(folder, "killed"), Path(folder, "cache")
        terminal.say(f"{name}: a training ...")
        process = start(whole, overrides, cache, CONFIG, stderr=subprocess.DEVNULL)
        memory = watched(process, whole)
        wanted, rows = left_behind(whole), read_rows(whole)
        terminal.say(f"{name}: killed after half of the steps, and started again ...")
        process = start(killed, overrides, cache, CONFIG)
        while process.poll() is None and newest(killed) < steps // 2:
            time.sleep(0.01)
        process.kill()
        if ended(process)[0] != -9:
            raise SystemExit(f"{name}: the training ended before it could be killed")
        status, error = ended(start(killed, overrides, cache, CONFIG), HOUR)
        if status:
            raise SystemExit(f"{name}: the second start ended with status {status}: {error[-500:]}")
        bad = differing(left_behind(killed), wanted)
    return {
        "steps": rows[-1]["step"],
        "finite": all(math.isfinite(row["loss"]) for row in rows),
        "mib": [round(least / 2**20, 1) for least in by_part(memory, 10)],
        "growth": round(growth(memory), 5),
        "compared": len(wanted),
        "differing": bad[:3],
    }


def rhythm(steps: int) -> dict[str, Any]:
    """Ten rows and ten checkpoints of a training of so many steps: the first checkpoint loads what saves them."""
    tenth = steps // 10
    times = dict.fromkeys(("train.warmup_epochs", "evaluate.cheap_every", "checkpoint.every"), tenth)
    return {"train.steps": steps} | times


def read_rows(workdir: Path) -> list[dict[str, Any]]:
    """The rows of a training."""
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def watched(process: subprocess.Popen, workdir: Path) -> list[int]:
    """Resident bytes of a process, ten times a second from its first row to its end."""
    found, metrics = [], workdir / "metrics.jsonl"
    while process.poll() is None:
        if metrics.exists() and metrics.stat().st_size and (bytes_now := resident(process.pid)):
            found.append(bytes_now)
        time.sleep(0.1)
    if process.returncode or len(found) < 10:
        raise SystemExit(f"the training ended with status {process.returncode}, its memory was read {len(found)} times")
    return found


def resident(pid: int) -> int:
    """Resident bytes of a process, by Linux; 0 once it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return 0


def growth(memory: list[int]) -> float:
    """(least of the last fifth) / (least of the second fifth) - 1."""
    fifths = by_part(memory, 5)
    return fifths[-1] / fifths[1] - 1


def by_part(memory: list[int], parts: int) -> list[int]:
    """The least of each part of the time."""
    length = len(memory) // parts
    return [min(memory[k * length : (k + 1) * length]) for k in range(parts)]


def table(rows: dict[str, Any]) -> str:
    """A line for each row."""
    lines = [["row", "all losses finite", "MiB, by tenths of the time", "growth", "after a kill", "bars"]]
    for name, row in rows.items():
        same = f"{len(row['differing'])} differ" if row["differing"] else f"all {row['compared']} arrays identical"
        met = row["finite"] and row["growth"] <= MOST and not row["differing"]
        mib = " ".join(f"{least:.0f}" for least in row["mib"])
        cells = ["yes" if row["finite"] else "NO", mib, f"{row['growth']:+.2%}", same, "met" if met else "MISSED"]
        lines.append([name, *cells])
    return columns(lines)


if __name__ == "__main__":
    main()
