"""Faces: spreading, reading and blurring against loops over cells."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ternary_jax.lattice import faces, metrics

pytestmark = pytest.mark.usefixtures("strict_dtypes")

RNG = np.random.default_rng(0)
WIDTH, HEIGHT = 5, 4


def drawn(b, n, c) -> Any:
    points = RNG.uniform(0, (WIDTH - 1, HEIGHT - 1), (b, n, 2)).astype(np.float32)
    points[0, 0] = (2, 3)  # exactly on a cell
    return points, RNG.normal(size=(b, n, c)).astype(np.float32)


def weights(points, radius):
    """(b, n, height, width) by a loop over the cells."""
    found = np.zeros((*points.shape[:2], HEIGHT, WIDTH))
    for y in range(HEIGHT):
        for x in range(WIDTH):
            across = np.maximum(0, 1 - abs(points[..., 0].astype(float) - x) / radius) / radius
            found[..., y, x] = across * np.maximum(0, 1 - abs(points[..., 1].astype(float) - y) / radius) / radius
    return found


@pytest.mark.parametrize("radius", [1.0, 2.0])
@pytest.mark.parametrize("batches", [(3, 3), (1, 3)])
def test_values_are_spread_over_cells_and_read_back(batches, radius):
    points, values = drawn(batches[0], 6, 2)[0], drawn(batches[1], 6, 2)[1]
    spread = faces.spread(points, values, WIDTH, HEIGHT, radius)
    of = np.broadcast_to(weights(points, radius), (batches[1], 6, HEIGHT, WIDTH))
    np.testing.assert_allclose(spread, np.einsum("bnyx,bnc->byxc", of, values), atol=1e-6)
    np.testing.assert_allclose(
        faces.read(points, spread, radius), np.einsum("bnyx,byxc->bnc", of, np.asarray(spread, float)), atol=1e-5
    )


def test_a_flow_keeps_its_value_wherever_it_lies():
    points, values = drawn(2, 6, 3)
    np.testing.assert_allclose(
        jnp.sum(faces.spread(points, values, WIDTH, HEIGHT), (1, 2)), values.sum(1), rtol=1e-5, atol=1e-6
    )


def test_the_gradient_pulls_a_flow_towards_the_cell_that_wants_it():
    def loss(x):
        return jnp.sum(jnp.square(faces.spread(x, jnp.ones((1, 1)), WIDTH, HEIGHT)[..., 0] - wanted))

    wanted = jnp.zeros((HEIGHT, WIDTH)).at[1, 3].set(1)
    slope = jax.grad(loss)(jnp.asarray([[2.6, 1.2]]))[0]
    assert slope[0] < 0 < slope[1]


@pytest.mark.parametrize("radius", [1, 2])
def test_on_a_cell_the_slope_is_that_of_an_interval_of_the_face(radius):
    """Also at both ends, where flows at a wall lie: there a slope of the outside would lead out of the face."""
    points: Any = np.arange(6.0)
    slopes = jax.jacobian(lambda x: faces.hat(x, 6, radius))(jnp.float32(points))
    inside = np.where(points == 5, -1e-3, 1e-3)
    weights = [np.maximum(0, 1 - np.abs((points + d)[:, None] - np.arange(6)) / radius) / radius for d in (0, inside)]
    expected = (weights[1] - weights[0]) / inside[:, None]
    np.testing.assert_allclose(np.einsum("icj,ij->ic", slopes, np.eye(6)), expected, atol=1e-6)


def blurred_cell_by_cell(residual, sigma, padding):
    filtered = np.zeros((residual.shape[0] + 2 * padding, residual.shape[1] + 2 * padding))
    reach = range(-40, 41)
    scale = sum(np.exp(-((d / sigma) ** 2)) for d in reach)  # the sum of squares along one axis
    for a in range(filtered.shape[0]):
        for b in range(filtered.shape[1]):
            for y in range(residual.shape[0]):
                for x in range(residual.shape[1]):
                    square = (a - padding - y) ** 2 + (b - padding - x) ** 2
                    filtered[a, b] += residual[y, x] * np.exp(-square / (2 * sigma**2)) / scale
    return filtered


def test_a_residual_is_blurred_by_a_gaussian_of_unit_square_sum():
    residual: Any = RNG.normal(size=(HEIGHT, WIDTH)).astype(np.float32)
    found = faces.blurred(residual, 1.3, 6)
    np.testing.assert_allclose(found, blurred_cell_by_cell(residual, 1.3, 6), atol=1e-5)
    alone = jnp.zeros((HEIGHT, WIDTH)).at[0, 4].set(2.0)  # in a corner, where a frame is needed
    assert np.isclose(jnp.sum(jnp.square(faces.blurred(alone, 1.3, 6))), 4, rtol=1e-4)


def test_without_a_width_a_residual_is_itself_in_its_frame():
    residual: Any = RNG.normal(size=(2, HEIGHT, WIDTH)).astype(np.float32)
    np.testing.assert_array_equal(faces.blurred(residual, 0.0, 1), np.pad(residual, ((0, 0), (1, 1), (1, 1))))


def test_r2_is_one_minus_the_share_of_the_variance():
    wanted: Any
    found: Any
    wanted, found = RNG.normal(size=(2, 50, 3)).astype(np.float32)
    wanted += np.array([5, 0, -5], np.float32)  # each output has a mean of its own
    expected = 1 - ((found - wanted) ** 2).sum() / (50 * wanted.var(0).sum())
    np.testing.assert_allclose(metrics.r2(found, wanted), expected, rtol=1e-5)
    mean: Any = np.broadcast_to(wanted.mean(0), wanted.shape)
    assert abs(metrics.r2(mean, wanted)) < 1e-6


def test_landing_and_coverage_are_counted_on_the_nearest_cells():
    points = jnp.asarray([[[0.4, 0.0], [1.6, 0.4], [1.4, 1.0]], [[0.0, 0.0], [2.0, 0.0], [0.6, 1.0]]])
    destinations = jnp.asarray([0, 2, -1])
    assert metrics.landed(points, destinations, 3) == 1
    assert metrics.landed(points, jnp.asarray([0, 2, 4]), 3) == 1
    assert np.isclose(metrics.landed(points, jnp.asarray([0, 1, 3]), 3), 2 / 6)
    assert np.isclose(metrics.covered(points, 3, 2), 3 / 6)
