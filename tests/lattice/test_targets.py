"""The maps of a face against loops over its cells."""

from typing import Any

import jax
import numpy as np
import pytest

from ternary_jax.lattice import targets

WIDTH, HEIGHT, SHIFT = 5, 3, 2
FACES = np.random.default_rng(1).normal(size=(4, HEIGHT, WIDTH)).astype(np.float32)


def made(name) -> Any:
    return targets.make(name, WIDTH, HEIGHT, SHIFT, 3)


def moved(where):
    """Faces whose value at (x, y) goes to where(x, y), or nowhere."""
    found = np.zeros_like(FACES)
    for y in range(HEIGHT):
        for x in range(WIDTH):
            if to := where(x, y):
                found[:, to[1], to[0]] = FACES[:, y, x]
    return found


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("identity", lambda x, y: (x, y)),
        ("shift", lambda x, y: (x + SHIFT, y) if x + SHIFT < WIDTH else None),
        ("shift_wrapped", lambda x, y: ((x + SHIFT) % WIDTH, y)),
        ("mirror", lambda x, y: (WIDTH - 1 - x, y)),
    ],
)
def test_a_map_that_moves_values(name, where):
    target = made(name)
    np.testing.assert_array_equal(target.apply(target.table[0], FACES)[:, 0], moved(where))
    for number, gone in enumerate(target.destinations[0]):
        to = where(number % WIDTH, number // WIDTH)
        assert gone == (-1 if to is None else to[1] * WIDTH + to[0])


def test_permutations_move_every_value_to_its_destination():
    target = made("permutation")
    assert len({tuple(row) for row in target.destinations}) == 3
    for row, gone in zip(target.table, target.destinations, strict=True):
        found = np.asarray(target.apply(row, FACES)).reshape(4, -1)
        np.testing.assert_array_equal(found[:, gone], FACES.reshape(4, -1))


def test_dense_matrices_are_orthogonal_and_differ():
    target = made("dense")
    for matrix in target.table:
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(15), atol=1e-6)
    assert abs(target.table[0] - target.table[1]).max() > 0.1
    expected = FACES.reshape(4, -1) @ target.table[1].T.astype(float)
    np.testing.assert_allclose(target.apply(target.table[1], FACES).reshape(4, -1), expected, atol=1e-6)


def test_blur_is_the_mean_of_nine_cells():
    target, expected = made("blur"), np.zeros_like(FACES)
    for y in range(HEIGHT):
        for x in range(WIDTH):
            expected[:, y, x] = FACES[:, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].sum((1, 2)) / 9
    np.testing.assert_allclose(target.apply(target.table[0], FACES)[:, 0], expected, atol=1e-6)


def test_route_parts_the_signs():
    target = made("route")
    near, far = np.moveaxis(np.asarray(target.apply(target.table[0], FACES)), 1, 0)
    np.testing.assert_array_equal(near + far, FACES)
    assert near.min() == 0 == far.max()
    assert target.planes == 2


def test_gate_and_parity_are_products_along_a_row():
    gate, parity = (np.asarray(made(name).apply(None, FACES))[:, 0] for name in targets.PRODUCTS)
    for y in range(HEIGHT):
        for x in range(WIDTH):
            np.testing.assert_allclose(gate[:, y, x], FACES[:, y, x] * FACES[:, y, (x + 1) % WIDTH], rtol=1e-6)
            np.testing.assert_array_equal(parity[:, y, x], (-1.0) ** (FACES[:, y, : x + 1] < 0).sum(1))
    assert [made(name).signs for name in targets.PRODUCTS] == [False, True]


def test_inputs_are_uniform():
    drawn = np.asarray(targets.inputs(jax.random.key(0), 4000, 2, 2, 0.8))
    assert -0.8 <= drawn.min() < -0.79
    assert 0.79 < drawn.max() <= 0.8
    np.testing.assert_allclose(np.cov(drawn.reshape(4000, 4).T), np.eye(4) * 0.64 / 3, atol=0.01)


def test_signs_are_the_two_ends_and_independent():
    for drawn in (
        np.asarray(targets.inputs(jax.random.key(0), 4000, 2, 2, 0.8, True)),
        targets.evaluated(4000, 2, 2, 0.8, True),
    ):
        np.testing.assert_allclose(np.abs(drawn), 0.8, rtol=1e-6)
        np.testing.assert_allclose(np.cov(drawn.reshape(4000, 4).T), np.eye(4) * 0.64, atol=0.04)


def test_the_longest_way_is_that_of_the_flow_that_moves_most():
    ways = {name: targets.longest_way(name, WIDTH, HEIGHT, SHIFT, 3) for name in targets.NAMES}
    assert ways | {"permutation": 0} == dict(
        identity=0, shift=2, shift_wrapped=3, mirror=4, permutation=0, blur=0, dense=0, route=0
    )
    assert ways["permutation"] == 4
