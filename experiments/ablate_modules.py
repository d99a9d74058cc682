"""What does each hyperbolic module of v5.10 give, and what does it cost? It is switched on alone, and off among all.

    python experiments/ablate_modules.py [--quick] [--estimate]

The documents have a table of trade-offs, without figures: all disabled, prior alone, prior and ranking, all enabled;
exploration, structure, speed. Here exploration is the prior coverage, the share of the operations among draws from the
prior. Structure is hierarchy and triplets. Speed is the time of a training step, measured in turns. The modules are
those of configs/v5_10.py, with its schedules and its stratification loss, for half of its epochs. Without the module
`prior`, the posterior is Gaussian, with its KL to N(0, 1), and the curvature is fixed, as in v5_10.py:disabled.
Writes results/ablate_modules.json and .png.
"""

import lab_ablations
from lab_ablations import Ablation, Setting

PRIOR = {
    "model.A.posterior": "wrapped",
    "model.B.posterior": "wrapped",
    "model.curvature": "controlled",
    "prior.homeostat": True,
    "losses.prior.on": "AB",
    "losses.kl.on": "none",
}
RANKING = {"losses.ranking_hyperbolic.on": "AB"}
FOCUS = {"losses.focus.on": "AB"}
CENTROID = {"losses.centroid.on": "AB"}
ALL = {**PRIOR, **RANKING, **FOCUS, **CENTROID}

ABLATION = Ablation(
    name="modules",
    title="The hyperbolic modules of v5.10",
    question="What does each hyperbolic module give in exploration and in structure, and what does it cost in time?",
    config="v5_10:disabled",
    length=lab_ablations.V5_10,
    quick=lab_ablations.QUICK_V5_10,
    seeds=16,
    metrics=(
        "prior_coverage_A",
        "prior_coverage_B",
        "coverage_B",
        "hierarchy_B",
        "triplet_accuracy_B",
        "ultrametric_correlation_B",
        "step_ms",
    ),
    settings=(
        Setting("disabled", "no hyperbolic module: the documents' row All disabled", {}),
        Setting("prior", "a wrapped posterior and prior with their homeostat: the row Prior only", PRIOR),
        Setting("ranking", "triplets in order by hyperbolic distance, without the prior", RANKING),
        Setting("focus", "the reconstruction that is weighted by the radius, alone", FOCUS),
        Setting("centroid", "distances to the Frechet means of the residue balls, alone", CENTROID),
        Setting("prior, ranking", "the row Prior + Ranking", {**PRIOR, **RANKING}),
        Setting("all", "all four modules: the row All enabled", ALL),
        Setting("all but prior", "all, with the Gaussian prior", {**RANKING, **FOCUS, **CENTROID}, "all"),
        Setting("all but ranking", "all, without the ranking", {**PRIOR, **FOCUS, **CENTROID}, "all"),
        Setting("all but focus", "all, without the second reconstruction", {**PRIOR, **RANKING, **CENTROID}, "all"),
        Setting("all but centroid", "all, without the centroids", {**PRIOR, **RANKING, **FOCUS}, "all"),
    ),
    cost=lab_ablations.Cost(38_000, 20),  # beside COST_V5_10: with all modules a step takes 1.8 times as long
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
