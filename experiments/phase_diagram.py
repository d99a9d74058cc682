"""When does addition generalise, and how long after it fits? Over train fraction x weight decay, some seeds a cell.

    python experiments/phase_diagram.py [--quick] [--seeds=3] [--steps=6000]

configs/grok_addition.py modulo 3^3. At most --at-once runs are vmapped; each seed has its own split. The colour of a
cell is the verdict of most of its runs (ternary_jax/grokking/generalisation.py). Its number is the median of
t_gen / t_fit: steps until 95 % of the held-out pairs are right, over steps until 95 % of the training pairs are. Writes
results/phase_diagram.json and .png, and each run to results/raw/.
"""

import itertools
import math
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import lab
import numpy as np

from ternary_jax import terminal
from ternary_jax.config import load_config
from ternary_jax.grokking import generalisation
from ternary_jax.tables import columns, span

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
    """The outcome of a run, from its accuracies at the evaluations after so many steps, (n,) each; nan: not reached."""
    chance = P**-N_DIGITS
    fit, gen = ((x - chance) / (1 - chance) for x in (fitted, held_out))
    found = generalisation.assess(steps, fit, gen)
    return {name: getattr(found, name) for name in ("verdict", "t_fit", "t_gen", "ratio", "area", "sharpness")}


def main() -> None:
    """Train, print, write and draw the results."""
    parser = lab.parser(__doc__, quick="nine cells, two seeds, fewer steps", seeds=3)
    parser.add_argument("--steps", type=int, default=6000, help="length of a run in steps, a multiple of 20")
    parser.add_argument("--at-once", type=int, default=15, help="largest number of vmapped runs")
    given = parser.parse_args()
    full = {"shares": SHARES, "decays": DECAYS, "seeds": given.seeds, "steps": given.steps}
    grid, began = QUICK if given.quick else full, time.time()
    cells = measured(**grid, at_once=given.at_once)
    spent = span(time.time() - began)
    print(f"{table(cells)}\n{len(cells) * grid['seeds']} runs of {grid['steps']:,} steps in {spent}")
    found = {"modulus": P**N_DIGITS, **grid}
    kept = [{key: value for key, value in cell.items() if key != "runs"} for cell in cells]
    lab.write("phase_diagram", found | {"cells": kept}, given, raw=found | {"cells": cells})
    lab.save(draw(cells), "phase_diagram", given)


def measured(shares: Any, decays: Any, seeds: int, steps: int, at_once: int) -> list[dict[str, Any]]:
    """A dict for each cell: share, decay, its runs, the verdict of most of them, the median delay."""
    runs = list(itertools.product(shares, decays, range(seeds)))
    size = math.ceil(len(runs) / math.ceil(len(runs) / at_once))  # groups of equal size, except the last
    found = []
    for first in range(0, len(runs), size):
        group = runs[first : first + size]
        terminal.say(f"runs {first} to {first + len(group) - 1} of {len(runs)} ...")
        each = lab.trained(config_of(group, max(shares), seeds, steps)).histories
        for (_, _, seed), x in zip(group, (one.columns for one in each), strict=True):
            told = outcome(x["step"], x["train_accuracy"], x["held_out_accuracy"])
            found.append({"seed": seed, **told, "held_out": x["held_out_accuracy"][-1]})
    cells = [found[k : k + seeds] for k in range(0, len(found), seeds)]
    at = itertools.product(shares, decays)
    return [dict(share=x, decay=y, **summed(own), runs=own) for (x, y), own in zip(at, cells, strict=True)]


def config_of(runs: Sequence[tuple[float, ...]], most: float, seeds: int, steps: int) -> Any:
    """The config of these runs (share, decay, seed); a batch holds all training pairs of the largest share, `most`."""
    shares, decays, own = zip(*runs, strict=True)
    changes = {"runs": len(runs), "seed": own, "data.split_seed": own, "data.splits": seeds, "data.p": P}
    changes |= {"data.n_digits": N_DIGITS, "data.train_share": shares, "train.weight_decay": decays}
    changes |= {"train.batch_size": round(most * P ** (2 * N_DIGITS)), "train.steps": steps, "checkpoint.every": steps}
    changes |= {"grokking.on": False, "log.tensorboard": False}
    return load_config(lab.CONFIGS / "grok_addition.py", changes)


def summed(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The verdict of most runs of a cell, their number, and the median of t_gen / t_fit where both are known."""
    (verdict, n), *_ = Counter(run["verdict"] for run in runs).most_common()
    delays = [run["ratio"] for run in runs if math.isfinite(run["ratio"])]
    delay = statistics.median(delays) if delays else None
    return {"verdict": verdict, "of": n, "seeds": len(runs), "delay": delay}


def table(cells: list[dict[str, Any]]) -> str:
    """The table: a line for each train fraction, a column for each weight decay."""
    decays = sorted({cell["decay"] for cell in cells})
    lines = [["train fraction", *(f"decay {decay:g}" for decay in decays)]]
    for share in sorted({cell["share"] for cell in cells}):
        row = {cell["decay"]: label(cell, ", ") for cell in cells if cell["share"] == share}
        lines.append([f"{share:g}", *(row[decay] for decay in decays)])
    return columns(lines)


def label(cell: dict[str, Any], between: str) -> str:
    """The label of a cell: the outcome of most runs, their number if not all, and the delay."""
    few = f" ({cell['of']} of {cell['seeds']})" if cell["of"] < cell["seeds"] else ""
    delay = [f"x {cell['delay']:.1f}"] if cell["delay"] else []
    return between.join([cell["verdict"] + few, *delay])


def draw(cells: list[dict[str, Any]]) -> Any:
    """The figure: the diagram with a square for each cell."""
    shares, decays = (sorted({cell[name] for cell in cells}) for name in ("share", "decay"))
    figure = lab.figure(2 + 1.15 * len(shares), 1.6 + 0.8 * len(decays))
    ax = figure.subplots()
    for cell in cells:
        x, y = shares.index(cell["share"]), decays.index(cell["decay"])
        ax.bar(x, 1, 1, y - 0.5, color=COLOURS[cell["verdict"]], edgecolor="white")
        said = [f"x {cell['delay']:.1f}"] if cell["delay"] else []
        said += [f"{cell['of']} of {cell['seeds']}"] if cell["of"] < cell["seeds"] else []
        colour = "white" if cell["verdict"] == generalisation.DELAYED else "black"
        ax.text(x, y, "\n".join(said), ha="center", va="center", fontsize=9, color=colour)
    ax.set(xlim=(-0.5, len(shares) - 0.5), ylim=(-0.5, len(decays) - 0.5))
    ax.set_xticks(range(len(shares)), [f"{share:g}" for share in shares])
    ax.set_yticks(range(len(decays)), [f"{decay:g}" for decay in decays])
    ax.set(xlabel="train fraction", ylabel="weight decay", title=f"a + b mod {P**N_DIGITS}, and median t_gen / t_fit")
    patches = [ax.fill([], [], color=colour)[0] for colour in COLOURS.values()]
    figure.legend(patches, COLOURS, loc="outside lower center", ncols=2, fontsize=9)
    return figure


if __name__ == "__main__":
    main()
