"""The v5.10 documents' system: two variational autoencoders, a hyperbolic prior, and schedules that couple them."""

from pathlib import Path

from ml_collections import ConfigDict

from ternary_jax.config import read


def get_config(arg: str = "") -> ConfigDict:
    """`arg`: natural (the default)."""
    if arg:
        raise ValueError(f"configs/v5_10.py has no variant {arg!r}")
    config = read(Path(__file__).with_name("vae.py"))
    config.train.epochs = 100
    config.train.learning_rate = 1e-3
    config.train.weight_decay = 1e-4
    config.evaluate.cheap_every = 10
    config.evaluate.costly_every = 100
    config.checkpoint.every = 50

    config.model.inputs = "trits"
    config.model.cross_injection = True
    for branch in (config.model.A, config.model.B):
        branch.encoder = "plain"
        branch.projection = "exp_map"
        branch.posterior = "wrapped"
    config.model.B.decoder = "relu_residual"
    config.model.B.decoder_hidden = (128, 128)
    config.losses.prior.on = "AB"
    config.losses.prior.weight = 0.1
    config.losses.stratification.on = "AB"
    config.losses.stratification.weight = 0.3
    config.control = "schedules"
    return config.lock()
