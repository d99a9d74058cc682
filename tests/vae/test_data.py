"""Splits and batches over all operations: exhaustive counts where possible, chi-square tests of draws elsewhere."""

import functools
import itertools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from ternary_jax import ternary
from ternary_jax.config.keys import value_of
from ternary_jax.errors import ConfigError
from ternary_jax.vae import data

pytestmark = pytest.mark.usefixtures("strict_dtypes")

DEFAULTS = {
    "n_digits": 9,
    "split": "none",
    "split_seed": 0,
    "train_share": 0.5,
    "residue_level": 3,
    "residue_held_out": 5,
    "box_digits": 2,
}
SPLITS = {
    "all": {},
    "half": {"split": "random"},
    "few": {"split": "random", "train_share": 0.02, "split_seed": 1},  # most balls of high level are empty
    "most": {"split": "random", "train_share": 0.9, "split_seed": 2},
    "balls": {"split": "residue_balls"},
    "most balls": {"split": "residue_balls", "residue_level": 4, "residue_held_out": 70},
    "box": {"split": "digit_box"},
}


def group(**changes):
    return SimpleNamespace(**DEFAULTS | changes)


def train_mask(**changes):
    return data.train_mask(group(**changes))


def trits(i, n_digits):
    """The digits of one integer, by division with remainder."""
    out = []
    for _ in range(n_digits):
        i, x = divmod(i, 3)
        out.append(x)
    return out


@functools.cache
def all_trits(n_digits):
    return np.array([trits(i, n_digits) for i in range(3**n_digits)])


@functools.cache
def levels(n_digits):
    """The levels of all operations, (N,)."""
    return np.array([valuation(i, n_digits) for i in range(3**n_digits)])


def valuation(i, n_digits):
    """The number of zeros that the digits of one integer begin with."""
    return len(list(itertools.takewhile(lambda x: x == 0, trits(i, n_digits))))


# --- splits -----------------------------------------------------------------------------------------------------------


def test_without_a_split_all_is_trained_on():
    for n_digits in (1, 5, 9):
        mask = train_mask(n_digits=n_digits)
        assert mask.shape == (3**n_digits,)
        assert mask.dtype == bool
        assert mask.all()


@pytest.mark.parametrize(
    ("n_digits", "share", "rows"),
    [(9, 0.5, 9842), (9, 0.8, 15746), (9, 1e-4, 2), (9, 0.99995, 19682), (4, 0.1, 8), (1, 0.4, 1)],
)
def test_a_random_split_trains_on_exactly_its_share(n_digits, share, rows):
    for seed in range(5):
        mask = train_mask(n_digits=n_digits, split="random", train_share=share, split_seed=seed)
        assert mask.shape == (3**n_digits,)
        assert mask.sum() == rows


def test_a_random_split_favours_no_operation_and_grows_with_its_share():
    masks = np.array([train_mask(n_digits=3, split="random", train_share=1 / 3, split_seed=s) for s in range(2000)])
    # Each of the 27 is in a third of the masks; drawn without replacement, the sum of squares is 27/26 as large.
    squares = ((masks.sum(0) - 2000 / 3) ** 2).sum() / (2000 * (1 / 3) * (2 / 3)) * 26 / 27
    assert 0.001 < stats.chi2.sf(squares, 26) < 0.999
    larger = [train_mask(split="random", train_share=share) for share in (0.1, 0.3, 0.8)]
    assert all((smaller <= larger).all() for smaller, larger in itertools.pairwise(larger))


@pytest.mark.parametrize(("level", "held_out"), [(1, 1), (1, 2), (2, 4), (3, 1), (4, 80), (9, 1), (9, 19682)])
def test_residue_balls_are_wholly_in_or_out_and_exactly_so_many_are_out(level, held_out):
    mask = train_mask(split="residue_balls", residue_level=level, residue_held_out=held_out)
    balls = {}
    for i, trained in enumerate(mask.tolist()):
        balls.setdefault(i % 3**level, set()).add(trained)
    assert len(balls) == 3**level
    assert sum(ball == {False} for ball in balls.values()) == held_out
    assert sum(ball == {True} for ball in balls.values()) == 3**level - held_out


def test_every_residue_ball_is_held_out_by_some_seed():
    changes = {"n_digits": 4, "split": "residue_balls", "residue_level": 2, "residue_held_out": 1}
    out = [np.flatnonzero(~train_mask(**changes, split_seed=seed))[0] for seed in range(900)]
    assert stats.chisquare(np.bincount(out, minlength=9)).pvalue > 0.001


