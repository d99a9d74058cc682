"""What does homeostasis do for a training? Two questions.

    python experiments/homeostasis.py compare [--seeds=16]   on against off, on configs/v5_12.py
    python experiments/homeostasis.py recover                an encoder that opens too fast, loses what it decoded,
                                                             rests again, and is decoded again

compare: all seeds of an arm at once; final figures and the epochs of the ceiling, as differences of the same seed, with
their 95 % intervals over seeds, and a picture. recover: from a run of its own, whose encoder and projection of A begin
at rest; a learning rate that is too high for what has settled. Each writes results/homeostasis_PART.json and .png.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from compare_statenet import interval

from ternary_jax import terminal
from ternary_jax.config import load_config
from ternary_jax.engine import log, train
from ternary_jax.provenance import provenance
from ternary_jax.tables import columns

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "configs" / "v5_12.py"
OFTEN = {"evaluate.cheap_every": 3, "log.tensorboard": False}
WATCHED = {"grokking.on": True}  # no run has anything held out, and the schedule restarts: there is nothing to find
ON = {
    "homeostasis.on": True,
    "homeostasis.warmup": 12,  # the first cosine
    "homeostasis.coverage_groups": ("encoder_A", "projection_A"),
    "homeostasis.plateau_groups": ("encoder_B", "projection_B"),
    "homeostasis.progress": 1e-4,
}
FIRST, STAYS = "epoch of the ceiling, B", "epoch from which on B is there"
FIGURES = ("coverage_B", "hierarchy_B", "richness_B", "triplet_accuracy_B", "ultrametric_correlation_B")
FIGURES += ("coverage_A", "hierarchy_A", "triplet_accuracy_A")
# recover: on 3^7 operations, first as they are, then with what has been learned at rest.
SMALL = {"data.n_digits": 7, "train.batch_size": 256, "train.epochs": 48, "train.schedule": "cosine"} | OFTEN
SMALL |= {"evaluate.costly_every": 48, "checkpoint.every": 48}
REOPENED = {
    "train.schedule": "constant",
    "train.learning_rate": 0.05,
    "train.epochs": 96,
    "evaluate.cheap_every": 2,
    "evaluate.costly_every": 96,
    "start.groups": ("encoder_A", "projection_A", "decoder_A"),
    "rates.decoder_A": 0.1,
    "homeostasis.on": True,
    "homeostasis.begins_frozen": True,
    "homeostasis.coverage_groups": ("encoder_A", "projection_A"),
    "homeostasis.plateau_groups": (),
    "homeostasis.window": 2,
    "homeostasis.stall": 2,
    "homeostasis.warmup": 4,
    "homeostasis.ramp": 4,
}


def compare(given: Any) -> dict[str, Any]:
    """Both arms on the same seeds: the table, and what it is made of."""
    found = {}
    for name, changes in (("off", {}), ("on", ON)):
        terminal.say(f"homeostasis {name}, {given.seeds} seeds at once ...")
        with tempfile.TemporaryDirectory() as folder:
            summary = train.run(load_config(CONFIG, OFTEN | WATCHED | {"runs": given.seeds} | changes), folder)
            rows = log.read(Path(folder))
        first, stays = zip(*(ceiling(summary, rows, run) for run in range(given.seeds)), strict=True)
        final = {figure: [run["final"][figure] for run in summary["runs"]] for figure in FIGURES}
        last = [row for row in rows if row["epoch"] == summary["epochs"]]
        events = [row["control/grokking/events"] for row in last]
        found[name] = {FIRST: first, STAYS: stays, **final, "grokking events": events}
        found[name]["curves"] = curves(rows, given.seeds)
    print(table(found))
    return found


def ceiling(summary: dict[str, Any], rows: list[dict[str, Any]], run: int) -> tuple[float, float]:
    """The first epoch whose evaluation meets the targets, and the first from which on all do; the last if none does."""
    targets, end = summary["targets"], summary["epochs"]
    own = {row["epoch"]: row for row in rows if row["run"] == run}

    def met(row):
        lower = {name: summary["metrics"][name]["better"] == "lower" for name in targets}
        return all(row[name] <= x if lower[name] else row[name] >= x for name, x in targets.items())

    there = [epoch for epoch, row in sorted(own.items()) if met(row)]
    missed = max((epoch for epoch, row in own.items() if not met(row)), default=0)
    return min(there, default=end), min((epoch for epoch in there if epoch > missed), default=end)


def curves(rows: list[dict[str, Any]], n: int) -> dict[str, Any]:
    """By figure and epoch, of all runs, (epochs, runs); rest: share of the groups of a gate that are at rest."""
    epochs = sorted({row["epoch"] for row in rows})
    at = {(row["epoch"], row["run"]): row for row in rows}
    names = ("coverage_A", "coverage_B", "hierarchy_A", "hierarchy_B", "rate/encoder_A", "rate/encoder_B")
    return {"epoch": epochs} | {k: [[at[e, run][k] for run in range(n)] for e in epochs] for k in names}


def table(found: dict[str, Any]) -> str:
    """A line per figure: its means, and the difference with its interval."""
    n = len(found["on"]["hierarchy_B"])
    lines = [[f"v5_12, {n} seeds", "off", "on", "on - off, 95 %"]]
    for figure in (FIRST, STAYS, *FIGURES, "grokking events"):
        off, on = (np.array(found[arm][figure], float) for arm in ("off", "on"))
        mean, low, high = interval(on - off)
        lines.append([figure, f"{off.mean():.5f}", f"{on.mean():.5f}", f"{mean:+.5f} [{low:+.5f}, {high:+.5f}]"])
    return columns(lines)


def recover(given: Any) -> dict[str, Any]:
    """Train; start again from there, at rest, with a rate that is too high; say when A opened, fell, closed, rose."""
    with tempfile.TemporaryDirectory() as folder:
        terminal.say("a run to start from ...")
        train.run(load_config(CONFIG, SMALL), f"{folder}/first")
        terminal.say("from there, at rest ...")
        config = load_config(CONFIG, SMALL | REOPENED | {"start.workdir": f"{folder}/first"})
        train.run(config, f"{folder}/again")
        rows = log.read(Path(folder) / "again")
    found = {
        "epoch": [row["epoch"] for row in rows],
        "coverage_A": [row["coverage_A"] for row in rows],
        "rests": [row["rate/encoder_A"] == 0 for row in rows],
        "freeze_below": config.homeostasis.freeze_below,
    }
    print(columns([["epoch", "coverage of A", "encoder A"], *_told(found)]))
    return found


def _told(found):
    """A line for each change, and for the first and the last evaluation."""
    keys, lines = ("epoch", "coverage_A", "rests"), []
    for k, (epoch, coverage, rests) in enumerate(zip(*(found[key] for key in keys), strict=True)):
        changed = k > 0 and rests != found["rests"][k - 1]
        if changed or k in (0, len(found["rests"]) - 1):
            lines.append([f"{epoch:g}", f"{coverage:.5f}", "rests" if rests else "learns"])
    return lines


def draw_compare(found: dict[str, Any], path: Path) -> None:
    """Coverage, hierarchy and rest over the epochs: medians, and the range of all seeds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    panels = figure.subplots(2, 3)
    for row, b in zip(panels, "AB", strict=True):
        for panel, (key, label) in zip(
            row,
            ((f"coverage_{b}", "coverage"), (f"hierarchy_{b}", "hierarchy"), (f"rate/encoder_{b}", "rate, 0 at rest")),
            strict=True,
        ):
            for arm in ("off", "on"):
                x, y = found[arm]["curves"]["epoch"], np.array(found[arm]["curves"][key])
                panel.plot(x, np.median(y, 1), label=f"homeostasis {arm}")
                panel.fill_between(x, y.min(1), y.max(1), alpha=0.2)
            panel.set(xlabel="epoch", ylabel=f"{label}, branch {b}")
    panels[0, 0].legend()
    figure.savefig(path, dpi=110)


