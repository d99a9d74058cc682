"""Trials: what they take away from StateNet, what they tell it, and tables of differences that are paired by world."""

from typing import Any

import jax
import lab_arms
import lab_players
import lab_trial_results
import lab_trial_tables as tables
import lab_trials
import lab_worlds
import numpy as np
import pytest

from ternary_jax.vae.controllers import statenet_network
from ternary_jax.vae.controllers.corrections import OUTPUTS
from ternary_jax.vae.controllers.statenet_network import DOCUMENTS

SIZE = lab_worlds.Size(4, 24, 5)


def test_an_output_that_cannot_move_is_always_0_and_the_others_are_as_before():
    rng = np.random.default_rng(0)
    start, back = lab_players.flat(DOCUMENTS)
    vector = rng.normal(0, 0.3, start.size)
    inputs: Any = {name: rng.normal() for name in DOCUMENTS.inputs()}
    say = jax.jit(lambda vector: statenet_network.delta(back(vector), inputs)[0])

    def said(**trial):
        return np.asarray(say(np.float32(lab_trials.vector_of(lab_trials.Trial("statenet", **trial), vector))))

    whole, alone = said(), said(moves=("tau",))
    assert (np.abs(whole) > 1e-3).all()
    np.testing.assert_array_equal(alone, np.where(np.array(OUTPUTS) == "tau", whole, 0))
    without = said(moves=tuple(name for name in OUTPUTS if name != "tau"))
    np.testing.assert_array_equal(without + alone, whole)
    np.testing.assert_array_equal(lab_trials.vector_of(lab_trials.Trial("course", times=0.5), np.ones(3)), [0.5] * 3)


def test_a_run_is_told_the_mean_of_all_or_what_the_same_seed_of_the_world_before_has_read():
    read = {"sensed_a": np.array([[1.0, np.inf], [2, 4], [3, 6], [6, 2]])}
    np.testing.assert_allclose(lab_trials.told_rows("mean", read, 2, 4)["sensed_a"], [[3, 3, 4, 4]] * 4)
    before = lab_trials.told_rows("another", read, 2, 4)["sensed_a"]
    np.testing.assert_array_equal(before[:, ::2], read["sensed_a"][[2, 3, 0, 1]])


def test_every_trial_has_a_file_of_its_own_and_an_arm_that_is_trained(tmp_path):
    design = lab_trial_results.Design(SIZE)
    files = {lab_trial_results.file_of(name, design, tmp_path) for name in lab_trials.TRIALS}
    assert len(files) == len(lab_trials.TRIALS) == len(lab_trials.HEADLINE) + len(lab_trials.OTHERS)
    assert {trial.arm for trial in lab_trials.TRIALS.values()} <= {*lab_arms.ARMS}


def test_other_trials_have_the_first_seed_of_the_first_worlds():
    design = lab_trial_results.Design(SIZE, worlds=4, each=2, fewer=3)
    seeds = lab_worlds.run_seeds("test", np.arange(4), 2)
    few = lab_trial_results.few({"seed": seeds}, design)["seed"]
    np.testing.assert_array_equal(few, lab_worlds.run_seeds("test", np.arange(3), 1))


def test_differences_are_paired_by_world():
    """Worlds differ by far more than the arms, and the difference is the same in each but for the seeds."""
    worlds = np.repeat(np.arange(10.0), 2)
    rest = {"hierarchy_B": -worlds, "coverage_B": worlds, "steps": worlds, "met": worlds > 3, "diverged": worlds < 0}
    course = {"J": worlds, "triplet_accuracy_B": np.full(20, 0.8), **rest}
    noise = np.tile([0.01, -0.01], 10)
    better = course | {"J": worlds - 0.1 + noise, "triplet_accuracy_B": np.where(worlds == 0, np.nan, 0.9)}
    trials = {"course": course, "statenet": better}
    found = tables.gaps(trials, "statenet", "course", 10)
    assert found["J"] == pytest.approx((-0.1, -0.1, -0.1), abs=1e-6)
    assert found["triplet_accuracy_B"][0] == pytest.approx(0.9 * 0.1 - 0.1 * 0.3)  # a lost run counts as chance
    shown = tables.table("here", tables.summary(trials, 10))
    assert "-0.1000 [-0.1000, -0.1000]" in shown
    gaps = np.array([-0.3] + [0.1] * 9)
    expected = 2.8 * gaps.std(ddof=1) / np.sqrt(10)
    assert tables.smallest(trials, "statenet", 10)["triplet_accuracy_B"] == pytest.approx(expected)
    drawn = lab_worlds.draw("test", np.arange(10), 100)
    kinds = tables.by_kind(trials, "statenet", drawn)
    counted = np.bincount(drawn.shock.kind, minlength=3)
    for kind, n in zip(lab_worlds.KINDS, counted, strict=True):
        assert n <= 2 or kinds[f"shock: {kind}"]["worlds"] == n


def test_the_oracle_has_all_figures_of_the_course_that_is_best_in_its_world():
    first = {name: np.array([1.0, 5.0]) for name in tables.FIGURES}
    second = {name: np.array([2.0, 3.0]) for name in tables.FIGURES} | {"steps": np.array([7.0, 8.0])}
    found = lab_trial_results.oracle([first, second])
    assert (found["J"].tolist(), found["steps"].tolist()) == ([1, 3], [1, 8])
