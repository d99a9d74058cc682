"""Does the detector find grokking where it is, and not where it is not?

    python experiments/detect_grokking.py [--workdir=FOLDER]

32 runs of configs/grok_addition.py in one program, half of them set up so that they grok, half so that they do not: all
pairs are trained on, or there is no weight decay, or three quarters are trained on, and the rest comes with the fit.
What they did is told by two levels of accuracy; what the detector said is read from the log. Precision and recall, in
runs: for events, for confirmed ones, and for the last verdict, of the detector, and of the analysis of the log, which
has the last evaluation, too. Writes results/detect_grokking.json and .png; FOLDER keeps the log, for `analyze`.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from ternary_jax.analyze import references
from ternary_jax.config import load_config
from ternary_jax.engine import log, train
from ternary_jax.grokking import definitions, generalisation, history
from ternary_jax.provenance import provenance
from ternary_jax.tables import columns

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "configs" / "grok_addition.py"
# Name, share of the pairs, weight decay, runs.
SETUPS = (
    ("to grok", 0.35, 1.5, 4),
    ("to grok", 0.35, 2.0, 4),
    ("to grok", 0.35, 2.5, 4),
    ("to grok", 0.35, 3.0, 4),
    ("no weight decay", 0.35, 0.0, 6),
    ("all pairs", 1.0, 2.0, 5),
    ("three quarters", 0.75, 2.0, 5),
)
SAYS = ("event online", "confirmed online", "verdict online", "event in the log", "confirmed in the log")


def grokked(steps: np.ndarray, trained: np.ndarray, held_out: np.ndarray) -> bool:
    """Whether 95 % of what is held out are right at twice the steps at the earliest that 99 % of the rest took."""
    fit, there = steps[trained >= 0.99], steps[held_out >= 0.95]
    return bool(fit.size and there.size and there[0] >= 2 * fit[0])


def config_of(setups: Any, changes: dict[str, Any]) -> Any:
    """Of all runs: each has a seed and a split of its own."""
    shares, decays = ([x[k] for x in setups for _ in range(x[3])] for k in (1, 2))
    n = len(shares)
    base = load_config(CONFIG)
    pairs = base.data.p ** (2 * base.data.n_digits)
    return load_config(
        CONFIG,
        {"runs": n, "seed": tuple(range(n)), "data.split_seed": tuple(range(n)), "data.splits": n}
        | {"data.train_share": tuple(shares), "train.weight_decay": tuple(decays), "log.tensorboard": False}
        | {"train.batch_size": round(max(shares) * pairs)}
        | changes,
    )


def judged(config: Any, folder: Any) -> list[dict[str, Any]]:
    """Train, and say of each run what it did and what was said of it."""
    summary = train.run(config, folder)
    found = history.histories(log.read(Path(folder)))
    about = references(config, summary)
    metrics = tuple(filter(None, (definitions.watched(name, **about[name]) for name in config.grokking.metrics)))
    told = history.rises(found, metrics, definitions.thresholds(config.grokking.to_dict()))
    runs = []
    for one, says in zip(found, told, strict=True):
        x = one.columns
        events = [rise for rise in says["rises"] if rise["event"]]
        online = [x[f"control/grokking/{name}"][-1] for name in ("events", "confirmed", "held_out_accuracy/verdict")]
        online[2] = online[2] == generalisation.VERDICTS.index(generalisation.DELAYED)
        said = (*online, len(events), sum(rise["confirmed"] for rise in events))
        truth = grokked(x["step"], x["train_accuracy"], x["held_out_accuracy"])
        known = [rise["known"]["step"] for rise in events]
        curve = dict(step=x["step"].tolist(), held_out=x["held_out_accuracy"].tolist())
        runs.append({"truth": truth, **dict(zip(SAYS, map(int, said), strict=True)), "known": known, **curve})
    return runs


def score(runs: list[dict[str, Any]], says: str) -> dict[str, float]:
    """Of the runs of which it is said: how many grokked; of those that grokked: of how many it is said."""
    hit = sum(run["truth"] and run[says] > 0 for run in runs)
    said, true = sum(run[says] > 0 for run in runs), sum(run["truth"] for run in runs)
    nan = float("nan")
    return {"precision": hit / said if said else nan, "recall": hit / true if true else nan}


def table(setups: Any, runs: list[dict[str, Any]]) -> str:
    """A line per setup, and one for each of precision and recall."""
    lines, at = [["runs with", "", "grokked", *SAYS]], 0
    for name, share, decay, n in setups:
        own, at = runs[at : at + n], at + n
        lines.append(
            [
                f"{name}, share {share:g}, decay {decay:g}",
                f"{n}",
                *(str(sum(run[key] > 0 for run in own)) for key in ("truth", *SAYS)),
            ]
        )
    lines.append(["all", str(at), *(str(sum(run[key] > 0 for run in runs)) for key in ("truth", *SAYS))])
    for figure in ("precision", "recall"):
        lines.append([figure, "", "", *(f"{score(runs, says)[figure]:.3f}" for says in SAYS)])
    return columns(lines)


def draw(setups: Any, runs: list[dict[str, Any]], out: Path) -> None:
    """Held-out accuracy of each run, by setup, and where the event was known."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        2, -(-len(setups) // 2), figsize=(10, 4.6), sharex=True, sharey=True, layout="constrained"
    )
    for ax in axes.flat[len(setups) :]:
        ax.axis("off")
    at = 0
    for ax, (name, share, decay, n) in zip(axes.flat, setups, strict=False):
        for run in runs[at : at + n]:
            ax.plot(run["step"], run["held_out"], color="#2e86ab" if run["truth"] else "#8d99a3", linewidth=1)
            for step in run["known"]:
                ax.plot(step, run["held_out"][run["step"].index(step)], "^", color="#c8553d", markersize=5)
        if not any(np.isfinite(run["held_out"]).any() for run in runs[at : at + n]):
            ax.text(0.5, 0.5, "nothing is held out", transform=ax.transAxes, ha="center", color="#8d99a3", fontsize=8)
        at += n
        ax.set_title(f"{name}: share {share:g}, decay {decay:g}", fontsize=8)
        ax.tick_params(labelsize=7)
        ax.spines[["top", "right"]].set_visible(False)
    figure.supylabel("held-out accuracy", fontsize=8)
    figure.supxlabel("steps; blue: grokked, grey: not; triangles: events, when they were known", fontsize=8)
    figure.savefig(out, dpi=130, facecolor="white")
    plt.close(figure)


def main() -> None:
    """Run, print, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=Path, help="where the log is kept; a temporary folder if it is not given")
    parser.add_argument("--out", type=Path, default=ROOT / "results", help="folder of the result")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = judged(config_of(SETUPS, {}), given.workdir or folder)
    print(table(SETUPS, runs))
    given.out.mkdir(parents=True, exist_ok=True)
    scores = {says: score(runs, says) for says in SAYS}
    kept = [{k: v for k, v in run.items() if k not in ("step", "held_out")} for run in runs]
    found = {"setups": SETUPS, "scores": scores, "runs": kept, **provenance()}
    (given.out / "detect_grokking.json").write_text(json.dumps(found, indent=1) + "\n")
    draw(SETUPS, runs, given.out / "detect_grokking.png")


if __name__ == "__main__":
    main()
