"""Rows of experiments/text_lattices.py: their configs, and what they are compared with."""

import re
from types import SimpleNamespace

import pytest
import text_lattices

from ternary_jax.lattice.text import data

GIVEN = SimpleNamespace(pairs="fixture", seeds=2)


@pytest.mark.parametrize("name", text_lattices.ROWS)
def test_the_config_of_each_row_is_that_of_its_family(name):
    config = text_lattices.configured(name, GIVEN, data.read("fixture", (8, 8)), {"train.steps": 70})
    assert ("cube" in config.task) == name.startswith("cube")
    assert (config.runs, config.train.steps, config.data.pairs) == (2, 70, "fixture")
    assert (name.endswith(("frozen", "untrained"))) == bool(config.start.frozen)


def test_a_cube_is_compared_with_a_linear_map_a_perceptron_and_its_frozen_row():
    infonce, cosine = map(text_lattices.OF_CUBE.format, ("infonce", "cosine"))
    values = {"flows": 0.5, "flows_still": 0.4, "linear, infonce": 0.6, infonce: 0.7, cosine: 0.2, "cube": 0.8}
    values |= {"ridge": 0.05, "cube_frozen": 0.1, "cube_shared": 0.3, "cube_cosine": 0.9}
    rows: dict = {
        name: {"metrics": {"recall_1": [x, x + 0.02], "cosine": [x / 2, x / 2 + 0.02]}} for name, x in values.items()
    }
    for name in ("cube", "cube_frozen", "cube_shared"):
        rows[name]["beside"] = "linear, infonce"
    rows["cube_cosine"]["beside"] = "linear, cosine"
    lines = [re.split(" {2,}", line) for line in text_lattices.compared(rows).splitlines()[1:]]
    found = {(row, other): difference.split()[0] for row, other, difference, _ in lines}
    others = {"ridge": "+0.750", "linear, infonce": "+0.200", infonce: "+0.100", "cube_frozen": "+0.700"}
    assert [cosine.split()[0] for row, _, _, cosine in lines if row == "cube"] == [
        "+0.100",
        "+0.375",
        "+0.050",
        "+0.350",
    ]
    assert {other: text for (row, other), text in found.items() if row == "cube"} == others
    assert found["flows_still", "flows"] == "-0.100"
    assert {other: text for (row, other), text in found.items() if row == "cube_cosine"} == {
        "ridge": "+0.850",
        cosine: "+0.700",
    }
    assert ("cube_shared", "cube_shared_frozen") not in found
