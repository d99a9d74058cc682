"""The networks of a branch (flax linen), computed in `dtype`, with float32 parameters."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from ternary_jax.initializers import uniform


class Trunk(nn.Module):
    """x (..., n) -> (..., widths[-1]): dense layers, each followed by relu, or normalised and followed by silu.

    kind: "plain", relu; "smooth", silu; "improved", layer norm, silu and dropout
    dropout: share of the units that an "improved" layer drops in training
    dtype: of the products
    remat: recompute a layer's activations in the backward pass instead of keeping them
    """

    widths: tuple[int, ...]
    kind: str
    dropout: float
    dtype: Any
    remat: bool

    @nn.compact
    def __call__(self, x: Array, training: bool) -> Array:
        layer = nn.remat(_Layer, static_argnums=2) if self.remat else _Layer
        for k, width in enumerate(self.widths):
            x = layer(width, self.kind, self.dropout, self.dtype, name=f"layer_{k}")(x, training)
        return x


class Encoder(nn.Module):
    """x (..., n) -> mean, log variance in [-10, 2] of the latent vector, (..., dim) float32; None if deterministic."""

    widths: tuple[int, ...]
    kind: str
    dropout: float
    dim: int
    stochastic: bool
    dtype: Any
    remat: bool

    @nn.compact
    def __call__(self, x: Array, training: bool) -> tuple[Array, Array | None]:
        x = Trunk(self.widths, self.kind, self.dropout, self.dtype, self.remat, name="trunk")(x, training)
        mean = _dense(self.dim, self.dtype, "mean")(x)
        if not self.stochastic:
            return mean, None
        return mean, jnp.clip(_dense(self.dim, self.dtype, "log_variance")(x), -10, 2)


class Projection(nn.Module):
    """Latent vectors y (..., dim) -> y + D(y), (..., dim), a direction of any length; sigmoid(R(y)), (...), a radius.

    D and R are networks; D = 0 at initialisation.
    """

    direction: tuple[int, ...]
    radius: tuple[int, ...]
    dropout: float
    dtype: Any

    @nn.compact
    def __call__(self, y: Array, training: bool) -> tuple[Array, Array]:
        turn = Trunk(self.direction, "improved", self.dropout, self.dtype, False, name="direction")(y, training)
        turn = nn.Dense(y.shape[-1], dtype=self.dtype, kernel_init=nn.initializers.zeros, name="turn")(turn)
        length = Trunk(self.radius, "smooth", 0.0, self.dtype, False, name="radius")(y, training)
        length = _dense(1, self.dtype, "length")(length)[..., 0]
        return y + turn.astype("float32"), nn.sigmoid(length)


class Decoder(nn.Module):
    """Tangent vectors u (..., dim) -> logits (..., out) float32.

    kind: that of a `Trunk`; "residual": blocks h + W silu(W h) of equal widths, and a linear map of u is added;
        "relu_residual": blocks h + W relu(W h) with a relu between them, without the linear map
    gain: factor on u. The deepest digits move u a hundredth as far as the first one, and without a gain the weights,
        which grow by the learning rate per step, take long to resolve them.
    """

    widths: tuple[int, ...]
    kind: str
    dropout: float
    gain: float
    out: int
    dtype: Any
    remat: bool

    @nn.compact
    def __call__(self, u: Array, training: bool) -> Array:
        u = self.gain * u
        if self.kind not in ("residual", "relu_residual"):
            h = Trunk(self.widths, self.kind, self.dropout, self.dtype, self.remat, name="trunk")(u, training)
            return _dense(self.out, self.dtype, "out")(h)
        bare = self.kind == "relu_residual"
        h = nn.Dense(self.widths[0], dtype=self.dtype, name="into", kernel_init=uniform)(u)
        h = nn.relu(h) if bare else nn.silu(h)
        block = nn.remat(_Block) if self.remat else _Block
        for k, width in enumerate(self.widths):
            h = nn.relu(h) if bare and k else h
            h = block(width, nn.relu if bare else nn.silu, self.dtype, name=f"block_{k}")(h)
        if bare:
            return _dense(self.out, self.dtype, "out")(h)
        direct = nn.Dense(self.out, use_bias=False, dtype=self.dtype, name="direct", kernel_init=uniform)(u)
        return (nn.Dense(self.out, dtype=self.dtype, name="out", kernel_init=uniform)(nn.silu(h)) + direct).astype(
            "float32"
        )


class _Layer(nn.Module):
    width: int
    kind: str
    dropout: float
    dtype: Any

    @nn.compact
    def __call__(self, x: Array, training: bool) -> Array:
        x = nn.Dense(self.width, dtype=self.dtype, name="dense", kernel_init=uniform)(x)
        x = nn.LayerNorm(dtype=self.dtype, name="norm")(x) if self.kind == "improved" else x
        self.sow("intermediates", "preactivation", x)  # no operation unless `apply` collects intermediates
        x = nn.relu(x) if self.kind == "plain" else nn.silu(x)
        drops = self.kind == "improved" and self.dropout
        return nn.Dropout(self.dropout, deterministic=not training)(x) if drops else x


class _Block(nn.Module):
    width: int
    activation: Any
    dtype: Any

    @nn.compact
    def __call__(self, h: Array) -> Array:
        inner = self.activation(nn.Dense(self.width, dtype=self.dtype, name="in", kernel_init=uniform)(h))
        return h + nn.Dense(self.width, dtype=self.dtype, name="back", kernel_init=uniform)(inner)


def _dense(width: int, dtype: Any, name: str) -> Any:
    dense = nn.Dense(width, dtype=dtype, name=name, kernel_init=uniform)
    return lambda x: dense(x).astype("float32")
