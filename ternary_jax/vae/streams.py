"""The random streams of a training step: each draws from fold_in(key of the step, number of the stream).

The numbers never change: another number gives other draws, and so other results of every run.
"""

import jax
from jax import Array

SHIFTS = 0  # the shifts of the pairs of a batch
DROPOUT = 1  # 1 to 99: one for each call of a network with dropout, in the order of the calls
NOISE = {"A": 100, "B": 101}  # the draws from the posterior of each branch
LOSSES = 200  # the key of the losses
TRIPLETS = 0  # of the key of the losses: random triplets, the same in every loss and branch
BATCH_RANKING = 201  # triplets of the ranking that controllers observe


def stream(key: Array, number: int) -> Array:
    """The key of one stream."""
    return jax.random.fold_in(key, number)
