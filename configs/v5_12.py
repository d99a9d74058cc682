"""The main config: branch B gets full coverage, hierarchy at its ceiling, the tree in its distances, and richness.

B is deterministic and has the losses `bands` of radii and distances. A is variational and has the radial loss of the
documents.
"""

from pathlib import Path

from ml_collections import ConfigDict

from ternary_jax.config import read


def get_config() -> ConfigDict:
    config = read(Path(__file__).with_name("vae.py"))
    # Two cosines. After the first, of 12 epochs, coverage and hierarchy are at their ceilings. The second, of 84
    # epochs, orders the distances.
    config.train.epochs = 96
    config.train.schedule = "warm_restarts"
    config.train.cycle_epochs = 12
    config.train.cycle_growth = 7
    config.train.learning_rate = 6e-3
    config.train.chunk = 3  # a chunk of 16 runs takes 10 s on two cores
    config.evaluate.cheap_every = 12
    config.evaluate.costly_every = 96
    config.checkpoint.every = 48

    config.data.partners = True
    config.data.shifts = 1
    # One layer each, because compiling takes longer here than training to the ceiling.
    config.model.direction_hidden = (64,)
    config.model.radius_hidden = (32,)
    config.model.A.encoder = "plain"
    config.model.A.posterior = "gaussian"
    config.losses.kl.on = "A"
    config.losses.radial.on = "A"
    config.model.B.decoder = "residual"
    config.model.B.decoder_hidden = (128,)
    config.model.B.decoder_gain = 30.0  # the last digit moves a point a hundredth as far as the first digit
    config.losses.reconstruction.weight = 2.0
    config.losses.bands.on = "B"
    config.losses.bands.radius = 5.0  # levels from 1 on are a third of the rows, and their bands are narrow
    config.losses.bands.spread = 2.0
    return config.lock()


def sweep(add):
    """Sixteen seeds, for the share of runs that reach the ceiling."""
    for seed in range(16):
        add({"seed": seed})
