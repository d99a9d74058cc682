"""What does a sweep cost beyond its training?

A sweep of 4 static x 4 traced x 8 seeds of smoke.py is trained from nothing, with an empty compilation cache, in a
process of its own. Then, in this process, the program of each group is compiled, and its chunks are run from the first
step to the last, without host loop, rows, checkpoints or exports: the bare scans. The bar: the sweep takes at most 1.2
times the bare scans and the longest single compile together, its start and its imports included.

    python experiments/bench_sweep.py                  writes results/bench_sweep.json; status 1 if the bar is missed
    python experiments/bench_sweep.py --quick          2 static x 2 traced x 2 seeds, for six epochs
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import lab
from lab_process import environment

from ternary_jax import terminal
from ternary_jax.engine import compiling
from ternary_jax.engine.assembly import assemble
from ternary_jax.engine.plan import plan as plan_of_steps
from ternary_jax.sweeps import grid as grids
from ternary_jax.sweeps import plan as plans

CONFIG = lab.ROOT / "configs" / "smoke.py"
GRID = ("model.B.hidden=[(64,),(64,64),(96,),(96,96)]", "train.learning_rate=1e-3,2e-3,4e-3,8e-3")
QUICK = ("model.B.hidden=[(64,),(64,64)]", "train.learning_rate=2e-3,4e-3")
SHORT = ("train.epochs=6", "evaluate.cheap_every=2", "evaluate.costly_every=6", "checkpoint.every=6")
MOST = 1.2  # times the bare scans and the longest compile


def whole(grid: tuple[str, ...], seeds: int, overrides: tuple[str, ...]) -> float:
    """Seconds of the sweep as a process."""
    command = [sys.executable, "-m", "ternary_jax.sweep", f"--config={CONFIG}", f"--seeds={seeds}", "--yes"]
    command += [f"--grid=config.{one}" for one in grid] + [f"--config.{one}" for one in overrides]
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        subprocess.run(
            [*command, f"--workdir={folder}/sweep"],
            check=True,
            env=environment(Path(folder) / "cache"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return time.monotonic() - begun


def bare(group: plans.Group) -> tuple[float, float]:
    """(seconds of compiling, seconds of all chunks) of a group."""
    task, static, hypers = assemble(group.config)
    begun = time.monotonic()
    made = compiling.ahead(group.config)
    compile_s, steps = time.monotonic() - begun, plan_of_steps(static, task.samples_per_epoch)
    hypers = jax.device_put(hypers)
    state = jax.block_until_ready(made.begin(hypers))
    begun = time.monotonic()
    for first in range(0, steps.total, steps.chunk):
        state, _ = made.chunk(state, first, hypers)
    jax.block_until_ready(state)
    return compile_s, time.monotonic() - begun


def measure(grid: tuple[str, ...], seeds: int, overrides: tuple[str, ...]) -> dict[str, Any]:
    """Seconds of the sweep and of its parts, and their ratio."""
    found = plans.plan(CONFIG, grids.parse(grid), overrides, seeds)
    wall_s = whole(grid, seeds, overrides)
    terminal.say(f"the sweep of {len(found.runs)} runs: {wall_s:.1f} s")
    parts = [bare(group) for group in found.groups]
    longest, scans = max(compile_s for compile_s, _ in parts), sum(scan_s for _, scan_s in parts)
    counts = {"runs": len(found.runs), "groups": len(found.groups)}
    return counts | {"wall_s": wall_s, "scans_s": scans, "compile_s": longest, "ratio": wall_s / (scans + longest)}


def main() -> None:
    """Measure, print and write."""
    given = lab.parser(__doc__, quick="a small sweep").parse_args()
    jax.config.update("jax_enable_compilation_cache", False)
    found = measure(QUICK if given.quick else GRID, 2 if given.quick else 8, SHORT if given.quick else ())
    runs = f"{found['runs']} runs in {found['groups']} groups"
    parts = f"bare scans {found['scans_s']:.1f} s, longest compile {found['compile_s']:.1f} s"
    print(f"{runs}: {found['wall_s']:.1f} s; {parts}; ratio {found['ratio']:.2f}, bar {MOST}")
    lab.write("bench_sweep", found, given)
    sys.exit(found["ratio"] > MOST)


if __name__ == "__main__":
    main()
