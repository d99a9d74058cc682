"""The specialised scripts of the documents on this engine, from scratch: a row each, beside the reported figures.

    python experiments/variants.py [--seeds=4] [--only=REGEX]

Each variant of configs/variants.py, all seeds at once: final figures, the median and in brackets the worst seed;
seconds of all seeds together, with compiling. The line below is that of the documents, one run on a GPU, from a
checkpoint. The definitions differ: their coverage is that of a decoder and an encoder that were loaded and frozen,
decoded from the latent vector, not from the point; their radii are of draws, and their richness is that of Euclidean
ones, as ours. Writes results/variants.json; with --only, the other entries keep their values.
"""

import re
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

import lab

from ternary_jax import terminal
from ternary_jax.config import load_config
from ternary_jax.tables import cell, columns

CONFIG = lab.CONFIGS / "variants.py"
FIGURES = ("coverage", "hierarchy", "richness", "triplet_accuracy", "q")


class Reported(NamedTuple):
    """Reported by the documents. figures: those that they give; note: how they were measured."""

    figures: dict[str, float | str]
    epoch: str
    note: str


class Variant(NamedTuple):
    """branches: those that the variant trains; reported: None where the documents have no figure."""

    branches: str
    reported: Reported | None


VARIANTS = {
    "homeostatic_rich": Variant(
        "AB",
        Reported(
            {"coverage": 1.0, "hierarchy": -0.6944, "richness": 0.00662},
            "-",
            "branch A; the -0.8321 that is named with it is of branch B, as it was loaded; the last state of the same "
            "run, at epoch 59, has coverage 0.00005 and hierarchy -0.011",
        ),
    ),
    "hierarchy_focused": Variant(
        "B",
        Reported(
            {"coverage": 1.0, "hierarchy": -0.8320, "richness": "0.00005 to 0.00015"},
            "95",
            "branch A; richness is of this and three like it",
        ),
    ),
    "radial_target": Variant(
        "B",
        Reported(
            {"coverage": 1.0, "hierarchy": -0.8320, "richness": "0.00005 to 0.00015"},
            "99",
            "branch A; richness is of this and three like it; starts from a checkpoint at hierarchy -0.8320",
        ),
    ),
    "quick": Variant("B", None),
}


def main() -> None:
    """Train, print and write the results."""
    parser = lab.parser(__doc__, seeds=4)
    parser.add_argument("--only", default="", help="run only the variants whose name this regular expression finds")
    given = parser.parse_args()
    found = lab.read("variants", given).get("variants", {}) if given.only else {}
    for name, variant in VARIANTS.items():
        if re.search(given.only, name):
            terminal.say(f"{name}, {given.seeds} seeds at once ...")
            found[name] = measured(name, variant.branches, given.seeds)
    print(table({name: found[name] for name in VARIANTS if name in found}))
    lab.write("variants", {"variants": found}, given)


def measured(name: str, branches: str, seeds: int, changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """Final figures of each branch by seed, and their ceilings; epochs and seconds.

    rests: by branch, the share of the evaluations of each seed before which its encoder did not move; {} where it
        never rests
    """
    config = load_config(f"{CONFIG}:{name}", {"runs": seeds, "log.tensorboard": False} | (changes or {}))
    summary, histories, _ = lab.trained(config)
    final = [run["final"] for run in summary["runs"]]
    gated = branches if config.homeostasis.on else ""
    return {
        "figures": {b: {figure: [of[f"{figure}_{b}"] for of in final] for figure in FIGURES} for b in branches},
        "ceilings": {figure: summary["metrics"][f"{figure}_{branches[0]}"]["ceiling"] for figure in FIGURES},
        "rests": {b: [float((run.columns[f"rate/encoder_{b}"] == 0).mean()) for run in histories] for b in gated},
        "epochs": config.train.epochs,
        "seconds": summary["wall_s"],
    }


def table(found: dict[str, dict[str, Any]]) -> str:
    """The table: a line for each variant and branch, one of the documents; the ceilings; how theirs were measured."""
    lines, notes = [["", *FIGURES, "at rest", "epochs", "seconds"]], []
    for name, one in found.items():
        for b, figures in one["figures"].items():
            rest = f"{statistics.mean(one['rests'][b]):.0%}" if b in one["rests"] else "-"
            ends = [ending(figures[figure], one["ceilings"][figure]) for figure in FIGURES]
            lines.append([f"{name}, {b}", *ends, rest, f"{one['epochs']}", f"{one['seconds']:.0f}"])
        if theirs := VARIANTS[name].reported:
            told = [f"{theirs.figures.get(figure, '-')}" for figure in FIGURES]
            lines.append(["  the documents", *told, "-", theirs.epoch, "-"])
            notes.append(f"{name}, the documents: {theirs.note}")
    ceilings = next(iter(found.values()))["ceilings"]
    lines.append(["ceiling", *(cell(ceilings[figure]) for figure in FIGURES), "", "", ""])
    return "\n".join([columns(lines), *notes])


def ending(values: Sequence[float | None], ceiling: float) -> str:
    """Median and worst over the seeds; a negative ceiling, as of hierarchy, means that lower is better."""
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not known:
        return f"{len(known)} of {len(values)}"
    return f"{cell(statistics.median(known))} ({cell(min(known) if ceiling > 0 else max(known))})"


if __name__ == "__main__":
    main()
