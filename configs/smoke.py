"""A plain autoencoder of all operations through the ball: the whole engine at work in half a minute."""

from pathlib import Path

from ml_collections import ConfigDict

from ternary_jax.config import read


def get_config(arg: str = "") -> ConfigDict:
    """`arg` is what follows a colon in --config=FILE:ARG; this config has no variants."""
    if arg:
        raise ValueError(f"configs/smoke.py has no variant {arg!r}")
    config = read(Path(__file__).with_name("defaults.py"))
    config.task = "ternary_jax.vae.task"  # the module with make_task
    config.train.epochs = 100  # 3,900 steps of 512: coverage is full after five epochs, the radii settle after twenty
    # An epoch of so small a model takes a tenth of a second, the cheap metrics a fortieth, the costly ones a quarter.
    config.evaluate.cheap_every = 20
    config.evaluate.costly_every = 300
    config.checkpoint.every = 100
    config.train.learning_rate = 2e-3

    config.data = ConfigDict()
    config.data.n_digits = 9  # 3^9 = 19,683 operations

    config.model = ConfigDict()
    config.model.hidden = (128, 128)  # widths of the layers of encoder and decoder, the decoder's in reverse
    config.model.dim = 16  # coordinates of the ball
    config.model.c = 1.0  # sectional curvature is -c

    config.losses = ConfigDict()
    config.losses.radial = ConfigDict()
    config.losses.radial.on = True
    config.losses.radial.weight = 0.3  # of a square of geodesic length, beside nats per operation
    config.losses.radial.outer = 0.90  # Euclidean share of the radius, sqrt(c)|z|, that valuation 0 is drawn to
    config.losses.radial.inner = 0.08  # the same of the highest valuation; in between, linear

    # What counts as the ceiling; summary.json says when it was reached.
    config.targets = ConfigDict()
    config.targets.coverage = 1.0
    config.targets.hierarchy = -0.8320  # 5e-5 short of the ceiling without ties
    return config.lock()


def sweep(add):
    """Three learning rates by two seeds: six runs of one program."""
    for rate in (1e-3, 2e-3, 4e-3):
        for seed in (0, 1):
            add({"train.learning_rate": rate, "seed": seed})