def draw_recover(found: dict[str, Any], path: Path) -> None:
    """Coverage of A, and where its encoder rested."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.5), layout="constrained")
    panel = figure.subplots()
    epochs = np.array(found["epoch"])
    panel.plot(epochs, found["coverage_A"], marker=".")
    panel.axhline(found["freeze_below"], color="gray", linestyle=":")
    before = np.concatenate([[0], epochs[:-1]])
    for a, b, rests in zip(before, epochs, found["rests"], strict=True):
        if rests:
            panel.axvspan(a, b, color="tab:blue", alpha=0.12, linewidth=0)
    panel.set(xlabel="epoch", ylabel="coverage of A", title="shaded: encoder A rests; dotted: below this it does")
    figure.savefig(path, dpi=110)


PARTS = {"compare": (compare, draw_compare), "recover": (recover, draw_recover)}


def main() -> None:
    """Run a part, print, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=list(PARTS))
    parser.add_argument("--seeds", type=int, default=16, help="of compare")
    parser.add_argument("--out", type=Path, default=ROOT / "results", help="folder of the results")
    given = parser.parse_args()
    mpl.use("agg")
    given.out.mkdir(parents=True, exist_ok=True)
    measure, draw = PARTS[given.part]
    found = measure(given)
    file = given.out / f"homeostasis_{given.part}"
    file.with_suffix(".json").write_text(json.dumps(found | provenance(), indent=1) + "\n")
    draw(found, file.with_suffix(".png"))


if __name__ == "__main__":
    main()
