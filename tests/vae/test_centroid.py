"""The means of residue balls, and the loss of the distances to them, against the hyperboloid in float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from reference import losses as reference

from ternary_jax import poincare
from ternary_jax.vae.losses import centroid

pytestmark = pytest.mark.usefixtures("strict_dtypes")

N_BALLS, C = 9, 0.7


def batch(outer, dim=3, seed=0):
    """(z, rows) of 40 rows: some of the 9 balls of level 2 are crowded, one has one row, one has none."""
    rng = np.random.default_rng(seed)
    rows = np.r_[rng.choice([0, 1, 2, 3, 5, 8], 37), 4, 6, 6].astype(np.int32) + 9 * rng.integers(0, 9, 40).astype(
        "int32"
    )
    z = rng.normal(size=(40, dim))
    z *= rng.uniform(0.01, outer, (40, 1)) / np.linalg.norm(z, axis=1, keepdims=True) / np.sqrt(C)
    return z.astype(np.float32), rows


slopes = small.jit(jax.value_and_grad(lambda z, rows, c: centroid.mean_squared_distance(z, rows, 2, c), (0, 2)))
means = small.jit(lambda z, ball: centroid.means(z, ball, N_BALLS, C))
midpoints = small.jit(lambda z, ball: centroid.midpoints(z, ball, N_BALLS, C))
nearer = small.jit(lambda m, z, ball: centroid.step_to_means(m, z, ball, C))
exact = small.jit(lambda z, weights: poincare.frechet_mean(z, weights, C))
squared_dist = small.jit(lambda m, z: jax.vmap(poincare.squared_dist, (0, 0, None))(m, z, C))


@pytest.mark.slow
@pytest.mark.parametrize(("outer", "dim"), [(0.3, 3), (0.9, 3), (0.9, 16), (0.98, 16)])
def test_means_are_those_of_newtons_method_ball_by_ball(outer, dim):
    z, rows = batch(outer, dim)
    ball = rows % N_BALLS
    found = means(z, ball)
    for k in range(N_BALLS):
        inside = (ball == k).astype(np.float32)
        if not inside.any():
            assert not found[k].any()
            continue
        m = np.broadcast_to(exact(z, inside), z.shape)
        spread = np.sqrt(max(squared_dist(m, z)[ball == k]))
        assert np.sqrt(squared_dist(m, np.broadcast_to(found[k], z.shape))[0]) < 3e-3 * spread + 2e-6


@pytest.mark.parametrize("dim", [2, 16])
@pytest.mark.parametrize("outer", [0.5, 0.95, 0.999])
def test_no_step_raises_the_distances_and_they_end_at_the_mean(outer, dim):
    z, rows = batch(outer, dim, 1)
    ball = rows % N_BALLS
    m, costs = midpoints(z, ball), []
    for _ in range(60):
        costs.append(np.bincount(ball, np.asarray(squared_dist(m[ball], z), np.float64), N_BALLS))
        m = nearer(m, z, ball)
    for before, after in itertools.pairwise(costs):
        assert (after <= before * (1 + 1e-5) + 1e-9).all()
    wide = z.astype(np.float64)
    least = [np.square(reference.to_mean(wide[ball == k], C)).sum() if np.any(ball == k) else 0 for k in range(N_BALLS)]
    np.testing.assert_allclose(costs[-1], least, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize(("outer", "dim"), [(0.3, 3), (0.9, 3), (0.9, 16)])
def test_the_loss_and_its_slopes_are_those_of_exact_means_that_move_with_the_points(outer, dim):
    """Our gradient treats the means as constants; the finite differences of the reference move them too."""
    z, rows = batch(outer, dim, 2)
    value, (of_z, of_c) = slopes(z, rows, jnp.float32(C))
    wide = z.astype(np.float64)
    assert float(value) == pytest.approx(reference.centroid(wide, rows.tolist(), 2, C), rel=1e-5)
    for seed in range(2):
        step = 1e-5 * np.random.default_rng(seed).normal(size=z.shape)
        ends = [reference.centroid(wide + sign * step, rows.tolist(), 2, C) for sign in (1, -1)]
        assert np.vdot(of_z, step) == pytest.approx((ends[0] - ends[1]) / 2, rel=3e-3)
    ends = [reference.centroid(wide, rows.tolist(), 2, C + h) for h in (1e-5, -1e-5)]
    assert float(of_c) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=3e-3)


def test_balls_of_one_row_and_balls_that_are_points_cost_nothing():
    z, _ = batch(0.9)
    one, each = np.zeros(N_BALLS), np.arange(N_BALLS)
    for rows, points in ((each, z[:9]), (one, np.repeat(z[:1], 9, 0)), (one, np.zeros((9, 3)))):
        value, (slope, _) = slopes(points.astype("float32"), rows.astype("int32"), jnp.float32(C))
        assert float(value) == pytest.approx(0, abs=1e-10)
        np.testing.assert_allclose(slope, 0, atol=1e-5)


def test_a_ball_of_one_row_is_in_no_mean():
    z, rows = batch(0.9)
    kept = rows % N_BALLS != 4
    without = reference.centroid(z[kept].astype(np.float64), rows[kept].tolist(), 2, C)
    assert float(slopes(z, rows, jnp.float32(C))[0]) == pytest.approx(without, rel=1e-4)
