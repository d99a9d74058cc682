"""The random streams of a training step, by name: each draws from fold_in(key of the step, number of the stream).

Numbers are fixed: another number is another sequence of draws, and changes every run.
"""

import jax
from jax import Array

SHIFTS = 0  # of pairs of a batch
DROPOUT = 1  # this number and the 98 after it, one for each call of a network with dropout, in the order of the calls
NOISE = {"A": 100, "B": 101}  # of draws from the posterior
LOSSES = 200  # the key of the losses
TRIPLETS = 0  # of the key of the losses: random triplets, the same ones in every loss and branch
BATCH_RANKING = 201  # triplets of the share in order that controllers see


def stream(key: Array, number: int) -> Array:
    """The key of one stream."""
    return jax.random.fold_in(key, number)
