"""How the detector is scored, and a small program of it from end to end."""

import math

import detect_grokking as d
import jax
import numpy as np
import pytest

STEPS = np.arange(1, 11) * 20.0


def rise(at, to=1.0):
    """A curve that is `to` from evaluation `at` on."""
    return np.where(np.arange(10) >= at, to, 0.1)


@pytest.mark.parametrize(
    ("trained", "held_out", "truth"),
    [
        (rise(1), rise(3), True),
        (rise(2), rise(3), False),
        (rise(3), rise(1), False),
        (rise(1), rise(5, 0.94), False),
        (rise(1, 0.98), rise(5), False),
        (rise(1), np.full(10, np.nan), False),
    ],
)
def test_whether_a_run_grokked_depends_on_two_levels_of_accuracy(trained, held_out, truth):
    assert d.grokked(STEPS, trained, held_out) is truth


def test_precision_and_recall_are_of_runs():
    runs = [
        {"truth": t, "event online": n}
        for t, n in ((True, 2), (True, 0), (True, 1), (False, 1), (False, 2), (False, 0))
    ]
    assert d.score(runs, "event online") == {"precision": 2 / 4, "recall": 2 / 3}
    nothing = d.score([{"truth": False, "event online": 0}], "event online")
    assert all(math.isnan(x) for x in nothing.values())


def test_half_of_the_runs_are_set_up_to_grok():
    assert sum(n for *_, n in d.SETUPS) == 32
    assert sum(n for name, _, _, n in d.SETUPS if name == "to grok") == 16
    config = d.config_of(d.SETUPS, {})
    assert config.train.batch_size == 6561  # of the runs that train on all pairs
    assert config.seed == config.data.split_seed == tuple(range(32))


@pytest.mark.slow
def test_small_runs_are_judged_and_drawn(tmp_path):
    """Two runs modulo 9: one without held-out pairs, and one that only memorises."""
    setups = (("all pairs", 1.0, 0.0, 1), ("no weight decay", 0.4, 0.0, 1))
    changes = {"data.n_digits": 2, "train.steps": 400, "train.learning_rate": 2e-2, "model.width": 12}
    changes |= {"model.hidden": 24, "checkpoint.every": 400, "train.batch_size": 81, "compilation_cache": False}
    with jax.debug_nans(False):  # held-out metrics without held-out pairs are NaN
        runs = d.judged(d.config_of(setups, changes), tmp_path / "run")
    assert [run["truth"] for run in runs] == [False, False]
    assert [[run[says] for says in d.SAYS] for run in runs] == [[0] * 5] * 2
    assert np.isnan(runs[0]["held_out"]).all()
    assert len(runs[1]["held_out"]) == 20
    table = d.table(setups, runs).splitlines()
    assert table[1].split()[:2] == ["all", "pairs,"]
    assert table[-2].split() == ["precision", *["nan"] * 5]
    figure = d.draw(setups, runs)
    assert [len(ax.lines) for ax in figure.axes[:2]] == [1, 1]
    assert [text.get_text() for text in figure.axes[0].texts] == ["nothing is held out"]
