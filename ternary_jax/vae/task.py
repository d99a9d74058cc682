"""The ternary task: an autoencoder of all operations through the Poincare ball, as the engine's Task.

    digits x --encoder--> u --exp_0--> z in the ball --log_0--> decoder --> logits of all digits

One branch as yet: what is exported for A and for B is the same embedding.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ternary_jax import poincare, ternary
from ternary_jax.control.chain import chain
from ternary_jax.engine.task import Context, Loss, Metric, Task
from ternary_jax.keys import ConfigError, Key, flag, integer, integers, real
from ternary_jax.vae import evaluate, references
from ternary_jax.vae.models import Mlp

KEYS: dict[str, Key] = {
    "data.n_digits": integer(1, 12),
    "model.hidden": integers(1, 65536),
    "model.dim": integer(1, 1024),
    "model.c": real(1e-6, 1e6, traced=True),
    "losses.radial.on": flag(),
    "losses.radial.weight": real(0, 1e6, traced=True),
    "losses.radial.inner": real(0, 0.999, traced=True),
    "losses.radial.outer": real(0, 0.999, traced=True),
    "targets.coverage": real(0, 1),
    "targets.hierarchy": real(-1, 1),
}

BETTER = dict.fromkeys((*evaluate.Cheap._fields, *evaluate.Costly._fields), 1) | {
    "hierarchy": -1,
    "hierarchy_rounded": -1,
    "ultrametric_correlation": -1,
    "distortion": -1,
}


def check(config: Any) -> None:
    """What concerns several keys at once."""
    n = 3**config.data.n_digits
    if config.train.batch_size > n:
        raise ConfigError(
            f"config.train.batch_size={config.train.batch_size} is more than the {n} operations of "
            f"config.data.n_digits={config.data.n_digits}: {n} or less is allowed"
        )


def make_task(static: Any) -> Task:
    """The task of a config, with its static values closed over."""
    n_digits, dim = static.data.n_digits, static.model.dim
    dtype, remat = jnp.dtype(static.train.dtype), static.train.remat
    encoder = Mlp(static.model.hidden, dim, dtype, remat)
    decoder = Mlp(static.model.hidden[::-1], 3 * n_digits, dtype, remat)
    valuation_of = ternary.valuations(n_digits)
    samples = evaluate.draw_samples(n_digits)

    def init(key, hypers):
        key_encoder, key_decoder = jax.random.split(key)
        return {
            "encoder": encoder.init(key_encoder, jnp.zeros((1, n_digits)))["params"],
            "decoder": decoder.init(key_decoder, jnp.zeros((1, dim)))["params"],
        }

    def embed(params, x, c):
        """Trits (n, D) -> points of the ball (n, dim)."""
        u = encoder.apply({"params": params["encoder"]}, x.astype(jnp.float32))
        # exp_0 of a long u rounds to the edge, which is no point of the ball.
        return jax.vmap(lambda u: poincare.project(poincare.exp0(u, c), c))(jnp.asarray(u))

    def decode(params, z, c):
        """Points (n, dim) -> logits (n, D, 3)."""
        u = jax.vmap(poincare.log0, (0, None))(z, c)
        return jnp.asarray(decoder.apply({"params": params["decoder"]}, u)).reshape(-1, n_digits, 3)

    def sample(context):
        return jax.random.randint(context.key, (static.train.batch_size,), 0, 3**n_digits)

    def loss(params, batch, context: Context):
        x, c = context.data["operations"][batch], context.hypers.model.c
        z = embed(params, x, c)
        logits = decode(params, z, c)
        with jax.named_scope("reconstruction"):
            digits = optax.softmax_cross_entropy_with_integer_labels(logits, x.astype(jnp.int32) + 1)
            reconstruction = jnp.mean(jnp.sum(digits, -1))
        terms, total = {"reconstruction": reconstruction}, reconstruction
        if static.losses.radial.on:
            with jax.named_scope("radial"):
                radius = jax.vmap(poincare.dist0, (0, None))(z, c)
                target = radial_targets(context.hypers.losses.radial, c, n_digits)
                terms["radial"] = jnp.mean((radius - target[context.data["valuations"][batch]]) ** 2)
            total += context.hypers.losses.radial.weight * terms["radial"]
        return Loss(total, terms, {})

    def embedding(params, hypers, data):
        z = embed(params, data["operations"], hypers.model.c)
        return z, (jnp.argmax(decode(params, z, hypers.model.c), -1) - 1).astype(jnp.int8)

    def cheap(params, hypers, data):
        z, prediction = embedding(params, hypers, data)
        return evaluate.cheap(z, prediction, hypers.model.c)._asdict()

    def costly(params, hypers, data):
        z, _ = embedding(params, hypers, data)
        return evaluate.costly(z, hypers.model.c, data["samples"])._asdict()

    def export(params, hypers, data):
        z, prediction = embedding(params, hypers, data)
        radius = jax.vmap(poincare.dist0, (0, None))(z, hypers.model.c)
        both = {f"{name}_{b}": a for b in "AB" for name, a in dict(z=z, radius=radius, prediction=prediction).items()}
        n = len(valuation_of)
        return both | {
            "c": hypers.model.c,
            "index": jnp.arange(n, dtype=jnp.int32),
            "valuation": data["valuations"],
            "train_mask": jnp.ones(n, bool),
        }

    return Task(
        name="ternary operations",
        data={
            "operations": ternary.operations(n_digits),
            "valuations": valuation_of.astype(np.int32),
            "samples": samples,
        },
        samples_per_epoch=3**n_digits,
        metrics=_metrics(n_digits, samples),
        init=init,
        knobs=lambda hypers: {},
        sample=sample,
        loss=loss,
        cheap=cheap,
        costly=costly,
        export=export,
        control=chain(),
        schedules={},
        signals=(),
        ratio=("encoder", "decoder"),
    )


def radial_targets(radial: Any, c: Any, n_digits: int) -> jax.Array:
    """(2 / sqrt c) artanh(f_v), (D + 1,), with f_v linear in v from radial.outer at v = 0 to radial.inner at v = D."""
    share = jnp.arange(n_digits + 1, dtype=jnp.float32) / n_digits
    return 2 / jnp.sqrt(c) * jnp.arctanh(radial.outer + (radial.inner - radial.outer) * share)


def _metrics(n_digits: int, samples: evaluate.Samples) -> tuple[Metric, ...]:
    levels = references.levels(n_digits, 3, samples)
    unknown = references.Reference(math.nan, math.nan, math.nan, "")
    return tuple(
        Metric(name, BETTER[name], found.best, found.chance, found.untrained, name in evaluate.Costly._fields)
        for name in BETTER
        for found in [levels.get(name, unknown)]
    )
