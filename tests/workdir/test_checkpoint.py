"""Checkpoints: retention, restoration, damaged files, and saves that fail or are killed."""

import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given

from ternary_jax.workdir import checkpoint
from ternary_jax.workdir.checkpoint import CheckpointError, Policy

ROOT = Path(__file__).parents[2]
KEEP_ALL = Policy(latest=1000, best=0, keep_every=0)


class State(NamedTuple):
    params: dict
    opt_state: optax.OptState
    counts: tuple


@jax.jit
def state_of(step):
    """A state with every kind of leaf, whose values depend on the step."""
    x = jnp.sin(jnp.arange(12.0) + step).reshape(3, 4)
    params = {"dense": {"kernel": x, "bias": x[0].astype(jnp.bfloat16)}, "odd": x[:, :3] > 0}
    counts = (step.astype(jnp.uint32), jnp.zeros((0, 3)), jnp.array([jnp.nan, -0.0, jnp.inf]) * 1, step * jnp.ones(3))
    return State(params, optax.adam(1e-3).init({"kernel": x}), counts)


def state(step):
    with jax.debug_nans(False):
        return state_of(jnp.int32(step))


ABSTRACT = jax.eval_shape(state_of, jnp.int32(0))


@pytest.fixture
def said():
    return []


@pytest.fixture
def store(tmp_path, said):
    return lambda policy=KEEP_ALL: checkpoint.open_store(tmp_path / "checkpoints", policy, said.append)


def save_all(opened, metrics):
    for step, metric in metrics.items():
        checkpoint.save(opened, step, state(step), metric, {"step": step})
    checkpoint.wait(opened)


def restore(opened, abstract=ABSTRACT):
    found = checkpoint.restore(opened, abstract)
    assert found is not None
    return found


def folders(opened):
    return sorted(path.name for path in opened.directory.iterdir())


def assert_same(left, right):
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


# --- what is kept -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "metrics", "expected"),
    [
        (Policy(2, 0, 0), {1: 0.5, 2: 0.1, 3: 0.9, 4: 0.8}, {3, 4}),
        # The newest is kept although it has the worst metric.
        (Policy(1, 2, 0), {1: 0.5, 2: 0.1, 3: 0.8, 4: 0.9}, {1, 2, 4}),
        (Policy(1, 0, 20), {10: 0.0, 20: 0.0, 30: 0.0, 40: 0.0, 50: 0.0}, {20, 40, 50}),
        # A metric that is not finite is never among the best.
        (Policy(1, 1, 0), {1: 0.5, 2: 0.1, 3: math.nan, 4: 0.8, 5: -math.inf, 6: math.nan, 7: math.inf}, {2, 7}),
        (Policy(1, 1, 0), {1: math.nan, 2: 3.0, 3: math.nan}, {2, 3}),
    ],
)
def test_the_newest_the_best_and_every_kth_checkpoint_are_kept(store, policy, metrics, expected):
    opened = store(policy)
    save_all(opened, metrics)
    assert folders(opened) == sorted(map(str, expected))
    reopened = store(policy)
    assert set(reopened.metrics) == expected
    np.testing.assert_equal(reopened.metrics, {step: metrics[step] for step in expected})


@given(
    st.lists(st.floats(width=16) | st.just(math.nan), min_size=1, max_size=12),
    st.builds(Policy, st.integers(1, 3), st.integers(0, 3), st.integers(0, 4)),
)
def test_deleting_after_each_save_keeps_the_checkpoints_of_the_whole_history(history, policy):
    left = {}
    for step, metric in enumerate(history, 1):
        left[step] = metric
        left = {s: left[s] for s in checkpoint.kept(left, policy)}
    good = [s for s in range(1, len(history) + 1) if np.isfinite(history[s - 1])]
    best = [s for s in good if sum((history[t - 1], t) < (history[s - 1], s) for t in good) < policy.best]
    regular = range(policy.keep_every, len(history) + 1, policy.keep_every) if policy.keep_every else []
    assert set(left) == {*range(max(1, len(history) + 1 - policy.latest), len(history) + 1), *best, *regular}


def test_what_cannot_be_read_is_not_deleted():
    assert checkpoint.kept({1: None, 2: 0.5, 3: 0.1}, Policy(1, 0, 0)) == {1, 3}


