"""experiments/cube_endurance.py: growth of the memory, and the verdict of a row."""

import re

import cube_endurance
import lab
import pytest

from ternary_jax.config import load_config


def test_the_growth_leaves_out_the_first_fifth_and_what_is_given_back():
    memory = [10, 500, 100, 130, 110, 100, 150, 120, 101, 104]
    assert cube_endurance.growth(memory) == pytest.approx(101 / 100 - 1)
    assert cube_endurance.by_part(memory, 5) == [10, 100, 100, 120, 101]


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [({}, "met"), ({"growth": 0.02}, "MISSED"), ({"finite": False}, "MISSED"), ({"differing": ["step"]}, "MISSED")],
)
def test_a_row_meets_its_bars_with_finite_losses_steady_memory_and_equal_results(changes, verdict):
    row = {"finite": True, "mib": [1.0, 2.0], "growth": 0.01, "compared": 50, "differing": []}
    line = cube_endurance.table({"small": row | changes}).splitlines()[1]
    assert re.split(" {2,}", line)[-1] == verdict


def test_every_row_is_a_config_with_a_checkpoint_after_half_of_its_steps():
    for changes, steps in cube_endurance.ROWS.values():
        config = load_config(lab.ROOT / cube_endurance.CONFIG, changes | cube_endurance.rhythm(steps))
        assert (steps // 2) % config.checkpoint.every == 0
