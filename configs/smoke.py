"""A test of the whole engine in half a minute: the dual model with small networks and few evaluations."""

from pathlib import Path

from ml_collections import ConfigDict

from ternary_jax.config import read


def get_config() -> ConfigDict:
    config = read(Path(__file__).with_name("vae.py"))
    config.train.epochs = 60  # 60 epochs are 2,340 steps of 512 rows
    config.train.learning_rate = 4e-3
    # An epoch of this model takes 0.125 s, the cheap metrics 0.05 s, the costly ones 0.5 s.
    config.evaluate.cheap_every = 20
    config.evaluate.costly_every = 60
    config.checkpoint.every = 60

    config.data.partners = True
    for branch in (config.model.A, config.model.B):
        branch.hidden = (64, 64)
        branch.projection = "exp_map"
        branch.decoder = "residual"
        branch.decoder_hidden = (64,)
        branch.decoder_gain = 30.0
    config.losses.radial.on = "A"
    config.losses.bands.on = "B"
    return config.lock()


def sweep(add):
    """Three learning rates by two seeds: six runs in one program."""
    for rate in (2e-3, 4e-3, 8e-3):
        for seed in (0, 1):
            add({"train.learning_rate": rate, "seed": seed})
