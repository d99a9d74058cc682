"""The networks (flax linen): two numbers of 0 .. m - 1 -> logits of their sum, in `dtype`, with float32 parameters.

Each maps numbers a, b (...) int32 -> logits (..., m) float32, and has three methods for its activations:

    embed           a, b -> (..., 2 width), the embeddings of both, concatenated
    hidden          a, b -> (..., hidden), the activations of its hidden layer
    preactivations  x (..., 2 width), in place of the embeddings -> {"hidden": (..., hidden)}
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from ternary_jax.initializers import uniform


class Perceptron(nn.Module):
    """W relu(U e(a) + V e(b) + u) + w, with one table e for both numbers.

    U e and V e are tables of m rows, and rows are looked up instead of multiplied. U and V are two matrices, so the
    network does not know that a + b = b + a.
    """

    modulus: int
    width: int
    hidden_width: int
    dtype: Any

    def setup(self):
        self.embedding = nn.Embed(self.modulus, self.width, dtype=self.dtype)
        self.left = nn.Dense(self.hidden_width, dtype=self.dtype, kernel_init=uniform)
        self.right = nn.Dense(self.hidden_width, dtype=self.dtype, use_bias=False, kernel_init=uniform)
        self.out = nn.Dense(self.modulus, dtype=self.dtype, kernel_init=uniform)

    def __call__(self, a: Array, b: Array) -> Array:
        return self.out(self.hidden(a, b)).astype("float32")

    def embed(self, a: Array, b: Array) -> Array:
        return jnp.concatenate([self.embedding(a), self.embedding(b)], -1)

    def hidden(self, a: Array, b: Array) -> Array:
        table = self.embedding(jnp.arange(self.modulus))
        left, right = self.left(table), self.right(table)
        return nn.relu(left[a] + right[b])

    def preactivations(self, x: Array) -> dict[str, Array]:
        first, second = jnp.split(x, 2, -1)
        return {"hidden": self.left(first) + self.right(second)}


class Transformer(nn.Module):
    """The tokens "a b =" -> one transformer layer -> logits at "=".

    Attention and a relu layer with residual connections, learned positions, no normalisation, as in Nanda et al., arXiv
    2301.05217. Only "=" has a query, because the logits are those of "=".
    """

    modulus: int
    width: int
    hidden_width: int
    heads: int
    dtype: Any

    def setup(self):
        def dense(width, bias=False):
            return nn.Dense(width, use_bias=bias, dtype=self.dtype, kernel_init=uniform)

        self.embedding = nn.Embed(self.modulus + 1, self.width, dtype=self.dtype)
        self.positions = nn.Embed(3, self.width, dtype=self.dtype)
        self.query, self.key, self.value, self.attended = (dense(self.width) for _ in range(4))
        self.up, self.down, self.out = dense(self.hidden_width, True), dense(self.width, True), dense(self.modulus)

    def __call__(self, a: Array, b: Array) -> Array:
        last = self._attend(self._tokens(a, b))
        return self.out(last + self.down(nn.relu(self.up(last)))).astype("float32")

    def embed(self, a: Array, b: Array) -> Array:
        return jnp.concatenate([self.embedding(a), self.embedding(b)], -1)

    def hidden(self, a: Array, b: Array) -> Array:
        return nn.relu(self.up(self._attend(self._tokens(a, b))))

    def preactivations(self, x: Array) -> dict[str, Array]:
        leading = x.shape[:-1]
        equals = self.embedding(jnp.full((*leading, 1), self.modulus))
        tokens = jnp.concatenate([x.reshape(*leading, 2, self.width), equals], -2)
        return {"hidden": self.up(self._attend(tokens))}

    def _tokens(self, a, b):
        """(..., 3, width), without their positions."""
        return self.embedding(jnp.stack([a, b, jnp.full_like(a, self.modulus)], -1))

    def _attend(self, x):
        """The residual stream at "=" after attention, (..., width)."""
        leading, each = x.shape[:-2], (self.heads, self.width // self.heads)
        positions = self.positions(jnp.arange(3))
        x = x + positions.reshape((1,) * len(leading) + positions.shape)
        last = x[..., -1, :]
        query = self.query(last).reshape(*leading, *each)
        key, value = (dense(x).reshape(*leading, 3, *each) for dense in (self.key, self.value))
        scores = jnp.einsum("...hd,...thd->...ht", query, key) / each[1] ** 0.5
        read = jnp.einsum("...ht,...thd->...hd", nn.softmax(scores), value).reshape(*leading, self.width)
        return last + self.attended(read)
