"""Running means: against a loop, and without the values that are not finite."""

import jax.numpy as jnp
import numpy as np
import pytest

from ternary_jax.control.running import mean_after

pytestmark = pytest.mark.usefixtures("strict_dtypes")


def test_it_is_the_weighted_mean_of_a_loop_and_what_is_not_finite_is_not_counted():
    values = np.array([np.inf, 1.0, 4.0, np.nan, -2.0, -np.inf], np.float32)
    mean, expected = jnp.float32(3.0), 3.0
    for x in values:
        mean = mean_after(mean, jnp.float32(x), 0.75)
        expected = 0.75 * expected + 0.25 * float(x) if np.isfinite(x) else expected
        np.testing.assert_allclose(mean, expected, rtol=1e-6)


def test_a_mask_selects_the_values_that_count():
    mean = mean_after(jnp.float32([1.0, 1.0]), jnp.float32([2.0, 2.0]), 0.5, jnp.array([True, False]))
    np.testing.assert_array_equal(mean, [1.5, 1.0])
