"""What the engine costs: to start, to observe, to save, to train many runs at once; writes results/bench_engine.json.

    python experiments/bench_engine.py [--seconds=60]

Everything is the smoke config. Observing is a whole `train.run` (log, TensorBoard, evaluations, checkpoints at the
cadence of the config) against a bare scan of the same steps, half of which runs before it and half after, in
one process. About four minutes; nothing else may run beside it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp

from ternary_jax import terminal
from ternary_jax.config import load_config
from ternary_jax.control.chain import chain
from ternary_jax.control.schedules import follow
from ternary_jax.engine import log, report, train
from ternary_jax.engine.report import Plan
from ternary_jax.engine.step import keys, make_step
from ternary_jax.optimizer import adamw_by_group
from ternary_jax.provenance import provenance
from ternary_jax.tables import columns

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "configs" / "smoke.py"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the run that is observed")
    seconds = parser.parse_args().seconds
    start = starts()
    many = {runs: samples_per_second(runs) for runs in (1, 2, 4, 8)}
    epochs = max(50, round(seconds * many[1] / 3**9 / 50) * 50)
    found = {"start": start, "observing": observing(epochs), "many_runs_samples_per_s": many, **provenance()}
    print(table(found))
    (ROOT / "results" / "bench_engine.json").write_text(json.dumps(found, indent=1) + "\n")


def starts() -> dict[str, float]:
    """Seconds from the start of the process to the first step, with an empty and with a filled compilation cache."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("cold", "warm"):
            terminal.say(f"starting {name} ...")
            command = [sys.executable, "-m", "ternary_jax.main", f"--config={CONFIG}", f"--workdir={folder}/{name}"]
            env = {**os.environ, "XDG_CACHE_HOME": f"{folder}/cache"}
            env.pop("JAX_COMPILATION_CACHE_DIR", None)
            subprocess.run(
                [*command, "--config.train.epochs=5"], env=env, cwd=ROOT, check=True, capture_output=True, timeout=300
            )
            summary = json.loads(Path(folder, name, "summary.json").read_text())
            found |= {f"{name}_first_step_s": summary["first_step_s"], f"{name}_compile_s": summary["compile_s"]}
    return found


def bare(epochs: int, runs: int = 1):
    """A function of the number of chunks that scans so many steps and does nothing else, and the length of a chunk."""
    config = load_config(CONFIG, {"train.epochs": epochs, "runs": runs})
    task, static, hypers = train.prepare(config)
    steps: Plan = train.plan(static, task.samples_per_epoch)
    step = make_step(task, static, adamw_by_group(static.train.clip_norm), chain(follow("learning_rate"), task.control))
    table, data, hypers = jax.device_put((train.schedule_rows(task, static), task.data, hypers))
    init, _ = train.make_train(task, static)

    def scan(state, first, hypers, table, data):
        rows = {name: jax.lax.dynamic_slice_in_dim(row, first, steps.chunk) for name, row in table.items()}
        xs = (first + jnp.arange(steps.chunk, dtype=jnp.int32), rows)
        key = keys(hypers)[1]
        return jax.lax.scan(lambda state, xs: (step(state, xs, key, hypers, data)[0], None), state, xs)[0]

    mapped = jax.jit(jax.vmap(scan, (0, None, 0, None, None)), donate_argnums=0)
    first = mapped(init(hypers), jnp.int32(0), hypers, table, data)  # compiled here

    def run(chunks: int) -> float:
        nonlocal first
        begun = time.perf_counter()
        for n in range(chunks):
            first = mapped(first, jnp.int32(n * steps.chunk), hypers, table, data)
        jax.block_until_ready(first)
        return time.perf_counter() - begun

    return run, steps


def samples_per_second(runs: int) -> float:
    """Of all runs together, in a bare scan of some two seconds; the best of three."""
    terminal.say(f"{runs} run{'s' * (runs > 1)} ...")
    run, steps = bare(50, runs)
    chunks = max(1, 5 // runs)
    return max(runs * chunks * steps.chunk * 512 / run(chunks) for _ in range(3))


def observing(epochs: int) -> dict[str, float]:
    """A whole run against the bare scan of its steps, and how long each save held the loop up."""
    config = load_config(CONFIG, {"train.epochs": epochs})
    run, steps = bare(epochs)
    half = steps.total // steps.chunk // 2
    blocked, save = [], report.save

    def timed(*args):
        begun = time.perf_counter()
        save(*args)
        blocked.append(1e3 * (time.perf_counter() - begun))

    terminal.say(f"a bare scan of {half * steps.chunk:,} steps ...")
    before = run(half)
    report.save = timed
    with tempfile.TemporaryDirectory() as folder:
        summary = train.run(config, Path(folder) / "run")
        rows = log.read(Path(folder) / "run")
    report.save = save
    terminal.say(f"a bare scan of {half * steps.chunk:,} steps ...")
    after = run(half)
    bare_s = (before + after) * steps.total / (2 * half * steps.chunk)
    # From the end of compiling to the last row; what comes after (export, summary) does not grow with the run.
    loop_s = steps.total * config.train.batch_size / summary["samples_per_s"]
    return {
        "epochs": epochs,
        "steps": steps.total,
        "bare_s": bare_s,
        "bare_before_s": before,
        "bare_after_s": after,
        "loop_s": loop_s,
        "share": loop_s / bare_s - 1,
        "evaluations": len(rows),
        "saves": len(blocked),
        "save_blocks_ms_median": statistics.median(blocked),
        "save_blocks_ms_worst": max(blocked),
    }


def table(found: dict) -> str:
    """All of it as text."""
    start, seen, many = found["start"], found["observing"], found["many_runs_samples_per_s"]
    lines = [
        ["what", "measured", "bar"],
        ["start to first step, cold", f"{start['cold_first_step_s']:.1f} s", "12 s"],
        ["start to first step, warm", f"{start['warm_first_step_s']:.1f} s", "4 s"],
        [f"observing, {seen['steps']:,} steps in {seen['bare_s']:.0f} s", f"{seen['share']:+.1%}", "+5 %"],
        ["a save holds the loop up, worst", f"{seen['save_blocks_ms_worst']:.1f} ms", "50 ms"],
        *([f"samples/s, {n} at once", f"{rate:,.0f}", ""] for n, rate in many.items()),
    ]
    return columns(lines)


if __name__ == "__main__":
    main()
