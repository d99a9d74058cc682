"""What did the defects of the original v5.12 cost? Each that a key can switch on again is, by itself.

    python experiments/ablate_defects_v5_12.py [--quick] [--estimate]

The base is configs/v5_12_4.py, in which they are fixed, on 3^8 operations and without the controller of loss weights,
whose look-ahead multiplies the time of a step by four. So the defect that this controller never learns is left out.
Left out too are the defects that no key switches on: coverage by another path than the trained one, a geodesic target
out of reach (the config refuses it), gradients of frozen parameters in the clip norm, optimizers that are thrown away,
metrics of noisy points, and strides of the homeostasis. Writes results/ablate_defects_v5_12.json and .png.
"""

import lab_ablations
from lab_ablations import Ablation, Setting

ABLATION = Ablation(
    name="defects_v5_12",
    title="Defects of the original v5.12",
    question="What does each defect of the original cost, if it alone is switched on again?",
    config="v5_12_4",
    length={
        "controller.on": False,
        "data.n_digits": 8,
        "evaluate.cheap_every": 20,
        "checkpoint.every": 20,
    },
    quick={
        "data.n_digits": 7,
        "train.epochs": 42,
        "train.cycle_epochs": 6,
        "phases.structure_from": 6,
        "phases.geometry_from": 15,
        "evaluate.cheap_every": 6,
        "evaluate.costly_every": 42,
        "checkpoint.every": 42,
    },
    seeds=8,
    metrics=(*lab_ablations.OF_B, "coverage_A", "hierarchy_A"),
    settings=(
        Setting("fixed", "no defect", {}),
        Setting(
            "zero structure",
            "a loss that pulls a third of the operations to the wrong level",
            {"losses.zero.on": "AB"},
        ),
        Setting("no KL", "noise of the posterior without a KL", {"losses.kl.weight": 0.0}),
        Setting(
            "frozen decoders",
            "decoders that stay random, as where no checkpoint is found",
            {"rates.decoder_A": 0.0, "rates.decoder_B": 0.0},
        ),
        Setting(
            "frozen branch A",
            "encoder and decoder of A stay random, as where no checkpoint is found",
            {"rates.encoder_A": 0.0, "rates.decoder_A": 0.0},
        ),
        Setting(
            "slow encoders",
            "encoders at 0.05 and 0.1 of the learning rate, which suits loaded weights",
            {"rates.encoder_A": 0.05, "rates.encoder_B": 0.1},
        ),
        Setting(
            "mixed units",
            "radial targets of 0.90 and 0.08 as geodesic lengths, which are 0.422 and 0.04 of the ball",
            {"radii.outer": 0.422, "radii.inner": 0.04, "losses.geodesic.furthest": 1.8},
        ),
        Setting("c without gradient", "the curvature is a parameter that never moves", {"rates.curvature": 0.0}),
        Setting("no floor", "RichHierarchy whose floor under the spread is inactive", {"losses.rich.floor": 0.0}),
    ),
    cost=lab_ablations.Cost(30_000, 20),  # not measured alone: between v5_10 and v5_12_4 with its controller
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
