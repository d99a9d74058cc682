"""Which loss of v5_12 gives what? Each is left out, and each of the three parts of `bands`.

    python experiments/ablate_losses.py [--quick] [--estimate]

The losses of configs/v5_12.py are reconstruction on both branches, `kl` and `radial` on A, `bands` on B. A loss is left
out by a weight of 0, so all settings differ in traced keys and share one compiled program. Writes
results/ablate_losses.json and .png.
"""

import lab_ablations
from lab_ablations import Ablation, Setting

ABLATION = Ablation(
    name="losses",
    title="The losses of v5.12",
    question="What is lost without each loss, and without each part of the bands?",
    config="v5_12",
    length=lab_ablations.V5_12,
    quick=lab_ablations.QUICK_V5_12,
    seeds=16,
    metrics=(*lab_ablations.OF_B, "coverage_A", "hierarchy_A"),
    settings=(
        Setting("all", "all losses, as in the config", {}),
        Setting(
            "no reconstruction",
            "neither branch has the cross-entropy of its digits",
            {"losses.reconstruction.weight": 0.0},
        ),
        Setting("no KL", "branch A without the KL of its Gaussian posterior", {"losses.kl.weight": 0.0}),
        Setting("no radial", "branch A without the loss of the radii to their targets", {"losses.radial.weight": 0.0}),
        Setting("no bands", "branch B with reconstruction alone", {"losses.bands.weight": 0.0}),
        Setting("no band of radii", "bands without the radii of levels from 1 on", {"losses.bands.radius": 0.0}),
        Setting("no band of distances", "bands without the distances of pairs", {"losses.bands.distance": 0.0}),
        Setting(
            "no spread",
            "bands without the radii of level 0, which follow the first digit",
            {"losses.bands.spread": 0.0},
        ),
    ),
    cost=lab_ablations.COST_V5_12,
)


def get_config():
    """The base."""
    return lab_ablations.base(ABLATION)


def sweep(add):
    """The settings."""
    lab_ablations.add_settings(ABLATION, add)


def main() -> None:
    """Train, print and write the results."""
    lab_ablations.main(ABLATION, __doc__)


if __name__ == "__main__":
    main()
