"""Which part of v5_12 matters: two branches, the kinds of network, the draw of a batch? Each is exchanged by itself.

    python experiments/ablate_parts.py [--quick] [--estimate]

The base is configs/v5_12.py: encoder A is plain, encoder B improved (layer norm, silu), decoder A plain, decoder B
residual; batches have partners and no budget of high levels; branches are not coupled. The loss `bands` needs batches
with partners. So the partners are compared under losses that do not: `triplets` has the hyperbolic ranking and the
stratification on B in place of `bands`, and `triplets, no partners` is compared with it. Writes
results/ablate_parts.json and .png.
"""

import lab_ablations
from lab_ablations import Ablation, Setting

ALONE = {
    "model.A.hidden": (),
    "model.A.decoder_hidden": (),
    "losses.reconstruction.on": "B",
    "losses.kl.on": "none",
    "losses.radial.on": "none",
}
TRIPLETS = {"losses.bands.on": "none", "losses.ranking_hyperbolic.on": "B", "losses.stratification.on": "B"}

ABLATION = Ablation(
    name="parts",
    title="The parts of v5.12",
    question="What do the second branch, the improved networks, the strata and the partners of a batch give?",
    config="v5_12",
    length=lab_ablations.V5_12,
    quick=lab_ablations.QUICK_V5_12,
    seeds=8,
    metrics=(*lab_ablations.OF_B, "coverage_A", "triplet_accuracy_A"),
    settings=(
        Setting("v5_12", "two branches that are not coupled, as in the config", {}),
        Setting("single branch", "B alone; A has no loss and no hidden layer", ALONE),
        Setting(
            "coupled",
            "cross-injection: in training, each branch decodes 0.3 of the other's latent vector",
            {"model.cross_injection": True, "model.rho": 0.3},
        ),
        Setting("plain encoder B", "relu in place of layer norm and silu", {"model.B.encoder": "plain"}),
        Setting("improved encoder A", "layer norm and silu in place of relu", {"model.A.encoder": "improved"}),
        Setting("plain decoder B", "relu in place of a residual block", {"model.B.decoder": "plain"}),
        Setting("improved decoder B", "layer norm and silu, without a residual block", {"model.B.decoder": "improved"}),
        Setting("strata", "a quarter of a batch for the levels from 4 on", {"data.budget": 0.25}),
        Setting("triplets", "ranking and stratification in place of bands, on B", TRIPLETS),
        Setting(
            "triplets, no partners",
            "the same with batches of independent draws",
            {**TRIPLETS, "data.partners": False},
            "triplets",
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
