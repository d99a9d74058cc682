"""The torch twin, the reference of our speed: it is the same program as ours, and refuses unsupported configs."""

import lab
import pytest

from ternary_jax.config import load_config
from ternary_jax.vae.losses import registry

pytest.importorskip("torch", reason="the bench extra is not installed")

import lab_torch_twin as torch_twin

CONFIG = lab.CONFIGS / "v5_12.py"
SMALL = {
    "data.n_digits": 4,
    "train.batch_size": 72,
    "model.dim": 6,
    "model.A.hidden": (24, 16),
    "model.B.hidden": (24, 16),
    "model.direction_hidden": (12,),
    "model.radius_hidden": (8,),
    "model.A.decoder_hidden": (16,),
    "model.B.decoder_hidden": (16,),
    "compilation_cache": False,
}


def small(**overrides):
    return load_config(CONFIG, SMALL | {key.replace("__", "."): value for key, value in overrides.items()})


@pytest.fixture(scope="module")
def config():
    """A config with c = 0.7, because c = 1 would hide wrong powers of c, and with a KL above free_bits."""
    return small(model__c=0.7, losses__kl__free_bits=0.003)


@pytest.fixture(scope="module")
def ours(config):
    return torch_twin.our_step(config)


def test_terms_gradients_and_moves_are_ours(config, ours):
    found = torch_twin.compare(config, ours)
    assert len(found["terms"]) == 9  # the total is one of them
    assert found["moves_compared"] > 0.5


def test_a_difference_is_noticed(config, ours, monkeypatch):
    distance = torch_twin.Twin.distance
    monkeypatch.setattr(torch_twin.Twin, "distance", lambda self, x, y: 1.001 * distance(self, x, y))
    with pytest.raises(RuntimeError, match="the term band_distance_B differs"):
        torch_twin.compare(config, ours)


def test_batches_are_anchors_and_partners_at_each_valuation():
    twin = torch_twin.Twin(small(train__batch_size=80))
    torch_twin.torch.manual_seed(0)
    rows, noise, shifts = twin.sample()
    anchors, partners = rows.view(2, -1)
    valuation = (anchors[:, None] % twin.powers == partners[:, None] % twin.powers).sum(-1)
    assert valuation.tolist() == [0, 1, 2, 3] * 10
    assert 0 <= int(rows.min()) <= int(rows.max()) < 81
    assert noise.shape == (80, 6)
    assert shifts is not None
    assert 0 < int(shifts.min()) <= int(shifts.max()) < 80


UNKNOWN = {*registry.table()} - {"reconstruction", "kl", "radial", "bands"}
OVERRIDES = [{"rates__encoder_A": 0.5}, {"train__remat": True}]
OVERRIDES += [{f"losses__{name}__on": "AB"} for name in sorted(UNKNOWN)]


@pytest.mark.parametrize("override", OVERRIDES)
def test_a_value_that_the_twin_does_not_support_is_refused_by_its_key(override):
    (key,) = override
    with pytest.raises(ValueError, match=key.replace("__", ".")):
        torch_twin.check_config(small(**override))
