"""configs/grokking.py and configs/variants.py: they trace, and have the numbers of the documents."""

import types
from typing import Any

import jax
import jax.numpy as jnp
import lab
import numpy as np
import pytest
import small
import variants

from ternary_jax.config import ConfigError, listed_runs, load_config
from ternary_jax.engine import program
from ternary_jax.vae.losses import registry

SMALL: dict[str, Any] = {
    "data.n_digits": 4,
    "data.high_from": 2,
    "train.batch_size": 24,
    "log.tensorboard": False,
    "compilation_cache": False,
}
RICH, RADIAL = ("rich_means", "rich_floor", "rich_separation"), ("radial", "radial_margin")
# The terms of the loss of each, without the branch.
TERMS = {
    "variants.py:homeostatic_rich": {"AB": ("reconstruction", *RICH)},
    "variants.py:hierarchy_focused": {"B": ("reconstruction", "rank", *RICH)},
    "variants.py:radial_target": {"B": ("reconstruction", "stratification")},
    "variants.py:quick": {"B": ("reconstruction", *RADIAL, "geodesic")},
    "grokking.py": {"AB": ("reconstruction", "kl", *RADIAL, "rank", "geodesic"), "B": RICH},
}


def configured(name, changes=None):
    return load_config(small.CONFIGS / name, changes or {})


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (n > 0)) for n, name in enumerate(TERMS)]
)
def test_each_config_traces_and_its_terms_are_those_of_its_losses(name):
    """The chunk is traced, not compiled: shapes, controllers and schedules fit."""
    config = configured(name, SMALL)
    task, static, hypers = lab.assemble(config)
    init, chunk = program.make_train(task, static)
    first = jax.ShapeDtypeStruct((), jnp.int32)
    state, report = jax.eval_shape(chunk.program, jax.eval_shape(init, hypers), first, hypers, *chunk.shared)
    wanted = {f"{term}_{b}" for branches, terms in TERMS[name].items() for b in branches for term in terms}
    assert set(report.info.terms) == wanted
    assert {leaf.shape[:1] for leaf in jax.tree.leaves(state)} == {(1,)}


def test_there_is_no_other_variant():
    assert [f"variants.py:{name}" for name in variants.VARIANTS] == [*TERMS][:-1]
    for name in ("variants.py:rich", "grokking.py:balls"):
        with pytest.raises(ConfigError, match=r"has no variant '(rich|balls)': there (is|are) "):
            configured(name)
    assert configured("variants.py", {}) == configured("variants.py:quick")
    assert listed_runs(f"{small.CONFIGS}/variants.py:radial_target") == [{"seed": seed} for seed in range(4)]


# --- the extended run -------------------------------------------------------------------------------------------------


def test_the_phases_are_three_as_in_the_documents():
    """exploration 0-150, a cosine; grokking_search 150-350 at 0.3; fine_tuning 350-500, from 0.1 linearly to 0."""
    task, static, _ = lab.assemble(configured("grokking.py"))
    steps, rate = lab.plan(task, static), lab.schedule_rows(task, static)["learning_rate"]
    assert static.train.epochs * steps.unit == len(rate) == 500 * 32  # 22 of 27 balls, in batches of 512
    explore, search, tune = np.split(rate, [150 * 32, 350 * 32])
    t = np.arange(4800) / 4799
    np.testing.assert_allclose(explore, np.cos(np.pi * t / 2) ** 2, atol=1e-6)
    np.testing.assert_array_equal(search, np.float32(0.3))
    np.testing.assert_allclose(tune, 0.1 * (1 - t), atol=1e-7)
    assert len(rate) // steps.cheap == 250
    assert not np.any(np.array([150, 350, 500]) * 32 % steps.checkpoint)


def test_the_weights_are_those_of_the_extended_configuration():
    config = configured("grokking.py")
    assert (config.train.learning_rate, config.train.weight_decay, config.train.batch_size) == (8e-4, 1e-4, 512)
    rich, radial, rank, far = (config.losses[name] for name in ("rich", "radial", "rank", "geodesic"))
    assert (rich.means, rich.floor, rich.separation, rich.kappa) == (5.0, 2.5, 3.0, 0.4)
    assert (radial.weight, radial.margin, rank.weight, far.weight) == (1.0, 0.5, 0.5, 0.4)
    assert (config.radii.inner, config.radii.outer, config.data.budget) == (0.08, 0.90, 0.25)
    assert config.losses.zero.on == "none"
    assert config.phases.geometry_from == 50


