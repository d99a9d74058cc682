"""Verdicts on generalisation, on curves whose answer is known, and the interval over seeds against scipy."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from ternary_jax.grokking import generalisation as g
from ternary_jax.metric import Metric

STEPS = np.arange(1, 201) * 10.0


def rise(at, width=2.0, height=1.0):
    return height / (1 + np.exp(-(STEPS / 10 - at) / width))


@pytest.mark.parametrize(
    ("fit", "held_out", "verdict"),
    [
        (rise(10), None, g.NOT_ASSESSABLE),
        (rise(10), np.full(200, np.nan), g.NOT_ASSESSABLE),
        (rise(10, height=0.9), rise(20, height=0.9), g.NEVER_FIT),
        (rise(10), rise(12), g.WITH_THE_FIT),
        (rise(2, 0.2), rise(4, 0.2), g.WITH_THE_FIT),  # twice as many steps, but only two evaluations later
        (rise(10), rise(100), g.DELAYED),
        (rise(10), rise(100, height=0.2), g.MEMORISED),
        (rise(10), rise(100) - rise(150, height=0.5), g.FORGETTING),
        (rise(10), rise(20, height=0.5) - rise(150, height=0.3), g.FORGETTING),
    ],
)
def test_the_verdict_is_that_of_the_curves(fit, held_out, verdict):
    assert g.assess(STEPS, fit, held_out).verdict == verdict


def test_times_gap_and_area_are_those_of_the_curves():
    found = g.assess(STEPS, rise(10), rise(100))
    late = 2 * math.log(0.95 / 0.05)
    assert found.t_fit == 10 * math.ceil(10 + late)
    assert found.t_gen == 10 * math.ceil(100 + late)
    assert found.ratio == found.t_gen / found.t_fit
    assert found.area == pytest.approx(90 / 199, abs=0.01)  # the curves are 90 of 199 evaluations apart
    np.testing.assert_array_equal(found.gap, rise(10) - rise(100))
    assert found.final == pytest.approx(1)


def test_a_single_spike_is_no_time_and_no_forgetting():
    fit, held_out = rise(10), rise(100)
    held_out[40] = 1.0
    found = g.assess(STEPS, fit, held_out)
    assert found == g.assess(STEPS, fit, rise(100))._replace(gap=found.gap, area=found.area, sharpness=found.sharpness)
    assert found.verdict == g.DELAYED


def test_sharpness_is_1_for_a_line_and_what_one_evaluation_shows_for_a_jump():
    assert g.sharpness(STEPS, np.linspace(0.1, 0.9, 200)) == pytest.approx(1)
    assert g.sharpness(STEPS, np.where(STEPS < 1000, 0.0, 1.0)) == pytest.approx(199)
    slow, fast = (g.sharpness(STEPS, rise(100, width)) for width in (10, 2))
    assert fast == pytest.approx(5 * slow, rel=0.05)
    assert fast == pytest.approx(0.8 * 199 / (2 * 2 * math.log(9)), rel=0.05)
    assert math.isnan(g.sharpness(STEPS, np.zeros(200)))


@pytest.mark.parametrize(
    "changes", [{"reached": 0.999}, {"delay": 20.0}, {"apart": 150}, {"lost": 0.6}], ids=lambda one: next(iter(one))
)
def test_each_level_changes_a_verdict_or_a_time(changes):
    curves = [(rise(10), rise(100)), (rise(10), rise(100) - rise(150, height=0.5))]
    usual, other = ([g.assess(STEPS, *one, levels)[:4] for one in curves] for levels in (g.STANDARD, _with(changes)))
    assert usual != other


def _with(changes):
    return g.STANDARD._replace(**changes)


@pytest.mark.parametrize("n", [1, 2, 5, 6, 8, 16, 31])
def test_the_interval_of_the_median_is_that_of_the_binomial(n):
    x = np.random.default_rng(n).permutation(np.arange(n) * 1.0)
    middle, low, high = g.median_interval(x.tolist())
    assert middle == np.median(x)
    outside = [k for k in range(1, n // 2 + 1) if 2 * stats.binom.cdf(k - 1, n, 0.5) <= 0.05]
    if n < 6:
        assert math.isnan(low)
        assert not outside
    else:
        assert (low, high) == (max(outside) - 1, n - max(outside))


def test_runs_that_never_generalise_count_as_infinitely_late():
    made = [g.assess(STEPS, rise(10), rise(at)) for at in (50, 60, 70, 80, 90, 100)]
    never = g.assess(STEPS, rise(10), rise(100, height=0.2))
    assert g.ratios([made[0], never, never])[0] == math.inf
    middle, low, high = g.ratios([*made, never])
    assert middle == made[3].ratio
    assert (low, high) == (made[0].ratio, math.inf)
    unfit = g.assess(STEPS, rise(10, height=0.5), rise(100))
    assert g.ratios([*made, unfit]) == g.ratios(made)


def test_a_pair_is_a_held_out_metric_and_its_counterpart():
    nan, inf = math.nan, math.inf
    metrics = [
        Metric("held_out_accuracy", 1, 1.0, 0.1, nan, held_out_of="train_accuracy"),
        Metric("unseen", 1, 1.0, 0.0, nan, gap="less"),  # a name says nothing
        Metric("held_out_valuation", 1, 4.0, 0.5, nan),  # has no counterpart
        Metric("loss", -1, 0.0, 4.4, nan, held_out_of="train_loss"),
        Metric("order", 1, 1.0, nan, nan, held_out_of="train_order"),
        Metric("other", 1, inf, 0.0, nan, held_out_of="train_order"),
        Metric("missing", 1, 1.0, 0.0, nan, held_out_of="train_order"),
        Metric("alone", 1, 1.0, 0.0, nan, held_out_of="train_alone"),
    ]
    measured = {m.name for m in metrics} - {"missing"} | {"train_accuracy", "less", "train_loss", "train_order"}
    found = g.pairs(metrics, measured)
    assert [pair.held_out for pair in found] == ["held_out_accuracy", "unseen"]
    figures = {"held_out_accuracy": 0.1, "train_accuracy": 1.0, "unseen": 0.25, "less": 0.5}
    assert found[0].curves(figures) == (1.0, 0.0)
    assert found[1].curves(figures) == (0.75, 0.25)


def test_the_rule_is_one_for_numbers_and_for_arrays():
    cases = {
        g.NOT_ASSESSABLE: (0, 10.0, 10.0, 0, 0.0),
        g.NEVER_FIT: (9, math.inf, 10.0, 0, 0.2),
        g.FORGETTING: (9, 10.0, math.inf, 0, 0.2),
        g.MEMORISED: (9, 10.0, math.inf, 0, 0.1),
        g.DELAYED: (9, 10.0, 30.0, 5, 0.0),
        g.WITH_THE_FIT: (9, 10.0, 30.0, 4, 0.0),
    }
    for name, figures in cases.items():
        arrays = [jnp.float32(x) for x in figures]
        places = (g.verdict(*figures, levels=g.STANDARD), g.verdict(*arrays, levels=g.STANDARD, xp=jnp))
        assert [g.VERDICTS[int(place)] for place in places] == [name, name]