def test_a_step_is_never_written_twice(store):
    opened = store()
    save_all(opened, {1: 0.5})
    with pytest.raises(CheckpointError, match="step 1 is already saved in"):
        checkpoint.save(opened, 1, state(9), 0.1, {})
    with pytest.raises(CheckpointError, match="step 1 is already saved in"):
        checkpoint.save(store(), 1, state(9), 0.1, {})
    assert_same(restore(opened)[1], state(1))


# --- what comes back --------------------------------------------------------------------------------------------------


def test_an_empty_folder_restores_none(store):
    assert checkpoint.restore(store(), ABSTRACT) is None


def test_every_bit_and_the_metadata_are_restored(store):
    metadata = {"config": {"train": {"epochs": 3}}, "metrics": {"loss": math.nan, "list": [1, 2.5]}, "wall_s": 0.1}
    opened = store()
    checkpoint.save(opened, 1, state(1), 0.0, {})
    checkpoint.save(opened, 7, state(7), 0.0, metadata)
    metadata["config"]["train"]["epochs"] = 4  # what was saved is what was given
    for reopen in (lambda: opened, store):
        step, restored, found = restore(reopen())
        assert step == 7
        assert_same(restored, state(7))
        assert found["config"] == {"train": {"epochs": 3}}
        assert found["metrics"]["list"] == [1, 2.5]
        assert math.isnan(found["metrics"]["loss"])


def test_a_restored_state_is_not_compiled_for_anew(store):
    traces = []

    def chunk(s):
        traces.append(None)
        return jax.tree.map(lambda x: x + x.dtype.type(1) if x.dtype != bool else x, s)

    donating = jax.jit(chunk, donate_argnums=0)
    opened = store()
    save_all(opened, {1: 0.0})
    with jax.debug_nans(False):
        donating(state(1))
        expected = donating(state(1))
        with jax.transfer_guard("disallow"):
            _, restored, _ = restore(opened)
        assert_same(donating(restored), expected)
    assert len(traces) == 1
    assert donating._cache_size() == 1  # pyright: ignore[reportAttributeAccessIssue]


def changed(**params):
    def change(s):
        return s._replace(params={name: x for name, x in {**s.params, **params}.items() if x is not None})

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (changed(odd=jnp.zeros((3, 3), jnp.int8)), ["params/odd bool[3, 3] there, int8[3, 3] here"]),
        (changed(odd=jnp.zeros(9, bool)), ["params/odd bool[3, 3] there, bool[9] here"]),
        (changed(odd=None), ["params/odd bool[3, 3] there, absent here"]),
        (changed(new=jnp.zeros(2)), ["params/new absent there, float32[2] here"]),
        (
            lambda s: jax.tree.map(lambda x: jnp.zeros(5), s),
            ["10 such in all", "params/dense/kernel", "opt_state/0/mu"],
        ),
    ],
)
def test_another_state_is_refused_with_what_differs(store, change, named, monkeypatch):
    opened = store()
    save_all(opened, {1: 0.0})
    ocp, _ = checkpoint.orbax_and_context()
    monkeypatch.setattr(ocp, "load", lambda *_: pytest.fail("the arrays were read"))
    other = jax.eval_shape(lambda: change(state(0)))
    with pytest.raises(CheckpointError, match="holds another state than this program") as refused:
        restore(opened, other)
    assert all(text in str(refused.value) for text in named)
    assert str(refused.value).count(" there, ") <= 5
    assert folders(opened) == ["1"]


@pytest.mark.parametrize(
    "bad", [{"x": jnp.asarray(1.0)}, {"x": jax.random.key(0)}, {"a/b": jnp.zeros(2), "a": {"b": jnp.zeros(2)}}]
)
def test_a_state_that_would_be_restored_differently_is_refused(store, bad):
    opened = store()
    with pytest.raises(ValueError, match="is weakly typed, or a PRNG key, or its name occurs twice"):
        checkpoint.save(opened, 1, bad, 0.0, {})
    assert not folders(opened)


def test_others_read_while_a_checkpoint_is_written(store):
    opened = store()
    save_all(opened, {1: 0.0})
    times_read = 0
    for step in range(2, 5):
        checkpoint.save(opened, step, state(step), 0.0, {})
        while not opened.pending[0][-1].done():
            assert checkpoint.load(opened.directory, 1)[0] == 1
            times_read += 1
    checkpoint.wait(opened)
    assert times_read > 2
    assert folders(opened) == ["1", "2", "3", "4"]


