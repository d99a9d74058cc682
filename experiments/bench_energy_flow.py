# pyright: reportMissingImports=false
"""How fast is the energy-flow lattice, and how much memory does it need?

    python experiments/bench_energy_flow.py [--quick] [--rounds=6] [--out DIR]

speed   flow-steps/s (flows x steps x faces of whole training steps): of the debug and the small size, with and without
        train.remat, of debug in bfloat16, of eight runs at once, and of a PyTorch twin (experiments/lab_torch_flow.py,
        the `bench` extra; without torch the rest is measured). In turns with plain matrix products of jax and numpy at
        the shape of the carrier; the best time counts. Our side is a bare scan of steps
stream  the time of four chunks of flows between texts, with the training pairs on the device and with the host
memory  XLA's temporaries of compiled steps, and the growth of a process from step 2,000 to step 3,000
start   seconds from the start of a process to the first step, nothing compiled

Needs an idle machine for about six minutes, a third of them for compiling, which is not timed as a step. Writes
results/bench_energy_flow.json.
"""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import lab
import lab_process
import numpy as np

from ternary_jax import terminal
from ternary_jax.config import load_config
from ternary_jax.tables import columns

CONFIG = str(lab.CONFIGS / "energy_flow.py")
DEBUG, SMALL = f"{CONFIG}:debug", CONFIG
ORIGINAL = 4950  # flow-steps/s of the patched original at the size of debug, forward and backward, two cores
CORES = os.cpu_count() or 1
TWIN, MANY = "debug, torch", 8
ROWS: dict[str, tuple[str, dict[str, Any], int]] = {  # config, changes, steps of a scan
    "debug": (DEBUG, {}, 2),
    "debug, all faces at once": (DEBUG, {"train.microbatches": 1}, 2),
    "debug, remat": (DEBUG, {"train.remat": True}, 2),
    "debug, bfloat16": (DEBUG, {"train.dtype": "bfloat16"}, 1),
    "small": (SMALL, {}, 20),
    "small, remat": (SMALL, {"train.remat": True}, 20),
    "small, 8 runs": (SMALL, {"runs": MANY}, 5),
}
QUICK = ("debug", "small", "small, 8 runs")
MEMORY = ("debug", "debug, remat", "small", "small, remat")
TEXT = str(lab.CONFIGS / "energy_flow_text.py")
PLACES = {"on the device": True, "with the host": False}
BARS = {
    "debug": lab.Bar("flow-steps/s of debug, three times the original", ",.0f", ">=", 3 * ORIGINAL),
    "times_torch": lab.Bar("debug, times the torch twin", ".2f", ">=", 1.0),
    "share_of_products": lab.Bar("debug, share of the rate of plain products", ".0%", ">=", 0.5),
    "small": lab.Bar("flow-steps/s of the small size", ",.0f", ">=", 120_000),
    "cost_of_8_runs": lab.Bar("8 runs at once cost, in runs", ".2f", "<=", 8.0),
    "first_step_s": lab.Bar("seconds from start to first step, cold", ".1f", "<=", 12.0),
    "growth_mib": lab.Bar("MiB that a process grows by, steps 2,000 to 3,000", ".1f", "<=", 10.0),
}


def main() -> None:
    """Measure, print and write the results."""
    parser = lab.parser(__doc__, quick="three rows and two rounds, no stream, no memory of steps")
    parser.add_argument("--rounds", type=int, default=6, help="number of rounds; each times every row once")
    given = parser.parse_args()
    found: dict[str, Any] = {"quick": given.quick, "rounds": 2 if given.quick else given.rounds}
    found |= speed(QUICK if given.quick else tuple(ROWS), found["rounds"])
    print(table(found), end="\n\n", flush=True)
    if not given.quick:
        found["stream"] = stream(found["rounds"])
        told = found["stream"]
        rows = [[name, f"{told['ms'][name]:,.1f}", f"{told['mib'][name]:,.1f}"] for name in PLACES]
        print(
            columns([["training pairs", "ms of a chunk", "MiB of data on the device"], *rows]), end="\n\n", flush=True
        )
        found["temporaries_mib"] = {name: temporaries(name) for name in MEMORY}
        rows = [[name, f"{x:,.1f}"] for name, x in found["temporaries_mib"].items()]
        print(columns([["temporaries of steps", "MiB"], *rows]), end="\n\n", flush=True)
    found["start"], found["resident_mib"] = start(), resident()
    found["bars"] = measured(found)
    bars = {name: bar for name, bar in BARS.items() if name in found["bars"]}
    print(lab.show_bars(bars, found["bars"]))
    found["wanted"] = {name: f"{bar.sign} {bar.wanted:{bar.form}}" for name, bar in BARS.items()}
    lab.write("bench_energy_flow", found, given)


