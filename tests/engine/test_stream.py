"""Data that stay with the host: the rows of a chunk go to the device while it computes the chunk before."""

import threading
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import toy

from ternary_jax.config import load_config, split
from ternary_jax.control.look_ahead import LookAhead
from ternary_jax.engine import host
from ternary_jax.engine.plan import plan
from ternary_jax.engine.program import make_train
from ternary_jax.errors import ConfigError

CONFIG = Path(__file__).parents[1] / "toy_config.py"
STATIC, HYPERS = split(load_config(CONFIG, {"runs": 2, "train.epochs": 6}))
STEPS = plan(STATIC, STATIC.toy.points)
X = np.random.default_rng(0).uniform(-1, 1, (STEPS.total, STATIC.train.batch_size)).astype(np.float32)


def streamed(seen):
    """The toy whose batches come from the host; seen: the list that gets the (first, n) of each call."""

    def stream(first, n):
        seen.append((first, n))
        return X[first : first + n], 2 * X[first : first + n] - 1

    return toy.make_task(STATIC)._replace(stream=stream, sample=lambda context: context.streamed)


def on_device():
    """The toy with the same batches, all of them on the device."""

    def sample(context):
        x = context.data[1][context.step]
        return x, 2 * x - 1

    task = toy.make_task(STATIC)

    def evaluate(params, context):
        return task.evaluate(params, context._replace(data=context.data[0]))

    return task._replace(data=(task.data, X), sample=sample, evaluate=evaluate)


def trained(task):
    init, chunk = make_train(task, STATIC)
    hypers = jax.device_put(HYPERS)
    state, reports = init(hypers), []
    for begin in range(0, STEPS.total, STEPS.chunk):
        state, report = chunk(state, begin, hypers)
        reports.append(report)
    return jax.device_get((state, reports))


def test_streamed_rows_train_as_the_same_rows_on_the_device():
    seen = []
    jax.tree.map(np.testing.assert_array_equal, trained(streamed(seen)), trained(on_device()))
    asked = [call for call in seen if call != (0, STEPS.chunk)]
    assert asked == [(begin, STEPS.chunk) for begin in range(STEPS.chunk, STEPS.total, STEPS.chunk)]


def test_the_rows_of_a_chunk_are_asked_for_before_the_report_of_the_chunk_before():
    seen = []
    init, chunk = make_train(streamed(seen), STATIC)
    hypers = jax.device_put(HYPERS)
    state = init(hypers)
    seen.clear()
    rounds = host._chunks(chunk, state, 0, jax.device_get(state.stop), hypers, STEPS, threading.Event())
    for end, report, _ in rounds:
        if report is not None and end < STEPS.total:
            assert seen[-1] == (end, STEPS.chunk)
    assert len(seen) == STEPS.total // STEPS.chunk > 2


def test_the_device_gets_the_rows_of_one_chunk():
    hypers = jax.device_put(HYPERS)
    init, chunk = make_train(streamed([]), STATIC)
    *others, (x, _) = chunk.inputs(jax.eval_shape(init, hypers), hypers)
    assert x.shape == (STEPS.chunk, STATIC.train.batch_size)
    init, chunk = make_train(toy.make_task(STATIC), STATIC)
    assert len(chunk.inputs(jax.eval_shape(init, hypers), hypers)) == len(others)


def test_a_controller_that_looks_ahead_has_no_rows_of_later_steps():
    nothing: Any = None
    look_ahead = LookAhead("phi", nothing, nothing, nothing, nothing, every=1, ahead=1, share=1.0)
    with pytest.raises(ConfigError, match="a line streams its data, and a controller of it learns from steps that"):
        make_train(streamed([])._replace(look_ahead=look_ahead), STATIC)