def test_both_splits_hold_as_many_operations_out():
    held_out = {}
    for name in ("grokking.py", "grokking.py:random"):
        mask = lab.assemble(configured(name))[0].data.train_mask
        held_out[name] = np.flatnonzero(~mask)
        assert len(held_out[name]) == 19683 * 5 // 27 == 3645
    assert len({*(held_out["grokking.py"] % 27)}) == 5
    assert len({*(held_out["grokking.py:random"] % 27)}) == 27


# --- the specialised scripts ------------------------------------------------------------------------------------------


def test_the_numbers_of_the_specialised_scripts_are_theirs():
    rich, focused, radial, quick = (configured(f"variants.py:{name}") for name in variants.VARIANTS)
    own = rich.losses.rich
    assert (own.means, own.floor, own.separation, own.kappa, rich.losses.reconstruction.weight) == (5, 2, 3, 0.5, 1)
    gates = rich.homeostasis
    assert (gates.on, gates.unfreeze_at, gates.freeze_below, gates.floor) == (True, 0.999, 0.995, 0.95)
    assert (gates.hysteresis, gates.window, gates.stall, gates.patience, gates.progress) == (3, 5, 5, 5, 1e-3)
    assert (focused.losses.rank.weight, focused.losses.rich.separation) == (10.0, 5.0)
    assert focused.losses.reconstruction.weight == 0.5
    assert (radial.losses.stratification.weight, radial.losses.reconstruction.weight) == (10.0, 0.1)
    assert (radial.radii.inner, radial.radii.outer, radial.model.max_radius) == (0.05, 0.95, 0.99)
    assert (quick.train.epochs, quick.radii.inner, quick.radii.outer) == (5, 0.1, 0.85)
    for config in (rich, focused, radial, quick):
        assert not config.start.workdir  # from scratch
        assert config.data.split == "none"
    assert [[*registry.on(c.losses).values()] for c in (rich, focused)] == [["AB", "AB"], ["B", "B", "B"]]


def test_figures_are_those_of_each_branch_and_seed(monkeypatch):
    """On a synthetic run whose figures are numbered, and whose encoder B is frozen at the last of three evaluations."""
    values = {f"{figure}_{b}": 10 * k + "AB".index(b) for k, figure in enumerate(variants.FIGURES) for b in "AB"}

    def trained(config):
        assert (config.runs, config.losses.rich.floor, config.train.epochs) == (2, 2.0, 63)
        rates = {"rate/encoder_A": np.array([0.5] * 3), "rate/encoder_B": np.array([1.0, 0.5, 0.0])}
        finals = [{"final": {name: value + run / 2 for name, value in values.items()}} for run in range(2)]
        summary = {"runs": finals, "metrics": {name: {"ceiling": -1.0} for name in values}, "wall_s": 4.0}
        return summary, [types.SimpleNamespace(columns=rates)] * 2, {}

    monkeypatch.setattr(lab, "trained", trained)
    found = variants.measured("homeostatic_rich", "AB", 2, {"train.epochs": 63, "evaluate.costly_every": 0})
    assert found["figures"]["B"]["hierarchy"] == [11, 11.5]
    assert found["figures"]["A"]["q"] == [40, 40.5]
    assert found["rests"] == {"A": [0, 0], "B": [pytest.approx(1 / 3)] * 2}
    assert (found["epochs"], found["seconds"], found["ceilings"]["q"]) == (63, 4.0, -1.0)
    lines = variants.table({"homeostatic_rich": found}).splitlines()
    assert lines[1].split()[:4] == ["homeostatic_rich,", "A", "0.25000", "(0.50000)"]
    assert lines[2].split()[-3:] == ["33%", "63", "4"]


def test_a_row_has_the_median_and_the_worst_of_its_seeds():
    assert variants.ending([0.9, 0.5, 0.8], 1.0) == "0.80000 (0.50000)"
    assert variants.ending([-0.83, -0.6, -0.8], -0.83) == "-0.80000 (-0.60000)"
    assert variants.ending([0.9, None, 0.8], 1.0) == "2 of 3"


def test_the_table_has_the_documents_under_each_of_ours():
    one = {
        "figures": {"B": {figure: [-0.5, -0.5] for figure in variants.FIGURES}},
        "ceilings": dict.fromkeys(variants.FIGURES, -1.0),
        "rests": {},
        "epochs": 7,
        "seconds": 3.2,
    }
    lines = variants.table({"radial_target": one, "quick": one}).splitlines()
    assert [line.split("  ")[0].strip() or line.split("  ")[1] for line in lines[1:5]] == [
        "radial_target, B",
        "the documents",
        "quick, B",
        "ceiling",
    ]
    assert lines[5].startswith("radial_target, the documents: branch A")
    assert "-0.832 " in lines[2]
