"""Intervals over seeds, against SciPy, and against the share of samples that they cover."""

import math

import numpy as np
import pytest
from scipy import stats

from ternary_jax.analysis import intervals


@pytest.mark.parametrize("free", [1, 2, 3, 4, 5, 6, 15, 40, 400])
def test_the_quantile_is_that_of_scipy(free):
    for confidence in (0.5, 0.95, 0.99, 1 - 0.05 / 127):
        t = stats.t.ppf((1 + confidence) / 2, free)
        assert intervals.student(confidence, free) == pytest.approx(t, rel=1e-9)


def test_the_interval_of_a_mean_is_that_of_scipy():
    x = np.random.default_rng(0).normal(3, 2, 9)
    found = stats.ttest_1samp(x, 0).confidence_interval()
    assert intervals.mean_interval(x.tolist()) == pytest.approx((x.mean(), found.low, found.high, 9, False))


def test_differences_are_paired_where_the_seeds_are_the_same():
    rng = np.random.default_rng(1)
    shared = rng.normal(0, 10, 8)  # the seeds differ much more than the settings
    one, other = ({k: float(x) for k, x in enumerate(shared + rng.normal(m, 0.1, 8))} for m in (1, 0))
    paired = stats.ttest_rel([*one.values()], [*other.values()]).confidence_interval()
    found = intervals.difference(one, other)
    assert (found.low, found.high, found.n, found.paired) == pytest.approx((paired.low, paired.high, 8, True))
    assert found.low > 0.5
    assert intervals.difference(dict(reversed(one.items())), other) == pytest.approx(found)
    moved = {k + 8: x for k, x in other.items()}
    welch = intervals.difference(one, moved)
    by_scipy = stats.ttest_ind([*one.values()], [*other.values()], equal_var=False).confidence_interval()
    assert not welch.paired
    assert welch.low <= by_scipy.low  # degrees of freedom are rounded down
    assert welch.low == pytest.approx(by_scipy.low, rel=0.02)


def test_a_missing_value_takes_its_pair_and_no_other():
    rng = np.random.default_rng(2)
    shared = rng.normal(0, 10, 9)
    one, other = ({k: float(x) for k, x in enumerate(shared + rng.normal(m, 0.1, 9))} for m in (1, 0))
    del one[2], other[2], other[5]
    both = [0, 1, 3, 4, 6, 7, 8]
    by_scipy = stats.ttest_rel([one[k] for k in both], [other[k] for k in both]).confidence_interval()
    found = intervals.difference(one, other)
    assert found == pytest.approx((found.mean, by_scipy.low, by_scipy.high, 7, True))
    assert found.mean == pytest.approx(np.mean([one[k] - other[k] for k in both]))
    single = intervals.difference({0: 1.0, 1: 2.0, 2: 4.0}, {2: 1.0, 3: 2.5, 4: 3.0})
    assert (single.n, single.paired) == (3, False)  # one pair has no interval


def test_too_few_values_have_no_interval():
    assert math.isnan(intervals.mean_interval([1.0]).low)
    assert math.isnan(intervals.mean_interval([]).mean)
    assert math.isnan(intervals.difference({0: 1.0}, {1: 2.0}).high)
    assert intervals.difference({0: 1.0, 1: 1.0}, {2: 0.5, 3: 0.5}) == (0.5, 0.5, 0.5, 2, False)
