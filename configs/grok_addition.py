"""x"""

from pathlib import Path

from ml_collections import ConfigDict

from ternary_jax.config import read


def get_config(arg: str = "") -> ConfigDict:
    """`arg` is what follows a colon in --config=FILE:ARG; this config has no variants."""
    if arg:
        raise ValueError(f"configs/grok_addition.py has no variant {arg!r}")
    config = read(Path(__file__).with_name("defaults.py"))
    config.task = "ternary_jax.addition.task"
    config.train.epochs = 4000
    config.train.batch_size = 2200
    config.train.learning_rate = 3e-3
    config.train.weight_decay = 1.0
    config.train.schedule = "constant"
    config.train.warmup_epochs = 10
    config.train.clip_norm = 0.0
    config.evaluate.cheap_every = 20
    config.evaluate.costly_every = 0
    config.stop.watch = "accuracy"
    config.stop.divergence = 0.0
    config.checkpoint.every = 2000
    config.log.tensorboard = False
    config.data = ConfigDict()
    config.data.p = 3
    config.data.n_digits = 4
    config.data.split = "random"
    config.data.splits = 8
    config.data.split_seed = 0
    config.data.train_share = 0.3
    config.data.full_batch = True
    config.model = ConfigDict()
    config.model.kind = "perceptron"
    config.model.width = 64
    config.model.hidden = 128
    config.model.heads = 4
    config.model.scale = 1.0
    config.targets = ConfigDict(dict(accuracy=0.995))
    return config.lock()
