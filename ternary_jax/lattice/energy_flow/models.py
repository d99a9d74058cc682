"""The networks (flax linen) of one step of a flow; all flows and all cells share their weights.

x is what is known of the place of a flow, and may be the same for all samples of a batch, with a leading axis of 1. The
energy has the axis of the batch; it is None where the way of a flow does not depend on what the flow carries. Products
are in `dtype`; parameters and results are float32.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from ternary_jax.initializers import uniform
from ternary_jax.orthogonal import orthogonal


class Neuron(nn.Module):
    """x (..., d), energy (..., c) -> (..., width): a perceptron with two hidden layers, LayerNorm and GELU.

    zero_energy: the weights of the energy begin at 0, so that all samples begin on the same way
    """

    hidden: int
    width: int
    zero_energy: bool
    dtype: Any

    @nn.compact
    def __call__(self, x: Array, energy: Array | None) -> Array:
        x = nn.Dense(self.hidden, dtype=self.dtype, kernel_init=uniform, name="place")(x)
        if energy is not None:
            x = x + _of_energy(self.hidden, self.zero_energy, self.dtype)(energy)
        x = nn.gelu(nn.LayerNorm(dtype=self.dtype, name="norm_0")(x))
        x = nn.Dense(self.hidden, dtype=self.dtype, kernel_init=uniform, name="hidden")(x)
        x = nn.gelu(nn.LayerNorm(dtype=self.dtype, name="norm_1")(x))
        return nn.Dense(self.width, dtype=self.dtype, kernel_init=uniform, name="out")(x).astype("float32")


class Carrier(nn.Module):
    """Layers of gated recurrent units: x (..., d), energy (..., c), hidden (layers, ..., h) -> hidden of all layers.

    With x of the layer below, and r and z from the same sums through the logistic function:

        n = tanh(W x + b + r (U h + b')),    h' = n + z (h - n)

    (Cho et al., arXiv 1406.1078, in the form of PyTorch and cuDNN.) Each third of U begins orthogonal.
    """

    width: int
    layers: int
    zero_energy: bool
    dtype: Any

    @nn.compact
    def __call__(self, x: Array, energy: Array | None, hidden: Array) -> Array:
        def thirds(sums):
            return jnp.split(sums.astype("float32"), 3, -1)

        found = []
        for layer in range(self.layers):
            h = hidden[layer]
            given = nn.Dense(3 * self.width, dtype=self.dtype, kernel_init=uniform, name=f"input_{layer}")(x)
            if energy is not None and layer == 0:
                given = given + _of_energy(3 * self.width, self.zero_energy, self.dtype)(energy)
            kept = nn.Dense(
                3 * self.width,
                use_bias=False,
                dtype=self.dtype,
                kernel_init=_three_orthogonal,
                name=f"recurrent_{layer}",
            )(h)
            bias = self.param(f"bias_{layer}", nn.initializers.zeros, (self.width,))
            (r, z, n), (ur, uz, un) = thirds(given), thirds(kept)
            n = jnp.tanh(n + nn.sigmoid(r + ur) * (un + jnp.broadcast_to(bias, un.shape)))
            x = n + nn.sigmoid(z + uz) * (h - n)
            found.append(x)
        return jnp.stack(found)


class Head(nn.Module):
    """h (..., width) -> (..., out): a linear map, with a hidden layer of GELU units before it where `hidden` is not 0.

    scale, bias: standard deviation of the last weights, which begin small, and the start of the last bias
    """

    out: int
    hidden: int
    scale: float
    dtype: Any
    bias: float = 0.0

    @nn.compact
    def __call__(self, h: Array) -> Array:
        if self.hidden:
            h = nn.gelu(nn.Dense(self.hidden, dtype=self.dtype, kernel_init=uniform, name="hidden")(h))
        start = nn.initializers.normal(self.scale), nn.initializers.constant(self.bias)
        last = nn.Dense(self.out, dtype=self.dtype, kernel_init=start[0], bias_init=start[1], name="out")
        return last(h).astype("float32")


class Exchange(nn.Module):
    """What meeting the other flows adds to the energy: energy (B, n, c), h (b, n, w) -> (B, n, c), and a new memory.

        message = (energy A) * gate(h),    added = (answer * gate'(h)) B

    Energies pass linearly; only the gates know where a flow is. So a map from inputs to outputs that is made this way
    has at most the rank messages x steps.

    meet: messages (B, n, m), and (queries, keys) (b, n, m) for attention, else None -> (answers (B, n, m), memory)
    """

    settings: Any
    channels: int
    dtype: Any

    @nn.compact
    def __call__(self, energy: Array, h: Array, meet: Any) -> tuple[Array, Any]:
        def dense(width, name, bias=True):
            return nn.Dense(width, use_bias=bias, dtype=self.dtype, kernel_init=uniform, name=name)

        m = self.settings.messages
        message = dense(m, "message", False)(energy) * dense(m, "message_gate")(h)
        pair = None
        if self.settings.kind == "attention":
            pair = dense(m, "query")(h), dense(m, "key")(h)
        answer, memory = meet(message.astype("float32"), pair)
        read = answer * dense(m, "answer_gate")(h)
        return dense(self.channels, "answer", False)(read).astype("float32"), memory


def _of_energy(width: int, zero: bool, dtype: Any) -> nn.Dense:
    """The weights of a layer for the energy, without a bias: added to those for x, they act as on the pair of both."""
    return nn.Dense(
        width, use_bias=False, dtype=dtype, kernel_init=nn.initializers.zeros if zero else uniform, name="energy"
    )


def _three_orthogonal(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """(h, 3 h): three orthogonal matrices side by side."""
    h = shape[0]
    return jnp.concatenate([*orthogonal(key, (3, h, h)).astype(dtype)], -1)
