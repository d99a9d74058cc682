"""How fast is the cube, and how much memory does it need?

    python experiments/bench_cube.py [--quick] [--rounds=3] [--out DIR]

Each row is a process of its own, which compiles whole training steps, times them, and tells the most memory that it
had: of the small cube, of eight of its runs at once, and of 15 x 15 x 11 cells with weights of their own, with all
cells updated or by a sweep. Then it times the batched products of its step alone, forward and of both gradients, each
by jax and by numpy, of which the faster counts.
`original` is a loop over the cells of the original in PyTorch (experiments/lab_torch_cube.py, the `bench` extra;
without torch the rest is measured); a step of it is one update of each cell, one of `full, all` is eleven.

Needs an idle machine. Writes results/bench_cube.json.
"""

import importlib.util
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import lab
import numpy as np
from lab_cube_rows import ALL, FULL, SMALL

from ternary_jax import terminal
from ternary_jax.config import load_config
from ternary_jax.lattice.cube import cell
from ternary_jax.tables import columns

CONFIG = str(lab.CONFIGS / "cube.py")
MANY, ORIGINAL = 8, "original"
FULL_ALL = FULL | ALL
ROWS: dict[str, tuple[dict[str, Any], int]] = {  # changes to the config, steps of a scan
    "small": (SMALL, 10),
    "small, 8 runs": (SMALL | {"runs": MANY}, 2),
    "full, all": (FULL_ALL, 1),
    "full, all, no remat": (FULL_ALL | {"train.remat": False}, 1),
    "full, all, bfloat16": (FULL_ALL | {"train.dtype": "bfloat16"}, 1),
    "full, all, gated": (FULL_ALL | {"model.cell": "gated", "model.hidden": 240}, 1),
    "full, sweep": (FULL, 2),
    "full, sweep, batch 32": (FULL | {"train.batch_size": 32}, 2),
    "full, sweep, gated": (FULL | {"model.cell": "gated", "model.hidden": 240}, 2),
}
QUICK = ("small", "full, sweep")
BARS = {
    "small": lab.Bar("steps/s of the small cube", ".1f", ">=", 10.0),
    "cost_of_8_runs": lab.Bar("8 runs at once cost, in runs", ".2f", "<=", 8.0),
    "all_s": lab.Bar("seconds of a step, all cells, batch 8, 11 updates", ".2f", "<=", 4.0),
    "all_gb": lab.Bar("GB of its process", ".2f", "<=", 2.0),
    "sweep_s": lab.Bar("seconds of a step, sweep, batch 8", ".2f", "<=", 0.8),
    "sweep_32_s": lab.Bar("seconds of a step, sweep, batch 32", ".2f", "<=", 1.2),
    "share_of_products": lab.Bar("all cells, seconds of plain products in those of a step", ".0%", ">=", 0.5),
}


def main() -> None:
    """Measure, print and write the results."""
    parser = lab.parser(__doc__, quick="two rows and one round")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds; the best time counts")
    parser.add_argument("--row", choices=[*ROWS, ORIGINAL], help="measure one row in this process, and print JSON")
    given = parser.parse_args()
    if given.row:
        print(json.dumps(of_original(given.rounds) if given.row == ORIGINAL else of_row(given.row, given.rounds)))
        return
    found: dict[str, Any] = {"quick": given.quick, "rounds": 1 if given.quick else given.rounds, "rows": {}}
    for name in QUICK if given.quick else [*ROWS, ORIGINAL]:
        terminal.say(f"{name}: a process of its own ...")
        one = in_a_process(name, found["rounds"])
        found["rows"] |= one
        terminal.say(", ".join(f"{row['seconds']:.3f} s, {row['gib']:.2f} GiB" for row in one.values()))
    print(table(found["rows"]), end="\n\n")
    figures = measured(found["rows"])
    bars = {name: bar for name, bar in BARS.items() if name in figures}
    print(lab.show_bars(bars, figures))
    found["bars"] = {
        bar.text: [f"{figures[name]:{bar.form}}", f"{bar.sign} {bar.wanted:{bar.form}}"] for name, bar in bars.items()
    }
    lab.write("bench_cube", found, given)


def in_a_process(name: str, rounds: int) -> dict[str, Any]:
    """{name: what `--row=name` printed}; {} of the original where torch is not installed."""
    if name == ORIGINAL and importlib.util.find_spec("torch") is None:
        terminal.say("torch is not installed: the original needs the bench extra, pip install -e '.[bench]'")
        return {}
    line = [sys.executable, __file__, f"--row={name}", f"--rounds={rounds}"]
    done = subprocess.run(line, check=False, capture_output=True, text=True, env=os.environ)
    if done.returncode:
        raise RuntimeError(f"the process of {name} ended with status {done.returncode}: {done.stderr[-2000:]}")
    return {name: json.loads(done.stdout.splitlines()[-1])}


