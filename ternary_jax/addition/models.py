"""The networks (flax linen): two numbers of 0 .. m - 1 -> logits of their sum, computed in `dtype`, kept in float32."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

# Of variance 1 / fan_in, as flax's default; but that is a truncated normal, which takes longer to compile.
uniform = nn.initializers.variance_scaling(1.0, "fan_in", "uniform")


class Perceptron(nn.Module):
    """a, b (...) int32 -> logits (..., m) float32: W relu(U e(a) + V e(b) + u) + w, one table e for both numbers.

    U e and V e are tables of m rows, and are looked up: (...) rows need not be multiplied. U and V are two matrices, so
    nothing in the network says that a + b = b + a.
    """

    modulus: int
    width: int
    hidden: int
    dtype: Any

    @nn.compact
    def __call__(self, a: Array, b: Array) -> Array:
        table = nn.Embed(self.modulus, self.width, dtype=self.dtype, name="embedding")(jnp.arange(self.modulus))
        left = nn.Dense(self.hidden, dtype=self.dtype, name="left", kernel_init=uniform)(table)
        right = nn.Dense(self.hidden, dtype=self.dtype, name="right", use_bias=False, kernel_init=uniform)(table)
        hidden = nn.relu(left[a] + right[b])
        out = nn.Dense(self.modulus, dtype=self.dtype, name="out", kernel_init=uniform)(hidden)
        return out.astype("float32")


class Transformer(nn.Module):
    """a, b (...) int32 -> logits (..., m) float32: the tokens "a b =" through one layer, read at "=".

    Attention and a relu layer, each added to what they read; no normalisation, learned positions, as in Nanda et al.,
    arXiv 2301.05217. As "=" alone is read, it alone asks.
    """

    modulus: int
    width: int
    hidden: int
    heads: int
    dtype: Any

    @nn.compact
    def __call__(self, a: Array, b: Array) -> Array:
        def dense(width, name, bias=False):
            return nn.Dense(width, use_bias=bias, dtype=self.dtype, name=name, kernel_init=uniform)

        tokens = jnp.stack([a, b, jnp.full_like(a, self.modulus)], -1)
        x = nn.Embed(self.modulus + 1, self.width, dtype=self.dtype, name="embedding")(tokens)
        positions = nn.Embed(3, self.width, dtype=self.dtype, name="positions")(jnp.arange(3))
        x = x + positions.reshape((1,) * a.ndim + positions.shape)
        last, each = x[..., -1, :], (self.heads, self.width // self.heads)
        query = dense(self.width, "query")(last).reshape(*a.shape, *each)
        key, value = (dense(self.width, name)(x).reshape(*a.shape, 3, *each) for name in ("key", "value"))
        scores = jnp.einsum("...hd,...thd->...ht", query, key) / each[1] ** 0.5
        read = jnp.einsum("...ht,...thd->...hd", nn.softmax(scores), value).reshape(*a.shape, self.width)
        last = last + dense(self.width, "attended")(read)
        last = last + dense(self.width, "down", True)(nn.relu(dense(self.hidden, "up", True)(last)))
        return dense(self.modulus, "out")(last).astype("float32")
