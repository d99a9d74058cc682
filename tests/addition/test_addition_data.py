"""Sums against Python's integers, splits and batches against plain loops, the loss against numpy float64."""

from fractions import Fraction
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from ternary_jax.addition import data
from ternary_jax.addition.objective import cross_entropy
from ternary_jax.config import listed_runs, load_config
from ternary_jax.errors import ConfigError
from ternary_jax.sweeps.plan import plan

pytestmark = pytest.mark.usefixtures("strict_dtypes")
CONFIG = Path(__file__).parents[2] / "configs" / "grok_addition.py"


@pytest.mark.parametrize("modulus", [2, 7, 27, 81])
def test_every_pair_has_the_sum_that_python_gives(modulus):
    a, b = data.operands(jnp.arange(modulus**2, dtype=jnp.int32), modulus)
    sums = data.add(a, b, modulus)
    expected = [(x, y, (x + y) % modulus) for x in range(modulus) for y in range(modulus)]
    assert list(zip(a.tolist(), b.tolist(), sums.tolist(), strict=True)) == expected


# --- splits -----------------------------------------------------------------------------------------------------------


def test_a_split_is_an_order_of_all_pairs_of_its_seed_alone():
    found = data.orders(5, 49**2)
    assert found.dtype == np.int32
    for order in found:
        assert sorted(order.tolist()) == list(range(49**2))
    assert len({tuple(order) for order in found.tolist()}) == 5
    np.testing.assert_array_equal(data.orders(2, 49**2), found[:2])


def test_no_pair_is_favoured():
    """In 2,000 orders each of 25 pairs is among the first 10, drawn without replacement, 800 times on average."""
    times = np.bincount(data.orders(2000, 25)[:, :10].ravel(), minlength=25)
    squares = ((times - 800) ** 2).sum() / (2000 * 0.4 * 0.6) * 24 / 25
    assert 0.001 < stats.chi2.sf(squares, 24) < 0.999


@given(share=st.floats(0, 1, width=32), modulus=st.sampled_from([2, 7, 81, 113, 2048]))
def test_the_share_is_rounded_alike_on_the_host_and_on_the_device(share, modulus):
    n = modulus**2
    host, device = data.n_train(share, n, np), jax.jit(data.n_train, static_argnums=1)(jnp.float32(share), n)
    assert int(host) == int(device)
    assert abs(int(host) - Fraction(float(share)) * n) <= Fraction(1, 2) + Fraction(n, 2**24)


# --- batches ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "rows"), [(1, 49), (20, 20), (20, 31), (49, 49)])
def test_a_full_batch_holds_each_training_pair_once_and_weighs_no_other(count, rows):
    order = jnp.asarray(data.orders(1, 49)[0])
    batch = jax.jit(data.full_batch, static_argnums=(2, 3))(order, jnp.int32(count), rows, 7)
    assert all(x.shape == (rows,) for x in batch)
    weighed = [(a, b) for a, b, w in zip(*map(np.ndarray.tolist, map(np.asarray, batch)), strict=True) if w]
    assert sorted(7 * a + b for a, b in weighed) == sorted(order[:count].tolist())
    x = np.random.default_rng(0).normal(size=49)
    of_rows = x[7 * np.asarray(batch.a) + np.asarray(batch.b)]
    assert np.mean(np.asarray(batch.weight) * of_rows) == pytest.approx(np.mean(x[np.asarray(order)[:count]]), rel=1e-5)


