"""The table of losses: its order, the keys and streams of a declaration, and a loss added in a copy."""

import filecmp
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import pytest
import small

from ternary_jax.config.keys import value_of
from ternary_jax.errors import ConfigError
from ternary_jax.vae import forward, objective, streams
from ternary_jax.vae.data import Indices
from ternary_jax.vae.losses import registry, rich
from ternary_jax.vae.losses.registry import LossSpec

ROOT = Path(__file__).parents[2]
ORDER = [
    "reconstruction",
    "kl",
    "prior",
    "radial",
    "stratification",
    "monotonic",
    "rank",
    "rich",
    "geodesic",
    "zero",
    "bands",
    "metric",
    "norm",
    "ranking",
    "ranking_v2",
    "ranking_hyperbolic",
    "repulsion",
    "centroid",
    "entropy",
    "focus",
    "alignment",
]

NEW_LOSS = '''"""Radii drawn inward, each by a random share."""

import jax

from ternary_jax.config.keys import real
from ternary_jax.vae.losses.registry import LossSpec
from ternary_jax.vae.streams import stream


def _inward(output, h):
    r = output.points.r
    share = jax.random.uniform(stream(output.batch.key, 1), r.shape)
    return {"inward": (1, (share * r**h.power).mean() + 100)}


LOSSES = (LossSpec("inward", _inward, {"power": real(1, 3, traced=True)}, uses=("randomness",), families=("radial",)),)
'''
ENTRY = """    losses.inward = ConfigDict(dict(on="none", weight=1.0))
    losses.inward.power = 2.0
"""


@pytest.fixture
def added(monkeypatch):
    """A function that adds losses to the table for the duration of the test."""

    def add(*losses):
        monkeypatch.setattr(rich, "LOSSES", (*rich.LOSSES, *losses))
        registry.table.cache_clear()

    yield add
    monkeypatch.undo()
    registry.table.cache_clear()


def one(output, h):
    return {"one": (1, jnp.sum(output.points.r))}


def test_the_order_of_the_sum_is_fixed_and_new_losses_come_last(added):
    assert [*registry.table()] == ORDER
    added(LossSpec("b_new", one), LossSpec("a_new", one))
    assert [*registry.table()] == [*ORDER, "a_new", "b_new"]


def test_families_are_those_of_the_controllers():
    assert {*registry.family("autoencoder")} == {"reconstruction", "focus", "kl", "prior", "entropy", "repulsion"}
    assert registry.family("kl") == ("kl", "prior")
    assert registry.family("radial") == ("radial", "stratification", "monotonic", "rank")
    assert registry.family("ranking") == ("ranking", "ranking_v2", "ranking_hyperbolic")


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (LossSpec("new", one, uses=("pair",)), "'new' uses {'pair'}"),  # pyright: ignore[reportArgumentType]
        (LossSpec("new", one, families=("rank",)), "the families {'rank'}"),  # pyright: ignore[reportArgumentType]
        (LossSpec("kl", one), "two losses are called 'kl'"),
    ],
)
def test_a_declaration_that_would_be_read_as_nothing_is_refused(added, loss, words):
    added(loss)
    with pytest.raises(ValueError, match=words):
        registry.table()


def test_two_losses_with_a_part_of_one_name_are_refused(added):
    added(LossSpec("new", one), LossSpec("newer", one))
    output: Any = SimpleNamespace(points=SimpleNamespace(r=jnp.ones(3)))
    weights = SimpleNamespace(new=SimpleNamespace(weight=1.0), newer=SimpleNamespace(weight=1.0))
    with pytest.raises(ValueError, match="two losses have a part called one_B"):
        objective.total({"A": output, "B": output}, {"new": "AB", "newer": "B"}, weights, {})


@pytest.mark.parametrize(
    ("uses", "drawn"),
    [((), ()), (("pairs",), ("shifts",)), (("triplets",), ("key",)), (("randomness",), ("key",)), (("partners",), ())],
)
def test_a_batch_has_what_the_losses_use(added, uses, drawn):
    made, static, hypers, _ = small.setting()
    added(LossSpec("new", one, uses=uses))
    static = static._replace(losses=SimpleNamespace(**static.losses._asdict(), new=SimpleNamespace(on="B")))
    batch = forward.make_batch(static, small.context(made, hypers), Indices(jnp.arange(24)))
    assert {name for name in ("shifts", "key") if getattr(batch, name) is not None} == {*drawn}


def test_streams_do_not_meet():
    """A model of two branches calls a network with dropout eight times at most."""
    numbers = [streams.SHIFTS, *streams.NOISE.values(), streams.LOSSES, streams.BATCH_RANKING]
    numbers += range(streams.DROPOUT, streams.DROPOUT + 8)
    assert len({*numbers}) == len(numbers)
    assert (streams.stream(jax.random.key(0), 3) == jax.random.fold_in(jax.random.key(0), 3)).all()


def test_keys_follow_from_the_declaration(added):
    assert value_of("losses.alignment.on", "AB", "", registry.config_keys()) == "AB"
    with pytest.raises(ConfigError, match="give none or AB"):
        value_of("losses.alignment.on", "B", "", registry.config_keys())
    added(LossSpec("new", one, {"width": registry.positive()}))
    assert {key for key in registry.config_keys() if key.startswith("losses.new.")} == {
        f"losses.new.{key}" for key in ("on", "weight", "width")
    }
    assert registry.config_keys()["losses.new.width"].traced


@pytest.mark.slow
def test_a_loss_is_added_by_its_file_and_an_entry_in_the_config(tmp_path):
    for folder in ("ternary_jax", "configs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "ternary_jax/vae/losses/inward.py").write_text(NEW_LOSS)
    config = tmp_path / "configs/vae.py"
    head, tail = config.read_text().split("    config.phases = ConfigDict()")
    config.write_text(f"{head}{ENTRY}    config.phases = ConfigDict(){tail}")
    changes = {
        "data.n_digits": 3,
        "data.high_from": 2,
        "train.batch_size": 9,
        "train.epochs": 1,
        "evaluate.cheap_every": 1,
        "evaluate.costly_every": 0,
        "checkpoint.every": 1,
        "log.tensorboard": "false",
        "report.on": "never",
        "compilation_cache": "false",
        "losses.inward.on": "B",
    }
    typed = [f"--config.{key}={value}" for key, value in changes.items()]
    command = [sys.executable, "-m", "ternary_jax.main", "--config=configs/vae.py", "--workdir=run", *typed]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "JAX_PLATFORMS": "cpu"}
    environment["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    row = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[-1])
    assert 100 < row["loss/inward_B"] < 200
    assert row["loss"] > row["loss/inward_B"]
    assert "loss/inward_A" not in row
    assert touched(tmp_path) == {"ternary_jax/vae/losses/inward.py", "configs/vae.py"}


def touched(copy):
    """The files of a copy that differ from those of this repository, or are new."""
    files = [path for folder in ("ternary_jax", "configs") for path in (copy / folder).rglob("*.py")]
    names = [str(path.relative_to(copy)) for path in files]
    return {
        name for name in names if not (ROOT / name).exists() or not filecmp.cmp(ROOT / name, copy / name, shallow=False)
    }
