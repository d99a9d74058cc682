"""The networks (flax linen): stateless trees of parameters, computed in `dtype`, kept in float32."""

from typing import Any

import flax.linen as nn
from jax import Array


class Mlp(nn.Module):
    """x (..., n) -> (..., out) float32: dense layers with silu between them.

    hidden: widths of the layers before the last
    dtype: of the products; parameters and the output are float32
    remat: recompute a layer's activations in the backward pass instead of keeping them
    """

    hidden: tuple[int, ...]
    out: int
    dtype: Any
    remat: bool

    @nn.compact
    def __call__(self, x: Array) -> Array:
        layer = nn.remat(_Hidden) if self.remat else _Hidden
        for k, width in enumerate(self.hidden):
            x = layer(width, self.dtype, name=f"hidden_{k}")(x)
        return nn.Dense(self.out, dtype=self.dtype, name="out")(x).astype("float32")


class _Hidden(nn.Module):
    width: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return nn.silu(nn.Dense(self.width, dtype=self.dtype, name="dense")(x))
