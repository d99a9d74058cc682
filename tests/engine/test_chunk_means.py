"""The means of chunks between two evaluations, as a checkpoint holds them."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ternary_jax.engine import rows
from ternary_jax.engine.rows import ChunkMeans
from ternary_jax.engine.step import StepInfo
from ternary_jax.errors import RunError

LOSS = [np.array([1 / 3, np.nan], np.float32), np.array([2 / 3, 5], np.float32)]
NORM = [np.array([1e-30, np.inf], np.float32), np.array([0, -1], np.float32)]
WINDOW = [
    ChunkMeans(8, np.array([True, False]), {"loss": LOSS[0], "gradient_norm": NORM[0]}),
    ChunkMeans(16, np.array([True, True]), {"loss": LOSS[1], "gradient_norm": NORM[1]}),
]
TRAINING: Any = SimpleNamespace(static=SimpleNamespace(runs=2), workdir=Path("there"))
NAMES: Any = {name: {} for name in StepInfo._fields} | {"loss": 0, "gradient_norm": 0}
INFO = StepInfo(**NAMES)


def test_a_window_is_the_same_to_the_last_bit_after_json():
    found = rows.from_metadata(TRAINING, json.loads(json.dumps({"window": rows.to_json(WINDOW)})), INFO)
    for one, other in zip(WINDOW, found, strict=True):
        assert one.end == other.end
        assert one.counts.tolist() == other.counts.tolist()
        assert {name: x.tobytes() for name, x in one.means.items()} == {k: x.tobytes() for k, x in other.means.items()}
    assert rows.from_metadata(TRAINING, {}, INFO) == []


def test_a_mean_is_over_the_chunks_in_which_a_run_counts():
    np.testing.assert_allclose(rows.mean(WINDOW, "loss"), [0.5, 5])
    np.testing.assert_allclose(rows.mean(WINDOW[:1], "loss"), [1 / 3, 0])


MEANS = {"loss": [1.0, 2.0], "gradient_norm": [1.0, 2.0]}


@pytest.mark.parametrize(
    "window",
    [
        *(3, [3], [[8, [True], MEANS]], [["x", [True, True], MEANS]], [[8, [True, True], []]]),
        *([[8, [True, True], MEANS | {"loss": [1.0]}]], [[8, [True, True], MEANS | {"x": [1.0, 2.0]}]]),
    ],
)
def test_a_window_of_another_form_is_one_sentence(window):
    with pytest.raises(RunError, match="checkpoint in there has no valid means since its last evaluation"):
        rows.from_metadata(TRAINING, {"window": window}, INFO)
