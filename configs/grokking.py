"""The extended run of the documents, in three phases, with operations held out: what is there to see after 100 epochs?

    --config=configs/grokking.py           5 of the 27 residue balls i mod 27 are held out
    --config=configs/grokking.py:random    as many operations at random, for comparison: reconstruction leaks there

It extends v5_12_4, and not v5_12, whose bands are at the ceiling after 12 epochs and leave no delay to look for. From
the extended configuration are the phases, the rates and the weights; the networks and the batch are those of v5_12_4.
Fixed: all of it is trained, where the original script had a radial loss on branch B alone; the phases, which that
script did not follow; and something is held out, without which no run can be said to generalise. The exploration is one
cosine all the same: restarts in it, after 25 and 75 epochs, would explain whatever rises with them. The controller is
off: it triples a step, and weights that move by themselves are one more reason for a figure to jump. Nine minutes on
two cores that had other work beside it.
"""

from pathlib import Path

from ml_collections import ConfigDict

from ternary_jax.config import read


def get_config(arg: str = "") -> ConfigDict:
    """`arg` is what follows a colon in --config=FILE:ARG: "random", or nothing."""
    if arg not in ("", "random"):
        raise ValueError(f"configs/grokking.py has no variant {arg!r}: there is random")
    config = read(Path(__file__).with_name("v5_12_4.py"))
    config.train.epochs = 500
    config.train.learning_rate = 8e-4  # at rate 1.0; weight decay stays at 1e-4, which is little for a grokking
    config.train.schedule = "phases"  # exploration, grokking_search, fine_tuning
    config.train.phase_shapes = ("cosine", "constant", "linear")
    config.train.phase_epochs = (150, 200, 150)
    config.train.phase_rates = (1.0, 0.3, 0.1)
    config.evaluate.cheap_every = 2  # 250 evaluations: a plateau of 15 is 30 epochs
    config.evaluate.costly_every = 50
    config.checkpoint.every = 50  # where the phases end too
    config.checkpoint.keep_every = 1  # all of them, to be looked into later

    config.data.split = "residue_balls"  # combinations of leading digits that were never seen
    if arg == "random":
        config.data.split = "random"
        config.data.train_share = 22 / 27

    config.controller.on = False
    config.model.cross_injection = False  # without the controller nothing turns rho
    config.losses.rich.floor = 2.5
    config.losses.rich.kappa = 0.4
    config.losses.geodesic.weight = 0.4
    config.phases.geometry_from = 50  # by the epochs of the document, which the 20 of reconstruction are part of

    config.grokking.on = True
    config.grokking.metrics = ("held_out_coverage_A", "held_out_coverage_B", "hierarchy_B", "coverage_B")
    config.emergence.weight_norm = True
    config.emergence.weight_rank = True
    config.emergence.representation_rank = True

    # The success criteria of the audit. Over all operations, so with those that were held out.
    config.targets.coverage_B = 0.999
    config.targets.hierarchy_B = -0.80
    return config.lock()
