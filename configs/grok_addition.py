r"""a + b mod 3^4 from 35 % of all pairs: the network fits these after 160 steps, and generalises after 1,800.

About ten seconds of training on two cores. data.train_share and train.weight_decay set the delay, which
experiments/phase_diagram.py maps: without weight decay the network fits as soon, and does not generalise.
The same modulo a prime, where an answer is right or wrong, without partial credit:

    python -m ternary_jax.main --config=configs/grok_addition.py --config.data.p=59 --config.data.n_digits=1 \
        --config.data.train_share=0.4 --config.train.batch_size=1392 \
        --config.grokking.metrics=held_out_accuracy,held_out_loss
"""

from pathlib import Path

from ml_collections import ConfigDict

from ternary_jax.config import read


def get_config() -> ConfigDict:
    config = read(Path(__file__).with_name("defaults.py"))
    config.task = "ternary_jax.addition.task"  # the module with make_task

    config.train.epochs = 0  # 0: train.steps sets the length, because the pairs of an epoch differ between runs
    config.train.steps = 3000  # length of a run; lengths below in epochs are in steps
    config.train.batch_size = 2296  # all training pairs, 35 % of 81^2; the largest number if runs differ
    config.train.learning_rate = 3e-3
    config.train.weight_decay = 2.0
    config.train.schedule = "constant"  # a falling learning rate would set the end of the delay
    config.train.warmup_epochs = 10
    config.train.clip_norm = 0.0  # 0.0: no clipping, as Adam rescales gradients

    config.evaluate.cheap_every = 20  # steps; an evaluation measures all pairs and takes as long as two steps
    config.evaluate.costly_every = 0  # 0: never, as all metrics of this task are cheap
    config.emergence.weight_norm = True
    config.checkpoint.every = 1000
    config.grokking.on = True
    # Partial credit rises from chance together with accuracy; the held-out loss falls long before.
    config.grokking.metrics = ("held_out_accuracy", "held_out_valuation", "held_out_distance", "held_out_loss")
    config.stop.watch = "accuracy"
    config.stop.watch_threshold = 0.995

    config.data = ConfigDict()
    config.data.p = 3  # p of the modulus p^n_digits, a prime
    config.data.n_digits = 4  # the modulus is p^n_digits; 1: a prime modulus
    config.data.split = "random"  # "random": pairs are held out at random; "none": no pair is, and no held-out metric
    config.data.train_share = 0.35  # share of training pairs, the rest is held out; a tuple gives one per run
    config.data.split_seed = 0  # number of the random order of the split, below data.splits; a tuple gives one per run
    config.data.splits = 8  # number of random orders that are made
    config.data.full_batch = True  # True: every step sees all training pairs; False: batch_size pairs drawn from them

    config.model = ConfigDict()
    config.model.kind = "perceptron"  # "perceptron" with one hidden layer, or "transformer" with one layer
    config.model.width = 64  # width of the embedding
    config.model.hidden = 128  # width of the hidden layer
    config.model.heads = 4  # attention heads of the transformer; divides width

    config.targets = ConfigDict()
    config.targets.accuracy = 0.995  # accuracy over all pairs: at least 0.9923 on the held-out ones
    return config.lock()


def sweep(add):
    """Two weight decays by four seeds, each seed with its own split: with and without grokking."""
    for decay in (2.0, 0.0):
        for seed in range(4):
            add({"train.weight_decay": decay, "seed": seed, "data.split_seed": seed})
