# pyright: reportMissingImports=false
"""What does StateNet cost, and what its learning by looking ahead? Writes results/bench_statenet.json.

    python experiments/bench_statenet.py [--quick] [--out DIR]

speed    ms a step and samples/s of configs/v5_10.py without StateNet, with it, and with it learning, in turns, round
         after round, and the best of each counts; compile seconds of each
memory   what the compiled chunk takes beside its arguments, at batches of 4,096

Steps are those of a chunk of ten epochs, as the engine compiles it, with its one evaluation. Needs an idle machine, and
about fifteen minutes; compiling, most of that, is not timed as a step.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from bench_step import Timed, in_turns

from ternary_jax import terminal
from ternary_jax.config import load_config
from ternary_jax.engine import train
from ternary_jax.provenance import provenance
from ternary_jax.tables import columns

ROOT = Path(__file__).resolve().parents[1]
CONFIG = str(ROOT / "configs" / "v5_10.py")
PLAIN, ON = {"control": "schedules"}, {"control": "schedules+statenet"}
LEARNS = ON | {"statenet.learn": "lookahead"}
TURNED = "StateNet, every step"
AHEAD = "looking 1 ahead, every step"
SPEED: dict[str, dict[str, Any]] = {
    "without StateNet": PLAIN,
    TURNED: ON | {"statenet.interval": 1},
    AHEAD: LEARNS | {"statenet.interval": 1, "statenet.ahead": 1},
    "StateNet, every 10th": ON | {"statenet.interval": 10},
    "looking 1 ahead, every 10th": LEARNS | {"statenet.interval": 10, "statenet.ahead": 1},
    "looking 4 ahead, every 10th": LEARNS | {"statenet.interval": 10, "statenet.ahead": 4},
}
MEMORY = {f"v5_10{variant}, {name}": (variant, SPEED[name]) for variant in ("", ":all") for name in (TURNED, AHEAD)}
BARS = {"cost": 0.10, "look_ahead": 2.5, "samples_per_s": 55_000, "megabytes": 200}  # 5 x 11,000 of the original


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="every step only, few rounds: to see that it works")
    parser.add_argument("--out", type=Path, default=ROOT / "results", metavar="DIR", help="for bench_statenet.json")
    options = parser.parse_args()
    found: dict[str, Any] = {"cores": os.cpu_count(), "load_before": os.getloadavg()[0], "quick": options.quick}
    found["speed"] = speed(options.quick)
    print(show_speed(found["speed"]), end="\n\n", flush=True)
    found["memory"] = memory(options.quick)
    found["bars"] = bars(found)
    print(show_bars(found["memory"], found["bars"]))
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "bench_statenet.json"
    file.write_text(json.dumps(found | {"wanted": BARS} | provenance(), indent=1) + "\n")
    terminal.say(f"wrote {file}")


def speed(quick: bool) -> dict[str, Any]:
    """Each of SPEED: ms a step, samples/s, times the step without StateNet, and what compiling took."""
    timed: dict[str, Timed] = {}
    compiling, batch = {}, load_config(CONFIG).train.batch_size
    for name in [*SPEED][: 3 if quick else None]:
        timed[name], compiling[name] = chunk_of(name)
    seconds = in_turns(timed, rounds=3 if quick else 10)
    least = next(iter(seconds.values()))
    return {
        name: {"ms": 1e3 * s, "samples_per_s": batch / s, "ratio": s / least, "compile_s": compiling[name]}
        for name, s in seconds.items()
    }


def chunk_of(name: str) -> tuple[Timed, float]:
    """Seconds of a step of a chunk, each time from the first step on, and of its compiling."""
    lowered, init, (hypers, shared), length = lowered_chunk(CONFIG, SPEED[name])
    terminal.say(f"compiling {name} ...")
    begun = time.perf_counter()
    program = lowered.compile(train.OFTEN)
    compiling = time.perf_counter() - begun

    def timed():
        state = jax.block_until_ready(init(hypers))  # given up to the chunk
        begun = time.perf_counter()
        jax.block_until_ready(program(state, jnp.int32(0), hypers, *shared))
        return (time.perf_counter() - begun) / length

    timed()
    return timed, compiling


def memory(quick: bool) -> dict[str, float]:
    """Megabytes of each of MEMORY."""
    found = {}
    for name in [*MEMORY][: 2 if quick else None]:
        variant, overrides = MEMORY[name]
        terminal.say(f"compiling {name}, batches of 4,096 ...")
        lowered, *_ = lowered_chunk(CONFIG + variant, overrides | {"train.batch_size": 4096})
        found[name] = lowered.compile(train.OFTEN).memory_analysis().temp_size_in_bytes / 1e6
    return found


def lowered_chunk(path: str, overrides: dict[str, Any]) -> tuple[Any, Any, tuple[Any, Any], int]:
    """(lowered chunk, init, (hypers, what is shared), steps of the chunk)."""
    task, static, hypers = train.prepare(load_config(path, overrides))
    init, chunk = train.make_train(task, static)
    hypers = jax.device_put(hypers)
    lowered = chunk.program.lower(jax.eval_shape(init, hypers), jnp.int32(0), hypers, *chunk.shared)
    return lowered, init, (hypers, chunk.shared), train.plan(static, task.samples_per_epoch).chunk


def bars(found: dict[str, Any]) -> dict[str, float]:
    """What the bars are on; looking ahead is held against the step without learning, of the same StateNet."""
    rows = found["speed"]
    return {
        "cost": rows[TURNED]["ratio"] - 1,
        "look_ahead": rows[AHEAD]["ms"] / rows[TURNED]["ms"],
        "samples_per_s": rows[TURNED]["samples_per_s"],
        "megabytes": max(found["memory"].values()),
    }


def show_speed(rows: dict[str, Any]) -> str:
    lines = [["steps", "ms", "samples/s", "times the first", "compiling, s"]]
    for name, row in rows.items():
        rate, ratio = f"{row['samples_per_s']:,.0f}", f"{row['ratio']:.2f}"
        lines.append([name, f"{row['ms']:.2f}", rate, ratio, f"{row['compile_s']:.1f}"])
    return columns(lines)


def show_bars(found: dict[str, float], measured: dict[str, float]) -> str:
    texts = {
        "cost": ("StateNet costs, of a step", "{:.0%}", "<="),
        "look_ahead": ("looking 1 ahead in every step, in steps", "{:.2f}", "<="),
        "samples_per_s": ("samples/s with StateNet", "{:,.0f}", ">="),
        "megabytes": ("MB at 4,096, the most", "{:,.0f}", "<="),
    }
    lines = [["bar", "measured", "wanted", ""]]
    for name, (text, form, sign) in texts.items():
        value, bar = measured[name], BARS[name]
        met = value >= bar if sign == ">=" else value <= bar
        lines.append([text, form.format(value), f"{sign} {form.format(bar)}", "met" if met else "MISSED"])
    taken = [["batches of 4,096", "MB"], *([name, f"{x:,.0f}"] for name, x in found.items())]
    return f"{columns(taken)}\n\n{columns(lines)}"


if __name__ == "__main__":
    main()
