"""Metrics and losses of text against plain loops, with ties and with rows of zeros."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import retrieval as reference

from ternary_jax.lattice.text import losses, metrics

pytestmark = pytest.mark.usefixtures("strict_dtypes")

RNG = np.random.default_rng(0)
OUTPUTS: Any
TARGETS: Any
OUTPUTS, TARGETS = RNG.normal(size=(2, 9, 5)).astype(np.float32)
OUTPUTS[4] = 0
TRUTH = np.array([0, 1, 2, 1, 4, 5, 5, 5, 8])  # of targets that occur several times
TARGETS = TARGETS[TRUTH]


def test_a_unit_row_has_the_length_one_and_a_row_of_zeros_stays():
    found = jax.jit(metrics.unit)(OUTPUTS)
    expected = np.array([row / max(np.sqrt(row @ row), 1e-30) for row in OUTPUTS.astype(float)])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert not np.any(found[4])


def test_the_cosine_is_the_mean_of_a_loop():
    np.testing.assert_allclose(
        jax.jit(metrics.cosine)(OUTPUTS, TARGETS), reference.mean_cosine(OUTPUTS, TARGETS), atol=1e-6
    )


@pytest.mark.parametrize("rows", [OUTPUTS, OUTPUTS[:4], 0 * OUTPUTS, np.tile(OUTPUTS[:1], (3, 1))])
def test_the_cosine_of_two_different_rows_is_that_of_a_double_loop(rows):
    np.testing.assert_allclose(jax.jit(metrics.pair_cosine)(rows), reference.pair_cosine(rows), atol=1e-6)


@pytest.mark.parametrize("rows", [OUTPUTS, OUTPUTS[:4], 0 * OUTPUTS, np.outer([1.0, -2, 3, -4], OUTPUTS[0])])
def test_the_dimensions_are_those_of_a_double_loop(rows):
    np.testing.assert_allclose(jax.jit(metrics.dimensions)(rows), reference.dimensions(rows), rtol=1e-5)


@pytest.mark.parametrize(
    ("rows", "collapsed"),
    [
        (np.tile(OUTPUTS[:1], (9, 1)), 1),
        (np.outer(RNG.normal(size=9), OUTPUTS[0]), 1),  # a line: the mean cosine of a pair is near 0
        (0 * OUTPUTS, 1),
        (TARGETS, 0),
    ],
)
def test_outputs_that_are_alike_up_to_their_length_and_sign_are_a_collapse(rows, collapsed):
    rows = np.asarray(rows, np.float32)
    truth: Any = np.arange(len(rows))
    assert metrics.judged(jnp.asarray(rows), jnp.asarray(rows), truth)["collapsed"] == collapsed


def test_ranks_with_ties_are_those_of_a_loop():
    """Rows of four signs have cosines that are multiples of 1/2 without an error of rounding."""
    signs: Any
    signs = RNG.choice([-1.0, 1.0], (30, 4)).astype(np.float32)
    truth = RNG.integers(0, 30, 12)
    outputs = signs[truth] * RNG.choice([-1.0, 1.0], (12, 4), p=[0.3, 0.7]).astype(np.float32)
    outputs[3] = 0
    numbers = np.arange(30)
    numbers[RNG.integers(0, 30, 5)] = numbers[truth[:5]]  # other candidates that are the same text as a true one
    expected = reference.ranks(outputs, signs, truth, numbers)
    ranks, found = jax.jit(lambda *x: (metrics.ranks(*x), metrics.retrieval(*x)))(outputs, signs, truth, numbers)
    np.testing.assert_array_equal(ranks, expected)
    assert len(set(expected)) > 3
    assert expected[3] > 14  # zeros find nothing
    assert np.isclose(found["recall_1"], np.mean(expected <= 1))
    assert np.isclose(found["recall_10"], np.mean(expected <= 10))
    assert found["median_rank"] == np.median(expected)
    assert np.isclose(found["reciprocal_rank"], np.mean(1 / expected))


def test_an_output_that_is_not_a_number_finds_nothing():
    candidates: Any = RNG.normal(size=(20, 6)).astype(np.float32)
    outputs: Any = candidates.copy()
    outputs[4, 2] = np.nan
    with jax.debug_nans(False):
        ranks = jax.jit(metrics.ranks)(outputs, candidates, np.arange(20), np.arange(20))
    np.testing.assert_array_equal(ranks, np.where(np.arange(20) == 4, 20, 1))


def test_a_perfect_output_has_the_first_rank():
    candidates: Any = RNG.normal(size=(20, 6)).astype(np.float32)
    found = jax.jit(metrics.retrieval)(3 * candidates, candidates, np.arange(20), np.arange(20))
    perfect = dict(recall_1=1, recall_10=1, median_rank=1, reciprocal_rank=1)
    assert {name: float(value) for name, value in found.items()} == perfect


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_infonce_is_that_of_a_loop_with_targets_that_repeat(temperature):
    expected = reference.infonce(OUTPUTS.astype(float), TARGETS.astype(float), TRUTH, temperature)
    found = jax.jit(losses.of, static_argnums=0)("infonce", OUTPUTS, TARGETS, TRUTH, temperature)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_cosine_loss_is_one_minus_the_cosine():
    found = jax.jit(losses.of, static_argnums=0)("cosine", OUTPUTS, TARGETS, TRUTH, 0.1)
    np.testing.assert_allclose(found, 1 - reference.mean_cosine(OUTPUTS, TARGETS), atol=1e-6)


def loop(kind, outputs):
    if kind == "cosine":
        return 1 - reference.mean_cosine(outputs, TARGETS)
    return reference.infonce(outputs, TARGETS.astype(float), TRUTH, 0.5)


@pytest.mark.parametrize("kind", losses.KINDS)
def test_gradients_are_those_of_a_loop_and_rows_of_zeros_have_finite_ones(kind):
    slopes = jax.jit(jax.grad(lambda x: losses.of(kind, x, jnp.asarray(TARGETS), jnp.asarray(TRUTH), 0.5)))
    found = np.asarray(slopes(OUTPUTS))
    assert np.all(np.isfinite(found))
    for row, column in ((0, 0), (5, 2), (8, 4)):
        moved = np.zeros(OUTPUTS.shape)
        moved[row, column] = 1e-4
        expected = (loop(kind, OUTPUTS + moved) - loop(kind, OUTPUTS - moved)) / 2e-4
        np.testing.assert_allclose(found[row, column], expected, atol=1e-5)
    assert np.all(np.isfinite(slopes(np.zeros_like(OUTPUTS))))
