"""Data that stay with the host: the rows of a chunk go to the device while it computes the chunk before."""

import json
import signal
import threading
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import shared_programs
import toy

from ternary_jax import terminal
from ternary_jax.config import load_config, split
from ternary_jax.control.look_ahead import LookAhead
from ternary_jax.engine import host
from ternary_jax.engine.plan import plan
from ternary_jax.engine.program import make_train
from ternary_jax.errors import ConfigError
from ternary_jax.workdir import checkpoint
from ternary_jax.workdir import rows as log

CONFIG = Path(__file__).parents[1] / "toy_config.py"
STATIC, HYPERS = split(load_config(CONFIG, {"runs": 2, "train.epochs": 6, "toy.stream": True}))
STEPS = plan(STATIC, STATIC.toy.points)


@pytest.fixture(autouse=True)
def with_nans():
    """Allow NaNs: a test poisons the loss on purpose."""
    with jax.debug_nans(False):
        yield


def streamed(seen):
    """The toy whose batches come from the host; seen: the list that gets the (first, n) of each call."""
    task = toy.make_task(STATIC)
    assert task.stream
    own = task.stream

    def stream(first, n):
        seen.append((first, n))
        return own(first, n)

    return task._replace(stream=stream)


def on_device():
    """The toy with the same batches, all of them on the device."""
    task = toy.make_task(STATIC)
    assert task.stream
    whole, points = task.stream(0, STEPS.total), task.data

    def evaluate(params, context):
        return task.evaluate(params, context._replace(data=context.data[0]))

    def sample(context):
        return jax.tree.map(lambda x: x[context.step], context.data[1])

    return task._replace(data=(points, whole), stream=None, sample=sample, evaluate=evaluate)


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
    assert seen == [(begin, STEPS.chunk) for begin in range(0, STEPS.total, STEPS.chunk)]


def test_the_rows_of_a_chunk_are_asked_for_before_the_report_of_the_chunk_before():
    seen = []
    init, chunk = make_train(streamed(seen), STATIC)
    hypers = jax.device_put(HYPERS)
    state = init(hypers)
    rounds = host._chunks(chunk, state, 0, jax.device_get(state.stop), hypers, STEPS, threading.Event())
    for end, report, _ in rounds:
        if report is not None and end < STEPS.total:
            assert seen[-1] == (end, STEPS.chunk)
    assert len(seen) == STEPS.total // STEPS.chunk > 2


def test_the_program_takes_the_rows_of_one_chunk_and_none_without_a_stream():
    hypers = jax.device_put(HYPERS)
    init, chunk = make_train(streamed([]), STATIC)
    *others, (x, _) = chunk.inputs(jax.eval_shape(init, hypers), hypers)
    assert x.shape == (STEPS.chunk, STATIC.train.batch_size)
    init, chunk = make_train(on_device(), STATIC)
    assert len(chunk.inputs(jax.eval_shape(init, hypers), hypers)) == len(others)


def final(workdir):
    """The leaves of the newest checkpoint, and all rows without the columns of times."""
    _, state, _ = checkpoint.load(workdir / "checkpoints")
    rows = [{k: v for k, v in row.items() if k not in ("wall_s", "samples_per_s")} for row in log.read(workdir)]
    return [leaf.tobytes() for leaf in jax.tree.leaves(state)], json.dumps(rows)


def test_a_run_that_rolls_back_and_is_interrupted_is_the_undisturbed_one(tmp_path, monkeypatch, capfd):
    ill: dict[str, Any] = {"toy.stream": True, "toy.poison_step": 21.0, "toy.poison_above": 0.7}
    config = load_config(CONFIG, ill | {"runs": 2, "train.on_nan": "rollback"})
    shared_programs.run(config, tmp_path / "whole")
    assert capfd.readouterr().err.count("back to step 16") == 2
    seen = []

    def line(*args):
        seen.append(args)
        if len(seen) == 3:
            signal.raise_signal(signal.SIGTERM)
        return "..."

    with monkeypatch.context() as patch:
        patch.setattr(terminal, "progress_line", line)
        assert not shared_programs.run(config, tmp_path / "cut")["finished"]
    assert shared_programs.run(config, tmp_path / "cut")["finished"]
    assert final(tmp_path / "cut") == final(tmp_path / "whole")


def test_a_controller_that_looks_ahead_has_no_rows_of_later_steps():
    nothing: Any = None
    look_ahead = LookAhead("phi", nothing, nothing, nothing, nothing, every=1, ahead=1, share=1.0)
    with pytest.raises(ConfigError, match=r"Task\.stream and Task\.look_ahead of a line are both given, and a contr"):
        make_train(streamed([])._replace(look_ahead=look_ahead), STATIC)


def test_a_stream_of_too_few_rows_is_one_sentence():
    task = streamed([])._replace(stream=lambda first, n: {"x": np.zeros((n - 1, 4))})
    init, chunk = make_train(task, STATIC)
    with pytest.raises(ConfigError, match=r"Task\.stream of a line gives x of the shape \(7, 4\) for 8 steps: give a"):
        chunk.inputs(jax.eval_shape(init, jax.device_put(HYPERS)), HYPERS)
