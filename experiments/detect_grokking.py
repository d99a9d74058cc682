"""What are the precision and recall of the grokking detector?

    python experiments/detect_grokking.py [--workdir=FOLDER]

32 runs of configs/grok_addition.py in one program. Half are set up to grok. The others are set up to not grok: without
weight decay, trained on all pairs, or trained on three quarters, where held-out pairs are fitted as soon as the others.
Two levels of accuracy decide whether a run grokked (`grokked`). Precision and recall count runs, for five reports: the
detector's events, confirmed events and last verdict, and the events and confirmed events of the analysis of the log,
which also sees the last evaluation. Writes results/detect_grokking.json and .png, and the curves to results/raw/.
FOLDER keeps the log, for `analyze`.
"""

from pathlib import Path
from typing import Any

import lab
import numpy as np

from ternary_jax.config import load_config
from ternary_jax.grokking import definitions, generalisation, history
from ternary_jax.tables import columns

CONFIG = lab.CONFIGS / "grok_addition.py"
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
    """Whether held-out accuracy takes at least twice as many steps to 0.95 as training accuracy takes to 0.99."""
    fit, there = steps[trained >= 0.99], steps[held_out >= 0.95]
    return bool(fit.size and there.size and there[0] >= 2 * fit[0])


def config_of(setups: Any, changes: dict[str, Any]) -> Any:
    """The config of all runs; each run has its own seed and split."""
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


def judged(config: Any, workdir: Path | None = None) -> list[dict[str, Any]]:
    """Train; for each run, whether it grokked and what the detector and the analysis reported."""
    _, found, metrics = lab.trained(config, workdir)
    thresholds = definitions.thresholds(config.grokking.to_dict())
    told = history.rises(found, lab.watched(metrics, config.grokking.metrics), thresholds)
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
    """Precision: how many of the reported runs grokked; recall: how many of the runs that grokked are reported."""
    hit = sum(run["truth"] and run[says] > 0 for run in runs)
    said, true = sum(run[says] > 0 for run in runs), sum(run["truth"] for run in runs)
    nan = float("nan")
    return {"precision": hit / said if said else nan, "recall": hit / true if true else nan}


def table(setups: Any, runs: list[dict[str, Any]]) -> str:
    """The table: a line for each setup, and one for each of precision and recall."""
    lines, at = [["runs with", "", "grokked", *SAYS]], 0
    groups = [(f"{name}, share {share:g}, decay {decay:g}", n) for name, share, decay, n in setups]
    for name, n in [*groups, ("all", len(runs))]:
        own, at = runs if name == "all" else runs[at : at + n], at + n
        lines.append([name, f"{n}", *(str(sum(run[key] > 0 for run in own)) for key in ("truth", *SAYS))])
    for figure in ("precision", "recall"):
        lines.append([figure, "", "", *(f"{score(runs, says)[figure]:.3f}" for says in SAYS)])
    return columns(lines)


def draw(setups: Any, runs: list[dict[str, Any]]) -> Any:
    """The figure: held-out accuracy of each run, by setup, and the step at which the event was detected."""
    figure, at = lab.figure(10, 4.6), 0
    axes = figure.subplots(2, -(-len(setups) // 2), sharex=True, sharey=True)
    for ax in axes.flat[len(setups) :]:
        ax.axis("off")
    for ax, (name, share, decay, n) in zip(axes.flat, setups, strict=False):
        own, at = runs[at : at + n], at + n
        for run in own:
            ax.plot(run["step"], run["held_out"], color=lab.BLUE if run["truth"] else lab.GREY, linewidth=1)
            for step in run["known"]:
                ax.plot(step, run["held_out"][run["step"].index(step)], "^", color=lab.RED, markersize=5)
        if not any(np.isfinite(run["held_out"]).any() for run in own):
            ax.text(0.5, 0.5, "nothing is held out", transform=ax.transAxes, ha="center", color=lab.GREY, fontsize=8)
        ax.set_title(f"{name}: share {share:g}, decay {decay:g}", fontsize=8)
        ax.tick_params(labelsize=7)
    figure.supylabel("held-out accuracy", fontsize=8)
    figure.supxlabel("steps; blue: grokked, grey: not; triangles: events, at the step of their detection", fontsize=8)
    return figure


def main() -> None:
    """Train, print, write and draw the results."""
    parser = lab.parser(__doc__)
    parser.add_argument("--workdir", type=Path, help="folder that keeps the log; default: a temporary one")
    given = parser.parse_args()
    runs = judged(config_of(SETUPS, {}), given.workdir)
    print(table(SETUPS, runs))
    scores = {says: score(runs, says) for says in SAYS}
    kept = [{k: v for k, v in run.items() if k not in ("step", "held_out")} for run in runs]
    lab.write("detect_grokking", {"setups": SETUPS, "scores": scores, "runs": kept}, given, raw={"runs": runs})
    lab.save(draw(SETUPS, runs), "detect_grokking", given)


if __name__ == "__main__":
    main()
