"""Pairs with a known ceiling: their closed form, and what least squares find of them."""

import functools

import numpy as np
import pytest
from reference import retrieval as reference

from ternary_jax.lattice.text import baselines, synthetic

FACE = (8, 8)
CEILING = 1 / np.sqrt(1.25)  # of noise of the deviation 1/2


@functools.cache
def of(name) -> baselines.Judge:
    return baselines.judge(synthetic.corpus(name, FACE))


@functools.cache
def cosines(name) -> dict[str, float]:
    """Of each closed form, by loops in float64."""
    wanted = of(name).vectors[of(name).test.truth].astype(float)
    forms = baselines.closed_forms(of(name))
    return {form: float(reference.mean_cosine(np.asarray(x, float), wanted)) for form, x in forms.items()}


@pytest.mark.parametrize("name", synthetic.NAMES)
def test_a_right_side_is_the_map_of_its_left_side_with_noise_of_the_same_size(name):
    made = synthetic.corpus(name, FACE)
    for part, number in (("train", 32_768), ("validation", 512), ("test", 2048)):
        assert len(getattr(of(name), part).x) == number
    np.testing.assert_allclose(np.linalg.norm(made.left, axis=1), 8, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(made.right, axis=1), 1, rtol=1e-5)
    matrix, wrong, *_ = np.linalg.lstsq(made.left.astype(float), made.meaning.astype(float))
    if name == "synthetic_linear":
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(64), atol=1e-5)
        assert wrong.max() < 1e-6
    else:
        assert wrong.sum() > 0.3 * np.sum(made.meaning.astype(float) ** 2)
    own, clean = made.right[made.right_of].astype(float), made.meaning[made.left_of].astype(float)
    along = np.sum(own * clean, 1, keepdims=True) / 64
    noise = (own - along * clean) / along  # without its part along the map, one number of 64
    np.testing.assert_allclose(np.sum(noise**2, 1).mean(), 63 * 0.25, rtol=0.05)
    other = synthetic.corpus(name, FACE)
    assert all(np.array_equal(getattr(made, side), getattr(other, side)) for side in ("left", "right", "meaning"))


def test_least_squares_reach_the_ceiling_of_a_linear_map():
    found = cosines("synthetic_linear")
    assert synthetic.ceiling() == pytest.approx(CEILING)
    assert found["ridge"] == pytest.approx(CEILING, abs=0.01)
    assert found["ceiling: the teacher's left side"] == pytest.approx(CEILING, abs=0.01)
    assert abs(found["copy"]) < 0.05
    assert abs(found["shuffled pairs, ridge"]) < 0.05


def test_least_squares_do_not_reach_that_of_two_layers():
    found = cosines("synthetic_nonlinear")
    assert found["ceiling: the teacher's left side"] == pytest.approx(CEILING, abs=0.01)
    assert 0.5 < found["ridge"] < CEILING - 0.2