def test_a_drawn_batch_is_uniform_over_the_training_pairs():
    order = jnp.asarray(data.orders(1, 49)[0])
    batch = data.random_batch(jax.random.key(3), order, jnp.int32(10), 20000, 7)
    pairs = np.asarray(7 * batch.a + batch.b)
    assert set(pairs.tolist()) == set(order[:10].tolist())
    assert stats.chisquare(np.bincount(pairs, minlength=49)[np.asarray(order[:10])]).pvalue > 0.001
    assert np.all(np.asarray(batch.weight) == 1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data.p": 9}, ["data.p=9", "p must be a prime, not 9", "; give a prime, such as 7"]),
        ({"data.p": 53, "data.n_digits": 2}, ["too many", "2048"]),
        ({"data.train_share": 1e-6}, ["train_share", "nothing to train"]),
        ({"data.train_share": 1.0, "train.batch_size": 6561}, ["holds nothing out", "data.split=none"]),
        ({"data.train_share": 0.5}, ["batch_size=2296", "3280"]),
        (
            {"train.batch_size": 6562},
            [
                "batch_size=6562",
                "split=random, 2296 are trained on, and config.data.full_batch=True needs 2296 to 6561 rows",
            ],
        ),
        ({"data.split": "none"}, ["batch_size=2296", "6561"]),
        ({"data.split_seed": 8}, ["split_seed=8", "data.splits=8"]),
        ({"runs": 2, "data.split_seed": (0, 9)}, ["split_seed=9"]),
        ({"model.kind": "transformer", "model.heads": 5}, ["model.heads=5", "model.width=64"]),
    ],
)
def test_a_mistake_is_one_sentence_with_its_remedy(changes, words):
    with pytest.raises(ConfigError) as error:
        load_config(CONFIG, changes)
    assert all(word in str(error.value) for word in words), error.value


def test_shares_that_differ_between_runs_fit_one_batch():
    load_config(CONFIG, {"runs": 3, "data.train_share": (0.1, 0.35, 0.2)})
    load_config(CONFIG, {"runs": 2, "data.train_share": (0.1, 1.0), "train.batch_size": 6561})
    load_config(CONFIG, {"data.full_batch": False, "train.batch_size": 64, "data.train_share": 0.9})
    assert len(plan(CONFIG, {}, rows=listed_runs(CONFIG)).runs) == 8


# --- the loss ---------------------------------------------------------------------------------------------------------


def exact(logits, answer):
    """Loss and gradient in float64, by a formula without cancellation."""
    z = np.asarray(logits, np.float64)
    right = np.arange(z.shape[-1]) == answer[:, None]
    u = special.logsumexp(np.where(right, -np.inf, z - z[right][:, None]), axis=-1)
    others = np.where(right, 0, np.exp(z - special.logsumexp(z, axis=-1, keepdims=True)))
    return np.logaddexp(0, u), np.where(right, -others.sum(-1, keepdims=True), others)


@pytest.mark.parametrize("margin", [0.0, 5.0, 17.0, 40.0, 80.0])
def test_the_loss_and_its_gradient_are_right_however_small(margin):
    rng = np.random.default_rng(0)
    answer = rng.integers(0, 9, 50)
    logits = rng.normal(size=(50, 9)) + margin * np.eye(9)[answer]
    logits, given = jnp.asarray(logits, jnp.float32), jnp.asarray(answer, jnp.int32)
    value, gradient = exact(logits, answer)
    slope = jax.grad(lambda z: jnp.sum(cross_entropy(z, given)))(logits)
    np.testing.assert_allclose(cross_entropy(logits, given), value, rtol=2e-5)
    np.testing.assert_allclose(slope, gradient, rtol=2e-5)


def test_log_softmax_would_collapse_where_this_loss_does_not():
    logits = jnp.array([[20.0, 0.0, 0.0]], jnp.float32)
    assert float(-jax.nn.log_softmax(logits)[0, 0]) == 0
    assert float(cross_entropy(logits, jnp.array([0]))[0]) == pytest.approx(2 * np.exp(-20), rel=1e-5)


def test_the_loss_of_what_is_wrong_is_the_usual_one():
    logits = jnp.array([[0.0, 90.0, 1.0], [1e4, 0.0, -1e4]], jnp.float32)
    np.testing.assert_allclose(cross_entropy(logits, jnp.array([0, 2])), [90.0, 2e4], rtol=1e-6)
