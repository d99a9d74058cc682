"""The networks (flax linen) of text: an encoder of published weights, and small ones of bytes."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax.initializers import uniform

MARK = 256  # the symbol before and after a text of bytes
SYMBOLS = 257
ACTIVATIONS = {
    "gelu": lambda x: nn.gelu(x, approximate=False),
    "gelu_new": lambda x: nn.gelu(x, approximate=True),
    "gelu_pytorch_tanh": lambda x: nn.gelu(x, approximate=True),
    "relu": nn.relu,
}


class Sizes(NamedTuple):
    """The sizes of a BERT encoder.

    vocabulary, positions, types: rows of the embeddings of tokens, places and segments
    width, layers, heads, hidden: units of a token, layers, heads of attention, units of the hidden layers
    activation: a name of ACTIVATIONS; epsilon: of the normalisation
    """

    vocabulary: int
    positions: int
    types: int
    width: int
    layers: int
    heads: int
    hidden: int
    activation: str
    epsilon: float


class Bert(nn.Module):
    """The encoder of Devlin et al. (arXiv 1810.04805), without dropout: normalised after each addition.

    ids (B, T) int32, mask (B, T) bool -> (the normalised sum of the embeddings, the last layer), (B, T, width) each.
    The parameters of the layers have a leading axis, along which they are scanned: one layer is compiled.
    """

    sizes: Sizes

    @nn.compact
    def __call__(self, ids: Array, mask: Array) -> tuple[Array, Array]:
        sizes = self.sizes
        start, place = nn.initializers.normal(0.02), jnp.arange(ids.shape[-1])
        tokens = self.param("tokens", start, (sizes.vocabulary, sizes.width))
        positions = self.param("positions", start, (sizes.positions, sizes.width))
        types = self.param("types", start, (sizes.types, sizes.width))
        first = nn.LayerNorm(sizes.epsilon, name="norm")(tokens[ids] + (positions[place] + types[:1])[None])
        scanned: Any = nn.scan(
            _Layer,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=nn.broadcast,  # pyright: ignore[reportArgumentType]
            length=sizes.layers,
        )
        last, _ = scanned(sizes, name="layers")(first, mask[:, None, None])
        return first, last


class _Layer(nn.Module):
    """Attention among the tokens of a text, and a hidden layer for each of them."""

    sizes: Sizes

    @nn.compact
    def __call__(self, x: Array, mask: Array) -> tuple[Array, None]:
        sizes = self.sizes
        parts = (*x.shape[:-1], sizes.heads, sizes.width // sizes.heads)
        query, key, value = (nn.Dense(sizes.width, name=name)(x).reshape(parts) for name in ("query", "key", "value"))
        met = jax.nn.dot_product_attention(query, key, value, mask=mask).reshape(x.shape)
        x = nn.LayerNorm(sizes.epsilon, name="norm_of_attention")(x + nn.Dense(sizes.width, name="answer")(met))
        hidden = ACTIVATIONS[sizes.activation](nn.Dense(sizes.hidden, name="hidden")(x))
        x = nn.LayerNorm(sizes.epsilon, name="norm_of_hidden")(x + nn.Dense(sizes.width, name="out")(hidden))
        return x, None


def init(key: Array, sizes: Sizes) -> Any:
    """Random parameters, for tests and for the shapes of a file."""
    ids = jnp.zeros((1, 2), "int32")
    return Bert(sizes).init(key, ids, jnp.ones((1, 2), bool))["params"]


class PerceptronWithSkip(nn.Module):
    """Rows (n, S) -> (n, out): a linear map, and beside it a layer of `hidden` GELU units with dropout, if not 0."""

    hidden: int
    out: int
    dropout: float

    @nn.compact
    def __call__(self, x: Array, training: bool) -> Array:
        found = nn.Dense(self.out, kernel_init=uniform, name="skip")(x)
        if self.hidden:
            hidden = nn.gelu(nn.Dense(self.hidden, kernel_init=uniform, name="hidden")(x))
            hidden = nn.Dropout(self.dropout, deterministic=not training)(hidden)
            found = found + nn.Dense(self.out, kernel_init=uniform, name="out")(hidden)
        return found


class Block(nn.Module):
    """A layer of attention and GELU units, normalised before each: x (B, t, width) -> the same.

    mask: (B or 1, 1, t, T) of what a position may look at. past: None, or ((B, T, heads, d), the same, position): keys
    and values of T positions, into which those of x are written from `position` on; -> (x, (keys, values)).
    """

    width: int
    heads: int

    @nn.compact
    def __call__(self, x: Array, mask: Array, past: Any = None) -> tuple[Array, tuple[Array, Array]]:
        parts = (*x.shape[:-1], self.heads, self.width // self.heads)
        seen = nn.LayerNorm(name="norm_of_attention")(x)
        query, key, value = (
            nn.Dense(self.width, kernel_init=uniform, name=name)(seen).reshape(parts)
            for name in ("query", "key", "value")
        )
        if past is not None:
            keys, values, position = past
            key, value = (
                jax.lax.dynamic_update_slice(*pair, (0, position, 0, 0)) for pair in ((keys, key), (values, value))
            )
        met = jax.nn.dot_product_attention(query, key, value, mask=mask).reshape(x.shape)
        x = x + nn.Dense(self.width, kernel_init=uniform, name="answer")(met)
        hidden = nn.gelu(nn.Dense(4 * self.width, kernel_init=uniform, name="hidden")(nn.LayerNorm(name="norm")(x)))
        return x + nn.Dense(self.width, kernel_init=uniform, name="out")(hidden), (key, value)


class ByteEncoder(nn.Module):
    """Bytes (B, T) int32 with marks, mask (B, T) bool -> (B, out): the mean over the text of a small transformer."""

    width: int
    heads: int
    layers: int
    out: int

    @nn.compact
    def __call__(self, ids: Array, mask: Array) -> Array:
        x = nn.Embed(SYMBOLS, self.width, name="bytes")(ids)
        x = x + self.param("place", nn.initializers.normal(0.02), (ids.shape[1], self.width))[None]
        for layer in range(self.layers):
            x, _ = Block(self.width, self.heads, name=f"layer_{layer}")(x, mask[:, None, None])
        x = jnp.sum(jnp.where(mask[..., None], nn.LayerNorm(name="norm")(x), 0), 1) / jnp.sum(mask, 1)[:, None]
        return nn.Dense(self.out, kernel_init=uniform, name="face")(x)


class ByteDecoder(nn.Module):
    """The next byte of a text from those before it and from a surface (B, S), a map of which is added to every byte.

    `__call__` has all bytes of a text at once, `next_byte` one position at a time with the keys and values of those
    before it; both have the same parameters.
    """

    width: int
    heads: int
    layers: int
    longest: int

    def setup(self) -> None:
        self.bytes = nn.Embed(SYMBOLS, self.width)
        self.surface = nn.Dense(self.width, kernel_init=uniform)
        self.place = self.param("place", nn.initializers.normal(0.02), (self.longest, self.width))
        self.blocks = [Block(self.width, self.heads) for _ in range(self.layers)]
        self.norm = nn.LayerNorm()
        self.symbols = nn.Dense(SYMBOLS, kernel_init=uniform)

    def read(self, surface: Array) -> Array:
        """What a surface adds to each byte, (B, width).

        The numbers of a surface are about 1, and Adam moves each of its weights by the rate, so that a step would move
        the sum over S numbers S times as far as the embedding of a byte: it is divided by S. Without that, a decoder
        with surfaces learns more slowly than one without. Positions before the text, which attention has to find, were
        worse as well.
        """
        return self.surface(surface / surface.shape[-1])

    def __call__(self, ids: Array, surface: Array) -> Array:
        """ids (B, T), which begin with the mark -> logits (B, T, SYMBOLS) of the symbol after each."""
        n = ids.shape[1]
        x = self.bytes(ids) + self.read(surface)[:, None] + self.place[None, :n]
        mask = jnp.tril(jnp.ones((n, n), bool))[None, None]
        for block in self.blocks:
            x, _ = block(x, mask)
        return self.symbols(self.norm(x))

    def start(self, surface: Array) -> Any:
        """(what a surface adds, empty keys and values with room for the longest text, one pair a layer)."""
        empty = jnp.zeros((len(surface), self.longest, self.heads, self.width // self.heads))
        return self.read(surface), [(empty, empty) for _ in self.blocks]

    def next_byte(self, ids: Array, past: Any, number: Array) -> tuple[Array, Any]:
        """ids (B,), the symbols at position `number` of their texts -> (logits (B, SYMBOLS) of the next, past)."""
        (added, kept), found = past, []
        x = (self.bytes(ids) + added)[:, None] + jax.lax.dynamic_slice_in_dim(self.place, number, 1)[None]
        mask = (jnp.arange(self.longest) <= number)[None, None, None]
        for block, (keys, values) in zip(self.blocks, kept, strict=True):
            x, pair = block(x, mask, (keys, values, number))
            found.append(pair)
        return self.symbols(self.norm(x[:, 0])), (added, found)