# --- speed ------------------------------------------------------------------------------------------------------------


def speed(names: tuple[str, ...], rounds: int) -> dict[str, Any]:
    """Times of every row in turns, with the twin where torch is installed, and of the plain products."""
    timed, flop, products = {}, flops(DEBUG), plain_products(DEBUG)
    for name in names:
        path, changes, length = ROWS[name]
        terminal.say(f"compiling {name} ...")
        timed[name] = lab.Scan(load_config(path, changes), length).time
    twin, checked = torch_twin()
    seconds = lab.in_turns(timed | twin | products, rounds)
    best = {name: float(x.min()) for name, x in seconds.items()}
    rows = {name: row(name, best[name]) for name in [*timed, *twin]}
    shape = carrier_shape(DEBUG)
    rates = {name: 2 * np.prod(shape) / best[name] for name in products}
    share = flop * rows["debug"]["flow_steps_per_s"] / max(rates.values())
    found = {"rows": rows, "products": {"shape": shape, "flops": rates}, "flop_per_flow_step": flop, "share": share}
    if twin:
        found["torch"] = {"checked": checked, "times": lab.paired_ratio(seconds[TWIN], seconds["debug"])}
    return found


def row(name: str, seconds: float) -> dict[str, float]:
    """Milliseconds of a step, of all runs together, and flow-steps/s."""
    path, changes, _ = ROWS[name if name in ROWS else "debug"]
    config = load_config(path, changes)
    return {"ms": 1e3 * seconds, "flow_steps_per_s": config.runs * flow_steps(config) / seconds}


def flow_steps(config: Any) -> int:
    """Flows x steps x faces of a training step of one run."""
    return config.train.batch_size * config.lattice.width * config.lattice.height * config.model.steps


def flops(path: str) -> float:
    """FLOP of the products with weights for a flow-step: 2 for each weight forward, 4 backward; no recomputed ones."""
    task, _, hypers = lab.assemble(load_config(path))
    shapes = jax.eval_shape(task.init, jax.random.key(0), jax.tree.map(lambda a: a[0], hypers))
    return 6.0 * sum(leaf.size for leaf in jax.tree.leaves(shapes) if leaf.ndim == 2)


def carrier_shape(path: str) -> tuple[int, int, int]:
    """Rows, columns and outputs of the largest product of the carrier: hidden states by recurrent weights."""
    config = load_config(path)
    return flow_steps(config) // config.model.steps, config.model.hidden, 3 * config.model.hidden


def plain_products(path: str, number: int = 10) -> dict[str, Callable[[], float]]:
    """Functions that time the product of `carrier_shape` alone: the mean seconds of `number` calls."""
    rows, width, out = carrier_shape(path)
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=shape).astype(np.float32) for shape in ((rows, width), (width, out)))
    on_device, multiply = jax.device_put((x, w)), jax.jit(jnp.matmul)

    def averaged(f: Callable[[], Any]) -> Callable[[], float]:
        def seconds():
            f()
            begun = time.perf_counter()
            for _ in range(number):
                f()
            return (time.perf_counter() - begun) / number

        return seconds

    ours = averaged(lambda: multiply(*on_device).block_until_ready())
    return {"product, jax": ours, "product, numpy": averaged(lambda: x @ w)}


def torch_twin() -> tuple[dict[str, Callable[[], float]], dict[str, float]]:
    """(the step of the twin by name, its differences from ours); both empty without torch."""
    try:
        import lab_torch_flow
        import torch
    except ImportError as missing:
        terminal.say(f"{missing}: the comparison with torch needs the bench extra, pip install -e '.[bench]'")
        return {}, {}
    terminal.say(f"checking the torch twin, then {CORES} threads ...")
    config = load_config(DEBUG, {"train.microbatches": 1})  # the twin takes all faces of a step at once
    checked = lab_torch_flow.check(config)
    trainer = lab_torch_flow.Trainer(config)
    torch.set_num_threads(CORES)
    trainer.step()

    def seconds():
        begun = time.perf_counter()
        trainer.step()
        return time.perf_counter() - begun

    return {TWIN: seconds}, checked


def table(found: dict[str, Any]) -> str:
    """A line for each row, then the rates of the plain products."""
    lines = [["steps of", "ms", "flow-steps/s"]]
    lines += [[name, f"{r['ms']:,.1f}", f"{r['flow_steps_per_s']:,.0f}"] for name, r in found["rows"].items()]
    rates = [[name, f"{x / 1e9:.0f}"] for name, x in found["products"]["flops"].items()]
    shape = " x ".join(map(str, found["products"]["shape"]))
    return f"{columns(lines)}\n\n{columns([[shape, 'GFLOP/s'], *rates])}"


