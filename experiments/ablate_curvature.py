"""Does the curvature matter to v5_12? c is 1/4, 1 and 4, learned, and the space is Euclidean.

    python experiments/ablate_curvature.py [--quick] [--estimate]

The sectional curvature is -c. In configs/v5_12.py, radii are shares of the ball's radius and the bands have units of
1/sqrt(c), so another c alone is nearly another unit of length. What does not scale are the losses in geodesic lengths,
those of radii and their margins. A learned c starts at 1. In the Euclidean space the radii and their targets are those
of c = 1, and distances are 2|x - y|. No richness is comparable in all settings: it is that of sqrt(c)|z|, in the
Euclidean space of |z|, which has no bound; the geodesic one is comparable between c = 1 and the Euclidean space, and
has the unit 1/c. Writes results/ablate_curvature.json and .png.
"""

import lab_ablations
from lab_ablations import Ablation, Setting

ABLATION = Ablation(
    name="curvature",
    title="The curvature",
    question="Do results depend on the curvature of the latent space, and are they worse in a flat one? Compare the "
    "richness among the balls, and the geodesic richness between c = 1 and the Euclidean space alone.",
    config="v5_12",
    length=lab_ablations.V5_12,
    quick=lab_ablations.QUICK_V5_12,
    seeds=16,
    metrics=(*lab_ablations.OF_B, "richness_geodesic_B", "coverage_A"),
    settings=(
        Setting("c = 1", "the ball of curvature -1, as in the config", {}),
        Setting("c = 1/4", "a ball of twice the radius", {"model.c": 0.25}),
        Setting("c = 4", "a ball of half the radius", {"model.c": 4.0}),
        Setting("learned", "c is a parameter, from 1 on", {"model.curvature": "learned"}),
        Setting("Euclidean", "R^n in place of the ball", {"model.geometry": "euclidean"}),
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
