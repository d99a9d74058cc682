"""Addition modulo p^k as the engine's Task: a network learns a + b mod p^k from a share of all pairs (a, b).

With weight decay and few pairs the network fits the training pairs long before it generalises: grokking (Power et al.,
arXiv 2201.02177). k = 1 is addition modulo a prime; with k > 1 an answer can be right in its first digits alone.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from ternary_jax import ternary
from ternary_jax.addition import data, evaluate, models, verbs
from ternary_jax.addition.objective import cross_entropy
from ternary_jax.config.keys import choice, integer, real
from ternary_jax.engine.task import Context, Inner, Loss, Network, Task
from ternary_jax.errors import ConfigError

KEYS = {
    **data.KEYS,
    "model.kind": choice("perceptron", "transformer"),
    "model.width": integer(1, 65536),
    "model.hidden": integer(1, 65536),
    "model.heads": integer(1, 1024),
    "targets.accuracy": real(0, 1),
}


def check(config: Any) -> None:
    """Raise a ConfigError if keys contradict each other."""
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

    def sample(context: Context):
        given = (*split(static, n, context), static.train.batch_size, modulus)
        return data.full_batch(*given) if static.data.full_batch else data.random_batch(context.key, *given)

    def loss(params, batch, context: Context):
        wrong = cross_entropy(forward(params, batch.a, batch.b), data.add(batch.a, batch.b, modulus))
        total = jnp.mean(batch.weight * wrong)
        return Loss(total, {"cross_entropy": total}, {})

    def measure(params, context: Context):
        order, count = split(static, n, context)
        a, b = data.operands(order, modulus)
        figures = evaluate.judge(forward(params, a, b), data.add(a, b, modulus), n_digits, p)
        return evaluate.means(figures, numbers < count, static)

    return Task(
        name=f"a + b mod {modulus}",
        about=f"A network learns to add modulo {modulus} from a share of all pairs; the others test it.",
        data=data.orders(static.data.splits if static.data.split == "random" else 1, n),
        metrics=evaluate.references(static),
        init=init,
        sample=sample,
        loss=loss,
        evaluate=measure,
        export=functools.partial(_export, forward, static, modulus),
        inner=_inner(model, static, modulus),
        notes=(evaluate.about_split(static, n),),
        verbs=verbs.verbs(forward, modulus),
    )


def split(static: Any, n: int, context: Context) -> tuple[Any, Any]:
    """All n pairs in the order of the run, (n,), and the number of the first ones that it trains on."""
    if static.data.split == "none":
        return context.data[0], jnp.int32(n)
    given = context.hypers.data
    return context.data[given.split_seed], data.n_train(given.train_share, n)


def _export(forward: Any, static: Any, modulus: int, params: Any, context: Context) -> dict[str, Any]:
    n, (order, count) = modulus**2, split(static, modulus**2, context)
    numbers = jnp.arange(n, dtype=jnp.int32)
    a, b = data.operands(numbers, modulus)
    of_pairs = {
        "answer": data.add(a, b, modulus),
        "prediction": jnp.argmax(forward(params, a, b), -1).astype(jnp.int32),
        "train_mask": jnp.zeros(n, bool).at[order].set(numbers < count),
    }
    square = {name: x.reshape(modulus, modulus) for name, x in of_pairs.items()}
    return square | {"embedding": params["embedding"]["embedding"][:modulus]}


def _inner(model: Any, static: Any, modulus: int) -> Inner:
    """The embedding of the numbers, and the hidden layer of all pairs."""
    n = modulus**2

    def representations(params, context: Context):
        # In the order of `evaluate`, so that XLA shares the computation.
        a, b = data.operands(split(static, n, context)[0], modulus)
        hidden = model.apply({"params": params}, a, b, method="hidden")
        return {"embedding": params["embedding"]["embedding"][:modulus], "hidden": hidden}

    def networks(params, context: Context):
        numbers = data.operands(jnp.arange(n, dtype=jnp.int32), modulus)
        inputs = model.apply({"params": params}, *numbers, method="embed")
        inside = functools.partial(model.apply, {"params": params}, method="preactivations")
        return {static.model.kind: Network(inputs, inside)}

    return Inner(representations, networks)


def make_model(static: Any, modulus: int) -> Any:
    """The network of a config."""
    given, dtype = static.model, jnp.dtype(static.train.dtype)
    if given.kind == "transformer":
        return models.Transformer(modulus, given.width, given.hidden, given.heads, dtype)
    return models.Perceptron(modulus, given.width, given.hidden, dtype)