# --- stream, memory and start -----------------------------------------------------------------------------------------


def stream(rounds: int, chunks: int = 4) -> dict[str, Any]:
    """ms of a chunk, and MiB of pairs on the device, for each of PLACES; the ratio of their times with its interval.

    Four chunks are dispatched one after the other, so that the rows of each go while the one before runs.
    """
    timed, mib_on_device = {}, {}
    for name, on_device in PLACES.items():
        terminal.say(f"compiling flows between texts, pairs {name} ...")
        chunk = lab.Chunk(load_config(TEXT, {"data.on_device": on_device}))
        state, _ = chunk.init(chunk.hypers), chunk.compile()
        data, rows = (
            sum(x.nbytes for x in jax.tree.leaves(part)) for part in (chunk.chunk.shared[1], chunk.chunk.stream(0))
        )
        mib_on_device[name] = (data + 2 * rows) / 2**20  # rows of the chunk that runs, and of the one that is moved

        def seconds(chunk=chunk, state=state):
            own = jax.block_until_ready(jax.tree.map(jnp.copy, state))  # a chunk donates its state
            begun = time.perf_counter()
            for k in range(chunks):
                own = chunk.step(own, k)
            jax.block_until_ready(own)
            return (time.perf_counter() - begun) / chunks

        seconds()
        timed[name] = seconds
    found = lab.in_turns(timed, rounds)
    ratio = lab.paired_ratio(*(found[name] for name in ("with the host", "on the device")))
    return {"ms": {name: 1e3 * float(x.min()) for name, x in found.items()}, "mib": mib_on_device, "times": ratio}


def temporaries(name: str) -> float:
    """MiB of temporary memory of compiled steps of a row, without the evaluation."""
    terminal.say(f"compiling steps of {name} ...")
    path, changes, _ = ROWS[name]
    return lab.Scan(load_config(path, changes), 2).compiled.memory_analysis().temp_size_in_bytes / 2**20


def start() -> dict[str, float]:
    """Seconds from the start of a process to its first step, and of these the compiling, without any cache."""
    terminal.say("starting a process ...")
    _, summary = lab_process.timed_run(SMALL, ["train.steps=50", "checkpoint.every=50"])
    return {key: summary[key] for key in ("first_step_s", "compile_s")}


def resident(first: int = 2000, last: int = 3000) -> dict[str, float]:
    """MiB of resident memory of a training of the small size after these steps, while it runs on.

    The first 2,000 steps are left out. In the first 600 memory grows, while saves load libraries and the allocator
    keeps what it frees; from 1,000 to 2,000 it changed by -35, 4, 22 and 39 in four trials.
    """
    found, printed = {}, 0.0
    overrides = [f"train.steps={last + 100}", "checkpoint.every=100", "compilation_cache=false"]
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder, "run")
        process = lab_process.start(workdir, overrides, folder, SMALL, stderr=subprocess.DEVNULL)
        while len(found) < 2:
            if process.poll() is not None:
                raise RuntimeError(f"the training ended before step {last}, with exit status {process.returncode}")
            time.sleep(0.05)
            step = last_step(workdir)
            printed = terminal.progress(f"memory: step {step:,} of {last:,}", 2.0, printed)
            if step >= (last if found else first):
                found[str(step)] = mib(process.pid)
        lab_process.ended(process)
    return found


def last_step(workdir: Path) -> int:
    """The step of the last whole row of a run that goes on; 0 before the first."""
    file = workdir / "metrics.jsonl"
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return json.loads(lines[-1])["step"] if lines else 0


def mib(pid: int) -> float:
    """Resident memory of a process in MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def measured(found: dict[str, Any]) -> dict[str, float]:
    """The figures that have bars; without torch, there is no ratio to it."""
    rows, resident_mib = found["rows"], [*found["resident_mib"].values()]
    out = {name: rows[name]["flow_steps_per_s"] for name in ("debug", "small")}
    if TWIN in rows:
        out["times_torch"] = out["debug"] / rows[TWIN]["flow_steps_per_s"]
    out["share_of_products"] = found["share"]
    out["cost_of_8_runs"] = rows["small, 8 runs"]["ms"] / rows["small"]["ms"]
    out["first_step_s"] = found["start"]["first_step_s"]
    return out | {"growth_mib": resident_mib[1] - resident_mib[0]}


if __name__ == "__main__":
    main()
