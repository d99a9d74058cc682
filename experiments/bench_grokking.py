"""What do the detector of grokking and homeostasis cost? Writes results/bench_grokking.json.

    python experiments/bench_grokking.py [--rounds=40]

Seconds of a chunk of configs/v5_12.py, an evaluation of three epochs, as the engine compiles it, with and without them,
in turns, round after round: the chunk after the first, as in the first there is nothing to judge yet. Where the times
of a chunk vary by more than what is looked for, they show nothing; so the bar is on what the chain of controllers takes
by itself, scanned over the steps of the same chunk without a model, less that of the plain one. Of each the best
counts. Needs an idle machine, some five minutes.
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
from ternary_jax.config import load_config
from ternary_jax.control.chain import Controls, Signals
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
    parser.add_argument("--rounds", type=int, default=40, help="in each of which every arm has its turn")
    parser.add_argument("--out", type=Path, default=ROOT / "results", metavar="DIR", help="for bench_grokking.json")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    timed = {name: second_chunk(name, overrides) for name, overrides in ARMS.items()}
    terminal.say(f"{given.rounds} rounds of {len(timed)} chunks ...")
    seconds = {name: np.zeros(given.rounds) for name in timed}
    for k in range(given.rounds):
        for name, one in timed.items():
            seconds[name][k] = one()
    found = costs(seconds, {name: alone(name, overrides, given.rounds) for name, overrides in ARMS.items()})
    print(table(found))
    given.out.mkdir(parents=True, exist_ok=True)
    wanted = {"arm": BAR[0], "cost": BAR[1]}
    about = {"cores": os.cpu_count(), "load_before": load, "rounds": given.rounds, "wanted": wanted, **provenance()}
    (given.out / "bench_grokking.json").write_text(json.dumps({"arms": found, **about}, indent=1) + "\n")


def second_chunk(name: str, overrides: dict[str, Any]) -> Callable[[], float]:
    """-> a function that gives the seconds of a chunk that goes on after the first."""
    terminal.say(f"compiling {name} ...")
    lowered, init, (hypers, shared), length = lowered_chunk(CONFIG, EVERY | overrides)
    program = lowered.compile(train.OFTEN)
    first, _ = program(init(hypers), jnp.int32(0), hypers, *shared)

    def timed():
        state = jax.block_until_ready(jax.tree.map(jnp.copy, first))  # given up to the chunk
        begun = time.perf_counter()
        jax.block_until_ready(program(state, jnp.int32(length), hypers, *shared))
        return time.perf_counter() - begun

    timed()
    return timed


def alone(name: str, overrides: dict[str, Any], rounds: int) -> float:
    """Seconds of the chain of controllers over a chunk with two evaluations, where nothing is trained."""
    terminal.say(f"the controllers of {name}, alone ...")
    task, static, hypers = train.prepare(load_config(CONFIG, EVERY | overrides))
    steps, table = train.plan(static, task.samples_per_epoch), train.schedule_rows(task, static)
    metrics = {m.name: m for m in task.metrics}
    task, control = train.controlled(task, static, metrics, table)
    hypers = jax.tree.map(lambda x: jnp.asarray(x[0]), hypers)
    rates = {group: jnp.float32(1) for group in jax.eval_shape(task.init, jax.random.key(0), hypers)}

    @jax.jit
    def scanned(state, first, seen, measured):
        def step(state, number):
            row = {name: jnp.asarray(rows, jnp.float32)[number] for name, rows in table.items()}
            last, figures = ({k: x + 1e-3 * number for k, x in values.items()} for values in (seen, measured))
            given = Controls(rates, None, task.knobs(hypers))
            return control.update(state, Signals(number, row, last, figures), given)

        return jax.lax.scan(step, state, first + jnp.arange(steps.chunk, dtype=jnp.int32))

    seen, measured = ({name: jnp.float32(0.5) for name in names} for names in (task.signals, metrics))
    state, best = control.init(hypers), float("inf")
    for _ in range(10 * rounds):
        begun = time.perf_counter()
        jax.block_until_ready(scanned(state, jnp.int32(steps.chunk), seen, measured))
        best = min(best, time.perf_counter() - begun)
    return best


def costs(seconds: dict[str, np.ndarray], controllers: dict[str, float]) -> dict[str, dict[str, float]]:
    """Of each arm: its best, the quartiles of the ratio to the plain chunk, and the cost of its controllers."""
    plain = next(iter(seconds.values()))
    least = next(iter(controllers.values()))
    out = {}
    for name, x in seconds.items():
        low, middle, high = np.quantile(x / plain - 1, (0.25, 0.5, 0.75)).tolist()
        cost = (controllers[name] - least) / float(plain.min())
        out[name] = {"seconds": float(x.min()), "low": low, "middle": middle, "high": high}
        out[name] |= {"controllers_ms": 1e3 * controllers[name], "cost": cost}
    return out


def table(found: dict[str, dict[str, float]]) -> str:
    """A line per arm."""
    lines = [["a chunk of three epochs", "s", "beside plain, quartiles", "controllers alone, ms", "cost", "bar"]]
    for name, one in found.items():
        bar = f"{BAR[1]:.0%} {'met' if one['cost'] <= BAR[1] else 'MISSED'}" if name == BAR[0] else ""
        quartiles = ", ".join(f"{one[key]:+.1%}" for key in ("low", "middle", "high"))
        lines.append(
            [name, f"{one['seconds']:.3f}", quartiles, f"{one['controllers_ms']:.2f}", f"{one['cost']:.2%}", bar]
        )
    return columns(lines)


if __name__ == "__main__":
    main()
