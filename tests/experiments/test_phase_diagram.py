"""The phase diagram of addition: verdicts of runs and cells, and a small diagram from end to end."""

import numpy as np
import phase_diagram
import pytest

from ternary_jax.grokking import generalisation as g

STEPS = np.arange(1, 41) * 20


def rise(at, to=1.0):
    """A curve that is `to` from evaluation `at` on."""
    return np.where(np.arange(40) >= at, to, 1 / 27)


@pytest.mark.parametrize(
    ("fitted", "held_out", "verdict", "ratio"),
    [
        (rise(1), rise(19), g.DELAYED, 10.0),
        (rise(3), rise(6), g.WITH_THE_FIT, 1.75),
        (rise(3), rise(1), g.WITH_THE_FIT, 0.5),
        (rise(1), rise(5, 0.9), g.MEMORISED, np.nan),
        (rise(1, 0.9), rise(5), g.NEVER_FIT, np.nan),
    ],
)
def test_the_verdict_of_a_run_follows_from_its_curves(fitted, held_out, verdict, ratio):
    found = phase_diagram.outcome(STEPS, fitted, held_out)
    assert found["verdict"] == verdict
    np.testing.assert_equal(found["ratio"], ratio)


def test_a_cell_is_what_most_of_its_runs_are_with_the_delay_of_those_that_generalise():
    runs = [phase_diagram.outcome(STEPS, rise(1), rise(at)) for at in (9, 19, 99)]
    found = phase_diagram.summed(runs)
    assert found == {"verdict": g.DELAYED, "of": 2, "seeds": 3, "delay": 7.5}
    assert phase_diagram.label(found, ", ") == f"{g.DELAYED} (2 of 3), x 7.5"
    assert phase_diagram.summed(runs[2:]) == {"verdict": g.MEMORISED, "of": 1, "seeds": 1, "delay": None}


def test_each_run_of_a_cell_has_a_seed_and_a_split_of_its_own():
    runs = [(0.1, 0.0, 0), (0.1, 0.0, 1), (0.5, 2.0, 0), (0.5, 2.0, 1)]
    config = phase_diagram.config_of(runs, most=0.5, seeds=2, steps=40)
    assert config.seed == config.data.split_seed == (0, 1, 0, 1)
    assert config.data.train_share == (0.1, 0.1, 0.5, 0.5)
    assert config.train.weight_decay == (0.0, 0.0, 2.0, 2.0)
    assert config.train.batch_size == 364


@pytest.mark.slow
def test_a_small_diagram_is_measured_and_drawn(compiled_soon):
    cells = phase_diagram.measured(shares=(0.1, 0.2), decays=(0.0, 8.0), seeds=2, steps=140, at_once=3)
    assert [(cell["share"], cell["decay"]) for cell in cells] == [(0.1, 0.0), (0.1, 8.0), (0.2, 0.0), (0.2, 8.0)]
    assert all([run["seed"] for run in cell["runs"]] == [0, 1] for cell in cells)
    assert cells[0]["verdict"] == cells[2]["verdict"] == g.MEMORISED
    assert phase_diagram.table(cells).splitlines()[0].split() == ["train", "fraction", "decay", "0", "decay", "8"]
    figure = phase_diagram.draw(cells)
    assert len(figure.axes[0].containers) == 4
    colours = {bar.patches[0].get_facecolor()[:3] for bar in figure.axes[0].containers}
    assert len(colours) == len({cell["verdict"] for cell in cells})
