"""What do start-up, logging, saving and vmapped runs of the engine cost?

    python experiments/bench_engine.py [--seconds=60]

Runs are of the smoke config unless said. Observing is a whole training (log, TensorBoard, evaluations, checkpoints at
the cadence of the config) against a bare scan of the same steps, half of which runs before it and half after, in
one process; also of v5_12 as it is, whose chunks are shorter than its evaluations are apart, five times in turns,
as one run of 20 s differs from the next by a tenth. About eight minutes; nothing else may run beside it. Writes
results/bench_engine.json.
"""

import statistics
import tempfile
from typing import Any

import lab
import lab_process

from ternary_jax import terminal
from ternary_jax.config import load_config
from ternary_jax.tables import columns

CONFIG = lab.CONFIGS / "smoke.py"
DEFAULT = lab.CONFIGS / "v5_12.py"
BARS = {
    "cold_first_step_s": lab.Bar("seconds from start to first step, cold", ".1f", "<=", 12),
    "warm_first_step_s": lab.Bar("seconds from start to first step, warm", ".1f", "<=", 4),
    "share": lab.Bar("what observing adds to the bare scan", "+.1%", "<=", 0.05),
    "default_share": lab.Bar("the same of v5_12, whose chunks are short", "+.1%", "<=", 0.05),
    "save_blocks_ms_worst": lab.Bar("a save holds the loop up, worst, ms", ".1f", "<=", 50),
}


def main() -> None:
    """Measure, print and write the results."""
    parser = lab.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the run that is observed")
    given = parser.parse_args()
    start = starts()
    many = {runs: samples_per_second(runs) for runs in (1, 2, 4, 8)}
    epochs = max(50, round(given.seconds * many[1] / 3**9 / 50) * 50)
    found = {
        "start": start,
        "observing": observing(load_config(CONFIG, {"train.epochs": epochs}), turns=1),
        "observing_default": observing(load_config(DEFAULT), turns=5),
    }
    measured = found["start"] | found["observing"] | {"default_share": found["observing_default"]["share"]}
    print(lab.show_bars(BARS, measured))
    print(columns([["runs at once", "samples/s"], *([f"{n}", f"{rate:,.0f}"] for n, rate in many.items())]))
    lab.write("bench_engine", found | {"many_runs_samples_per_s": many}, given)


def starts() -> dict[str, float]:
    """Seconds from the start of the process to the first step, with an empty and with a filled compilation cache."""
    found = {}
    with tempfile.TemporaryDirectory() as cache:
        for name in ("cold", "warm"):
            terminal.say(f"starting {name} ...")
            _, summary = lab_process.timed_run(CONFIG, ["train.epochs=5"], cache)
            found |= {f"{name}_first_step_s": summary["first_step_s"], f"{name}_compile_s": summary["compile_s"]}
    return found


def bare(config: Any) -> lab.Scan:
    """A bare scan of the steps of a chunk."""
    return lab.Scan(config, lab.plan(*lab.assemble(config)[:2]).chunk)


def samples_per_second(runs: int) -> float:
    """Samples/s of all runs together, in a bare scan of about two seconds; the best of three."""
    terminal.say(f"{runs} run{'s' * (runs > 1)} ...")
    scan, chunks = bare(load_config(CONFIG, {"train.epochs": 50, "runs": runs})), max(1, 5 // runs)
    return max(runs * chunks * 512 / sum(scan.time() for _ in range(chunks)) for _ in range(3))


def observing(config: Any, turns: int) -> dict[str, Any]:
    """A whole run against the bare scan of its steps, in turns, and the time for which saves block the host loop."""
    scan = bare(config)
    total = lab.plan(*lab.assemble(config)[:2]).total
    chunks = max(1, total // scan.length // 2)
    bare_s, loop_s, rows, held = [], [], 0, []

    def half() -> float:
        terminal.say(f"a bare scan of {chunks * scan.length:,} steps ...")
        return scan.length * sum(scan.time() for _ in range(chunks)) * total / (2 * chunks * scan.length)

    for _ in range(turns):
        before = half()
        with lab.timed_saves() as saves:
            run = lab.trained(config)
        bare_s.append(before + half())
        # From the end of compiling to the last row; the export and the summary after it do not grow with the run.
        loop_s.append(total * config.train.batch_size / run.summary["samples_per_s"])
        rows, held = len(run.histories[0].columns["step"]), held + saves
    return {
        "epochs": config.train.epochs,
        "steps": total,
        "bare_s": bare_s,
        "loop_s": loop_s,
        "share": statistics.median(loop / bare - 1 for loop, bare in zip(loop_s, bare_s, strict=True)),
        "evaluations": rows,
        "saves": len(held) // turns,
        "save_blocks_ms_median": statistics.median(held),
        "save_blocks_ms_worst": max(held),
    }


if __name__ == "__main__":
    main()
