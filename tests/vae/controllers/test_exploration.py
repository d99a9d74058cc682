"""The schedules of exploration: against loops over steps, at the epochs of the originals, and without jumps."""

import math

import numpy as np
import pytest

from ternary_jax.vae.controllers import exploration

STEPS, EPOCHS = 1200, 300
T = exploration.done(STEPS)


def at(row, epoch):
    """The value at the beginning of an epoch of the originals' run."""
    return float(row[epoch * STEPS // EPOCHS])


def looped(value):
    """The reference: a row by a loop over the steps, as a function of the share of the run."""
    return np.array([value(n / STEPS) for n in range(STEPS)])


def permeability(t, boundaries, levels):
    if t < boundaries[0]:
        return levels[0]
    for k in range(len(boundaries) - 1):
        if t < boundaries[k + 1]:
            way = (t - boundaries[k]) / (boundaries[k + 1] - boundaries[k])
            return levels[k] * (1 - way) + levels[k + 1] * way
    return levels[-1]


def temperature(t, first, last, lag, period, amplitude):
    if t < lag:
        return first * (1 + amplitude)
    return (first * (1 - t + lag) + last * (t - lag)) * (1 + amplitude * math.cos(math.tau * (t - lag) / period))


def kl_weight(t, warmup, level, final):
    if t < warmup:
        return level * t / warmup
    return (level * (1 - t) + final * (t - warmup)) / (1 - warmup)


def kl_weight_behind(t, warmup, level, final, lag, ramp, share):
    if t < lag:
        return 0.0
    return kl_weight(t, warmup, level, final) * (share * (t - lag) / ramp if t < lag + ramp else share)


BETA = (50 / 300, 0.3, 0.8)
CASES = {
    "permeability of the originals": (permeability, ((40 / 300, 120 / 300, 250 / 300), (0.1, 0.3, 0.7))),
    "permeability that begins at once and falls": (permeability, ((0.0, 0.1, 1.0), (0.6, 0.2, 0.3))),
    "permeability in two levels": (permeability, ((0.25, 0.5), (0.0, 1.0))),
    "temperature of A": (temperature, (1.0, 0.3, 0.0, 0.1, 0.1)),
    "temperature of B": (temperature, (0.9, 0.2, 0.1, 0.1, 0.0)),
    "temperature that lags and swings": (temperature, (1.0, 0.3, 0.17, 0.23, 0.5)),
    "weight of A": (kl_weight, BETA),
    "weight that falls after its warm-up": (kl_weight, (0.9, 1.0, 0.2)),
    "entropy alignment": (lambda t, m, a, p: m - a * math.sin(math.tau * t / p), (0.3, 0.15, 0.1)),
}
FOUND = {
    permeability: exploration.permeability,
    temperature: exploration.temperature,
    kl_weight: exploration.kl_weight,
    CASES["entropy alignment"][0]: exploration.entropy_alignment,
}


@pytest.mark.parametrize("case", CASES)
def test_a_schedule_is_that_of_a_loop_over_the_steps(case):
    expected, arguments = CASES[case]
    found = FOUND[expected](T, *arguments)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, looped(lambda t: expected(t, *arguments)), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("behind", [(0.2, 0.1, 0.7068), (0.0, 0.5, 1.0), (0.6, 0.8, 2.0)])
def test_the_weight_of_the_branch_behind_is_that_of_a_loop(behind):
    found = exploration.kl_weight_behind(T, exploration.kl_weight(T, *BETA), *behind)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, looped(lambda t: kl_weight_behind(t, *BETA, *behind)), rtol=1e-6, atol=1e-7)


def test_they_have_the_values_of_the_originals_at_their_epochs():
    rho = exploration.permeability(T, (40 / 300, 120 / 300, 250 / 300), (0.1, 0.3, 0.7))
    assert [at(rho, e) for e in (0, 39, 40, 80, 120, 185, 250, 299)] == pytest.approx(
        [0.1, 0.1, 0.1, 0.2, 0.3, 0.5, 0.7, 0.7]
    )
    hot = exploration.temperature(T, 1.0, 0.3, 0.0, 30 / 300, 0.1)
    assert [at(hot, e) for e in (0, 15, 30, 150)] == pytest.approx([1.1, 0.965 * 0.9, 0.93 * 1.1, 0.65 * 1.1])
    warm = exploration.temperature(T, 0.9, 0.2, 30 / 300, 1.0, 0.0)
    assert [at(warm, e) for e in (0, 30, 180)] == pytest.approx([0.9, 0.9, 0.55])
    beta = exploration.kl_weight(T, 50 / 300, 0.3, 0.8)
    assert [at(beta, e) for e in (0, 25, 50, 175)] == pytest.approx([0, 0.15, 0.3, 0.55])
    behind = exploration.kl_weight_behind(T, beta, 50 / 300, 25 / 300, math.sin(math.pi / 4))
    assert [at(behind, e) / at(beta, e) for e in (50, 75, 200)] == pytest.approx([0, math.sqrt(0.5), math.sqrt(0.5)])
    lambda_3 = exploration.entropy_alignment(T, 0.3, 0.15, 30 / 300)
    cosine = [0.3 + 0.15 * math.cos(math.tau * (e % 30) / 30 + math.pi / 2) for e in range(300)]
    assert [at(lambda_3, e) for e in range(300)] == pytest.approx(cosine)


def test_schedules_do_not_jump_and_depend_on_the_share_of_the_run_alone():
    """With a hundred times the steps, each schedule changes a hundredth as much from step to step."""
    fine = exploration.done(100 * STEPS)

    def rows(t):
        beta = exploration.kl_weight(t, *BETA)
        return [FOUND[expected](t, *arguments) for expected, arguments in CASES.values()] + [
            exploration.kl_weight_behind(t, beta, 50 / 300, 25 / 300, 0.7)
        ]

    for coarse, row in zip(rows(T), rows(fine), strict=True):
        np.testing.assert_array_equal(row[::100], coarse)
        assert np.abs(np.diff(row)).max() <= np.abs(np.diff(coarse)).max() / 50


@pytest.mark.parametrize("boundaries", [(0.4, 0.2, 0.8), (0.2, 0.2, 0.8), (0.2, 0.8), (0.2, math.nan, 0.8)])
def test_times_that_are_out_of_order_are_refused(boundaries):
    with pytest.raises(ValueError, match="in rising order"):
        exploration.permeability(T, boundaries, (0.1, 0.3, 0.7))


def test_a_warmup_of_no_length_or_of_the_whole_run_is_refused():
    for warmup in (0.0, 1.0):
        with pytest.raises(ValueError, match="in rising order"):
            exploration.kl_weight(T, warmup, 0.3, 0.8)
    with pytest.raises(ValueError, match="in rising order"):
        exploration.kl_weight_behind(T, T, 0.2, 0.0, 0.7)
