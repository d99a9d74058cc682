"""Tables and figures of experiments/homeostasis.py, on synthetic runs."""

import homeostasis as h
import numpy as np
import pytest
from scipy import stats

from ternary_jax.config import load_config

SUMMARY = {
    "epochs": 9,
    "targets": {"coverage_B": 1.0, "hierarchy_B": -0.832},
    "metrics": {"coverage_B": {"better": "higher"}, "hierarchy_B": {"better": "lower"}},
}


def columns(coverage, hierarchy):
    """The columns of a run with evaluations every 3 epochs."""
    x = dict.fromkeys(h.CURVES, np.full(len(coverage), 0.5)) | {"epoch": 3.0 * np.arange(1, len(coverage) + 1)}
    return x | {"coverage_B": np.array(coverage), "hierarchy_B": np.array(hierarchy)}


LOST, NEVER = columns([1.0, 1.0, 0.9], [-0.8, -0.833, -0.833]), columns([0.9, 0.99, 0.99], [-0.833] * 3)


def test_the_ceiling_is_where_all_targets_are_met_at_once():
    assert h.ceiling(SUMMARY, LOST) == (6, 9)
    assert h.ceiling(SUMMARY, NEVER) == (9, 9)
    assert h.ceiling(SUMMARY, columns([1.0, 1.0], [-0.8, -0.833])) == (6, 6)
    assert h.ceiling(SUMMARY, columns([1.0, 0.9, 1.0, 1.0], [-0.833] * 4)) == (3, 9)


def test_differences_are_of_the_same_seed_with_the_interval_of_student():
    rng = np.random.default_rng(0)
    off, on = rng.normal(size=(2, 16))
    names = (h.FIRST, h.STAYS, *h.FIGURES, "grokking events")
    found = {arm: dict.fromkeys(names, x.tolist()) for arm, x in (("off", off), ("on", on))}
    line = h.table(found).splitlines()[1]
    d = on - off
    low, high = stats.t.interval(0.95, 15, d.mean(), stats.sem(d))
    assert line.split("  ")[-1].strip() == f"{d.mean():+.5f} [{low:+.5f}, {high:+.5f}]"


def test_changes_of_rest_are_told_and_drawn():
    found = {"epoch": [2, 4, 6, 8], "coverage_A": [1, 0.8, 0.99, 1], "rests": [True, False, True, True]}
    assert [line[-1] for line in h.changes_of_rest(found)] == ["rests", "learns", "rests", "rests"]
    (panel,) = h.draw_recover(found | {"freeze_below": 0.995}).axes
    assert [shade.get_x() for shade in panel.patches] == [0, 4, 6]
    curves = h.curves_of([LOST, NEVER])
    assert curves["coverage_B"].shape == (3, 2)
    panels = h.draw_compare({"off": curves, "on": curves}).axes
    assert [ax.get_ylabel() for ax in panels][::3] == ["coverage, branch A", "coverage, branch B"]
    np.testing.assert_allclose(panels[3].lines[0].get_ydata(), [0.95, 0.995, 0.945])


@pytest.mark.parametrize("changes", [h.OFTEN | h.WATCHED | h.ON, h.SMALL, h.SMALL | h.REOPENED])
def test_the_configs_of_the_experiment_are_valid(changes):
    load_config(h.CONFIG, {key: value for key, value in changes.items() if key != "start.groups"})
