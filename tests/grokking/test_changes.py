"""Change points: PELT against brute force and ruptures; transitions and regimes at known places."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ternary_jax.grokking import changes


def pieces(seed, n=60, noise=0.1):
    rng = np.random.default_rng(seed)
    at = np.sort(rng.choice(np.arange(3, n - 3), rng.integers(0, 4), replace=False))
    levels = rng.normal(size=len(at) + 1)
    return levels[np.searchsorted(at, np.arange(n), side="right")] + noise * rng.normal(size=n)


def cost_of(x, points, cost):
    """Squared error of the piecewise mean, and `cost` for each change."""
    parts = np.split(x, points)
    return sum(np.sum((part - part.mean()) ** 2) for part in parts) + cost * len(points)


def brute_force(x, cost, least=2):
    """The least cost, by dynamic programming over all begins of the last piece."""
    n = len(x)
    best = [0.0] + [np.inf] * n
    for end in range(1, n + 1):
        for begin in range(end - least + 1):
            part = x[begin:end]
            error = np.sum((part - part.mean()) ** 2) + (cost if begin else 0)
            best[end] = min(best[end], best[begin] + error)
    return best[n]


@given(seed=st.integers(0, 10**6), cost=st.sampled_from([0.01, 0.1, 0.5, 2.0]), least=st.sampled_from([1, 2, 4]))
def test_change_points_cost_the_least_possible(seed, cost, least):
    x = pieces(seed, 40)
    found = changes.change_points(x, cost, least)
    assert all(np.diff([0, *found, len(x)]) >= least)
    assert cost_of(x, found, cost) == pytest.approx(brute_force(x, cost, least), abs=1e-9)


def test_change_points_are_those_of_ruptures():
    ruptures = pytest.importorskip("ruptures")
    for seed in range(20):
        x = pieces(seed)
        cost = changes.penalty(x)
        oracle = ruptures.Pelt("l2", min_size=2, jump=1).fit(x[:, None]).predict(pen=cost)[:-1]
        found = changes.change_points(x, cost)
        assert cost_of(x, found, cost) <= cost_of(x, oracle, cost) + 1e-9
        assert len(set(found) ^ set(oracle)) <= 1  # ruptures may prune a begin that is optimal later, as `least` is 2


def test_steps_are_found_and_noise_is_none():
    for seed in range(20):
        noise = 0.1 * np.random.default_rng(seed).normal(size=200)
        assert len(changes.change_points(noise, changes.penalty(noise))) <= 1
        x = noise + (np.arange(200) >= 120)
        found = changes.change_points(x, changes.penalty(x))
        assert 120 in found
        assert len(found) <= 2


@pytest.mark.parametrize("x", [np.zeros(30), np.full(2, 3.0), np.arange(3.0)])
def test_a_short_or_constant_series_has_no_changes(x):
    assert changes.change_points(x, changes.penalty(x)) == []
    assert changes.transitions(x) == changes.regimes(x) == []


def test_a_bend_is_a_transition_and_noise_has_hardly_any():
    e = np.arange(200)
    bent = np.where(e < 100, 0.0, 0.02 * (e - 100.0))
    for seed in range(10):
        noise = np.random.default_rng(seed).normal(size=200)
        assert len(changes.transitions(noise)) <= 3
        assert changes.transitions(1000 + 1e-7 * noise) == []
    found = changes.transitions(bent)
    assert len(found) == 1
    assert 100 <= found[0] <= 111
    jump = np.where(e < 100, 0.0, 1.0) + 0.01 * np.random.default_rng(0).normal(size=200)
    assert any(98 <= k <= 112 for k in changes.transitions(jump))


def test_a_regime_of_gradients_changes_where_their_norm_does():
    rng = np.random.default_rng(0)
    norms = np.where(np.arange(200) < 80, 1.0, 3.0) * (1 + 0.1 * rng.normal(size=200))
    assert changes.regimes(norms) == [pytest.approx(80, abs=3)]
    assert changes.regimes(1 + 0.1 * rng.normal(size=200)) == []
    assert changes.regimes(1 + 3 * rng.normal(size=400)) == []  # half of a mean near 0 is no threshold


def test_noise_is_that_of_the_definition():
    x = 0.3 * np.random.default_rng(0).normal(size=4000) + np.linspace(0, 100, 4000)
    assert changes.noise(x) == pytest.approx(0.3, rel=0.05)
    assert changes.noise(np.arange(4.0)) == 0
