"""The rows of experiments/cube.py: a target, and changes to the config of the cube; and sizes that are timed."""

from typing import Any, NamedTuple

from ternary_jax.lattice.cube.cell import WEIGHTS

TARGETS = ("identity", "blur", "shift", "shift_wrapped", "mirror", "permutation", "dense", "gate", "parity")
SIDE = 5  # of the config
RATES: dict[str, tuple[float, ...]] = dict.fromkeys(WEIGHTS, (0.004, 0.008, 0.016, 0.032))  # tried by `rates`
TUNED = {
    "own": 0.016,
    "shared": 0.032,
    "code": 0.032,
    "prototypes": 0.032,
    "rank": 0.016,
}  # the best of `rates`, of three at its edge
KINDS = {weights: {"model.weights": weights, "train.learning_rate": rate} for weights, rate in TUNED.items()}
LARGE = {"lattice.width": 8, "lattice.height": 8, "lattice.depth": 6, "model.repeats": 3}
LARGE |= {"train.steps": 2000, "train.batch_size": 64}
FAR = {"losses.blur.width": 6.0, "losses.blur.padding": 9}  # up to 14 cells to go
BFLOAT16 = ("identity", "shift_wrapped", "permutation", "dense")
ALL = {"model.schedule": "all"}
SMALL = {  # what is timed, and trained for long
    "lattice.width": 8,
    "lattice.height": 8,
    "model.schedule": "all",
    "model.updates": 10,
    "model.hidden": 32,
    "train.batch_size": 32,
}
FULL = {
    "lattice.width": 15,
    "lattice.height": 15,
    "lattice.depth": 11,
    "model.channels": 32,
    "model.hidden": 48,
    "model.repeats": 1,
    "model.updates": 11,
    "train.batch_size": 8,
}
GATED = {"model.cell": "gated", "train.learning_rate": 0.032}  # the best of RATES, on seed 1000


class Bar(NamedTuple):
    """What a row should reach. medians: over the seeds, by metric; worst: the least r2; seconds: CPU, of a seed."""

    medians: dict[str, float]
    worst: float
    seconds: float


BARS = {
    "small": Bar({"r2": 0.99}, 0.97, 30),
    "large": Bar({"r2": 0.97}, 0, 300),
    "recall": Bar({"r2_after_10": 0.95, "r2_after_100": 0.9}, 0, 300),
    "stream": Bar({"accuracy": 1.0, "accuracy_64": 0.99}, 0, 300),
}


class Row(NamedTuple):
    """target: of the config, or another of its variants; changes: to its values; bar: one of BARS, "" for none."""

    target: str
    changes: dict[str, Any]
    bar: str = ""


ROWS = {
    f"{target}_{weights}": Row(target, KINDS[weights], "small" * (weights == "own"))
    for target in TARGETS
    for weights in RATES
}
ROWS |= {
    f"{target}_own_8": Row(target, LARGE | far | {"train.learning_rate": 0.006}, "large")
    for target, far in {"permutation": FAR, "mirror": FAR, "dense": {}, "gate": {}, "parity": {}}.items()
}
ROWS |= {
    f"permutation_{weights}_8": Row("permutation", changes | LARGE | FAR)
    for weights, changes in KINDS.items()
    if weights != "own"
}
ROWS |= {  # other permutations: of permutation_2, two values have seven cells to go
    f"permutation_{number}_own": Row("permutation", {"data.map": number}, "small") for number in (1, 2)
}
ROWS |= {  # a memory, a state machine, a bottleneck: all cells are updated
    f"{target}_{weights}": Row(target, {"model.weights": weights}, bar)
    for target, bar in (("recall", "recall"), ("parity_in_time", "stream"), ("erase", ""))
    for weights in WEIGHTS
}
ROWS |= {  # other ways to train, and nulls
    **{f"{target}_own_gated": Row(target, GATED) for target in TARGETS},
    **{f"{target}_own_all": Row(target, ALL) for target in TARGETS},
    **{f"{target}_own_bfloat16": Row(target, {"train.dtype": "bfloat16"}) for target in BFLOAT16},
    **{f"mirror_own_all_t{number}": Row("mirror", ALL | {"model.updates": number}) for number in (4, 6, 8)},
    "permutation_own_sharp": Row("permutation", {"losses.blur.width": 0.0}),
    "permutation_own_shuffled": Row("permutation", {"data.shuffled": True}),
    "mirror_own_all_window": Row("mirror", ALL | {"losses.window": "mean"}),
}