def of_row(name: str, rounds: int) -> dict[str, Any]:
    """Seconds of a step and of its products alone, parameters, FLOP a second, and the memory of this process."""
    changes, length = ROWS[name]
    config = load_config(CONFIG, changes)
    step = lab.Scan(config, length)
    best = min(step.time() for _ in range(rounds))
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # before the plain products
    parameters = sum(leaf.size for leaf in jax.tree.leaves(step.carry.params)) // config.runs
    return {
        "seconds": best,
        "gib": gib,
        "temporaries_mib": step.compiled.memory_analysis().temp_size_in_bytes / 2**20,
        "parameters": parameters,
        "flops": config.runs * flop(config) / best,
        "plain_s": config.runs * plain_products(config, rounds),
    }


def flop(config: Any) -> float:
    """FLOP of the products with weights in a step of one run: 2 for each forward, 4 backward; no recomputed ones."""
    cells, batch = size_of(config)
    widths = cell.widths(config.model)
    return sum(6.0 * np.prod(widths[name]) * cells * batch * number for name, number in times(config).items())


def size_of(config: Any) -> tuple[int, int]:
    """(cells, samples of a step)."""
    lattice = config.lattice
    return lattice.width * lattice.height * lattice.depth, config.train.batch_size


def times(config: Any) -> dict[str, int]:
    """How often a step makes each product; in a sweep, a gated cell makes one more to show the next layer."""
    model = config.model
    if model.schedule == "all":
        return {"in": model.updates, "out": model.updates}
    return {"in": model.repeats + (model.cell == "gated"), "out": model.repeats}


def plain_products(config: Any, rounds: int) -> float:
    """Seconds of all products with weights of a step of one run, each alone: forward, and for both gradients.

    Each is the best of the rounds, in float32, and the faster of jax and numpy. What remat makes again does not count.
    """
    cells, batch = size_of(config)
    rng, seconds = np.random.default_rng(0), 0.0
    for name, (inputs, outputs) in cell.widths(config.model).items():
        x, w, g = (
            rng.normal(size=(cells, *shape)).astype(np.float32)
            for shape in ((batch, inputs), (inputs, outputs), (batch, outputs))
        )
        for a, b in ((x, w), (g, w.swapaxes(1, 2)), (x.swapaxes(1, 2), g)):
            ways = timed(a, b)
            seconds += times(config)[name] * min(f() for _ in range(rounds) for f in ways)
    return seconds


def timed(a: np.ndarray, b: np.ndarray) -> list[Callable[[], float]]:
    """Functions that time a batched product by jax and by numpy."""
    on_device, multiply = jax.device_put((a, b)), jax.jit(jnp.matmul)

    def seconds(f: Callable[[], Any]) -> float:
        f()
        begun = time.perf_counter()
        f()
        return time.perf_counter() - begun

    return [lambda: seconds(lambda: multiply(*on_device).block_until_ready()), lambda: seconds(lambda: a @ b)]


def of_original(rounds: int) -> dict[str, Any]:
    """Seconds of a step of the original, its parameters, and the memory of this process."""
    import lab_torch_cube

    trainer, times = lab_torch_cube.Trainer(load_config(CONFIG, FULL), os.cpu_count() or 1), []
    for _ in range(1 + min(rounds, 2)):  # the first makes the state of the optimizer
        begun = time.perf_counter()
        trainer.step()
        times.append(time.perf_counter() - begun)
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds": min(times[1:]), "gib": gib, "parameters": trainer.parameters()}


def table(rows: dict[str, Any]) -> str:
    """A line for each row."""
    lines = [["steps of", "seconds", "GiB", "parameters", "GFLOP/s", "plain products, s"]]
    for name, row in rows.items():
        cells = [f"{row['seconds']:.3f}", f"{row['gib']:.2f}", f"{row['parameters']:,}"]
        ours = [f"{row['flops'] / 1e9:.0f}", f"{row['plain_s']:.3f}"] if "flops" in row else ["-", "-"]
        lines.append([name, *cells, *ours])
    return columns(lines)


def measured(rows: dict[str, Any]) -> dict[str, float]:
    """The figures that have bars."""
    found = {"small": 1 / rows["small"]["seconds"], "sweep_s": rows["full, sweep"]["seconds"]}
    if "full, all" in rows:
        own = rows["full, all"]
        found |= {"cost_of_8_runs": rows["small, 8 runs"]["seconds"] / rows["small"]["seconds"]}
        found |= {"all_s": own["seconds"], "all_gb": own["gib"] * 2**30 / 1e9}
        found |= {"share_of_products": own["plain_s"] / own["seconds"]}
        found |= {"sweep_32_s": rows["full, sweep, batch 32"]["seconds"]}
    return found


if __name__ == "__main__":
    main()
