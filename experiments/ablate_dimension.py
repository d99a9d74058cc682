"""How many dimensions does v5_12 need? The latent space has 2 to 32.

    python experiments/ablate_dimension.py [--quick] [--estimate]

All else is as in configs/v5_12.py, which has 16; widths of the networks and the learning rate are not tuned again.
Writes results/ablate_dimension.json and .png.
"""

import lab_ablations
from lab_ablations import Ablation, Setting

ABLATION = Ablation(
    name="dimension",
    title="The latent dimension",
    question="From which dimension on is nothing gained by another one?",
    config="v5_12",
    length=lab_ablations.V5_12,
    quick=lab_ablations.QUICK_V5_12,
    seeds=8,
    metrics=(*lab_ablations.OF_B, "coverage_A", "triplet_accuracy_A"),
    settings=(
        Setting("dim 16", "as in the config", {}),
        *(Setting(f"dim {dim}", f"{dim} coordinates", {"model.dim": dim}) for dim in (2, 3, 4, 8, 32)),
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