@pytest.mark.parametrize("m", [2, 3, 5, 9])
def test_a_digit_box_is_out_where_all_its_digits_meet_and_each_value_is_seen(m):
    seen = set()
    for seed in range(4):
        mask = train_mask(split="digit_box", box_digits=m, split_seed=seed)
        x = all_trits(9)
        assert (~mask).sum() == 3 ** (9 - m)
        fixed = [k for k in range(9) if len(set(x[~mask, k])) == 1]
        assert len(fixed) == m
        corner = x[~mask][0, fixed]
        np.testing.assert_array_equal(~mask, [row == corner.tolist() for row in x[:, fixed].tolist()])
        assert all(set(x[mask, k]) == {0, 1, 2} for k in range(9))
        seen.add((*fixed, *corner))
    assert len(seen) == 4


def test_boxes_take_every_digit_and_value_alike():
    digits, values = [], []
    for seed in range(1000):
        mask = train_mask(n_digits=4, split="digit_box", box_digits=2, split_seed=seed)
        x = all_trits(4)[~mask]
        fixed = np.flatnonzero((x == x[:1]).all(0))
        digits.extend(fixed)
        values.extend(x[0, fixed])
    assert stats.chisquare(np.bincount(digits, minlength=4)).pvalue > 0.001
    assert stats.chisquare(np.bincount(values, minlength=3)).pvalue > 0.001


@pytest.mark.parametrize("split", ["random", "residue_balls", "digit_box"])
def test_each_seed_has_its_own_split(split):
    masks = [train_mask(split=split, split_seed=seed) for seed in range(10)]
    np.testing.assert_array_equal(masks[3], train_mask(split=split, split_seed=3))
    assert len({mask.tobytes() for mask in masks}) >= 9  # two seeds may draw the same box


def test_splits_are_those_of_older_checkpoints():
    """A failure means that old checkpoints no longer match their held-out set: restore the draw, not these rows."""
    held_out = {
        name: np.flatnonzero(~train_mask(n_digits=3, **SPLITS[name] | {"residue_level": 2})).tolist()
        for name in ("half", "balls", "box")
    }
    assert held_out == {
        "half": [0, 4, 5, 7, 9, 10, 12, 14, 16, 22, 23, 24, 26],
        "balls": [1, 2, 3, 6, 8, 10, 11, 12, 15, 17, 19, 20, 21, 24, 26],
        "box": [18, 19, 20],
    }


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"split": "thirds"}, r"split=thirds is unknown: give none or random or residue_balls or digit_box"),
        (
            {"split": "random", "train_share": 0.0},
            r"train_share=0\.0 .*leaves nothing to train: give a share from 5\.1e-",
        ),
        ({"split": "random", "train_share": 2e-5}, "train_share=2e-05 .*leaves nothing to train"),
        ({"split": "random", "train_share": 1.0}, r"train_share=1\.0 .*holds nothing out: .*data\.split=none"),
        ({"split": "random", "train_share": 0.99999}, r"train_share=0\.99999 .*holds nothing out"),
        ({"split": "residue_balls", "residue_level": 10}, r"residue_level=10 .*data\.n_digits=9: give 1 to 9"),
        ({"split": "residue_balls", "residue_level": 0}, r"residue_level=0 .*give 1 to 9"),
        (
            {"split": "residue_balls", "residue_held_out": 27},
            "residue_held_out=27 leaves nothing to train: give 1 to 26",
        ),
        ({"split": "residue_balls", "residue_held_out": 0}, "residue_held_out=0 holds nothing out: give 1 to 26"),
        (
            {"split": "digit_box", "box_digits": 1},
            "box_digits=1 .*never see a value of the digit: give 2 or more",
        ),
        ({"split": "digit_box", "box_digits": 0}, "box_digits=0 is not allowed"),
        ({"split": "digit_box", "box_digits": 10}, r"box_digits=10 .*data\.n_digits=9"),
    ],
)
def test_a_split_without_training_or_without_held_out_operations_is_refused(changes, text):
    for refusing in (data.check_split, data.train_mask):
        with pytest.raises(ConfigError, match=rf"^config\.data\.{text}"):
            refusing(group(**changes))


def test_keys_of_other_splits_are_ignored():
    wrong = {"train_share": 0.0, "residue_level": 0, "residue_held_out": 0, "box_digits": 0}
    own = {
        "none": (),
        "random": ("train_share",),
        "residue_balls": ("residue_level", "residue_held_out"),
        "digit_box": ("box_digits",),
    }
    for split, keys in own.items():
        assert data.check_split(group(split=split, **{k: v for k, v in wrong.items() if k not in keys})) is None


