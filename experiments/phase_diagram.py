"""When does addition generalise, and how long after it fits? Over train fraction x weight decay, some seeds a cell.

    python experiments/phase_diagram.py [--quick] [--seeds=3] [--steps=6000]

configs/grok_addition.py modulo 3^3. All runs are one program, vmapped, --at-once of them at most; a seed has a split
of its own. A cell is coloured by what most of its runs did (ternary_jax/grokking/generalisation.py), and its number is
the median of t_gen / t_fit: steps until 95 % of what is held out is right, and until 95 % of the rest is. Writes
results/phase_diagram.json and .png; --quick, nine cells by two seeds, writes nothing unless --out is given.
"""

import argparse
import itertools
import json
import math
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np

from ternary_jax import terminal
from ternary_jax.config import load_config
from ternary_jax.engine import train
from ternary_jax.findings import plain
from ternary_jax.grokking import generalisation
from ternary_jax.provenance import provenance
from ternary_jax.tables import columns, span

ROOT = Path(__file__).parents[1]
P, N_DIGITS = 3, 3
SHARES = (0.3, 0.4, 0.5, 0.6, 0.75, 0.9)
DECAYS = (0.0, 1.0, 2.0, 4.0, 8.0)
QUICK = {"shares": (0.3, 0.6, 0.9), "decays": (0.0, 2.0, 8.0), "seeds": 2, "steps": 4000}
COLOURS = {
    generalisation.NEVER_FIT: "#bdbdbd",
    generalisation.MEMORISED: "#f4a582",
    generalisation.DELAYED: "#2e86ab",
    generalisation.WITH_THE_FIT: "#a6dba0",
    generalisation.FORGETTING: "#8e6c8a",
}


def outcome(steps: np.ndarray, fitted: np.ndarray, held_out: np.ndarray) -> dict[str, Any]:
    """What a run did, by its accuracies at the evaluations after so many steps, (n,) each; nan: it never got there."""
    chance = P**-N_DIGITS
    fit, gen = ((x - chance) / (1 - chance) for x in (fitted, held_out))
    found = generalisation.assess(steps, fit, gen)
    return {name: getattr(found, name) for name in ("verdict", "t_fit", "t_gen", "ratio", "area", "sharpness")}


def main() -> None:
    """Run, print, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="nine cells, two seeds, fewer steps")
    parser.add_argument("--seeds", type=int, default=3, help="runs of a cell")
    parser.add_argument("--steps", type=int, default=6000, help="of each run, a multiple of 20")
    parser.add_argument("--at-once", type=int, default=15, help="runs that are vmapped, at most")
    parser.add_argument("--out", type=Path, help="folder of the result; results/ if it is not given")
    given = parser.parse_args()
    full = {"shares": SHARES, "decays": DECAYS, "seeds": given.seeds, "steps": given.steps}
    grid = QUICK if given.quick else full
    began = time.time()
    cells = measured(**grid, at_once=given.at_once)
    print(
        table(cells), f"\n{len(cells) * grid['seeds']} runs of {grid['steps']:,} steps in {span(time.time() - began)}"
    )
    if given.out or not given.quick:
        out = given.out or ROOT / "results"
        out.mkdir(parents=True, exist_ok=True)
        found = {"modulus": P**N_DIGITS, **grid, "cells": cells, **provenance()}
        (out / "phase_diagram.json").write_text(json.dumps(plain(found), indent=1) + "\n")
        draw(cells, out / "phase_diagram.png")


def measured(
    shares: tuple[float, ...], decays: tuple[float, ...], seeds: int, steps: int, at_once: int
) -> list[dict[str, Any]]:
    """A dict for each cell: share and decay, its runs, what most of them did, the median delay."""
    at = list(itertools.product(shares, decays))
    task, static, hypers = train.prepare(config_of(at, seeds, steps))
    init, chunk = train.make_train(task, static)
    plan, n = train.plan(static, task.samples_per_epoch), len(at) * seeds
    size = math.ceil(n / math.ceil(n / at_once))  # of groups that are equal, but for the last
    ends = np.arange(plan.chunk, plan.total + 1, plan.chunk)
    fitted, held_out, begun = np.zeros((n, len(ends))), np.zeros((n, len(ends))), time.time()
    for first in range(0, n, size):
        group = np.minimum(np.arange(first, first + size), n - 1)  # the last is filled up with its last run
        given = jax.tree.map(lambda x, group=group: x[group], hypers)
        state, shown = init(given), begun
        for k, end in enumerate(ends):
            state, report = chunk(state, jnp.int32(end - plan.chunk), given)
            metrics = jax.device_get(report.metrics)
            fitted[group, k], held_out[group, k] = metrics["train_accuracy"], metrics["held_out_accuracy"]
            if time.time() - shown > 15:
                done = min(1, (first + size * end / plan.total) / n)
                left, shown = (time.time() - begun) * (1 / done - 1), time.time()
                terminal.say(f"runs {first} to {group[-1]} of {n}, step {end:,} of {plan.total:,}, {span(left)} left")
    found = [
        {"seed": k % seeds, **outcome(ends, fitted[k], held_out[k]), "held_out": held_out[k, -1]} for k in range(n)
    ]
    cells = [found[k : k + seeds] for k in range(0, n, seeds)]
    return [
        dict(share=share, decay=decay, **summed(runs), runs=runs)
        for (share, decay), runs in zip(at, cells, strict=True)
    ]


def config_of(at: list[tuple[float, float]], seeds: int, steps: int) -> Any:
    """Of all runs, those of a cell side by side; the batch holds all that the largest share trains on."""
    each = tuple(range(seeds)) * len(at)
    shares, decays = (tuple(np.repeat(values, seeds).tolist()) for values in zip(*at, strict=True))
    changes = {
        "runs": len(each),
        "seed": each,
        "data.split_seed": each,
        "data.splits": seeds,
        "data.p": P,
        "data.n_digits": N_DIGITS,
        "data.train_share": shares,
        "train.weight_decay": decays,
        "train.batch_size": round(max(shares) * P ** (2 * N_DIGITS)),
        "train.epochs": steps,
        "checkpoint.every": steps,
        "grokking.on": False,
    }
    return load_config(ROOT / "configs" / "grok_addition.py", changes)


def summed(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the runs of a cell: what most did, how many, and the median of t_gen / t_fit where both are known."""
    (verdict, n), *_ = Counter(run["verdict"] for run in runs).most_common()
    delays = [run["ratio"] for run in runs if math.isfinite(run["ratio"])]
    return {"verdict": verdict, "of": n, "delay": statistics.median(delays) if delays else None}


