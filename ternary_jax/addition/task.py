"""Addition modulo p^k as the engine's Task: a network learns a + b mod p^k from some of all pairs (a, b).

With weight decay and few pairs it knows those that it is trained on long before it adds: it groks (Power et al., arXiv
2201.02177). With k = 1 that is addition modulo a prime; with k > 1 an answer may be right in its first digits alone.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ternary_jax import ternary
from ternary_jax.addition import data, evaluate, models
from ternary_jax.addition.objective import cross_entropy
from ternary_jax.control.chain import chain
from ternary_jax.engine.task import Context, Inner, Loss, Network, Task
from ternary_jax.keys import ConfigError, choice, integer, real

KEYS = {
    **data.KEYS,
    "model.kind": choice("perceptron", "transformer"),
    "model.width": integer(1, 65536),
    "model.hidden": integer(1, 65536),
    "model.heads": integer(1, 1024),
    "targets.accuracy": real(0, 1),
}


class Tables(NamedTuple):
    """What all runs share, on the device. orders: (splits, m^2) int32, of `data.orders`."""

    orders: Any


def check(config: Any) -> None:
    """Raise a ConfigError where several keys contradict each other."""
    data.check(config)
    width, heads = config.model.width, config.model.heads
    if config.model.kind == "transformer" and width % heads:
        raise ConfigError(f"config.model.heads={heads} has to divide config.model.width={width}")


def make_task(static: Any) -> Task:
    """The task of a config, with its static values closed over."""
    p, n_digits = static.data.p, static.data.n_digits
    modulus = ternary.n_operations(n_digits, p)
    n, model = modulus**2, make_model(static, modulus)
    numbers = jnp.arange(n, dtype=jnp.int32)

    def init(key, hypers):
        one = jnp.zeros(1, jnp.int32)
        return model.init(key, one, one)["params"]

    def forward(params, a, b):
        return model.apply({"params": params}, a, b)

    if static.train.remat:
        forward = jax.checkpoint(forward)

    def split(hypers, tables):
        """All pairs in the order of the run, (n,), and how many of the first it trains on."""
        if static.data.split == "none":
            return tables.orders[0], jnp.int32(n)
        return tables.orders[hypers.data.split_seed], data.n_train(hypers.data.train_share, n)

    def sample(context: Context):
        given = (*split(context.hypers, context.data), static.train.batch_size, modulus)
        return data.every(*given) if static.data.full_batch else data.drawn(context.key, *given)

    def loss(params, batch, context: Context):
        wrong = cross_entropy(forward(params, batch.a, batch.b), data.add(batch.a, batch.b, modulus))
        total = jnp.mean(batch.weight * wrong)
        return Loss(total, {"cross_entropy": total}, {})

    def cheap(params, knobs, hypers, tables):
        order, count = split(hypers, tables)
        a, b = data.numbers(order, modulus)
        figures = evaluate.judge(forward(params, a, b), data.add(a, b, modulus), n_digits, p)
        return evaluate.means(figures, numbers < count, static)

    def export(params, knobs, hypers, tables):
        order, count = split(hypers, tables)
        a, b = data.numbers(numbers, modulus)
        of_pairs = {
            "answer": data.add(a, b, modulus),
            "prediction": jnp.argmax(forward(params, a, b), -1).astype(jnp.int32),
            "train_mask": jnp.zeros(n, bool).at[order].set(numbers < count),
        }
        square = {name: x.reshape(modulus, modulus) for name, x in of_pairs.items()}
        return square | {"embedding": params["embedding"]["embedding"][:modulus]}

    def untrained():
        """Loss over all pairs of one network."""
        params, (a, b) = init(jax.random.key(0), None), data.numbers(numbers, modulus)
        return jnp.mean(cross_entropy(forward(params, a, b), data.add(a, b, modulus)))

    def representations(params, knobs, hypers, tables):
        a, b = data.numbers(split(hypers, tables)[0], modulus)  # in the order of `cheap`, which has computed most of it
        hidden = model.apply({"params": params}, a, b, method="hidden")
        return {"embedding": params["embedding"]["embedding"][:modulus], "hidden": hidden}

    def networks(params, knobs, hypers, tables):
        inputs = model.apply({"params": params}, *data.numbers(numbers, modulus), method="embed")
        inside = functools.partial(model.apply, {"params": params}, method="preactivations")
        return {static.model.kind: Network(inputs, inside)}

    measured = jax.jit(untrained, compiler_options={"xla_backend_optimization_level": 0})()
    return Task(
        name=f"a + b mod {modulus}",
        data=Tables(data.orders(static.data.splits if static.data.split == "random" else 1, n)),
        samples_per_epoch=static.train.batch_size,  # an epoch is a step, as runs differ in how much they train on
        metrics=evaluate.references(static, float(measured)),
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
        notes=(evaluate.about_split(static, n),),
        inner=Inner(representations, networks),
    )


def make_model(static: Any, modulus: int) -> Any:
    """The network of a config."""
    given, dtype = static.model, jnp.dtype(static.train.dtype)
    if given.kind == "transformer":
        return models.Transformer(modulus, given.width, given.hidden, given.heads, dtype)
    return models.Perceptron(modulus, given.width, given.hidden, dtype)