def test_limits_named_in_a_refusal_are_allowed():
    data.check_split(group(split="random", train_share=5.1e-5))
    data.check_split(group(split="random", train_share=0.999949))
    data.check_split(group(split="residue_balls", residue_held_out=26))
    data.check_split(group(split="digit_box", box_digits=9))


def test_the_keys_hold_the_values_of_a_config():
    for name, value in DEFAULTS.items():
        assert value_of(f"data.{name}", value, "", data.KEYS) is not None
    with pytest.raises(ConfigError, match=r"data\.split='thirds' is not allowed: give none or random"):
        value_of("data.split", "thirds", "", data.KEYS)


# --- batches by level -------------------------------------------------------------------------------------------------


def strata_of(train, n_digits=9, batch_size=512, budget=0.25, high_from=4):
    return jax.device_put(data.make_strata(train, n_digits, batch_size, budget, high_from))


def draws(strata, n, seed=0):
    """n batches, (n, batch_size)."""
    return np.asarray(jax.jit(jax.vmap(data.stratified, (0, None)))(jax.random.split(jax.random.key(seed), n), strata))


@pytest.mark.parametrize(
    ("budget", "rows"),
    [
        (0.25, [259, 86, 28, 9, 21, 21, 21, 21, 21, 21, 4]),  # documented, as is the next
        (0.2, [276, 92, 30, 10, 17, 17, 17, 17, 17, 17, 2]),
        (0.0, [0] * 10 + [512]),
        (1.0, [0] * 4 + [85] * 6 + [2]),
    ],
)
def test_the_composition_is_the_documented_one(budget, rows):
    sizes = np.array([13122, 4374, 1458, 486, 162, 54, 18, 6, 2, 1])
    np.testing.assert_array_equal(data.composition(sizes, 512, budget, 4), rows)


def test_levels_without_training_operations_get_no_row():
    sizes = np.array([100, 0, 100, 0, 5, 1])
    np.testing.assert_array_equal(data.composition(sizes, 100, 0.5, 3), [25, 0, 25, 0, 25, 25, 0])
    no_high = np.array([90, 10, 0, 0, 0, 0])
    np.testing.assert_array_equal(data.composition(no_high, 100, 0.5, 3), [45, 5, 0, 0, 0, 0, 50])
    no_low = np.array([0, 0, 0, 2, 2, 1])
    np.testing.assert_array_equal(data.composition(no_low, 100, 0.5, 3), [0, 0, 0, 16, 16, 16, 52])
    np.testing.assert_array_equal(data.composition(no_low, 100, 0.5, 0), [0, 0, 0, 16, 16, 16, 52])


@pytest.mark.parametrize(
    ("batch_size", "budget", "high_from", "text"),
    [
        (512, -0.1, 4, r"^budget=-0\.1 .*give a budget from 0 to 1"),
        (512, 1.1, 4, r"^budget=1\.1 .*give a budget from 0 to 1"),
        (512, float("nan"), 4, r"^budget=nan .*give a budget from 0 to 1"),
        (512, 0.25, 10, r"high_from=10: give .* a level from 0 to 9"),
        (512, 0.25, -1, r"high_from=-1: give .* a level from 0 to 9"),
        (20, 0.25, 4, r"^budget=0\.25 of 20 rows is 5, less than one for each of the 6 levels from high_from=4"),
    ],
)
def test_an_impossible_composition_is_refused(batch_size, budget, high_from, text):
    with pytest.raises(ConfigError, match=text):
        data.composition(ternary.level_counts(), batch_size, budget, high_from)


@pytest.mark.parametrize("name", ["all", "few", "most balls"])
def test_every_batch_has_the_composition_and_only_training_operations(name):
    train = train_mask(**SPLITS[name])
    level = levels(9)
    sizes = np.bincount(level[train], minlength=10)
    rows = data.composition(sizes, 512, 0.25, 4)
    batches = draws(strata_of(train), 20)
    assert batches.shape == (20, 512)
    assert batches.dtype == np.int32
    assert train[batches].all()
    counts = np.array([np.bincount(level[batch], minlength=10) for batch in batches])
    extras = counts - rows[:10]
    assert (extras >= 0).all()
    assert (extras.sum(1) == rows[10]).all()
    assert (counts[:, sizes == 0] == 0).all()


