"""The sums a + b mod p^k of all pairs (a, b), and the split into training and held-out pairs.

A pair is the number m a + b, m = p^k. A split is a random order of all m^2 pairs, of which the first n are trained on.
n is traced and acts as a mask, so runs of different n are one program.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from ternary_jax import ternary
from ternary_jax.config.keys import choice, flag, integer, real
from ternary_jax.errors import ConfigError

MOST_PAIRS = 2**22  # float32 counts as many exactly, and all their logits take a few gigabytes

KEYS = {
    "data.p": integer(2, 2048),
    "data.n_digits": integer(1, 11),
    "data.split": choice("none", "random"),
    "data.splits": integer(1, 4096),
    "data.split_seed": integer(0, 4095, traced=True),
    "data.train_share": real(0, 1, traced=True),
    "data.full_batch": flag(),
}


class Batch(NamedTuple):
    """Rows of a step, (batch_size,) each. weight: 0 for a row of padding; the mean over the batch is 1."""

    a: Array
    b: Array
    weight: Array


def check(config: Any) -> None:
    """Raise a ConfigError if the group `data` leaves nothing to train or hold out, or a full batch does not fit."""
    data, batch = config.data, config.train.batch_size
    try:
        n = ternary.n_operations(data.n_digits, data.p) ** 2
    except ValueError as e:
        primes = filter(ternary.is_prime, range(2, int(KEYS["data.p"].high) + 1))
        near = min(primes, key=lambda p: abs(p - data.p))
        raise ConfigError(f"config.data.p={data.p}: {e}; give a prime, such as {near}") from None
    of_modulus = f"{n} pairs of config.data.p={data.p}, config.data.n_digits={data.n_digits}"
    if n > MOST_PAIRS:
        raise ConfigError(f"the {of_modulus} are too many: a modulus of {int(MOST_PAIRS**0.5)} or less is allowed")
    if np.max(data.split_seed) >= data.splits:
        raise ConfigError(
            f"config.data.split_seed={np.max(data.split_seed)} has to be less than config.data.splits={data.splits}: "
            "give a smaller seed, or more splits"
        )
    counts = np.full(1, n) if data.split == "none" else np.atleast_1d(n_train(np.asarray(data.train_share), n, np))
    if np.min(counts) < 1:
        raise ConfigError(
            f"config.data.train_share={data.train_share} of {of_modulus} leaves nothing to train: give more"
        )
    if np.all(counts == n) and data.split == "random":
        fix = "set config.data.split=none, which has no held-out metrics, or give a smaller share"
        raise ConfigError(f"config.data.train_share={data.train_share} of {of_modulus} holds nothing out: {fix}")
    if data.full_batch and not (most := np.max(counts)) <= batch <= n:
        trained = f"of the {of_modulus} and config.data.split={data.split}, {most} are trained on"
        rule = f"config.data.full_batch=True needs {f'{most} to ' * bool(most < n)}{n} rows"
        raise ConfigError(
            f"config.train.batch_size={batch} does not fit: {trained}, and {rule}; give "
            f"config.train.batch_size={most}, or config.data.full_batch=False to draw batches"
        )


def n_train(share: ArrayLike, n: int, xp: Any = jnp) -> Any:
    """round(share n), int32, by the same float32 product on the host and on the device."""
    return xp.round(xp.asarray(share, "float32") * xp.float32(n)).astype("int32")


def orders(splits: int, n: int) -> np.ndarray:
    """(splits, n) int32: row s is the random order of 0 .. n - 1 of split seed s.

    It uses the raw stream, because numpy may change `Generator.permutation` in any release (NEP 19).
    """
    raw = (np.random.PCG64(seed).random_raw(n) for seed in range(splits))
    return np.stack([np.argsort(words, kind="stable") for words in raw]).astype(np.int32)


def operands(pair: Array, modulus: int) -> tuple[Array, Array]:
    """(a, b) of a pair."""
    return pair // modulus, pair % modulus


def add(a: Array, b: Array, modulus: int) -> Array:
    """a + b mod p^k."""
    return (a + b) % modulus


def full_batch(order: Array, count: Array, rows: int, modulus: int) -> Batch:
    """All `count` training pairs, in a batch of at least as many rows; further rows are padding of weight 0.

    The mean of weight x over the rows is the mean of x over the training pairs.
    """
    trained = jnp.arange(rows, dtype=jnp.int32) < count
    return Batch(*operands(order[:rows], modulus), jnp.where(trained, rows / count.astype(jnp.float32), 0))


def random_batch(key: Array, order: Array, count: Array, rows: int, modulus: int) -> Batch:
    """Rows drawn from the training pairs, uniformly and with replacement."""
    place = jax.random.bits(key, (rows,), jnp.uint32) % count.astype(jnp.uint32)  # uniform to a relative count / 2^32
    return Batch(*operands(order[place.astype(jnp.int32)], modulus), jnp.ones(rows))
