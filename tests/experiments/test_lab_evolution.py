"""The evolution strategy against numpy, a training that was stopped, and the goal J by hand."""

from typing import Any, cast

import jax
import lab_arms
import lab_evolution
import lab_goal
import lab_players
import lab_worlds
import numpy as np
import optax
import pytest

from ternary_jax.vae import references


def test_a_generation_moves_the_centre_as_in_numpy():
    strategy = lab_evolution.antithetic(5, 0.2, 0.1)
    state = strategy.init(np.arange(3.0))
    vectors = np.asarray(strategy.ask(state, jax.random.key(0)), np.float64)
    np.testing.assert_allclose((vectors[:5] + vectors[5:]) / 2, [[0, 1, 2]] * 5, atol=1e-6)
    values = np.random.default_rng(0).normal(size=10)
    differences = (values[:5] - values[5:]) / 2
    noise = (vectors[:5] - np.arange(3)) / 0.2
    slope = sum(d * e for d, e in zip(differences, noise, strict=True)) / (5 * differences.std())
    updates, _ = optax.adam(0.1).update(np.float32(slope), optax.adam(0.1).init(np.zeros(3, np.float32)))
    after = strategy.centre(strategy.tell(state, np.float32(vectors), np.float32(values)))
    np.testing.assert_allclose(after, np.arange(3) + np.asarray(cast(Any, updates)), rtol=1e-4)


def parabola(start, seen=None):
    """|v - 1|^2, with noise that a pair has in common."""

    def value(vectors, generation):
        if seen is not None:
            seen.append(generation)
        noise = np.random.default_rng(generation).normal(0, 10, len(vectors) // 2)
        return ((vectors - 1) ** 2).sum(1) + np.tile(noise, 2)

    return lab_evolution.Search(start, value, lambda v: float(((v - 1) ** 2).sum()))


def test_a_training_that_was_stopped_goes_on_and_ends_as_one_that_was_not(tmp_path):
    strategy, start, seen = lab_evolution.antithetic(4, 0.1, 0.1), np.zeros(3), []
    whole = lab_evolution.evolve(parabola(start), strategy, 40, tmp_path / "whole.npz")
    lab_evolution.evolve(parabola(start), strategy, 20, tmp_path / "part.npz")
    found = lab_evolution.evolve(parabola(start, seen), strategy, 40, tmp_path / "part.npz")
    assert seen == [*range(20, 40)]
    np.testing.assert_array_equal(found["vector"], whole["vector"])
    assert [one["F"] for one in found["log"]] == [one["F"] for one in whole["log"]]
    assert (found["judged"], found["start"]) == (whole["judged"], 3.0)
    assert found["judged"] < 0.3
    assert sorted(x.name for x in tmp_path.iterdir()) == ["part.npz", "whole.npz"]


def test_the_best_centre_is_kept_and_not_the_last(tmp_path):
    """A parabola whose sign is wrong for the strategy: the start is the best that the judge sees."""
    search = parabola(np.zeros(2))
    away = search._replace(value=lambda vectors, generation: -search.value(vectors, generation))
    found = lab_evolution.evolve(away, lab_evolution.antithetic(4, 0.1, 0.1), 20, tmp_path / "a.npz")
    assert (found["generation"], found["judged"]) == (0, 2.0)
    np.testing.assert_array_equal(found["vector"], [0, 0])


def test_a_goal_is_0_at_the_ceilings_and_1_at_chance():
    best = {"coverage_A": 1.0, "coverage_B": 1.0, "triplet_accuracy_B": 1.0}
    best["hierarchy_B"] = references.hierarchy_ceiling(7)
    assert all(x == 0 for x in lab_goal.terms(best, 7).values())
    chance = {"coverage_A": 0.0, "coverage_B": 0.0, "hierarchy_B": 0.0, "triplet_accuracy_B": 0.5}
    assert all(x == 1 for x in lab_goal.terms(chance, 7).values())
    lost = lab_goal.terms(chance | {"hierarchy_B": np.nan, "triplet_accuracy_B": -1.0}, 7)
    assert lost["hierarchy_B"] == lost["triplet_accuracy_B"] == lab_goal.LAST

    metrics = {name: np.full((2, 4), x) for name, x in best.items() if "triplet" not in name}
    at_all, at_end = np.array([[1.0, 1, 1, 1], [0.5, 0.5, 0.5, 1]]), np.array([[1.0], [0.875]])
    found = lab_players.Outcome(None, metrics, {"triplet_accuracy_B": at_all}, {}, {}, {}, {})
    np.testing.assert_allclose(lab_goal.over_a_run(found, 7), [0, (1 + 1 + 1) / 6 / 4])
    found = found._replace(pairs={"triplet_accuracy_B": at_end})
    np.testing.assert_allclose(lab_goal.shortfall(found, 7), [[0], [0.125]])


def test_a_pair_shares_its_world_and_no_generation_training_or_judge_has_that_of_another(monkeypatch):
    asked = []

    def of(field, vectors, split, numbers):
        asked.append((field, split, tuple(numbers)))
        return np.zeros(len(numbers))

    monkeypatch.setattr(lab_arms, "f_of", of)
    player: Any = type("Player", (), {"start": np.zeros(2)})
    every: Any = [lab_arms.Field(size, player, len) for size in lab_worlds.TRAINING_SIZES]
    for training in (0, 1):
        search = lab_arms.search(every, training, pairs=3, judged=2)
        for generation in range(4):
            search.value(np.zeros((6, 2)), generation)
    assert [every.index(field) for field, _, _ in asked] == [0, 1, 2, 0] * 2
    assert all(split == "training" and numbers[:3] == numbers[3:] for _, split, numbers in asked)
    assert len({number for *_, numbers in asked for number in numbers}) == 2 * 4 * 3
    asked.clear()
    search.judge(np.zeros(2))
    assert [(split, numbers) for _, split, numbers in asked] == [("validation", (1000, 1001))] * 3


def test_schedules_have_config_keys_and_start_from_those_of_base():
    nothing = np.zeros(12)
    first = lab_arms.changes_of({}, nothing)
    twice = lab_arms.changes_of(first, nothing)
    levels = "schedules.rho.levels"
    assert first.pop(levels) == pytest.approx(twice.pop(levels))
    assert first == pytest.approx(twice)
    moved = lab_arms.changes_of(first, np.eye(12)[0])
    assert moved["train.learning_rate"] == pytest.approx(first["train.learning_rate"] * np.exp(0.5))
