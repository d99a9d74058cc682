"""What did the defects of the original v5.10 cost? Each that a key can switch on again is, by itself.

    python experiments/ablate_defects_v5_10.py [--quick] [--estimate]

The base is configs/v5_10.py, in which they are fixed, for half of its epochs. Left out are the defects that no key
switches on, because the code that had them does not exist here: a KL that counts twice with different factors, points
outside of the ball, distances of two conventions, controllers whose outputs reach no loss, centroids of the wrong
digits, a StateNet that cannot learn, and metrics of noisy points. Writes results/ablate_defects_v5_10.json and .png.
"""

import lab_ablations
from lab_ablations import Ablation, Setting

ABLATION = Ablation(
    name="defects_v5_10",
    title="Defects of the original v5.10",
    question="What does each defect of the original cost, if it alone is switched on again?",
    config="v5_10",
    length=lab_ablations.V5_10,
    quick=lab_ablations.QUICK_V5_10,
    seeds=8,
    metrics=(
        "coverage_A",
        "coverage_B",
        "hierarchy_B",
        "triplet_accuracy_A",
        "triplet_accuracy_B",
        "ultrametric_correlation_B",
        "prior_coverage_B",
    ),
    settings=(
        Setting("fixed", "no defect", {}),
        Setting(
            "jump of beta",
            "the KL weight of B rises from 0 within a thousandth of the run",
            {"schedules.beta.ramp_B": 1e-3},
        ),
        Setting("beta to 0.8", "the KL weights rise to the end of the run, to 0.8", {"schedules.beta.final": 0.8}),
        Setting(
            "rho to 0.7",
            "the cross-injection rises to 0.7, so that neither branch decodes alone",
            {"schedules.rho.at": (0.133, 0.4, 0.833), "schedules.rho.levels": (0.1, 0.3, 0.7)},
        ),
        Setting("full KL", "the KL summed over 16 coordinates with a weight of 1", {"losses.prior.weight": 1.0}),
        Setting(
            "KL out of reach",
            "the homeostat's target is 1 nat for all 16 coordinates, and c meets its bound within an epoch",
            {"prior.kl": 0.0625, "prior.c_rate": 0.05, "prior.least": 0.5, "prior.most": 4.0},
        ),
        Setting("wide margins", "margins of triplets that do not fit into the ball", {"losses.ranking_v2.slope": 0.15}),
        Setting("random batches", "batches with few pairs that agree in many digits", {"data.partners": False}),
    ),
    cost=lab_ablations.COST_V5_10,
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
