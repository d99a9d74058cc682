"""What does homeostasis gain in a training? Two experiments.

    python experiments/homeostasis.py compare [--seeds=16]   on against off, on configs/v5_12.py
    python experiments/homeostasis.py recover                encoder A opens too fast and coverage falls; the gate
                                                             freezes it again, and coverage returns

compare trains all seeds of an arm in one program. It reports final metrics and the epochs of the ceiling, and their
differences between runs of the same seed with 95 % intervals over seeds. recover trains a model, then starts a second
run from its weights: encoder_A and projection_A begin frozen, and the learning rate is too high for a converged model.
Each writes results/homeostasis_PART.json and .png; compare writes its curves to results/raw/.
"""

import tempfile
from pathlib import Path
from typing import Any

import lab
import numpy as np

from ternary_jax import terminal
from ternary_jax.config import load_config
from ternary_jax.tables import columns

CONFIG = lab.CONFIGS / "v5_12.py"
OFTEN = {"evaluate.cheap_every": 3, "log.tensorboard": False}
# Turns the grokking detector on as a control: v5_12 has no held-out set and restarts its rate, so no event is expected.
WATCHED = {"grokking.on": True}
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
CURVES = ("coverage_A", "coverage_B", "hierarchy_A", "hierarchy_B", "rate/encoder_A", "rate/encoder_B")
# recover: SMALL is the first run, on 3^7 operations; REOPENED has the changes of the run that starts from its weights.
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


def compare(given: Any) -> tuple[dict[str, Any], Any, Any]:
    """Train both arms on the same seeds: (results for the table, figure, curves)."""
    found, curves = {}, {}
    for name, changes in (("off", {}), ("on", ON)):
        terminal.say(f"homeostasis {name}, {given.seeds} seeds at once ...")
        run = lab.trained(load_config(CONFIG, OFTEN | WATCHED | {"runs": given.seeds} | changes))
        each = [one.columns for one in run.histories]
        first, stays = zip(*(ceiling(run.summary, x) for x in each), strict=True)
        final = {figure: [one["final"][figure] for one in run.summary["runs"]] for figure in FIGURES}
        events = [x["control/grokking/events"][-1] for x in each]
        found[name] = {FIRST: first, STAYS: stays, **final, "grokking events": events}
        curves[name] = curves_of(each)
    print(table(found))
    return found, draw_compare(curves), curves


def ceiling(summary: dict[str, Any], columns: dict[str, np.ndarray]) -> tuple[float, float]:
    """(first epoch that meets all targets, first epoch from which every evaluation meets them).

    Either is the length of the run if there is no such epoch.
    """
    epoch, met = columns["epoch"], np.ones(len(columns["epoch"]), bool)
    for name, target in summary["targets"].items():
        lower, x = summary["metrics"][name]["better"] == "lower", columns[name]
        met &= x <= target if lower else x >= target
    there, missed = epoch[met], epoch[~met].max(initial=0)
    end = summary["epochs"]
    return float(min(there, default=end)), float(min(there[there > missed], default=end))


def curves_of(each: list[dict[str, np.ndarray]]) -> dict[str, Any]:
    """Curves of all runs by epoch, (epochs, runs)."""
    return {"epoch": each[0]["epoch"]} | {name: np.stack([x[name] for x in each], 1) for name in CURVES}


def table(found: dict[str, Any]) -> str:
    """The table: for each figure its means, and the difference with its interval."""
    lines = [[f"v5_12, {len(found['on']['hierarchy_B'])} seeds", "off", "on", "on - off, 95 %"]]
    for figure in (FIRST, STAYS, *FIGURES, "grokking events"):
        off, on = (np.array(found[arm][figure], float) for arm in ("off", "on"))
        lines.append([figure, f"{off.mean():.5f}", f"{on.mean():.5f}", lab.between(on - off, ".5f")])
    return columns(lines)


def recover(given: Any) -> tuple[dict[str, Any], Any, None]:
    """Train, restart from these weights with a frozen encoder A and too high a rate; print each change of its gate."""
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder, "first")
        terminal.say("training the first run ...")
        lab.trained(load_config(CONFIG, SMALL), first)
        terminal.say("training from its weights, with encoder A frozen at first ...")
        config = load_config(CONFIG, SMALL | REOPENED | {"start.workdir": str(first)})
        x = lab.trained(config).histories[0].columns
    found = {name: x[name].tolist() for name in ("epoch", "coverage_A")}
    found |= {"rests": (x["rate/encoder_A"] == 0).tolist(), "freeze_below": config.homeostasis.freeze_below}
    print(columns([["epoch", "coverage of A", "encoder A"], *changes_of_rest(found)]))
    return found, draw_recover(found), None


def changes_of_rest(found):
    """Rows (epoch, coverage of A, state of encoder A) of each change of state and of the first and last evaluation."""
    keys, lines = ("epoch", "coverage_A", "rests"), []
    for k, (epoch, coverage, rests) in enumerate(zip(*(found[key] for key in keys), strict=True)):
        changed = k > 0 and rests != found["rests"][k - 1]
        if changed or k in (0, len(found["rests"]) - 1):
            lines.append([f"{epoch:g}", f"{coverage:.5f}", "rests" if rests else "learns"])
    return lines


def draw_compare(curves: dict[str, Any]) -> Any:
    """The figure: coverage, hierarchy and encoder rate over the epochs, as medians and ranges over the seeds."""
    figure = lab.figure(11, 6)
    panels = figure.subplots(2, 3)
    for row, b in zip(panels, "AB", strict=True):
        labels = {"coverage": "coverage", "hierarchy": "hierarchy", "rate/encoder": "rate, 0 when frozen"}
        for panel, (key, label) in zip(row, labels.items(), strict=True):
            for arm in ("off", "on"):
                x, y = (np.asarray(curves[arm][name]) for name in ("epoch", f"{key}_{b}"))
                panel.plot(x, np.median(y, 1), label=f"homeostasis {arm}")
                panel.fill_between(x, y.min(1), y.max(1), alpha=0.2)
            panel.set(xlabel="epoch", ylabel=f"{label}, branch {b}")
    panels[0, 0].legend()
    return figure


def draw_recover(found: dict[str, Any]) -> Any:
    """The figure: coverage of A, and the epochs in which its encoder is frozen."""
    figure = lab.figure(8, 3.5)
    panel = figure.subplots()
    epochs = np.array(found["epoch"])
    panel.plot(epochs, found["coverage_A"], marker=".")
    panel.axhline(found["freeze_below"], color="gray", linestyle=":")
    for a, b, rests in zip([0, *epochs[:-1]], epochs, found["rests"], strict=True):
        if rests:
            panel.axvspan(a, b, color="tab:blue", alpha=0.12, linewidth=0)
    panel.set(xlabel="epoch", ylabel="coverage of A", title="shaded: encoder A is frozen; dotted: freeze_below")
    return figure


PARTS = {"compare": compare, "recover": recover}


def main() -> None:
    """Run a part, print, write and draw its results."""
    parser = lab.parser(__doc__, seeds=16)
    parser.add_argument("part", choices=list(PARTS))
    given = parser.parse_args()
    found, figure, curves = PARTS[given.part](given)
    lab.write(f"homeostasis_{given.part}", found, given, raw=curves)
    lab.save(figure, f"homeostasis_{given.part}", given)


if __name__ == "__main__":
    main()
