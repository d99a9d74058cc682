"""Addition modulo p^k as the engine's Task: a network learns a + b mod p^k from some of all pairs (a, b).

With weight decay and few pairs it knows those it is trained on long before it adds: it groks (Power et al., arXiv
2201.02177). For a prime p, k = 1 is the usual task; for k > 1 an answer can be right in its first digits alone.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from ternary_jax import ternary
from ternary_jax.addition import data, models
from ternary_jax.control.chain import chain
from ternary_jax.engine.task import Context, Loss, Metric, Task
from ternary_jax.keys import ConfigError, choice, integer, real

KEYS = {
    **data.KEYS,
    "model.kind": choice("perceptron", "transformer"),
    "model.width": integer(1, 65536),
    "model.hidden": integer(1, 65536),
    "model.heads": integer(1, 1024),
    "model.scale": real(1e-6, 1e6, traced=True),
    "targets.accuracy": real(0, 1),
}


class Tables(NamedTuple):
    """What all runs share, on the device. orders: (splits, m^2) int32, of `data.orders`."""

    orders: Any


def check(config: Any) -> None:
    """Raise a ConfigError where several keys contradict each other."""
    data.check(config)
    if config.model.width % config.model.heads:
        raise ConfigError(f"config.model.heads={config.model.heads} has to divide config.model.width={config.model.width}")


def make_task(static: Any) -> Task:
    """The task of a config, with its static values closed over."""
    modulus = ternary.n_operations(static.data.n_digits, static.data.p)
    n, model = modulus**2, make_model(static, modulus)

    def forward(params, a, b):
        return model.apply({"params": params}, a, b)

    forward = jax.checkpoint(forward) if static.train.remat else forward

    def init(key, hypers):
        one = jnp.zeros((1,), jnp.int32)
        return jax.tree.map(lambda x: hypers.model.scale * x, model.init(key, one, one)["params"])

    def split(hypers, tables):
        """The order of all pairs, (m^2,), and how many of the first are trained on."""
        if static.data.split == "none":
            return tables.orders[0], jnp.int32(n)
        return tables.orders[hypers.data.split_seed], data.n_train(hypers.data.train_share, n)

    def sample(context: Context):
        given = (*split(context.hypers, context.data), static.train.batch_size, modulus)
        return data.every(*given) if static.data.full_batch else data.drawn(context.key, *given)

    def loss(params, batch, context: Context):
        wrong = cross_entropy(forward(params, batch.a, batch.b), data.answer(batch.a, batch.b, modulus))
        total = jnp.mean(batch.weight * wrong)
        return Loss(total, {"cross_entropy": total}, {})

    def cheap(params, knobs, hypers, tables):
        order, count = split(hypers, tables)
        a, b = data.numbers(order, modulus)
        of_pairs = judged(forward(params, a, b), data.answer(a, b, modulus), static.data)
        return metrics_of(of_pairs, jnp.arange(n) < count, static) | {"weight_norm": optax.tree.norm(params)}

    def export(params, knobs, hypers, tables):
        order, count = split(hypers, tables)
        a, b = data.numbers(jnp.arange(n, dtype=jnp.int32), modulus)
        return dict(
            embedding=params["embedding"]["embedding"],
            answer=data.answer(a, b, modulus).reshape(modulus, modulus),
            prediction=jnp.argmax(forward(params, a, b), -1).astype(jnp.int32).reshape(modulus, modulus),
            train_mask=jnp.zeros(n, bool).at[order].set(jnp.arange(n) < count).reshape(modulus, modulus),
        )

    return Task(
        name=f"a + b mod {modulus}",
        data=Tables(data.orders(static.data.splits if static.data.split == "random" else 1, n)),
        samples_per_epoch=static.train.batch_size,  # an epoch is a step, as runs may differ in what they train on
        metrics=_metrics(static, modulus),
        init=init,
        knobs=lambda hypers: {},
        sample=sample,
        loss=loss,
        cheap=cheap,
        costly=lambda params, knobs, hypers, tables: {},
        export=export,
        control=chain(),
        schedules={},
        signals=(),
        ratio=None,
        notes=(_about_split(static, n),),
    )


def make_model(static: Any, modulus: int) -> Any:
    """The network of a config."""
    m, dtype = static.model, jnp.dtype(static.train.dtype)
    if m.kind == "transformer":
        return models.Transformer(modulus, m.width, m.hidden, m.heads, dtype)
    return models.Perceptron(modulus, m.width, m.hidden, dtype)


def cross_entropy(logits: Array, answer: Array) -> Array:
    """-log softmax(logits)[answer] = log(1 + exp u), u = logsumexp of logits_j - logits_answer over j != answer. (...)

    logits (..., m), answer (...). Right to the last digits of float32 however small, and so is its gradient. By
    log_softmax a margin of 17 is a loss of 0 with a gradient of 0, "softmax collapse" (Prieto et al., arXiv 2501.04697):
    a run that has fitted goes on by weight decay alone, or by rounding errors.
    """
    right = jax.nn.one_hot(answer, logits.shape[-1], dtype=bool)
    above = logits - jnp.sum(jnp.where(right, logits, 0), -1, keepdims=True)
    return jax.nn.softplus(jax.nn.logsumexp(jnp.where(right, -jnp.inf, above), -1))


# --- what is measured -------------------------------------------------------------------------------------------------


def judged(logits: Array, answer: Array, of: Any) -> dict[str, Array]:
    """Of each pair, (n,): is it right, its loss, the valuation of its error and the p-adic distance of it from 0."""
    prediction = jnp.argmax(logits, -1).astype(jnp.int32)
    found = {"accuracy": prediction == answer, "loss": cross_entropy(logits, answer)}
    if of.n_digits > 1:
        found["valuation"] = ternary.pair_valuation(prediction, answer, of.n_digits, of.p)
        found["distance"] = ternary.distance(prediction, answer, of.n_digits, of.p)
    return found


def metrics_of(of_pairs: dict[str, Array], trained: Array, static: Any) -> dict[str, Array]:
    """Means over all pairs, those that are trained on, and those held out: NaN where none are."""
    parts = {"": jnp.ones_like(trained), "train_": trained, "held_out_": ~trained}
    return {
        name: _mean(of_pairs[name.removeprefix(part)], parts[part])
        for part, name in _parts(static)
    }  # fmt: skip


def _mean(x, mask):
    count = jnp.sum(mask)
    return jnp.where(count == 0, jnp.nan, jnp.sum(jnp.where(mask, x, 0)) / jnp.maximum(count, 1))


def _parts(static):
    """(which pairs, metric): what is held out is absent where nothing is."""
    partial_credit = ["valuation", "distance"] if static.data.n_digits > 1 else []
    of_all = [("", "accuracy")]
    of_trained = [("train_", f"train_{name}") for name in ("accuracy", "loss")]
    names = ["accuracy", "loss", *partial_credit] if static.data.split == "random" else []
    return [*[("held_out_", f"held_out_{name}") for name in names], *of_trained, *of_all]


def _metrics(static: Any, modulus: int) -> tuple[Metric, ...]:
    """With what they are to be compared with.

    chance: all m answers alike. An untrained network, whose outputs are exchangeable, answers no better in the mean.
    """
    p, k, nan = static.data.p, static.data.n_digits, math.nan
    guessed = {
        "accuracy": 1 / modulus,
        "loss": math.log(modulus),
        "valuation": sum(p**-v for v in range(1, k + 1)),
        "distance": (1 - 1 / p) * sum(p ** (-2 * v) for v in range(k)),
    }
    best = {"accuracy": 1.0, "loss": 0.0, "valuation": float(k), "distance": 0.0}
    lower = ("loss", "distance")
    found = []
    for part, name in _parts(static):
        what = name.removeprefix(part)
        untrained = nan if what == "loss" else guessed[what]
        found.append(Metric(name, -1 if what in lower else 1, best[what], guessed[what], untrained))
    return (*found, Metric("weight_norm", -1, nan, nan, nan))


def _about_split(static: Any, n: int) -> str:
    """What the figures of a run say of generalisation."""
    if static.data.split == "none":
        return f"split none: all {n} pairs were trained on, so these figures say nothing of generalisation"
    return (
        f"split random: of {n} pairs the rest was held out; (b, a) may be held out where (a, b) is trained on; "
        "a run that trains on all has no held-out figures"
    )
