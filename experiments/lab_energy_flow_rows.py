"""The rows of experiments/energy_flow.py: a target, and changes to the config of the energy-flow lattice."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import lab

CONFIG = lab.CONFIGS / "energy_flow.py"
WIDTH = 8  # of the faces of its config
FREE: dict[str, Any] = {  # one way for all samples
    "model.content": False,
    "train.batch_size": 128,
    "train.steps": 2000,
    "train.learning_rate": 1.5e-3,
}
MIX = FREE | {
    "train.batch_size": 32,
    "train.learning_rate": 3e-3,
    "train.clip_norm": 1.0,
    "model.movement_scale": 0.01,
    "losses.blur.width": 0.0,
    "losses.occupancy.on": True,
    "train.steps": 2250,
}
POOL = MIX | {"model.channels": 32, "interaction.kind": "pool", "interaction.messages": 32}
MIX_CONTENT = {
    "model.content": True,
    "train.batch_size": 16,
    "train.steps": 2100,
    "train.warmup_epochs": 60,
    "model.reach": 1.0,
    "model.walls": "reflect",
    "losses.push.weight": 0.1,
    "losses.occupancy.weight": 0.1,
}
STILL = {"model.still": True, "losses.occupancy.on": False}
CHILDREN = {"model.children": 7, "train.steps": 1000}
FIELD = MIX | {
    "model.channels": 16,
    "interaction.kind": "field",
    "interaction.messages": 16,
    "model.reach": 1.0,
    "model.walls": "reflect",
    "losses.push.weight": 0.1,
    "train.steps": 3000,
}


SHORTER = {"field_1": {"train.steps": 1050}}  # as its eight steps of a flow take twice as long


class Row(NamedTuple):
    """target: of the config; changes: to its values; bars: metric -> (median, worst); seconds: on one core.

    fewer: steps of the flows that are left out when the trained model is measured
    """

    target: str
    changes: dict[str, Any]
    bars: Mapping[str, tuple[float, float]] = MappingProxyType({})
    seconds: float = 0.0
    fewer: int = 0


LARGE = {"train.batch_size": 64, "train.steps": 4000}


def sides(cells: int) -> dict[str, Any]:
    """A face of cells x cells: flows that reach across it in four steps, under a blur of half of it."""
    side = {"lattice.width": cells, "lattice.height": cells, "model.reach": cells / 4, "model.frequencies": 4}
    return side | {"losses.blur.width": cells / 2, "losses.blur.padding": cells // 2}


GOOD = {"r2": (0.99, 0.98)}
LANDED = GOOD | {"landing": (1.0, 0.0)}
ROWS = {
    "identity": Row("identity", {"model.energy": "tanh", "train.steps": 800}, LANDED, 30),
    "shift": Row("shift", {"train.steps": 600}, LANDED, 30),
    "shift_wrapped": Row("shift_wrapped", {"train.steps": 600}, LANDED, 30),
    "mirror": Row("mirror", {"train.steps": 600}, LANDED, 30),
    "permutation": Row("permutation", {}, LANDED, 45),
    "permutation_1": Row("permutation", {"data.map": 1}, LANDED, 45),
    "permutation_2": Row("permutation", {"data.map": 2}, LANDED, 45),
    "permutation_bfloat16": Row("permutation", {"train.dtype": "bfloat16"}, LANDED),
    "permutation_free": Row("permutation", FREE, GOOD, 5),
    "route": Row(
        "route",
        {"losses.blur.width": 1.5, "model.movement_scale": 0.01, "train.learning_rate": 2e-3},
        {"r2_near": (0.99, 0.0), "r2_far": (0.99, 0.0)},
        30,
    ),
    "blur_one_flow": Row("blur", FREE),
    "blur_children": Row("blur", FREE | {"model.children": 3, "train.steps": 1000}, {"r2": (0.99, 0.0)}, 20),
    "dense_plain": Row("dense", FREE),
    "dense_plain_still": Row("dense", FREE | STILL),
    "dense_plain_content": Row("dense", {}),
    "dense_plain_content_still": Row("dense", STILL),
    "dense_children": Row("dense", FREE | CHILDREN),
    "dense_children_still": Row("dense", FREE | CHILDREN | STILL),
    "dense_pool": Row("dense", POOL, {"r2": (0.99, 0.0)}, 20),
    "dense_pool_16": Row("dense", POOL | {"model.channels": 16, "interaction.messages": 16}),
    "dense_pool_still": Row("dense", POOL | STILL),
    "dense_pool_frozen": Row("dense", POOL | {"start.frozen": ("neuron", "carrier")}),
    "dense_pool_no_occupancy": Row("dense", POOL | {"losses.occupancy.on": False}),
    "dense_pool_bent": Row("dense", POOL | {"interaction.linear": False}),
    "dense_pool_content": Row("dense", POOL | MIX_CONTENT, {"r2": (0.95, 0.0)}, 120),
    "dense_attention": Row("dense", POOL | {"interaction.kind": "attention"}),
    "dense_attention_still": Row(
        "dense", POOL | {"interaction.kind": "attention", "model.still": True, "losses.occupancy.on": False}
    ),
    "dense_field_1": Row("dense", FIELD | {"model.steps": 8, "train.learning_rate": 1.5e-3}),
    "dense_field_1_still": Row("dense", FIELD | {"model.steps": 8} | STILL),
    "dense_field_2": Row("dense", FIELD | {"interaction.radius": 2, "model.steps": 6, "train.learning_rate": 1.5e-3}),
    "dense_field_2_still": Row("dense", FIELD | {"interaction.radius": 2, "model.steps": 6} | STILL),
    "dense_field_4": Row("dense", FIELD | {"interaction.radius": 4}),
    "dense_field_4_still": Row("dense", FIELD | {"interaction.radius": 4} | STILL),
    **{
        f"dense_{name}_content{'_still' * still}": Row(
            "dense", changes | MIX_CONTENT | SHORTER.get(name, {}) | (STILL if still else {})
        )
        for name, changes in {
            "attention": POOL | {"interaction.kind": "attention"},
            "field_1": FIELD | {"model.steps": 8},
            "field_2": FIELD | {"interaction.radius": 2},
            "field_4": FIELD | {"interaction.radius": 4},
        }.items()
        for still in (False, True)
    },
    "dense_pool_content_still": Row("dense", POOL | MIX_CONTENT | STILL),
    **{
        f"dense_children_content{'_still' * still}": Row(
            "dense", CHILDREN | {"train.batch_size": 4} | (STILL if still else {})
        )
        for still in (False, True)
    },
    "identity_16": Row("identity", {"model.energy": "tanh", "train.steps": 800} | sides(16)),
    "permutation_16": Row("permutation", sides(16)),
    "permutation_16_free": Row("permutation", FREE | LARGE | sides(16)),
    "identity_20": Row("identity", {"model.energy": "tanh", "train.steps": 800} | sides(20)),
    "permutation_20_free": Row("permutation", FREE | LARGE | sides(20)),
    "null_no_blur": Row("permutation", {"losses.blur.width": 0.0}),
    "null_still": Row("permutation", {"model.still": True}),
    "null_round": Row("shift", {"model.collect": "round"}),
    "null_average": Row("shift", {"model.collect": "average"}),
    "null_long_steps": Row("permutation", {"train.learning_rate": 3e-3, "train.clip_norm": 1.0, "data.map": 1}),
    "null_shuffled": Row("permutation", {"data.shuffled": True}),
    "null_one_step_fewer": Row("permutation", {}, fewer=1),
    "null_frozen": Row("permutation", {"start.frozen": ("neuron", "carrier")}),
    "null_raw_position": Row("permutation", {"model.frequencies": 0}),
    "null_clipped": Row("permutation", {"model.walls": "clip"}),
    "null_through": Row("permutation", {"model.walls": "through"}),
    "null_new_energy": Row("permutation", {"model.energy": "tanh"}),
    "null_content_at_start": Row("permutation", {"model.zero_energy": False}),
}