def test_load_needs_no_template(store):
    opened = store()
    save_all(opened, {1: 0.0, 2: 0.0})
    for asked, step in ((None, 2), (1, 1)):
        found, loaded, metadata = checkpoint.load(opened.directory, asked)
        assert (found, metadata) == (step, {"step": step})
        assert_same(loaded["params"], jax.tree.map(np.asarray, state(step).params))
        assert loaded["opt_state"]["0"]["mu"]["kernel"].shape == (3, 4)
    with pytest.raises(CheckpointError, match=r"no checkpoint of step 3 in .*: load one of the steps \[1, 2\]"):
        checkpoint.load(opened.directory, 3)
    with pytest.raises(CheckpointError, match=r"there is no checkpoint in "):
        checkpoint.load(opened.directory / "nowhere")


# --- damage -----------------------------------------------------------------------------------------------------------


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def biggest(folder):
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


@pytest.mark.parametrize("harm", [truncate, flip, Path.unlink])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_taken(store, said, harm):
    opened = store()
    save_all(opened, {1: 0.0, 2: 0.0, 3: 0.0})
    harm(biggest(opened.directory / "3"))
    harm(opened.directory / "2" / "_CHECKPOINT_METADATA")
    opened = store()
    step, restored, _ = restore(opened)
    assert step == 1
    assert_same(restored, state(1))
    moved = opened.directory.parent / "damaged"
    assert folders(opened) == ["1"]
    assert sorted(path.name for path in moved.iterdir()) == ["2", "3"]
    told = next(text for text in said if "checkpoint 3 is damaged (" in text)
    assert told.endswith(f"moved to {moved / '3'}, going back to step 1")
    assert len(said) == 2
    assert "\n" not in "".join(said)

    save_all(opened, {3: 0.0})
    assert_same(restore(opened)[1], state(3))
    harm(biggest(opened.directory / "3"))
    assert restore(opened)[0] == 1
    assert sorted(path.name for path in moved.iterdir()) == ["2", "3", "3-again"]


def test_no_wrong_state_is_restored_whichever_file_is_damaged(store):
    opened = store()
    save_all(opened, {1: 0.0, 2: 0.0})
    whole = opened.directory.parent / "whole"
    shutil.copytree(opened.directory, whole)
    files = [path.relative_to(whole) for path in (whole / "2").rglob("*") if path.is_file() and path.stat().st_size]
    went_back = set()
    for file in files:
        for harm in (truncate, flip, Path.unlink):
            shutil.rmtree(opened.directory)
            shutil.copytree(whole, opened.directory)
            harm(opened.directory / file)
            step, restored, metadata = restore(store())
            assert metadata == {"step": step}
            assert_same(restored, state(step))
            if step == 1:
                went_back.add(file.name)
    assert {"_CHECKPOINT_METADATA", "zarr.json", "0"} <= went_back


def test_where_all_are_damaged_nothing_begins_anew(store):
    opened = store()
    save_all(opened, {1: 0.0, 2: 0.0})
    for step in ("1", "2"):
        flip(biggest(opened.directory / step))
    for _ in range(2):  # and at the next start neither
        with pytest.raises(CheckpointError, match=r"every checkpoint in .* is damaged \(2: .*; 1: "):
            restore(store())
    with pytest.raises(CheckpointError, match="checkpoint 2 is damaged"):
        checkpoint.load(opened.directory)


# --- failure and death ------------------------------------------------------------------------------------------------


BIG = {"x": jnp.zeros(500_000)}

FAIL = """
import resource, sys
import jax, jax.numpy as jnp
from ternary_jax.workdir import checkpoint
store = checkpoint.open_store(sys.argv[1], checkpoint.Policy(2, 0, 0), print)
state = {"x": jnp.zeros(500_000)}
checkpoint.save(store, 1, state, 0.0, {})
checkpoint.wait(store)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
checkpoint.save(store, 2, state, 0.0, {})
try:
    checkpoint.save(store, 3, state, 0.0, {})
except checkpoint.CheckpointError as e:
    print(e)
"""


