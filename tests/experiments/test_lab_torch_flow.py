"""The torch twin of the energy-flow lattice: it is the same model as ours, and refuses unsupported configs."""

import lab
import pytest

from ternary_jax.config import load_config

pytest.importorskip("torch", reason="the bench extra is not installed")

import lab_torch_flow as twin

SMALL = {
    "lattice.width": 5,
    "lattice.height": 4,
    "lattice.depth": 3,
    "model.steps": 3,
    "model.hidden": 6,
    "model.layers": 2,
    "model.movement_scale": 3.0,
    "train.batch_size": 4,
    "compilation_cache": False,
}


def small(**overrides):
    return load_config(lab.CONFIGS / "energy_flow.py", SMALL | {k.replace("__", "."): v for k, v in overrides.items()})


def test_outputs_loss_and_gradients_are_ours():
    assert max(twin.check(small()).values()) <= 1e-4


def test_a_difference_is_noticed(monkeypatch):
    hat = twin.Twin.hat
    monkeypatch.setattr(twin.Twin, "hat", lambda self, x, size: 1.001 * hat(self, x, size))
    with pytest.raises(RuntimeError, match="the twin is another model: "):
        twin.check(small())


@pytest.mark.parametrize("override", [{"model__walls": "clip"}, {"interaction__kind": "pool"}, {"runs": 2}])
def test_a_value_that_the_twin_does_not_support_is_refused_by_its_key(override):
    (key,) = override
    with pytest.raises(ValueError, match=key.replace("__", ".")):
        twin.check_config(small(**override))
