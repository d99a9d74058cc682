"""Grids of sweeps: texts as they are typed, products, and mistakes."""

import itertools
from typing import Any

import pytest

from ternary_jax.config.keys import choice, integer, integers, real, words
from ternary_jax.errors import ConfigError
from ternary_jax.sweeps import grid

TABLE = {
    "runs": integer(1, 9),
    "seed": integer(0, 9, traced=True),
    "rate": real(0, 1, traced=True),
    "net.hidden": integers(1, 99),
    "net.names": words(),
    "shape": choice("cosine", "linear"),
}


def test_a_grid_is_the_product_of_its_values():
    typed = ["config.rate=0.1, 2e-1", "net.hidden=[(64,), (64,32), (8,)]", "config.shape = cosine,linear"]
    rows = grid.product(grid.parse(typed), TABLE)
    values = itertools.product((0.1, 0.2), ((64,), (64, 32), (8,)), ("cosine", "linear"))
    assert rows == [{"rate": a, "net.hidden": b, "shape": c} for a, b, c in values]
    given = {"rate": [0.1, 0.2], "net.hidden": [(64,), (64, 32), (8,)], "shape": ("cosine", "linear")}
    assert grid.product(given, TABLE) == rows
    assert grid.product({}, TABLE) == [{}]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,2", ["1", "2"]),
        (" [1, 2] ", ["1", "2"]),
        ("[(1,),(1,2),]", ["(1,)", "(1,2)"]),
        ("(1,),(1,2)", ["(1,)", "(1,2)"]),
        ("[('a,b','c)'),('d',)]", ["('a,b','c)')", "('d',)"]),
        ("[[1,2],[3]]", ["[1,2]", "[3]"]),
    ],
)
def test_a_comma_inside_brackets_or_quotes_separates_nothing(text, values):
    assert grid.split_values(text, "--grid") == values


def test_words_are_tuples_too():
    (row, other) = grid.product(grid.parse(["net.names=[('a','b'),('c',)]"]), TABLE)
    assert (row["net.names"], other["net.names"]) == (("a", "b"), ("c",))


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["rate"], "--grid 'rate' has no values: type --grid config.KEY=VALUE,VALUE"),
        (["rate="], "--grid 'rate=' has no values"),
        (["rate=1,,2"], "--grid config.rate=1,,2 has an empty value between two commas"),
        (["net.hidden=[(1,2]"], "--grid config.net.hidden=(1,2 has no ) that closes a value: add it"),
        (["rate=0.1", "config.rate=0.2"], "--grid config.rate is given twice: give all values of the key in one"),
        (["rat=0.1,2"], "config.rat=0.1,2 is not allowed in --grid: there is no such key; the nearest is rate"),
        (["net=1,2"], "config.net=1,2 is not allowed in --grid: it is a group; set one of its keys, net.hidden, net.n"),
        (["rate=0.1,x"], "config.rate=x is not allowed in --grid: give a number from 0 to 1"),
        (
            ["rate=[(0.1,0.2)]"],
            "config.rate=(0.1,0.2) is not allowed in --grid: give one number a run, such as 0.1, 0.",
        ),
        (["shape=cosine,lin"], "config.shape=lin is not allowed in --grid: give cosine or linear"),
        (
            ["net.hidden=64,64"],
            "config.net.hidden=64,64 in --grid is not clear, as each value of this key is a tuple: w",
        ),
        (["rate=1e-1,0.1"], "config.rate=0.1 is given twice in --grid: leave one of the two out"),
        (["runs=1,2"], "config.runs is not allowed in --grid, as the runs of a sweep are its settings times its seeds"),
    ],
)
def test_a_wrong_grid_is_one_sentence_that_names_the_key(typed, words):
    with pytest.raises(ConfigError) as caught:
        grid.product(grid.parse(typed), TABLE)
    assert words in str(caught.value)
    assert "one per run" not in str(caught.value)


def test_a_wrong_mapping_is_one_sentence_too():
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"rate": 0.1}, "is no list of values"),
        ({"rate": []}, "has no values: give at least one"),
    )
    for given, wrong in cases:
        with pytest.raises(ConfigError, match=wrong):
            grid.product(given, TABLE)


def test_brackets_around_single_values_are_those_of_the_values():
    assert grid.split_values("[64],[64,64]", "") == ["[64]", "[64,64]"]
    assert grid.split_values("[[64],[64,64]]", "") == ["[64]", "[64,64]"]
    assert grid.split_values("[1, 2]", "") == ["1", "2"]
