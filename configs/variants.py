"""The specialised scripts of the infrastructure audit, each as a config of this engine, from scratch.

    --config=configs/variants.py:homeostatic_rich    hierarchy and richness together, with gates that freeze and open
    --config=configs/variants.py:hierarchy_focused   the order of radii before all else
    --config=configs/variants.py:radial_target       every radius to a target of its own
    --config=configs/variants.py:quick               five epochs, to see that everything runs; also without a variant

Theirs begin with checkpoints that reconstruct, or are ordered already, and train one branch further. Here the networks
are those of branch B of v5_12, and nothing is loaded; so are the learning rates, as theirs were to keep what was there.
Radii are shares of the ball: since v5.12.2 theirs were geodesic lengths, and 0.95 of them a point at 0.44 of the ball.
Reconstruction is counted per operation, nine times their mean over digits: their weights of it are for what is loaded.
"""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from ternary_jax.config import read


def get_config(arg: str = "") -> ConfigDict:
    """`arg` is what follows a colon in --config=FILE:ARG: one of VARIANTS."""
    if arg and arg not in VARIANTS:
        raise ValueError(f"configs/variants.py has no variant {arg!r}: there are {', '.join(VARIANTS)}")
    config = read(Path(__file__).with_name("v5_12.py"))
    config.train.schedule = "cosine"
    config.train.learning_rate = 4e-3
    config.train.weight_decay = 1e-4
    config.data.partners = False
    config.data.shifts = 4
    config.data.budget = 0.25  # as in the v5.12 documents: of 512 uniform draws, six are of the levels from 4 on
    config.model.A = ConfigDict(config.model.B.to_dict())
    for loss in ("reconstruction", "kl", "radial", "bands"):
        config.losses[loss].on = "none"
    VARIANTS[arg or "quick"](config)
    return config.lock()


def homeostatic_rich(config: Any) -> None:
    """train_homeostatic_rich: RichHierarchy by its weights 5, 1, 2 and 3, its radii, and the gate of encoder A.

    Theirs trained branch A alone, so the gate of encoder B had nothing to hold; here both branches have the losses, A
    the gate of coverage and B the one of plateaus. The rate is constant, as theirs was: under a cosine, coverage does
    not fall and order does not stall, and no gate turns. Their optimizer was new at every epoch, and the reference of
    the richness a variance in other units, under which the floor asked for nothing: both are mended. Thresholds stay
    as they are; theirs moved by q, which is costly.
    """
    _lasts(config, 60)
    config.train.schedule = "constant"
    config.train.learning_rate = 1e-3
    config.evaluate.cheap_every = 2
    config.model.max_radius = 0.99
    config.radii.inner = 0.1
    config.losses.reconstruction.on = "AB"
    config.losses.reconstruction.weight = 1.0
    config.losses.rich.on = "AB"
    config.phases.structure_from = 10  # what theirs had from a checkpoint
    config.phases.geometry_from = 10  # of no loss that is on
    config.homeostasis.on = True
    config.homeostasis.unfreeze_at = 0.999
    config.homeostasis.warmup = 10
    config.homeostasis.hysteresis = 3


def hierarchy_focused(config: Any) -> None:
    """train_hierarchy_focused: 10 (Pearson(r, v) + 1)^2, 5 times the hinge between means of levels, 0.5 of the rest.

    The correlation asks for radii on a line, so for ties inside levels; `rank`, which stands for it, asks for the order
    of pairs. The hinge is the one of `rich`, its gap of 0.02 at our span of radii.
    """
    _alone(config, 40)
    config.losses.reconstruction.weight = 0.5
    config.losses.rank.on = "B"
    config.losses.rank.weight = 10.0
    config.losses.rich.on = "B"
    config.losses.rich.means = 0.0
    config.losses.rich.floor = 0.0
    config.losses.rich.separation = 5.0
    config.losses.rich.gap = 0.068


def radial_target(config: Any) -> None:
    """train_radial_target: 10 times the stratification of radii between 0.05 and 0.95, 0.1 of the reconstruction.

    Theirs was the square of the error; ours is linear beyond 1, which radii of this range begin with.
    """
    _alone(config, 40)
    config.model.max_radius = 0.99
    config.radii.inner = 0.05
    config.radii.outer = 0.95
    config.losses.reconstruction.weight = 0.1
    config.losses.stratification.on = "B"
    config.losses.stratification.weight = 10.0


def quick(config: Any) -> None:
    """quick_train: radii between 0.1 and 0.85, and then distances too, which theirs let in by a ramp."""
    _alone(config, 5)
    config.evaluate.cheap_every = 1
    config.radii.inner = 0.1
    config.radii.outer = 0.85
    config.losses.radial.on = "B"
    config.losses.radial.weight = 2.0
    config.losses.geodesic.on = "B"
    config.losses.geodesic.weight = 1.0
    config.losses.geodesic.furthest = 2.51  # the radius of the outer level
    config.phases.geometry_from = 2
    config.phases.radial_after = 1.0


VARIANTS = {one.__name__: one for one in (homeostatic_rich, hierarchy_focused, radial_target, quick)}


def sweep(add):
    """Four seeds."""
    for seed in range(4):
        add({"seed": seed})


def _lasts(config: Any, epochs: int) -> None:
    config.train.epochs = epochs
    config.evaluate.cheap_every = 5
    config.evaluate.costly_every = epochs
    config.checkpoint.every = epochs


def _alone(config: Any, epochs: int) -> None:
    """Branch B alone is trained; A, which stands idle, is as small as it can be."""
    _lasts(config, epochs)
    config.model.A.hidden = config.model.A.decoder_hidden = ()
    config.model.A.decoder = "plain"
    config.losses.reconstruction.on = "B"
