"""The networks (flax linen) of text: a sentence encoder of published weights."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax.initializers import uniform

ACTIVATIONS = {
    "gelu": lambda x: nn.gelu(x, approximate=False),
    "gelu_new": lambda x: nn.gelu(x, approximate=True),
    "gelu_pytorch_tanh": lambda x: nn.gelu(x, approximate=True),
    "relu": nn.relu,
}


class Sizes(NamedTuple):
    """The sizes of a BERT encoder; activation: a name of ACTIVATIONS; epsilon: of the normalisation."""

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
        scanned = nn.scan(
            _Layer,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=nn.broadcast,
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


class Skipped(nn.Module):
    """Rows (n, S) -> (n, out): a hidden layer of GELU units with dropout, and a linear map beside it."""

    hidden: int
    out: int
    dropout: float

    @nn.compact
    def __call__(self, x: Array, training: bool) -> Array:
        hidden = nn.gelu(nn.Dense(self.hidden, kernel_init=uniform, name="hidden")(x))
        hidden = nn.Dropout(self.dropout, deterministic=not training)(hidden)
        return nn.Dense(self.out, kernel_init=uniform, name="out")(hidden) + nn.Dense(self.out, name="skip")(x)
