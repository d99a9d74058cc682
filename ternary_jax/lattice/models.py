"""Networks (flax linen) that a lattice model is compared with: rows of faces (n, S) -> (n, planes S)."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from ternary_jax.initializers import uniform


class Perceptron(nn.Module):
    """A hidden layer of GELU units between all inputs and all outputs."""

    hidden: int
    out: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = nn.gelu(nn.Dense(self.hidden, kernel_init=uniform)(x))
        return nn.Dense(self.out, kernel_init=uniform)(x)


class Transformer(nn.Module):
    """The cells are tokens: layers of attention and GELU units, normalised before each (Xiong et al., 2002.04745)."""

    width: int
    heads: int
    layers: int
    planes: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        place = self.param("place", nn.initializers.normal(0.5), (x.shape[-1], self.width))
        x = nn.Dense(self.width, kernel_init=uniform)(x[..., None]) + place[None]
        for _ in range(self.layers):
            x = x + nn.MultiHeadDotProductAttention(self.heads, kernel_init=uniform)(nn.LayerNorm()(x))
            hidden = nn.gelu(nn.Dense(2 * self.width, kernel_init=uniform)(nn.LayerNorm()(x)))
            x = x + nn.Dense(self.width, kernel_init=uniform)(hidden)
        found = nn.Dense(self.planes, kernel_init=uniform)(nn.LayerNorm()(x))
        return jnp.moveaxis(found, -1, -2).reshape(len(x), -1)
