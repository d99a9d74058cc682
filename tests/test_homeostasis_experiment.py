"""What the experiment on homeostasis tells and draws, of runs that were made up."""

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


def row(run, epoch, coverage, hierarchy):
    names = ("coverage_A", "hierarchy_A", "rate/encoder_A", "rate/encoder_B")
    figures = dict.fromkeys(names, 0.5) | {"coverage_B": coverage, "hierarchy_B": hierarchy}
    return {"run": run, "epoch": epoch, **figures}


ROWS = [row(0, 3, 1.0, -0.8), row(0, 6, 1.0, -0.833), row(0, 9, 0.9, -0.833), row(1, 3, 0.9, -0.833)]
ROWS += [row(1, 6, 0.99, -0.833), row(1, 9, 0.99, -0.833)]


def test_the_ceiling_is_where_all_targets_are_met_at_once():
    assert h.ceiling(SUMMARY, ROWS, 0) == (6, 9)  # and lost again
    assert h.ceiling(SUMMARY, ROWS, 1) == (9, 9)
    assert h.ceiling(SUMMARY, ROWS[:2], 0) == (6, 6)
    lost = [row(0, 1, 1.0, -0.833), row(0, 2, 0.9, -0.833), row(0, 3, 1.0, -0.833), row(0, 4, 1.0, -0.833)]
    assert h.ceiling(SUMMARY, lost, 0) == (1, 3)


def test_differences_are_of_the_same_seed_with_the_interval_of_student():
    rng = np.random.default_rng(0)
    off, on = rng.normal(size=(2, 16))
    names = (h.FIRST, h.STAYS, *h.FIGURES, "grokking events")
    found = {arm: dict.fromkeys(names, x.tolist()) for arm, x in (("off", off), ("on", on))}
    line = h.table(found).splitlines()[1]
    d = on - off
    low, high = stats.t.interval(0.95, 15, d.mean(), stats.sem(d))
    assert line.split("  ")[-1].strip() == f"{d.mean():+.5f} [{low:+.5f}, {high:+.5f}]"


def test_changes_of_rest_are_told_and_drawn(tmp_path):
    found = {"epoch": [2, 4, 6, 8], "coverage_A": [1, 0.8, 0.99, 1], "rests": [True, False, True, True]}
    assert [line[-1] for line in h._told(found)] == ["rests", "learns", "rests", "rests"]
    h.draw_recover(found | {"freeze_below": 0.995}, tmp_path / "recover.png")
    arm = {"curves": h.curves(ROWS, 2)}
    h.draw_compare({"off": arm, "on": arm}, tmp_path / "compare.png")
    assert all((tmp_path / f"{part}.png").stat().st_size > 1000 for part in h.PARTS)


@pytest.mark.parametrize("changes", [h.OFTEN | h.WATCHED | h.ON, h.SMALL, h.SMALL | h.REOPENED])
def test_what_it_trains_is_valid(changes):
    load_config(h.CONFIG, {key: value for key, value in changes.items() if key != "start.groups"})
