"""The config of toy.py: 20 epochs of 4 steps."""

from pathlib import Path

from ml_collections import ConfigDict

from ternary_jax.config import read


def get_config():
    """Return the config of the toy task."""
    config = read(Path(__file__).parents[1] / "configs" / "defaults.py")
    config.task = "toy"
    config.train.epochs = 20
    config.train.batch_size = 16
    config.train.learning_rate = 0.1
    config.evaluate.cheap_every = 2
    config.evaluate.costly_every = 10
    config.checkpoint.every = 2
    config.stop.watch = "error"
    config.stop.watch_threshold = 0.1
    config.log.tensorboard = False
    config.report.on = "never"
    config.compilation_cache = False
    config.toy = ConfigDict(
        dict(points=64, poison="fit", poison_step=-1.0, poison_above=0.0, pool=False, stream=False, noise=0.1)
    )
    config.losses = ConfigDict(dict(pull=dict(on=True, weight=0.0)))
    config.targets = ConfigDict(dict(error=0.12))
    return config
