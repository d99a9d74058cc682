"""Splits of the 3^D operations, and the draws of a step: batches by level, and partners by pair valuation.

Splits and tables are made once, on the host, in numpy. A step draws on the device: one call of jax.random.bits for the
anchors, and one for their partners. The tables belong in `Task.data`.
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

# --- splits -----------------------------------------------------------------------------------------------------------

KEYS = {
    "data.n_digits": integer(2, 12),
    "data.split": choice("none", "random", "residue_balls", "digit_box"),
    "data.split_seed": integer(0),
    "data.train_share": real(0, 1),
    "data.residue_level": integer(1, 12),
    "data.residue_held_out": integer(1),
    "data.box_digits": integer(2, 12),
    "data.budget": real(0, 1),
    "data.high_from": integer(0, 12),
    "data.partners": flag(),
    "data.shifts": integer(1, 64),
}


def check_split(data: Any) -> None:
    """Raise a ConfigError if the split of the group `data` trains on nothing or holds out nothing.

    A kind of split checks its own keys only.
    """
    n_digits, n = data.n_digits, ternary.n_operations(data.n_digits)
    of_digits = f"config.data.n_digits={n_digits}"
    if data.split == "random":
        share, train = data.train_share, round(data.train_share * n)
        if not 0 < train < n:
            wrong = "leaves nothing to train" if train <= 0 else "holds nothing out"
            fix = f"give a share from {1 / n:.2g} to {1 - 1 / n:.6g}, or config.data.split=none to train on all"
            raise ConfigError(f"config.data.train_share={share} of {n} operations {wrong}: {fix}")
    elif data.split == "residue_balls":
        level, held_out = data.residue_level, data.residue_held_out
        if not 1 <= level <= n_digits:
            raise ConfigError(f"config.data.residue_level={level} is no level of {of_digits}: give 1 to {n_digits}")
        if not 0 < held_out < 3**level:
            wrong = "holds nothing out" if held_out <= 0 else "leaves nothing to train"
            fix = f"give 1 to {3**level - 1} of the {3**level} classes of config.data.residue_level={level}"
            raise ConfigError(f"config.data.residue_held_out={held_out} {wrong}: {fix}")
    elif data.split == "digit_box":
        if not 2 <= data.box_digits <= n_digits:
            why = "training would never see a value of the digit" if data.box_digits == 1 else f"there is {of_digits}"
            raise ConfigError(
                f"config.data.box_digits={data.box_digits} is not allowed, as {why}: give 2 or more, n_digits at most"
            )
    elif data.split != "none":
        raise ConfigError(f"config.data.split={data.split} is unknown: give {' or '.join(KEYS['data.split'].choices)}")


def train_mask(data: Any) -> np.ndarray:
    """True for the operations that are trained on, (N,), by the group `data` of a config."""
    check_split(data)
    if data.split == "random":
        return random_mask(data.split_seed, data.n_digits, data.train_share)
    if data.split == "residue_balls":
        return residue_mask(data.split_seed, data.n_digits, data.residue_level, data.residue_held_out)
    if data.split == "digit_box":
        return box_mask(data.split_seed, data.n_digits, data.box_digits)
    return np.ones(ternary.n_operations(data.n_digits), bool)


def random_mask(seed: int, n_digits: int, share: float) -> np.ndarray:
    """True for round(share N) operations, (N,). At one seed a larger share contains a smaller one."""
    n = ternary.n_operations(n_digits)
    mask = np.zeros(n, bool)
    mask[_shuffled(_random_words(seed, n))[: round(share * n)]] = True
    return mask


def residue_mask(seed: int, n_digits: int, level: int, held_out: int) -> np.ndarray:
    """False for `held_out` of the 3^level residue balls {j : j mod 3^level = r}, (N,).

    Training never sees a digit value that only the held-out balls have; at level 1 there always is one.
    """
    residue = ternary.residue(np.arange(ternary.n_operations(n_digits)), level, n_digits)
    return ~np.isin(residue, _shuffled(_random_words(seed, 3**level))[:held_out])


def box_mask(seed: int, n_digits: int, n_box_digits: int) -> np.ndarray:
    """False for the operations with fixed values at `n_box_digits` random digits, a share of 3^-n_box_digits. (N,).

    If n_box_digits >= 2, training sees each of these values, but never all at once.
    """
    raw = _random_words(seed, n_digits + n_box_digits)
    digits = _shuffled(raw[:n_digits])[:n_box_digits]
    values = (raw[n_digits:] % 3).astype(int)
    x = ternary.digits(np.arange(ternary.n_operations(n_digits)), n_digits)
    return ~(x[:, digits] == values[None]).all(1)


# --- batches by level -------------------------------------------------------------------------------------------------


class Strata(NamedTuple):
    """The stratum of each row of a batch, a range of `order`; the row is drawn uniformly from it.

    order: (n_train,) int32, the training operations, sorted by valuation
    first, count: (batch_size,) int32, the first place and the length of the stratum of a row
    """

    order: Any
    first: Any
    count: Any


def composition(sizes: np.ndarray, batch_size: int, budget: float, high_from: int) -> np.ndarray:
    """Numbers of rows of a batch that are drawn from each level, and, last, from all training operations: (D + 2,).

    int(batch_size budget) rows are divided equally among the levels v >= high_from, the rest among the lower levels in
    proportion to their sizes, both rounded down; the remainder is drawn from all operations. Without a budget that is
    the whole batch, because the lower levels alone would leave the high levels less than their share.

    sizes: (D + 1,), training operations by level; an empty level has no rows
    """
    if not (0 <= budget <= 1 and 0 <= high_from < len(sizes)):
        raise ConfigError(
            f"budget={budget} of a batch for the levels from high_from={high_from}: "
            f"give a budget from 0 to 1 and a level from 0 to {len(sizes) - 1}"
        )
    level, high_rows = np.arange(len(sizes)), int(batch_size * budget)
    high, low = (level >= high_from) & (sizes > 0), level < high_from
    if budget > 0 and high_rows < high.sum():
        raise ConfigError(
            f"budget={budget} of {batch_size} rows is {high_rows}, less than one for each of the {high.sum()} levels "
            f"from high_from={high_from}: give a larger budget or batch, or a budget of 0 to draw uniformly"
        )
    rows = np.zeros(len(sizes) + 1, np.int64)
    if budget > 0:
        rows[:-1][high] = high_rows // max(1, high.sum())
        rows[:-1][low] = (batch_size - high_rows) * sizes[low] // max(1, sizes[low].sum())
    rows[-1] = batch_size - rows.sum()
    return rows


def make_strata(train: np.ndarray, n_digits: int, batch_size: int, budget: float, high_from: int) -> Strata:
    """The strata of a `composition`, from a mask of training operations (N,).

    Rows of a stratum are spread evenly over the batch, so that microbatches, its slices, have the same composition.
    """
    _check_mask(train, ternary.n_operations(n_digits))
    operations = np.flatnonzero(train)
    valuation = ternary.valuations(n_digits)[operations]
    sizes = np.bincount(valuation, minlength=n_digits + 1)
    rows = composition(sizes, batch_size, budget, high_from)
    # Row k of stratum s is at (k + offset_s) / n_s of the batch; with equal offsets, equal strata would be adjacent.
    place = np.concatenate([(np.arange(n) + (s + 0.5) / len(rows)) / max(1, n) for s, n in enumerate(rows)])
    stratum = np.repeat(np.arange(len(rows)), rows)[np.argsort(place, kind="stable")]
    first, count = np.append(np.cumsum(sizes) - sizes, 0), np.append(sizes, sizes.sum())
    order = operations[np.argsort(valuation, kind="stable")]
    return Strata(*(a.astype(np.int32) for a in (order, first[stratum], count[stratum])))


def stratified(key: Array, strata: Strata) -> Array:
    """A batch of operations, with replacement: row b is uniform in its stratum. (batch_size,) int32."""
    return strata.order[strata.first + _uniform_below(key, strata.count)]


# --- batches ----------------------------------------------------------------------------------------------------------


class Indices(NamedTuple):
    """Operations of a batch: anchors (n,) int32, and their partners (n,), None without partners."""

    anchors: Any
    partners: Any = None


def rows(indices: Indices) -> Array:
    """The indices of all operations of a batch, anchors first."""
    return jnp.concatenate([a for a in indices if a is not None])


def check_batch(config: Any) -> None:
    """Raise a ConfigError if the batches of a config cannot be drawn."""
    check_batch_size(config)
    check_budget(config.data)
    check_pairs(config.train)
    if config.data.partners:
        check_halves(config.train)
        check_levels_of_partners(config)


def check_batch_size(config: Any) -> None:
    """A batch has no more rows than there are operations."""
    n = ternary.n_operations(config.data.n_digits)
    if config.train.batch_size > n:
        raise ConfigError(
            f"config.train.batch_size={config.train.batch_size} is more than the {n} operations of "
            f"config.data.n_digits={config.data.n_digits}: {n} or less is allowed"
        )


def check_budget(data: Any) -> None:
    """The levels of a budget exist."""
    if data.budget > 0 and data.high_from > data.n_digits:
        digits = f"config.data.n_digits={data.n_digits}"
        raise ConfigError(f"config.data.high_from={data.high_from} is no level of {digits}: give that or less")


def check_pairs(train: Any) -> None:
    """A microbatch has the rows of a pair."""
    if train.batch_size < 2 * train.microbatches:
        raise ConfigError(
            f"config.train.batch_size={train.batch_size} leaves no pairs: give 2 rows or more in each microbatch"
        )


def check_halves(train: Any) -> None:
    """Each microbatch has as many partners as anchors."""
    if train.batch_size % (2 * train.microbatches):
        raise ConfigError(
            f"config.data.partners=True makes pairs of a batch: config.train.batch_size={train.batch_size} has to be a "
            f"multiple of {2 * train.microbatches}, twice config.train.microbatches"
        )


def check_levels_of_partners(config: Any) -> None:
    """A batch has a pair of each valuation."""
    least = 2 * config.data.n_digits
    if config.train.batch_size < least:
        raise ConfigError(
            f"config.train.batch_size={config.train.batch_size} has too few partners for all valuations "
            f"(config.data.partners=True): give {least} or more"
        )


# --- partners by pair valuation ---------------------------------------------------------------------------------------


class Balls(NamedTuple):
    """Residue balls as ranges: sorted by their reversed digits, operations of equal leading digits are adjacent.

    reverse: (N,) int32, sum_k x_k p^(D-1-k) of each operation
    order: (n_train,) int32, the training operations, sorted by `reverse`
    before: (N + 1,) int32, number of training operations with `reverse` < 0 .. N: the ends of ranges in `order`
    width: (D + 1,) int32, p^(D-L), number of values of `reverse` in a ball of level L
    """

    reverse: Any
    order: Any
    before: Any
    width: Any


def make_balls(train: np.ndarray, n_digits: int, p: int = 3) -> Balls:
    """The residue balls of a mask of training operations (N,)."""
    n = ternary.n_operations(n_digits, p)
    _check_mask(train, n)
    reverse = ternary.index(ternary.digits(np.arange(n), n_digits, p)[:, ::-1], p)  # its own inverse
    before = np.append(0, np.cumsum(train[reverse]))
    width = p ** np.arange(n_digits, -1, -1)
    return Balls(*(a.astype(np.int32) for a in (reverse, reverse[train[reverse]], before, width)))


def partner(key: Array, i: ArrayLike, level: ArrayLike, balls: Balls) -> Array:
    """A training operation j with v(|i - j|) = level, uniform among all of them; i itself if there are none.

    They are the ball of level L around i without its ball of level L + 1, a range with a gap; none at level D. i may be
    held out; i and level in 0 .. D broadcast. int32.
    """
    i, level = jnp.broadcast_arrays(jnp.asarray(i, jnp.int32), jnp.asarray(level, jnp.int32))

    def ball(level):
        inside = balls.reverse[i] % balls.width[level]
        begin = balls.reverse[i] - inside
        return balls.before[begin], balls.before[begin + balls.width[level]]

    begin, end = ball(level)
    gap, resume = ball(jnp.minimum(level + 1, len(balls.width) - 1))
    count = end - begin - (resume - gap)
    place = begin + _uniform_below(key, count)
    return jnp.where(count > 0, balls.order[jnp.where(place < gap, place, place + (resume - gap))], i)


def _uniform_below(key: Array, count: Array) -> Array:
    """Uniform integers in [0, count), of the shape of count, int32; 0 where count is 0.

    The relative error of uniformity of a 32-bit word modulo count is count / 2^32, 5e-6 for 3^9. That of floor(u count)
    is count / 2^23, 0.2 %, as a float32 u has 23 bits. `randint` draws two words and divides both.
    """
    word = jax.random.bits(key, count.shape, jnp.uint32)
    return (word % jnp.maximum(count, 1).astype(jnp.uint32)).astype(jnp.int32)


def _random_words(seed: int, n: int) -> np.ndarray:
    """n random words, uint64, of the raw stream.

    numpy may change the stream of `Generator.permutation` in any release (NEP 19). An old checkpoint would then have
    another split, and would be measured on operations that it was trained on.
    """
    return np.random.PCG64(seed).random_raw(n)


def _shuffled(raw: np.ndarray) -> np.ndarray:
    """A random permutation of 0 .. n - 1 from n random words."""
    return np.argsort(raw, kind="stable")


def _check_mask(train: np.ndarray, n: int) -> None:
    if train.shape != (n,) or train.dtype != bool or not train.any():
        raise ValueError(
            f"a mask of {n} bools, one True at least, is needed, not {train.dtype} of shape {train.shape} "
            f"with {np.count_nonzero(train)} nonzero"
        )
