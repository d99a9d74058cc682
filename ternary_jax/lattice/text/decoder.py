"""A text from a surface, byte by byte: training, what a byte costs, and the greedy and the beam search.

The network is models.ByteDecoder. A search makes one forward pass for each byte, with the keys and values of the bytes
before it.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from ternary_jax.lattice.text.byte_texts import Rows
from ternary_jax.lattice.text.models import MARK, SYMBOLS, ByteDecoder


class Recipe(NamedTuple):
    """A network and its training.

    width, heads, layers: of the transformer
    steps, batch, rate, warmup: of AdamW, the rate with a cosine schedule after `warmup` steps
    every: steps between two looks at the validation texts; it divides `steps`
    """

    width: int = 128
    heads: int = 4
    layers: int = 2
    steps: int = 1500
    batch: int = 32
    rate: float = 2e-3
    warmup: int = 50
    every: int = 150


def network(recipe: Recipe, longest: int) -> Any:
    """The network for texts of at most `longest` bytes."""
    return ByteDecoder(recipe.width, recipe.heads, recipe.layers, longest + 1)


def losses(net: Any, params: Any, ids: Array, after: Array, counted: Array, surface: Array) -> Array:
    """(B, T) nats of each symbol; 0 where nothing counts."""
    logits = net.apply(params, ids, surface)
    nats = optax.softmax_cross_entropy_with_integer_labels(logits, after)
    return jnp.where(counted, nats, 0)


def train(key: Array, texts: Rows, surface: Array, chosen: tuple[Rows, Array], recipe: Recipe) -> tuple[Any, Array]:
    """(parameters, bits of the chosen texts at each look) of AdamW on texts and their surfaces (n, S), in one scan.

    chosen: validation texts with their surfaces. The parameters are those of the look at which these cost least.
    Vmappable over keys.
    """
    net = network(recipe, texts.ids.shape[1] - 1)
    ids, after, counted = map(jnp.asarray, texts)
    start, key = jax.random.split(key)
    params = net.init(start, ids[:2], surface[:2])
    tx = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(optax.warmup_cosine_decay_schedule(0, recipe.rate, recipe.warmup, recipe.steps), weight_decay=0.1),
    )

    def loss(params, rows):
        nats = losses(net, params, ids[rows], after[rows], counted[rows], surface[rows])
        return jnp.sum(nats) / jnp.sum(counted[rows])

    def step(carry, number):
        params, opt = carry
        rows = jax.random.randint(jax.random.fold_in(key, number), (recipe.batch,), 0, len(ids))
        updates, opt = tx.update(jax.grad(loss)(params, rows), opt, params)
        return (optax.apply_updates(params, updates), opt), None

    def look(carry, first):
        state, best = carry
        (params, opt), _ = jax.lax.scan(step, state, first + jnp.arange(recipe.every))
        bits = jnp.sum(cost(params, *chosen, recipe))
        best = jax.tree.map(lambda new, old: jnp.where(bits < best[0], new, old), (bits, params), best)
        return ((params, opt), best), bits

    carry = ((params, tx.init(params)), (jnp.float32(jnp.inf), params))
    (_, (_, params)), bits = jax.lax.scan(look, carry, jnp.arange(0, recipe.steps, recipe.every))
    return params, bits


def cost(params: Any, texts: Rows, surface: Array, recipe: Recipe, block: int = 64) -> Array:
    """(n,) bits of each text, the mark after it included; byte_texts.per_byte divides their sum by the bytes."""
    net = network(recipe, texts.ids.shape[1] - 1)
    rows = tuple(map(jnp.asarray, texts))

    def of_text(one):
        ids, after, counted, face = (x[None] for x in one)
        return jnp.sum(losses(net, params, ids, after, counted, face)) / jnp.log(2)

    return jax.lax.map(of_text, (*rows, surface), batch_size=block)


def greedy(params: Any, surface: Array, recipe: Recipe, longest: int) -> Array:
    """(B, longest) the most probable symbol at each place, given those before it; marks after the end."""
    return beam(params, surface, recipe, longest, 1)[0][:, 0]


def beam(params: Any, surface: Array, recipe: Recipe, longest: int, width: int) -> tuple[Array, Array]:
    """(B, width, longest) symbols of the `width` best texts that a search finds, and their nats, best first.

    Every text is followed by marks, which cost nothing, so texts of different lengths are compared by their sums.
    """
    net, b = network(recipe, longest), len(surface)
    past = net.apply(params, surface, method="start")
    past = jax.tree.map(lambda x: jnp.repeat(x, width, 0), past)
    only_mark = jnp.where(jnp.arange(SYMBOLS) == MARK, 0.0, jnp.inf)[None, None]

    def step(carry, number):
        last, texts, cost, past = carry
        logits, past = net.apply(params, last.reshape(-1), past, number, method="next_byte")
        nats = -jax.nn.log_softmax(logits).reshape(b, width, SYMBOLS)
        ended = (last == MARK) & (number > 0)
        total = cost[..., None] + jnp.where(ended[..., None], only_mark, nats)
        cost, best = jax.lax.top_k(-total.reshape(b, -1), width)
        source, symbol = best // SYMBOLS, best % SYMBOLS
        rows = (jnp.arange(b)[:, None] * width + source).reshape(-1)
        texts = jnp.take_along_axis(texts, source[..., None], 1).at[:, :, number].set(symbol)
        return (symbol, texts, -cost, jax.tree.map(lambda x: x[rows], past)), None

    first = jnp.full((b, width), MARK)
    texts = jnp.full((b, width, longest), MARK)
    cost = jnp.where(jnp.arange(width)[None] == 0, 0.0, jnp.inf) * jnp.ones((b, 1))  # one text to begin with
    (_, texts, cost, _), _ = jax.lax.scan(step, (first, texts, cost, past), jnp.arange(longest))
    return texts, cost
