"""What other models make of a target, beside closed forms and numpy's own least squares."""

import numpy as np
import pytest

from ternary_jax.lattice import baselines, targets

RNG, SIDE = np.random.default_rng(2), 4
CELLS = SIDE * SIDE


def test_ridge_is_least_squares_with_rows_of_the_penalty():
    x, y, penalty = RNG.normal(size=(50, 4)) + 1, RNG.normal(size=(50, 3)), 0.2
    matrix, offset = baselines.ridge(x, y, penalty)
    rows = np.concatenate([x - x.mean(0), np.sqrt(penalty * 50) * np.eye(4)])
    expected = np.linalg.lstsq(rows, np.concatenate([y - y.mean(0), np.zeros((4, 3))]), rcond=None)[0]
    np.testing.assert_allclose(matrix, expected, rtol=1e-9)
    np.testing.assert_allclose((x @ matrix + offset).mean(0), y.mean(0), rtol=1e-9)


def test_a_map_of_near_inputs_has_the_r2_of_its_cone():
    dense = targets.orthogonal(3, CELLS).astype(float)
    x, fresh = RNG.normal(size=(2, 4000, CELLS))
    for reach in (0, 1, 3):
        matrix, offset = baselines.near(x, x @ dense.T, SIDE, reach)
        found, wanted = fresh @ matrix + offset, fresh @ dense.T
        assert 1 - np.mean((found - wanted) ** 2) == pytest.approx(baselines.cone(dense, SIDE, reach), abs=0.02)
        for i in range(CELLS):
            for o in range(CELLS):
                apart = abs(i % SIDE - o % SIDE) + abs(i // SIDE - o // SIDE)
                assert (matrix[i, o] == 0) == (apart > reach)


def test_the_cone_of_a_map_that_moves_values_is_the_share_of_ways_that_are_short_enough():
    moved = np.zeros((CELLS, CELLS))
    for x in range(SIDE):
        for y in range(SIDE):
            moved[y * SIDE + (x + 1) % SIDE, y * SIDE + x] = 1  # by one to the right, the last column to the first
    assert [baselines.cone(moved, SIDE, reach) for reach in range(4)] == [0, 0.75, 0.75, 1]