def table(cells: list[dict[str, Any]]) -> str:
    """A line per train fraction, a column per weight decay."""
    decays = sorted({cell["decay"] for cell in cells})
    lines = [["train fraction", *(f"decay {decay:g}" for decay in decays)]]
    for share in sorted({cell["share"] for cell in cells}):
        row = {cell["decay"]: label(cell, ", ") for cell in cells if cell["share"] == share}
        lines.append([f"{share:g}", *(row[decay] for decay in decays)])
    return columns(lines)


def label(cell: dict[str, Any], between: str) -> str:
    """What most of the runs did, if not all how many, and the delay."""
    few = f" ({cell['of']} of {len(cell['runs'])})" if cell["of"] < len(cell["runs"]) else ""
    delay = [f"x {cell['delay']:.1f}"] if cell["delay"] else []
    return between.join([cell["verdict"] + few, *delay])


def draw(cells: list[dict[str, Any]], out: Path) -> Any:
    """The diagram, a square per cell; -> the figure, closed."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.patches import Rectangle

    shares, decays = (sorted({cell[name] for cell in cells}) for name in ("share", "decay"))
    figure, ax = plt.subplots(figsize=(2 + 1.15 * len(shares), 1.6 + 0.8 * len(decays)), layout="constrained")
    for cell in cells:
        x, y = shares.index(cell["share"]), decays.index(cell["decay"])
        ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=COLOURS[cell["verdict"]], edgecolor="white"))
        said = [f"x {cell['delay']:.1f}"] if cell["delay"] else []
        said += [f"{cell['of']} of {len(cell['runs'])}"] if cell["of"] < len(cell["runs"]) else []
        colour = "white" if cell["verdict"] == generalisation.DELAYED else "black"
        ax.text(x, y, "\n".join(said), ha="center", va="center", fontsize=9, color=colour)
    ax.set(xlim=(-0.5, len(shares) - 0.5), ylim=(-0.5, len(decays) - 0.5))
    ax.set_xticks(range(len(shares)), [f"{share:g}" for share in shares])
    ax.set_yticks(range(len(decays)), [f"{decay:g}" for decay in decays])
    ax.set(xlabel="train fraction", ylabel="weight decay", title=f"a + b mod {P**N_DIGITS}, and median t_gen / t_fit")
    patches = [Rectangle((0, 0), 1, 1, facecolor=colour) for colour in COLOURS.values()]
    figure.legend(patches, COLOURS, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    figure.savefig(out, dpi=130, facecolor="white")
    plt.close(figure)
    return figure


if __name__ == "__main__":
    main()