@pytest.mark.parametrize("changes", [{}, {"split": "random", "train_share": 0.6}, {"split": "digit_box"}])
def test_each_stratum_is_uniform(changes):
    """The rows of a fixed level draw uniformly from it; the others draw uniformly from all training operations."""
    train = train_mask(n_digits=4, **changes)
    level = levels(4)
    strata = strata_of(train, 4, 64, 0.4, 2)
    batches = draws(strata, 2000)
    held = np.array([len(set(level[row])) == 1 for row in batches.T])
    composition = data.composition(np.bincount(level[train], minlength=5), 64, 0.4, 2)
    assert held.sum() == 64 - composition[-1]
    assert composition[-1] > 0
    assert (train[batches]).all()
    for v in range(5):
        drawn = batches[:, held & (level[batches[0]] == v)]
        assert drawn.shape[1] == composition[v]
        members = np.flatnonzero(train & (level == v))
        assert set(np.unique(drawn)) == set(members)
        if len(members) > 1:
            assert stats.chisquare(np.bincount(drawn.ravel(), minlength=81)[members]).pvalue > 0.001
    extras = np.bincount(batches[:, ~held].ravel(), minlength=81)
    assert stats.chisquare(extras[train]).pvalue > 0.001


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_without_a_budget_sampling_is_uniform(share):
    train = train_mask(split="random", train_share=share) if share < 1 else train_mask()
    counts = np.bincount(draws(strata_of(train, budget=0.0), 800).ravel(), minlength=3**9)
    assert counts[~train].sum() == 0
    assert stats.chisquare(counts[train]).pvalue > 0.001


def test_rows_of_a_batch_and_batches_are_independent():
    a, b = draws(strata_of(train_mask(n_digits=2), 2, 2, 0.0, 1), 20_000).T
    for first, second in ((a, b), (a[:-1], a[1:])):
        assert stats.chisquare(np.bincount(9 * first + second, minlength=81)).pvalue > 0.001


def test_microbatches_have_the_composition_of_the_batch():
    level = levels(9)
    strata = strata_of(train_mask())
    low, high = level[np.asarray(strata.order)[strata.first]], np.asarray(strata.first + strata.count - 1)
    high = level[np.asarray(strata.order)[high]]
    stratum = np.where(low == high, low, 10)
    composition = data.composition(ternary.level_counts(), 512, 0.25, 4)
    for parts in (2, 4, 8, 16):
        for part in stratum.reshape(parts, -1):
            assert (np.abs(np.bincount(part, minlength=11) - composition / parts) < 2).all()


def test_a_mask_of_another_size_or_kind_is_refused():
    for mask in (np.ones(27, bool), np.ones(3**9, np.int32), np.zeros(3**9, bool)):
        with pytest.raises(ValueError, match="a mask of 19683 bools, one True at least"):
            data.make_strata(mask, 9, 512, 0.25, 4)
        with pytest.raises(ValueError, match="a mask of 19683 bools, one True at least"):
            data.make_balls(mask, 9)


def test_one_batch_is_the_row_of_many_jitted_or_not():
    strata = strata_of(train_mask(split="random"))
    rows = draws(strata, 3, seed=5)
    for number, row in enumerate(rows):
        np.testing.assert_array_equal(
            jax.jit(data.stratified)(jax.random.split(jax.random.key(5), 3)[number], strata), row
        )
    np.testing.assert_array_equal(data.stratified(jax.random.split(jax.random.key(5), 3)[1], strata), rows[1])
    assert len({row.tobytes() for row in rows}) == 3


# --- partners ---------------------------------------------------------------------------------------------------------


def balls_of(train, n_digits):
    return jax.device_put(data.make_balls(train, n_digits))


def n_partners(train, n_digits):
    """Training operations j with v(|i - j|) = level, for all i and level, (N, D + 1), counted by residues."""
    i = np.arange(3**n_digits)
    near = [np.bincount(i[train] % 3**k, minlength=3**k)[i % 3**k] for k in range(n_digits + 1)]
    counts = [near[k] - near[k + 1] for k in range(n_digits)]
    return np.stack([*counts, np.zeros_like(i)], 1)


