"""Plans of sweeps: groups of equal static settings, seeds, configs of batches, and mistakes that name the settings."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ternary_jax.config import split
from ternary_jax.config.keys import flat
from ternary_jax.errors import ConfigError
from ternary_jax.sweeps import grid as grids
from ternary_jax.sweeps import plan as plans

TOY = Path(__file__).parents[1] / "toy_config.py"
RATES, NOISE = (0.1, 0.2, 0.4), (0.0, 0.5)


def refused(grid, *args, **kwargs):
    with pytest.raises(ConfigError) as caught:
        plans.plan(TOY, grid if isinstance(grid, dict) else grids.parse(grid), *args, **kwargs)
    return str(caught.value)


def test_runs_with_equal_static_settings_are_a_group():
    grid = {"train.learning_rate": RATES, "train.batch_size": (16, 32), "toy.noise": NOISE}
    found = plans.plan(TOY, grid, {"train.epochs": 4}, seeds=2)
    assert [group.static for group in found.groups] == [{"train.batch_size": 16}, {"train.batch_size": 32}]
    assert [group.steps for group in found.groups] == [4 * 4, 4 * 2]
    assert [run.run for run in found.runs] == list(range(24))
    wanted = [(rate, noise, seed) for rate in RATES for noise in NOISE for seed in (0, 1)]
    for group in found.groups:
        static, hypers = split(group.config)
        assert (static.runs, static.train.epochs) == (12, 4)
        assert static.train.batch_size == group.static["train.batch_size"]
        columns = (hypers.train.learning_rate, hypers.toy.noise, hypers.seed)
        np.testing.assert_array_equal(np.stack(columns), np.array(wanted, np.float32).T)
        assert [(*run.settings.values(), run.seed) for run in group.runs] == [
            (rate, group.static["train.batch_size"], noise, seed) for rate, noise, seed in wanted
        ]


def test_the_config_of_a_batch_is_that_of_its_runs():
    group = plans.plan(TOY, {"train.learning_rate": RATES}, seeds=2).groups[0]
    one, values = plans.config_of(group, [1, 4]), flat(group.config)
    assert flat(one) == values | {"runs": 2, "seed": (1, 0), "train.learning_rate": (0.1, 0.4)}
    assert plans.config_of(group, range(6)) == group.config


def test_the_seeds_are_those_of_the_grid_of_the_config_or_from_the_first_on():
    cases: tuple[tuple[dict[str, Any], list[int]], ...] = (
        (dict(grid={}, seeds=3), [0, 1, 2]),
        (dict(grid={}, overrides=["seed=5"], otherwise=2), [5, 6]),
        (dict(grid={}, overrides=["seed=5,3,4"], otherwise=2), [5, 3, 4]),
        (dict(grid={"seed": [7, 2]}, otherwise=2), [7, 2]),
        (dict(grid={}, rows=[{"seed": 4}, {"seed": 1}], otherwise=2), [4, 1]),
        (dict(grid={}, rows=[{"seed": 4}, {"seed": 1}], seeds=3), [0, 1, 2]),
        (dict(grid={}, rows=[{"train.batch_size": 16}]), [0]),
    )
    for kwargs, seeds in cases:
        assert [run.seed for run in plans.plan(TOY, **kwargs).runs] == seeds


def test_rows_may_set_static_and_traced_keys_together():
    rows = [{"train.batch_size": size, "train.learning_rate": rate} for size, rate in ((16, 0.1), (32, 0.2), (16, 0.4))]
    found = plans.plan(TOY, {}, rows=rows)
    assert [[run.settings["train.learning_rate"] for run in group.runs] for group in found.groups] == [
        [0.1, 0.4],
        [0.2],
    ]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (
            ["train.batch_size=16,12", "train.learning_rate=0.1,0.2", "train.microbatches=1,8"],
            "config.train.batch_size=12 and config.train.microbatches=8 in --grid contradict each other: config.train.",
        ),
        (["evaluate.cheap_every=2,3"], "config.evaluate.cheap_every=3 in --grid is not possible with this config: con"),
        (["stop.watch=error,errors"], "config.stop.watch='errors' in --grid is not possible with this config: config."),
        (["train.epochs=20,0"], "config.train.epochs=0 in --grid is not possible with this config: config.train.epoch"),
    ],
)
def test_of_an_impossible_combination_the_settings_that_contradict_are_named(typed, words):
    assert words in refused(typed)


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        (dict(seeds=0), "--seeds=0 is not allowed: give an int from 1 to 4096"),
        (dict(overrides=["runs=2"]), "config.runs=2 is not allowed in a sweep, whose runs are its settings times its"),
        (
            dict(overrides=["toy.noise=0"]),
            "--config.toy.noise=0 and config.toy.noise in --grid set the same key: leave",
        ),
        (
            dict(overrides=["train.learning_rate=0.1,0.2"]),
            "a value per run, and the runs of a sweep are made by its gr",
        ),
        (dict(overrides=["seed=1,2"], seeds=2), "--seeds=2 and config.seed=(1, 2), one per run, are both given: leave"),
        (dict(seeds=3000), "--grid and --seeds give 6,000 runs that differ in traced keys alone, and a group has at m"),
        (dict(overrides=["train.batch_size=x"]), "config.train.batch_size=x is not allowed: give an int from 1 to"),
    ],
)
def test_what_does_not_fit_a_sweep_is_one_sentence(kwargs, words):
    assert words in refused(["toy.noise=0,0.5"], **kwargs)


def test_a_seed_is_given_once():
    assert "--seeds=2 and config.seed in --grid are both given" in refused({"seed": [1, 2]}, seeds=2)


EQUAL = {"train.batch_size": 16, "toy.noise": 0.1}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            dict(grid={}, rows=[EQUAL, EQUAL | {"toy.noise": 0.2}, dict(reversed(EQUAL.items()))]),
            f"config.train.batch_size=16, config.toy.noise=0.1 in sweep(add) of {TOY} is added twice: leave one of the "
            "two out, or give each a config.seed of its own",
        ),
        (
            dict(grid={}, rows=[{"seed": 3, "toy.noise": 0.1}] * 2, overrides={"train.epochs": 4}),
            f"config.seed=3, config.toy.noise=0.1 in sweep(add) of {TOY} is added twice: leave one of the two out",
        ),
        (dict(grid={}, rows=[{}, {}]), f"a run without settings in sweep(add) of {TOY} is added twice: leave one of"),
        (
            dict(grid={"train.batch_size": [16, 32], "toy.noise": [0.1, 0.3, 0.1000000001]}),
            "config.toy.noise=0.1000000001 is given twice in --grid, as it is 0.1 in float32: leave one of the two out",
        ),
        (
            dict(grid={}, rows=[EQUAL, EQUAL | {"toy.noise": 0.1000000001}]),
            f"config.train.batch_size=16, config.toy.noise=0.1000000001 in sweep(add) of {TOY} is added twice, as "
            "config.toy.noise is 0.1 in float32: leave one of the two out, or give each a config.seed of its own",
        ),
        (dict(grid={"seed": [1, 2, 1]}), "config.seed=1 is given twice in --grid: leave one of the two out"),
    ],
)
def test_two_equal_settings_are_refused_by_their_keys_and_values(given, words):
    with pytest.raises(ConfigError) as caught:
        plans.plan(TOY, **given)
    assert str(caught.value).startswith(words)


def test_the_order_of_the_keys_of_a_row_makes_no_group():
    rows = [EQUAL | {"train.epochs": 4}, {"train.epochs": 4, "toy.noise": 0.2, "train.batch_size": 16}]
    found = plans.plan(TOY, {}, rows=rows)
    assert [[run.settings["toy.noise"] for run in group.runs] for group in found.groups] == [[0.1, 0.2]]
    assert [[*run.settings] for run in found.runs] == [["train.batch_size", "toy.noise", "train.epochs"]] * 2


def test_fewest_that_leaves_out_what_does_not_matter():
    settings = dict(a=1, b=2, c=3, d=4)
    assert plans.fewest_that(lambda some: {"b", "d"} <= some.keys(), settings) == {"b": 2, "d": 4}


def test_a_task_that_trains_nothing_cannot_be_swept():
    with pytest.raises(ConfigError, match="trains nothing, so there is nothing to sweep"):
        plans.plan("closed_form", {})


def test_the_text_has_a_row_for_each_group():
    found = plans.plan(TOY, {"train.batch_size": (16, 32), "toy.noise": NOISE}, seeds=3)
    assert plans.text(found).splitlines() == [
        "sweep of toy_config: 12 runs, 2 groups: 4 settings x 3 seeds; a group is one compiled program",
        "group  train.batch_size  runs  steps of a run",
        "0                    16     6              80",
        "1                    32     6              40",
        "within a group the runs differ in toy.noise, seed",
    ]
    assert plans.text(found, {1: "3 MB"}).splitlines()[3].endswith("40    3 MB")


@pytest.mark.parametrize(("runs", "most", "size"), [(32, 32, 32), (32, 100, 32), (32, 10, 8), (7, 3, 3), (12, 7, 6)])
def test_batches_of_a_group_have_one_size_where_that_is_possible(runs, most, size):
    assert plans.most_at_once(runs, most) == size
