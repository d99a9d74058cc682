"""A lattice that starts from the parameters of a workdir: see tests/vae/test_start.py for what all tasks share."""

import jax
import numpy as np
import pytest
from small_flows import CONFIG, SMALL, model, settings

from ternary_jax.config import load_config, split
from ternary_jax.engine import host
from ternary_jax.errors import ConfigError
from ternary_jax.lattice.energy_flow import task
from ternary_jax.workdir import checkpoint

GROUPS = ("neuron", "carrier", "movement", "energy")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """(workdir, parameters of run 0) of a checkpoint of two runs."""
    workdir, params = tmp_path_factory.mktemp("saved"), jax.device_get(model()[1])
    keep(workdir, params)
    return workdir, params


def keep(workdir, params):
    store = checkpoint.open_store(workdir / "checkpoints", checkpoint.Policy(1, 1, 0), print)
    two = jax.tree.map(lambda a: np.stack([a, 0 * a]), params)
    checkpoint.save(store, 3, {"params": two}, 0.0, {})
    checkpoint.wait(store)


def begun(workdir, groups=GROUPS, **changes):
    """The parameters with which a run begins."""
    made = task.make_task(settings(start__workdir=str(workdir), start__groups=groups, **changes))
    return jax.jit(made.init)(jax.random.key(9), None)


def test_a_run_begins_with_the_groups_of_another_also_behind_a_barrier(saved):
    workdir, params = saved
    barrier = {"barrier__on": True, "barrier__x": 1.5, "barrier__first_row": 1, "barrier__last_row": 2}
    found = begun(workdir, ("neuron", "energy"), **barrier)
    fresh = begun("", (), **barrier)
    for group, there in (("neuron", params), ("energy", params), ("carrier", fresh), ("movement", fresh)):
        jax.tree.map(np.testing.assert_array_equal, found[group], there[group])
    assert np.abs(fresh["neuron"]["place"]["kernel"] - params["neuron"]["place"]["kernel"]).max() > 0.01


@pytest.mark.parametrize(
    ("groups", "changes", "words"),
    [
        ((), {}, "go together: set both, or neither to start from scratch"),
        (("pilot",), {}, "config.start.groups=pilot is not in "),
        (("carrier",), {"model__hidden": 8}, "config.start.groups=carrier does not fit: it has "),
        (("carrier",), {"model__layers": 2}, "config.start.groups=carrier does not fit: it has "),
    ],
)
def test_parameters_that_do_not_fit_are_refused_in_one_sentence(saved, groups, changes, words):
    with pytest.raises(ConfigError) as e:
        begun(saved[0], groups, **changes)
    assert words in str(e.value)
    assert "\n" not in str(e.value)


def test_values_of_another_type_are_refused(tmp_path):
    keep(tmp_path, {"energy": jax.tree.map(lambda a: np.asarray(a, np.int32), jax.device_get(model()[1]["energy"]))})
    with pytest.raises(ConfigError, match=r"config\.start\.groups=energy does not fit: it has values of int32 there"):
        begun(tmp_path, ("energy",))


def test_a_run_does_not_start_from_itself(tmp_path):
    changes = {"start.workdir": str(tmp_path / "run"), "start.groups": GROUPS}
    with pytest.raises(ConfigError, match=r"config\.start\.workdir=.* is no folder: give the workdir of a training"):
        host.run(load_config(CONFIG, SMALL | changes), tmp_path / "run")
    assert split(load_config(CONFIG, SMALL))[0].start.groups == ()
