"""Does this checkout train as fast as another commit? Cold runs of one config, the two in turns.

    git worktree add ../before COMMIT
    python experiments/bench_commits.py ../before --rounds=15 --epochs=36

Each run is a separate process without a compilation cache. Times are seconds from the start of the process to its first
step, and to its end; samples/s are those of the host loop. A ratio compares this checkout with the other in each round:
above 1, this checkout is faster. --epochs shortens the run to a multiple of the config's evaluation cadence. Writes
results/bench_commits.json; nothing else may run beside it.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import lab
import numpy as np

from ternary_jax import terminal
from ternary_jax.tables import columns

FIGURES = {"first_step_s": -1, "whole_s": -1, "samples_per_s": 1}  # figure -> 1 if more is better, -1 if less
WANTED = 0.95  # bar on the lower end of each interval


def main() -> None:
    """Run both checkouts in turns, print and write the results."""
    parser = lab.parser(__doc__)
    parser.add_argument("before", type=Path, help="a checkout of the other commit")
    parser.add_argument("--config", default="configs/v5_12.py", help="a config that both have")
    parser.add_argument("--rounds", type=int, default=15, help="runs of each; default: 15")
    parser.add_argument("--epochs", type=int, default=0, help="length of a run; default: that of the config")
    given = parser.parse_args()
    roots = {"before": given.before.resolve(), "now": lab.ROOT}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in roots}
    for n in range(given.rounds):
        for name, root in roots.items():
            runs[name].append(timed(root, given.config, given.epochs))
            terminal.say(f"round {n + 1} of {given.rounds}, {name}: {runs[name][-1]}")
    found = compared(runs)
    print(table(found))
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=roots["before"], text=True).strip()
    about = {"config": given.config, "rounds": given.rounds, "epochs": given.epochs, "before": commit}
    lab.write("bench_commits", {**about, "wanted": WANTED, "figures": found}, given)


def timed(root: Path, config: str, epochs: int) -> dict[str, float]:
    """The figures of one run of the checkout at `root`."""
    lengths = ("train.epochs", "evaluate.costly_every", "checkpoint.every") if epochs else ()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "ternary_jax.main", f"--config={config}", f"--workdir={folder}/run"]
        command += ["--config.compilation_cache=false", *(f"--config.{key}={epochs}" for key in lengths)]
        dropped = ("TF_CPP_MIN_LOG_LEVEL", "JAX_COMPILATION_CACHE_DIR")  # importing the package has set the first
        env = {key: value for key, value in os.environ.items() if key not in dropped}
        begun = time.time()
        subprocess.run(command, check=True, cwd=root, env=env | {"PYTHONPATH": str(root)}, capture_output=True)
        whole = time.time() - begun
        summary = json.loads(Path(folder, "run", "summary.json").read_text())
    found = {"whole_s": whole, **{name: summary[name] for name in ("first_step_s", "samples_per_s")}}
    return {name: round(found[name], 2) for name in FIGURES}


def compared(runs: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """For each figure the medians, and the median and 95 % interval of the ratio, inverted where less is better."""
    found = {}
    for name, better in FIGURES.items():
        before, now = (np.array([run[name] for run in runs[which]]) for which in ("before", "now"))
        ratio, low, high = lab.paired_ratio(now, before) if better > 0 else lab.paired_ratio(before, now)
        medians = {"before": float(np.median(before)), "now": float(np.median(now))}
        found[name] = {**medians, "ratio": ratio, "low": low, "high": high}
    return found


def table(found: dict[str, Any]) -> str:
    """The table: a line for each figure."""
    lines = [["", "before", "now", "speed now / before", "95 %", f"low > {WANTED}"]]
    for name, one in found.items():
        ends = f"[{one['low']:.3f}, {one['high']:.3f}]"
        met = "met" if one["low"] > WANTED else "MISSED"
        lines.append([name, f"{one['before']:,.2f}", f"{one['now']:,.2f}", f"{one['ratio']:.3f}", ends, met])
    return columns(lines)


if __name__ == "__main__":
    main()
