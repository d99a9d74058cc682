"""The metrics of all pairs, of the training pairs and of the held-out pairs, and their reference values."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax import ternary
from ternary_jax.addition.objective import cross_entropy
from ternary_jax.metric import Metric

LOWER_IS_BETTER = ("loss", "distance")


def names(static: Any) -> dict[str, tuple[str, str]]:
    """Metric -> (set of pairs, figure of a pair), in the order of a report.

    Without a split there are no held-out metrics. Partial credit exists from two digits on.
    """
    credit = ("valuation", "distance") if static.data.n_digits > 1 else ()
    held_out = ("accuracy", "loss", *credit) if static.data.split == "random" else ()
    found = {f"held_out_{figure}": ("held_out", figure) for figure in held_out}
    found |= {f"train_{figure}": ("train", figure) for figure in ("accuracy", "loss")}
    return found | {"accuracy": ("all", "accuracy")}


def judge(logits: Array, answer: Array, n_digits: int, p: int) -> dict[str, Array]:
    """Figures of each pair, (n,): whether it is right, its loss, v = v(prediction - answer), and p^-v, their distance.

    v is the number of right leading digits, least significant first; n_digits if all are right.
    """
    prediction = jnp.argmax(logits, -1).astype(jnp.int32)
    return {
        "accuracy": prediction == answer,
        "loss": cross_entropy(logits, answer),
        "valuation": ternary.pair_valuation(prediction, answer, n_digits, p),
        "distance": ternary.distance(prediction, answer, n_digits, p),
    }


def means(figures: dict[str, Array], trained: Array, static: Any) -> dict[str, Array]:
    """Every metric of `names`, from the figures of all pairs; trained (n,) bool. A mean over no pairs is NaN."""
    parts = {"all": jnp.ones_like(trained), "train": trained, "held_out": ~trained}
    return {name: _mean(figures[figure], parts[part]) for name, (part, figure) in names(static).items()}


def references(static: Any) -> tuple[Metric, ...]:
    """The metrics, each with its best value, its value for uniform guesses among m answers, and its untrained value.

    In the mean over its parameters an untrained network is as good as a guess, as its outputs are exchangeable. Its
    loss is not that of a guess: the untrained value is None, so the host measures it.
    """
    p, k = static.data.p, static.data.n_digits
    guess = {
        "accuracy": p**-k,
        "loss": k * math.log(p),
        "valuation": sum(p**-v for v in range(1, k + 1)),
        "distance": (1 - 1 / p) * sum(p ** (-2 * v) for v in range(k)),
    }
    best = {"accuracy": 1.0, "loss": 0.0, "valuation": float(k), "distance": 0.0}
    found = names(static)
    return tuple(
        Metric(
            name,
            -1 if figure in LOWER_IS_BETTER else 1,
            best[figure],
            guess[figure],
            None if figure == "loss" else guess[figure],
            held_out_of=f"train_{figure}" if part == "held_out" and f"train_{figure}" in found else "",
            tag=f"{part}/{figure}",
        )
        for name, (part, figure) in found.items()
    )


def about_split(static: Any, n: int) -> str:
    """The split of a run, and whether its figures show generalisation."""
    if static.data.split == "none":
        return f"split none: all {n} pairs were trained on, so these figures say nothing of generalisation"
    return (
        f"split random: a share of the {n} pairs was trained on, and (b, a) may be held out where (a, b) was not; "
        "runs that train on all pairs have no held-out figures"
    )


def _mean(x, mask):
    count = jnp.sum(mask)
    return jnp.where(count == 0, jnp.nan, jnp.sum(jnp.where(mask, x, 0)) / jax.lax.max(count, 1))
