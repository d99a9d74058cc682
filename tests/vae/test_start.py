"""Start from a checkpoint: loaded groups beside new ones, and settings that are refused."""

import jax
import numpy as np
import pytest
import small

from ternary_jax.config import ConfigError, split
from ternary_jax.engine import start
from ternary_jax.vae import task
from ternary_jax.workdir import checkpoint

GROUPS = ("encoder_A", "decoder_A", "projection_A", "encoder_B", "decoder_B", "projection_B")


def stacked(*trees):
    return jax.tree.map(lambda *a: np.stack(a), *trees)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """(workdir, parameters of run 0) of a checkpoint of two runs; an older one holds others."""
    workdir = tmp_path_factory.mktemp("saved")
    _, _, _, params = small.setting()
    store = checkpoint.open_store(workdir / "checkpoints", checkpoint.Policy(2, 1, 0), print)
    other = small.drawn(params, 1)
    checkpoint.save(store, 3, {"params": stacked(other, params)}, 0.0, {})
    checkpoint.save(store, 5, {"params": stacked(params, other)}, 1.0, {})
    checkpoint.wait(store)
    return workdir, params


def initial(seed=0, **overrides):
    """Initial parameters of two runs."""
    static, hypers = split(small.config(runs=2, **overrides))
    made = task.make_task(static)
    keys = jax.random.split(jax.random.key(seed), 2)
    return jax.device_get(small.jit(jax.vmap(made.init))(keys, hypers))


def refused(**overrides):
    with pytest.raises(ConfigError) as caught:
        begin(**overrides)
    return str(caught.value)


def begin(**overrides):
    """Begin a run, up to the point before it compiles."""
    static, hypers = split(small.config(**overrides))
    made = task.make_task(static)
    jax.eval_shape(jax.jit(jax.vmap(made.init)), jax.random.split(jax.random.key(0), 1), hypers)


def test_the_groups_are_those_of_the_newest_checkpoint_and_the_others_are_fresh(saved):
    workdir, params = saved
    groups = ("encoder_A", "projection_B")
    from_there = initial(start__workdir=str(workdir), start__groups=groups)
    scratch = initial()
    assert set(from_there) == set(scratch) == set(GROUPS)
    for group in GROUPS:
        for a, b, there in zip(*(jax.tree.leaves(t[group]) for t in (from_there, scratch, params)), strict=True):
            assert a.dtype == np.float32
            np.testing.assert_array_equal(a, np.stack([there] * 2) if group in groups else b)
    assert np.abs(scratch["encoder_A"]["mean"]["kernel"][0] - scratch["encoder_A"]["mean"]["kernel"][1]).max() > 0.01


def test_without_a_workdir_nothing_is_loaded():
    static, _ = split(small.config())
    assert start.load(static.start) == {}


def test_one_of_the_two_keys_alone_is_refused(saved):
    for overrides in (dict(start__workdir=str(saved[0])), dict(start__groups=("encoder_A",))):
        sentence = refused(**overrides)
        assert "config.start.workdir=" in sentence
        assert "config.start.groups=" in sentence
        assert "go together: set both, or neither to start from scratch" in sentence


def test_a_missing_checkpoint_or_group_is_refused(saved, tmp_path):
    nowhere = refused(start__workdir=str(tmp_path), start__groups=("encoder_A",))
    assert f"config.start.workdir={tmp_path} holds no checkpoint to start from: " in nowhere
    unknown = refused(start__workdir=str(saved[0]), start__groups=("encoder_A", "encoder", "fly"))
    assert f"config.start.groups=encoder,fly is not in {saved[0]}: there are " in unknown
    assert all(group in unknown for group in GROUPS)


def test_a_group_of_another_shape_is_refused(saved):
    shape = refused(start__workdir=str(saved[0]), start__groups=("decoder_B",), model__B__decoder_hidden=(9,))
    assert shape.startswith("config.start.groups=decoder_B does not fit: ")
    kind = refused(start__workdir=str(saved[0]), start__groups=("encoder_A",), model__A__encoder="plain")
    assert kind.startswith("config.start.groups=encoder_A does not fit: ")


@pytest.mark.parametrize("key", ["groups", "frozen"])
def test_a_group_that_the_model_does_not_have_is_refused(saved, key):
    overrides = {"model__A__projection": "exp_map", f"start__{key}": ("encoder_A", "projection_A")}
    if key == "groups":
        overrides["start__workdir"] = str(saved[0])
    sentence = refused(**overrides)
    assert f"config.start.{key}=projection_A is no group: there are decoder_A, decoder_B, encoder_A, " in sentence


def test_a_shared_decoder_is_a_group_once(saved):
    shared = dict(model__B__decoder="shared", start__workdir=str(saved[0]))
    assert "config.start.groups=decoder_B is no group" in refused(**shared, start__groups=("decoder_B",))
    assert "config.start.frozen=curvature is no group" in refused(start__frozen=("curvature",))