@pytest.mark.parametrize(
    ("name", "n_digits"),
    [("all", 9), ("few", 9), ("balls", 9), ("box", 9), ("half", 5), ("most balls", 5)],
)
def test_every_partner_is_trained_on_and_of_the_level_or_else_the_operation_itself(name, n_digits):
    train = train_mask(**SPLITS[name] | {"n_digits": n_digits})
    i, level = np.arange(3**n_digits)[:, None], np.arange(n_digits + 1)[None]
    j = np.asarray(jax.jit(data.partner)(jax.random.key(0), i, level, balls_of(train, n_digits)))
    assert j.shape == (3**n_digits, n_digits + 1)
    assert j.dtype == np.int32
    has = n_partners(train, n_digits) > 0
    np.testing.assert_array_equal(j[~has], np.broadcast_to(i, j.shape)[~has])
    assert train[j[has]].all()
    assert (has.all(0) | (level[0] > 0)).all()
    apart, power = np.abs(i - j), 3**level
    assert (apart % power == 0)[has].all()
    assert (apart % (3 * power) != 0)[has].all()
    if name == "few":
        assert 0 < has[:, :-1].mean() < 0.9
    if name == "all":
        assert has[:, :-1].all()


@pytest.mark.parametrize("changes", [{}, {"split": "random", "train_share": 0.6}])
def test_partners_are_uniform_among_all_that_there_are(changes):
    n, draws = 27, 3000
    train = train_mask(n_digits=3, **changes)
    i, level = np.broadcast_to(np.arange(n)[:, None], (draws, n, 1)), np.arange(3)
    j = np.asarray(jax.jit(data.partner)(jax.random.key(1), i, level, balls_of(train, 3)))
    squares, freedom = 0.0, 0
    for a, level in itertools.product(range(n), range(3)):
        valid = [b for b in range(n) if train[b] and b != a and valuation(abs(a - b), 3) == level] or [a]
        counts = np.bincount(j[:, a, level], minlength=n)
        assert counts[valid].sum() == draws
        squares += ((counts[valid] - draws / len(valid)) ** 2).sum() / (draws / len(valid))
        freedom += len(valid) - 1
    assert 0.001 < stats.chi2.sf(squares, freedom) < 0.999


@pytest.mark.parametrize(
    ("i", "level", "shape"),
    [
        (0, 0, ()),
        (np.arange(81), 2, (81,)),
        (np.arange(6).reshape(2, 3), np.array([0, 1, 3]), (2, 3)),
    ],
)
def test_operations_and_levels_broadcast(i, level, shape):
    j = jax.jit(data.partner)(jax.random.key(3), i, level, balls_of(train_mask(n_digits=4), 4))
    assert j.shape == shape
    i, level = np.broadcast_to(i, shape), np.broadcast_to(level, shape)
    np.testing.assert_array_equal(ternary.pair_valuation(i, np.asarray(j), 4), level)


def test_other_primes_have_partners_too():
    train = np.arange(125) % 4 > 0
    i, level = np.arange(125)[:, None], np.arange(3)[None]
    j = np.asarray(jax.jit(data.partner)(jax.random.key(4), i, level, jax.device_put(data.make_balls(train, 3, 5))))
    assert train[j].all()
    np.testing.assert_array_equal(ternary.pair_valuation(i, j, 3, 5), np.broadcast_to(level, j.shape))


def test_one_draw_of_partners_is_the_row_of_many():
    i, level, balls = jnp.arange(50) * 7, jnp.arange(50) % 9, balls_of(train_mask(split="random"), 9)
    key = functools.partial(jax.random.key, 6)  # a new one for each use
    many = jax.jit(jax.vmap(data.partner, (0, None, None, None)))
    rows = np.asarray(many(jax.random.split(key(), 3), i, level, balls))
    for number, row in enumerate(rows):
        one = jax.jit(data.partner)(jax.random.split(key(), 3)[number], i, level, balls)
        np.testing.assert_array_equal(one, row)
    assert len({row.tobytes() for row in rows}) == 3


@pytest.mark.parametrize("draw", ["stratified", "partner"])
def test_a_draw_consumes_its_key(draw):
    train, key = train_mask(n_digits=3), jax.random.key(0)
    arguments = {"stratified": [strata_of(train, 3, 8, 0.0, 1)], "partner": [0, 0, balls_of(train, 3)]}[draw]
    once = jax.jit(getattr(data, draw))
    with jax.debug_key_reuse(True):
        once(key, *arguments)
        with pytest.raises(jax.errors.KeyReuseError):
            once(key, *arguments)


def test_a_count_near_two_to_the_23_is_drawn_evenly():
    """floor(u * count) with a float32 u would never draw one number in three."""
    count = jnp.full(40_000, 3 * 2**22, jnp.int32)
    drawn = np.asarray(data._uniform_below(jax.random.key(0), count))
    assert 0 <= drawn.min() <= drawn.max() < 3 * 2**22
    for part in (drawn % 2, drawn % 3, drawn >> 20):
        assert stats.chisquare(np.bincount(part)).pvalue > 0.001
