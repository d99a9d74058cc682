"""What do StateNet and its look-ahead learning cost?

    python experiments/bench_statenet.py [--quick] [--out DIR]

speed    ms per step and samples/s of configs/v5_10.py without StateNet, with it, and with it learning, measured in
         turns (the best counts); compile seconds of each
memory   temporary memory of the compiled chunk, without its arguments, at batches of 4,096

A step is a step of a chunk of ten epochs with one evaluation, as the engine compiles it. Needs an idle machine and
about fifteen minutes, mostly for compiling, which is not timed as a step. Writes results/bench_statenet.json.
"""

import time
from typing import Any

import lab

from ternary_jax import terminal
from ternary_jax.config import load_config
from ternary_jax.tables import columns

CONFIG = str(lab.CONFIGS / "v5_10.py")
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
BARS = {
    "cost": lab.Bar("StateNet costs, of a step", ".0%", "<=", 0.10),
    "look_ahead": lab.Bar("looking 1 ahead in every step, in steps", ".2f", "<=", 2.5),
    "samples_per_s": lab.Bar("samples/s with StateNet", ",.0f", ">=", 55_000),  # the original has 5 x 11,000
    "megabytes": lab.Bar("MB at 4,096, the most", ",.0f", "<=", 200),
}


def main() -> None:
    """Measure, print and write the results."""
    given = lab.parser(__doc__, quick="every step only, few rounds").parse_args()
    found: dict[str, Any] = {"quick": given.quick, "speed": speed(given.quick)}
    lines = [["steps", "ms", "samples/s", "times the first", "compiling, s"]]
    for name, row in found["speed"].items():
        rate, ratio = f"{row['samples_per_s']:,.0f}", f"{row['ratio']:.2f}"
        lines.append([name, f"{row['ms']:.2f}", rate, ratio, f"{row['compile_s']:.1f}"])
    print(columns(lines), end="\n\n", flush=True)
    found["memory"] = memory(given.quick)
    found["bars"] = measured(found)
    print(columns([["batches of 4,096", "MB"], *([name, f"{x:,.0f}"] for name, x in found["memory"].items())]))
    print("\n" + lab.show_bars(BARS, found["bars"]))
    found["wanted"] = {name: bar.wanted for name, bar in BARS.items()}
    lab.write("bench_statenet", found, given)


def speed(quick: bool) -> dict[str, Any]:
    """Each of SPEED: ms a step, samples/s, times the step without StateNet, and what compiling took."""
    chunks, compiling, batch = {}, {}, load_config(CONFIG).train.batch_size
    for name in [*SPEED][: 3 if quick else None]:
        chunks[name] = lab.Chunk(load_config(CONFIG, SPEED[name]))
        terminal.say(f"compiling {name} ...")
        begun = time.perf_counter()
        chunks[name].compile()
        compiling[name] = time.perf_counter() - begun
    seconds = lab.in_turns({name: chunk.timed() for name, chunk in chunks.items()}, rounds=3 if quick else 10)
    best = {name: float(x.min()) / chunks[name].length for name, x in seconds.items()}
    least = next(iter(best.values()))
    return {
        name: {"ms": 1e3 * s, "samples_per_s": batch / s, "ratio": s / least, "compile_s": compiling[name]}
        for name, s in best.items()
    }


def memory(quick: bool) -> dict[str, float]:
    """Megabytes of temporary memory of each program of MEMORY."""
    found = {}
    for name in [*MEMORY][: 2 if quick else None]:
        variant, changes = MEMORY[name]
        terminal.say(f"compiling {name}, batches of 4,096 ...")
        chunk = lab.Chunk(load_config(CONFIG + variant, changes | {"train.batch_size": 4096}))
        found[name] = chunk.compile().memory_analysis().temp_size_in_bytes / 1e6
    return found


def measured(found: dict[str, Any]) -> dict[str, float]:
    """The figures that have bars; looking ahead is compared with the step of the same StateNet without learning."""
    rows = found["speed"]
    return {
        "cost": rows[TURNED]["ratio"] - 1,
        "look_ahead": rows[AHEAD]["ms"] / rows[TURNED]["ms"],
        "samples_per_s": rows[TURNED]["samples_per_s"],
        "megabytes": max(found["memory"].values()),
    }


if __name__ == "__main__":
    main()
