"""The means of chunks between two evaluations, as a checkpoint holds them."""

import json

import numpy as np
import pytest

from ternary_jax.engine import rows
from ternary_jax.engine.rows import ChunkMeans
from ternary_jax.errors import RunError

WINDOW = [
    ChunkMeans(
        8,
        np.array([True, False]),
        {"loss": np.array([1 / 3, np.nan], np.float32), "rate": np.array([1e-30, np.inf], np.float32)},
    ),
    ChunkMeans(
        16, np.array([True, True]), {"loss": np.array([2 / 3, 5], np.float32), "rate": np.array([0, -1], np.float32)}
    ),
]


def test_a_window_is_the_same_to_the_last_bit_after_json():
    for one, other in zip(WINDOW, rows.from_json(json.loads(json.dumps(rows.to_json(WINDOW))), 2), strict=True):
        assert one.end == other.end
        assert one.counts.tolist() == other.counts.tolist()
        assert {name: x.tobytes() for name, x in one.means.items()} == {k: x.tobytes() for k, x in other.means.items()}


def test_a_mean_is_over_the_chunks_in_which_a_run_counts():
    np.testing.assert_allclose(rows.mean(WINDOW, "loss"), [0.5, 5])
    np.testing.assert_allclose(rows.mean(WINDOW[:1], "loss"), [1 / 3, 0])


@pytest.mark.parametrize(
    "window",
    [
        3,
        [3],
        [[8, [True], {}]],
        [["x", [True, True], {}]],
        [[8, [True, True], {"loss": [1.0]}]],
        [[8, [True, True], []]],
    ],
)
def test_a_window_of_another_form_is_one_sentence(window):
    with pytest.raises(RunError, match="has no valid means since its last evaluation"):
        rows.from_json(window, 2)
