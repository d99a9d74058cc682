"""How many held-out operations does a model decode, and is their hierarchy at its ceiling? 8 seeds for each row.

    python experiments/held_out.py [--only=REGEX] [--runs=8]

- random: configs/v5_12.py trains on a random 5 % of the operations. Reconstruction factorises over digits, so a few
  percent are enough. High coverage of the rest shows only this factorisation.
- balls: 5 of the 27 classes i mod 27 are held out: training never sees these combinations of the first three digits.
  The models are v5_12 and smaller ones that only reconstruct. In `linear` the encoder is linear in the trits, so the
  contribution of one digit cannot depend on the others.
- few balls: 22 of the 27 classes are held out. The five combinations that remain do not identify the three digits.

All runs of a row share one split. The last column, for the small models, is the worst held-out coverage over two other
splits. Writes results/held_out.json.
"""

import contextlib
import io
import re
from typing import Any

import lab
import numpy as np

from ternary_jax import terminal
from ternary_jax.config import load_config
from ternary_jax.tables import columns

BALLS = {"data.split": "residue_balls", "data.residue_level": 3, "data.residue_held_out": 5}
FEW = BALLS | {"data.residue_held_out": 22}
# Small models: only branch B trains, only on reconstruction. Branch A has the smallest networks.
SMALL: dict[str, Any] = {f"losses.{name}.on": "none" for name in ("bands", "radial", "kl")}
SMALL |= {"losses.reconstruction.on": "B", "model.A.posterior": "point", "model.A.hidden": ()}
SMALL |= {"model.A.decoder_hidden": (), "model.A.projection": "exp_map", "model.B.projection": "exp_map"}
SMALL |= {"model.B.encoder": "plain", "model.B.decoder": "plain", "model.B.hidden": (64,)}
SMALL |= {"model.B.decoder_hidden": (64,), "model.B.decoder_gain": 1.0, "train.schedule": "cosine", "train.epochs": 30}
SMALL |= {"train.learning_rate": 3e-3, "evaluate.cheap_every": 30, "evaluate.costly_every": 0, "checkpoint.every": 30}
TRITS = {"model.inputs": "trits"}
LINEAR = TRITS | {"model.B.hidden": ()}
BOTH_LINEAR = LINEAR | {"model.B.decoder_hidden": ()}
# 3,120 steps: 1,560 epochs of 2 batches, as 984 operations are trained on. v5_12 has 3,744 steps.
RANDOM = {"data.split": "random", "data.train_share": 0.05, "train.epochs": 1560, "train.cycle_epochs": 195}
RANDOM |= {"evaluate.cheap_every": 195, "evaluate.costly_every": 0, "checkpoint.every": 780}
ROWS: dict[str, dict[str, Any]] = {
    "random 5 %: v5_12": RANDOM,
    "5 balls out: v5_12": BALLS,
    "5 balls out: small": SMALL | BALLS,
    "5 balls out: small, trits": SMALL | BALLS | TRITS,
    "5 balls out: linear": SMALL | BALLS | LINEAR,
    "5 balls out: linear, decoder too": SMALL | BALLS | BOTH_LINEAR,
    "22 balls out: small": SMALL | FEW,
    "22 balls out: linear": SMALL | FEW | LINEAR,
    "22 balls out: linear, decoder too": SMALL | FEW | BOTH_LINEAR,
}


def main() -> None:
    """Train, print and write the results."""
    parser = lab.parser(__doc__, runs=8)
    parser.add_argument("--only", default="", help="run only the rows whose name this regular expression finds")
    given = parser.parse_args()
    found = {}
    for name, changes in ROWS.items():
        if re.search(given.only, name):
            terminal.say(f"{name} ...")
            found[name] = measured(changes | {"runs": given.runs})
            if "balls" in name and "v5_12" not in name:
                others = [measured(changes | {"runs": 2, "data.split_seed": split}) for split in (1, 2)]
                found[name]["other_splits"] = [min(other["held_out_coverage_B"]) for other in others]
    print(table(found))
    lab.write("held_out", {"rows": found}, given)


def measured(changes: dict[str, Any]) -> dict[str, Any]:
    """The last held-out metrics of each run, and the ceiling of the held-out hierarchy."""
    with contextlib.redirect_stderr(io.StringIO()):
        summary = lab.trained(load_config(lab.CONFIGS / "v5_12.py", changes)).summary
    names = ("held_out_coverage_B", "held_out_hierarchy_B", "coverage_gap_B")
    finals = [run["final"] for run in summary["runs"]]
    ceiling = summary["metrics"]["held_out_hierarchy_B"]["ceiling"]
    return {name: [final.get(name) for final in finals] for name in names} | {"ceiling": ceiling}


def table(found: dict[str, Any]) -> str:
    """The table: a line for each row, with held-out coverage, gap, and the distance of the hierarchy to its ceiling."""
    lines = [["held-out coverage", "median", "worst", "best", "gap", "hierarchy short of ceiling", "other splits"]]
    for name, row in found.items():
        coverage = np.array(row["held_out_coverage_B"])
        hierarchy, ceiling = row["held_out_hierarchy_B"], row["ceiling"]
        known = ceiling is not None and None not in hierarchy
        short = f"{max(h - ceiling for h in hierarchy):.5f}" if known else "one level only"
        others = f"{min(row['other_splits']):.4f}" if "other_splits" in row else "-"
        gap = f"{np.median(row['coverage_gap_B']):.4f}"
        lines.append([name, *(f"{f(coverage):.4f}" for f in (np.median, np.min, np.max)), gap, short, others])
    return columns(lines)


if __name__ == "__main__":
    main()