def process(code, *arguments):
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_full_disk_is_one_sentence_and_the_last_good_step_goes_on(store):
    opened = store()
    out, err = process(FAIL, opened.directory).communicate(timeout=60)
    assert out == (
        f"the checkpoint of step 2 could not be written to {opened.directory} (File too large), and the last good one "
        "is step 1: free some space or make it writable, and start again with the same workdir\n"
    )
    assert err == ""
    opened = store()
    assert folders(opened) == ["1"]
    assert restore(opened, jax.eval_shape(lambda: BIG))[0] == 1
    checkpoint.save(opened, 2, BIG, 0.0, {})
    checkpoint.wait(opened)
    assert folders(opened) == ["1", "2"]


def test_a_failure_is_raised_by_the_next_save_and_by_wait(store):
    opened = store()
    save_all(opened, {1: 0.0})
    away = opened.directory.rename(opened.directory.with_name("away"))
    opened.directory.write_text("")
    checkpoint.save(opened, 2, state(2), 0.0, {})
    with pytest.raises(CheckpointError, match=r"step 2 .*\(Not a directory\), and the last good one is step 1"):
        checkpoint.save(opened, 3, state(3), 0.0, {})
    checkpoint.save(opened, 3, state(3), 0.0, {})
    with pytest.raises(CheckpointError, match="step 3 could not be written"):
        checkpoint.wait(opened)
    checkpoint.wait(opened)
    opened.directory.unlink()
    away.rename(opened.directory)
    save_all(opened, {2: 0.0})
    assert restore(opened)[0] == 2


SAVE_FOR_EVER = """
import sys
import jax.numpy as jnp
from ternary_jax.workdir import checkpoint
store = checkpoint.open_store(sys.argv[1], checkpoint.Policy(2, 0, 0), print)
for step in range(1, 10**6):
    checkpoint.save(store, step, {"x": jnp.full(500_000, jnp.float32(step))}, 0.0, {})
"""


def half_written(directory):
    return [*directory.glob("*.orbax-checkpoint-tmp*")]


def test_a_killed_save_leaves_the_one_before_and_no_trace(tmp_path):
    delays = {tmp_path / str(k) / "checkpoints": delay for k, delay in enumerate((0.0, 0.01))}
    children = {directory: process(SAVE_FOR_EVER, directory) for directory in delays}
    end = time.monotonic() + 60
    for directory, child in children.items():
        while True:
            assert child.poll() is None, child.communicate()
            assert time.monotonic() < end
            if half_written(directory):
                time.sleep(delays[directory])
                child.send_signal(signal.SIGSTOP)
                if half_written(directory) and checkpoint.steps(directory):
                    break
                child.send_signal(signal.SIGCONT)
        child.kill()
        child.communicate()
    for directory in delays:
        (directory / "1.deleted").mkdir(exist_ok=True)
        said = []
        opened = checkpoint.open_store(directory, Policy(2, 0, 0), said.append)
        assert all(name.isdecimal() for name in folders(opened))
        newest = max(opened.metrics)
        step, restored, _ = restore(opened, {"x": jax.ShapeDtypeStruct((500_000,), jnp.float32)})
        assert (step, said) == (newest, [])
        np.testing.assert_array_equal(restored["x"], step)
        checkpoint.save(opened, step + 1, restored, 0.0, {})
        checkpoint.wait(opened)
        assert folders(opened) == sorted(map(str, (step, step + 1)))


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_save_does_not_wait_for_the_arrays_and_leaves_no_thread(store):
    opened = store()
    before = set(threading.enumerate())
    slow = jax.jit(lambda x: jax.lax.fori_loop(0, 20, lambda _, y: jnp.tanh(y @ y), x))
    x = jnp.ones((800, 800)) / 800
    slow(x).block_until_ready()
    y = slow(x)
    checkpoint.save(opened, 1, {"y": y}, 0.0, {})
    assert not y.is_ready()
    checkpoint.wait(opened)
    assert y.is_ready()
    left = set(threading.enumerate()) - before
    assert not any(thread.name.startswith("checkpoint") for thread in left)
    for thread in left:  # of Orbax's event loops, told to end
        thread.join(5)
        assert not thread.is_alive()
    np.testing.assert_array_equal(checkpoint.load(opened.directory)[1]["y"], y)
