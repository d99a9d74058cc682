"""The free embedding table: its pairs, its loss against numpy, and that a fit finds the tree."""

from typing import Any

import jax
import jax.numpy as jnp
import lab_table
import numpy as np
import optax
import pytest

from ternary_jax import poincare, ternary
from ternary_jax.riemannian import riemannian_adam


@pytest.mark.parametrize(("n_digits", "p"), [(5, 3), (9, 3), (2, 5), (1, 3)])
def test_pairs_have_every_valuation_equally_often_and_every_partner(n_digits, p):
    n = 20_000
    i, j = (np.asarray(a) for a in lab_table.draw_pairs(jax.random.key(1), n, n_digits, p))
    assert (i != j).all()
    v = ternary.pair_valuation(i, j, n_digits, p)  # raises outside the range
    count = np.bincount(v, minlength=n_digits + 1)
    assert count[n_digits] == 0
    np.testing.assert_allclose(count[:n_digits], n / n_digits, rtol=0.1)
    for index in (i, j):
        np.testing.assert_allclose(np.bincount(index % p, minlength=p), n / p, rtol=0.1)
    if n_digits <= 2:  # all pairs occur
        assert len(set(zip(i.tolist(), j.tolist(), strict=True))) == p**n_digits * (p**n_digits - 1)


def stress(z, targets, c, n_digits):
    """The same expectation, in numpy float64, by valuation."""
    z, n = np.asarray(z, np.float64), 3**n_digits
    i, j = np.nonzero(~np.eye(n, dtype=bool))
    gap = 1 - c * (z**2).sum(-1)
    d = 2 / np.sqrt(c) * np.arcsinh(np.sqrt(c * ((z[i] - z[j]) ** 2).sum(-1) / (gap[i] * gap[j])))
    v = ternary.pair_valuation(i, j, n_digits)
    return np.mean([np.mean((d[v == k] / targets[k] - 1) ** 2) for k in range(n_digits)])


def test_stress_is_its_definition_and_the_mean_of_the_loss():
    c, n_digits = 0.7, 4
    z = lab_table.init(jax.random.key(0), 3, c, n_digits, scale=1.5)
    targets = lab_table.targets_of_tree(0.4, n_digits)
    np.testing.assert_allclose(targets, [3.2, 2.4, 1.6, 0.8, 0], rtol=1e-6)
    expected = stress(z, np.asarray(targets), c, n_digits)
    assert lab_table.stress(z, targets, c, n_digits) == pytest.approx(expected, rel=1e-5)
    i, j = lab_table.draw_pairs(jax.random.key(2), 100_000, n_digits)
    assert lab_table.sampled_stress(z, i, j, targets, c, n_digits) == pytest.approx(expected, rel=0.02)


def test_points_begin_at_the_given_distance_from_the_origin():
    for c in (0.3, 2.0):
        z = lab_table.init(jax.random.key(0), 64, c, 5, scale=0.1)
        assert z.shape == (243, 64)
        np.testing.assert_allclose(jax.vmap(poincare.dist0, (0, None))(z, c).mean(), 0.1 * 8, rtol=0.02)


@pytest.mark.slow
def test_a_fit_finds_the_tree_and_chunks_are_the_whole():
    """Two levels of the tree fit nearly exactly in dimension 6; a fit in two chunks is bit-identical to one fit."""
    n_digits, key = 2, jax.random.key(3)
    targets, tx = (
        lab_table.targets_of_tree(0.5, n_digits),
        riemannian_adam(optax.cosine_decay_schedule(0.1, 400), 1.0, True),
    )

    @jax.jit
    def fit(state, steps):
        return lab_table.fit(state, steps, key, tx, targets, 1.0, 64, n_digits)

    points = lab_table.init(jax.random.key(0), 6, 1.0, n_digits)
    start = lab_table.State(points, tx.init(points))
    whole: Any
    whole, losses = fit(start, jnp.arange(400))
    half, first = fit(start, jnp.arange(200))
    chunked, second = fit(half, jnp.arange(200, 400))
    np.testing.assert_array_equal(whole.points, chunked.points)
    np.testing.assert_array_equal(losses, jnp.concatenate([first, second]))
    assert whole.opt_state.inner_states["ball"].inner_state.updates_made == 400
    assert lab_table.stress(points, targets, 1.0, n_digits) > 0.9
    assert lab_table.stress(whole.points, targets, 1.0, n_digits) < 0.01
    z, every_pair = whole.points, jax.vmap(jax.vmap(poincare.dist, (None, 0, None)), (0, None, None))
    tree = np.asarray(every_pair(z, z, 1.0))
    v = ternary.pair_valuation(np.arange(9)[:, None], np.arange(9)[None], n_digits)
    assert tree[v == 1].max() < tree[v == 0].min()
