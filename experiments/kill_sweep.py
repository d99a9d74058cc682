"""Does a kill lose or repeat a run of a sweep?

A sweep of 2 static x 2 traced x 2 seeds of the toy task of the tests, which saves after every epoch, is trained once
undisturbed. Then, ten times, it is killed (SIGKILL) at a moment drawn uniformly over the time of a sweep, the start
included, and started again. Afterwards index.json and runs.csv must have every run with the settings, the ending and,
bit for bit, the final metrics of the undisturbed sweep; and the logs must have one row for each run and evaluation. A
sweep with other seeds is the control: its metrics have to differ.

    python experiments/kill_sweep.py            writes results/kill_sweep.json; status 1 if any trial differs
"""

import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import lab
import numpy as np
from lab_process import ended, environment

from ternary_jax import workdir

CONFIG = "tests/toy_config.py"  # two parameters: a sweep takes seconds, most of them in its start and its saves
SMALL = ("train.epochs=60", "evaluate.cheap_every=1", "evaluate.costly_every=60", "checkpoint.every=1")
GRID = ("train.batch_size=16,32", "train.learning_rate=0.05,0.1")
RUNS = 8


def start(folder: Path, cache: Path, seed: int = 0) -> subprocess.Popen:
    """Start the sweep as a process. cache: folder of its compiled programs."""
    command = [sys.executable, "-m", "ternary_jax.sweep", f"--config={lab.ROOT / CONFIG}", "--seeds=2"]
    command += [f"--workdir={folder}", f"--config.seed={seed}", *(f"--config.{one}" for one in SMALL)]
    command += [f"--grid=config.{one}" for one in GRID]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(cache), cwd=lab.ROOT
    )


def left_behind(folder: Path) -> dict[str, Any]:
    """What a sweep has left: {"rows": of its table, "index": those of index.json, "csv", "log"}, for a comparison."""
    found = workdir.open(folder)
    rows = [row._asdict() | {"metrics": dict(row.metrics)} for row in found.table()]
    with (folder / "runs.csv").open() as file:
        table = [*csv.reader(file)]
    log = sorted((row.run, int(step)) for row, run in found.runs() for step in run.rows(row.place)["step"])
    index = json.loads((folder / "index.json").read_text())["runs"]
    return json.loads(json.dumps({"rows": rows, "index": index, "csv": table, "log": log}))


def trial(folder: Path, cache: Path, moment_s: float, wanted: dict[str, Any]) -> dict[str, Any] | None:
    """Kill at a moment, then run to the end; None if the sweep had ended before the kill."""
    process, begun = start(folder, cache), time.monotonic()
    while process.poll() is None and time.monotonic() < begun + moment_s:
        time.sleep(0.001)
    process.kill()
    if ended(process)[0] != -9:
        return None
    done = 0
    if (folder / "index.json").exists():
        done = sum(row.ending == "epochs done" for row in workdir.open(folder).table())
    status, err = ended(start(folder, cache))
    seen = {"killed_s": round(moment_s, 2), "ended_before": done, "status": status}
    if status:
        return seen | {"differing": ["status"], "error": err.splitlines()[-1]}
    found = left_behind(folder)
    return seen | {"differing": [name for name in wanted if found[name] != wanted[name]], "error": ""}


def trials(n: int, seed: int, place: Path) -> list[dict[str, Any]]:
    """Train the undisturbed sweep and the control, then n trials; -> a row for each trial."""
    cache, draw = place / "cache", np.random.default_rng(seed)
    assert ended(start(place / "cold", cache))[0] == 0, "the undisturbed sweep failed"
    begun = time.monotonic()
    assert ended(start(place / "warm", cache))[0] == 0
    length = time.monotonic() - begun
    wanted = left_behind(place / "warm")
    assert left_behind(place / "cold") == wanted, "two undisturbed sweeps differ"
    assert len(wanted["rows"]) == RUNS
    assert ended(start(place / "control", cache, seed=9))[0] == 0
    assert left_behind(place / "control")["rows"] != wanted["rows"], "the comparison detects nothing"
    print(f"undisturbed: {length:.1f} s, {len(wanted['rows'])} runs, {len(wanted['log'])} rows of logs", flush=True)
    rows: list[dict[str, Any]] = []
    while len(rows) < n:
        moment = float(draw.uniform(0, length))
        if (seen := trial(place / f"trial_{len(rows)}_{moment:.3f}", cache, moment, wanted)) is None:
            continue
        rows.append(seen)
        what = (
            f"differs in {', '.join(seen['differing'])}: {seen['error']}" if seen["differing"] else "complete, the same"
        )
        print(
            f"{len(rows):3d}  killed after {moment:5.2f} s, {seen['ended_before']} runs ended before  {what}",
            flush=True,
        )
    return rows


def main() -> None:
    """Print and write the trials."""
    parser = lab.parser(__doc__)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments of the kills")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = trials(given.trials, given.seed, Path(folder))
    same = sum(not row["differing"] for row in rows)
    print(f"{same} of {len(rows)} complete, and the same bit for bit")
    found = {
        "config": {
            "trials": given.trials,
            "seed": given.seed,
            "file": CONFIG,
            "overrides": SMALL,
            "grid": GRID,
            "runs": RUNS,
        }
    }
    lab.write("kill_sweep", found | {"identical": same, "trials": rows}, given)
    sys.exit(same < len(rows))


if __name__ == "__main__":
    main()
