"""What do the detector of grokking, homeostasis and the emergence metrics cost? Writes results/bench_grokking.json.

    python experiments/bench_grokking.py [--rounds=20]

Seconds of a chunk of configs/v5_12.py, an evaluation of three epochs, as the engine compiles it, with and without them,
in turns, round after round: the chunk after the first, as in the first there is nothing to judge yet. A cost is the
median over rounds of the ratio to the plain chunk of the same round, less 1. Needs an idle machine, some five minutes.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from bench_statenet import lowered_chunk

from ternary_jax import terminal
from ternary_jax.engine import train
from ternary_jax.provenance import provenance
from ternary_jax.tables import columns

ROOT = Path(__file__).resolve().parents[1]
CONFIG = str(ROOT / "configs" / "v5_12.py")
EVERY = {"evaluate.cheap_every": 3}
DETECTOR = {"grokking.on": True}
HOMEOSTASIS = {"homeostasis.on": True}
ARMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "detector": DETECTOR,
    "homeostasis": HOMEOSTASIS,
    "detector and homeostasis": DETECTOR | HOMEOSTASIS,
}
BAR = ("detector and homeostasis", 0.02)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="in each of which every arm has its turn")
    parser.add_argument("--out", type=Path, default=ROOT / "results", metavar="DIR", help="for bench_grokking.json")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    timed = {name: second_chunk(name, overrides) for name, overrides in ARMS.items()}
    terminal.say(f"{given.rounds} rounds of {len(timed)} chunks ...")
    seconds = {name: np.zeros(given.rounds) for name in timed}
    for k in range(given.rounds):
        for name, one in timed.items():
            seconds[name][k] = one()
    found = costs(seconds)
    print(table(found))
    given.out.mkdir(parents=True, exist_ok=True)
    wanted = {"arm": BAR[0], "cost": BAR[1]}
    about = {"cores": os.cpu_count(), "load_before": load, "rounds": given.rounds, "wanted": wanted, **provenance()}
    (given.out / "bench_grokking.json").write_text(json.dumps({"arms": found, **about}, indent=1) + "\n")


def second_chunk(name: str, overrides: dict[str, Any]) -> Callable[[], float]:
    """-> a function that runs two chunks, and gives the seconds of the second."""
    terminal.say(f"compiling {name} ...")
    lowered, init, (hypers, shared), length = lowered_chunk(CONFIG, EVERY | overrides)
    program = lowered.compile(train.OFTEN)

    def timed():
        state, _ = program(init(hypers), jnp.int32(0), hypers, *shared)
        jax.block_until_ready(state)
        begun = time.perf_counter()
        jax.block_until_ready(program(state, jnp.int32(length), hypers, *shared))
        return time.perf_counter() - begun

    timed()
    return timed


def costs(seconds: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Of each arm: the median of its seconds, and the quartiles of what it costs beside the first."""
    first = next(iter(seconds.values()))
    out = {}
    for name, x in seconds.items():
        low, middle, high = np.quantile(x / first - 1, (0.25, 0.5, 0.75))
        out[name] = {"seconds": float(np.median(x)), "cost": float(middle), "low": float(low), "high": float(high)}
    return out


def table(found: dict[str, dict[str, float]]) -> str:
    """A line per arm."""
    lines = [["a chunk of three epochs with its evaluation", "s", "cost", "quartiles", "bar"]]
    for name, one in found.items():
        bar = f"{BAR[1]:.0%} {'met' if one['cost'] <= BAR[1] else 'MISSED'}" if name == BAR[0] else ""
        quartiles = f"{one['low']:+.1%} to {one['high']:+.1%}"
        lines.append([name, f"{one['seconds']:.3f}", f"{one['cost']:+.1%}", quartiles, bar])
    return columns(lines)


if __name__ == "__main__":
    main()
