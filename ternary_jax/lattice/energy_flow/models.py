"""The networks (flax linen) of one step of a flow; all flows and all cells share their weights.

x is what is known of the place of a flow, and may be the same for all samples of a batch, with a leading axis of 1. The
energy has the axis of the batch; it is None where the way of a flow does not depend on what the flow carries. Products,
biases and normalisations are in `dtype`; parameters, the sums of the carrier, and results are float32.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.ad_checkpoint import checkpoint_name

from ternary_jax.initializers import uniform
from ternary_jax.orthogonal import orthogonal

SUMS = "sums of the carrier"  # name of what is kept for the backward pass where train.remat is off


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
        kernel, bias = _Weights(self.hidden, name="place")(x)
        if energy is not None:
            own, _ = _Weights(self.hidden, False, _start(self.zero_energy), name="energy")(energy)
            x, kernel = jnp.concatenate([x, energy], -1), jnp.concatenate([kernel, own])
        x = x.astype(self.dtype) @ kernel.astype(self.dtype)
        x = x + _row(bias.astype(self.dtype), x)
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
        def thirds(x, kernel, bias=None):
            """Three products. One of all three takes 5 to 7 % longer: its gradient is glued from three and copied."""
            parts = [x.astype(self.dtype) @ part.astype(self.dtype) for part in jnp.split(kernel, 3, -1)]
            parts = [part.astype("float32") for part in parts]
            return parts if bias is None else [p + _row(b, p) for p, b in zip(parts, jnp.split(bias, 3), strict=True)]

        found, width = [], self.width
        for layer in range(self.layers):
            h = hidden[layer]
            kernel, shift = _Weights(3 * width, name=f"input_{layer}")(x)
            if energy is not None and layer == 0:
                own, _ = _Weights(3 * width, False, _start(self.zero_energy), name="energy")(energy)
                x, kernel = jnp.concatenate([x, energy], -1), jnp.concatenate([kernel, own])
            recurrent, _ = _Weights(3 * width, False, _three_orthogonal, name=f"recurrent_{layer}")(h)
            bias = self.param(f"bias_{layer}", nn.initializers.zeros, (width,))
            (r, z, n), (ur, uz, un) = thirds(x, kernel, shift), thirds(h, recurrent)
            sums = r + ur, z + uz, n, un + _row(bias, un)
            r, z, n, un = (checkpoint_name(each, SUMS) for each in sums)
            n = jnp.tanh(n + nn.sigmoid(r) * un)
            x = n + nn.sigmoid(z) * (h - n)
            found.append(x)
        return jnp.stack(found)


class Head(nn.Module):
    """h (..., width) -> (..., out): a linear map, with a hidden layer of GELU units before it where `hidden` is not 0.

    scale: standard deviation of the last weights, which begin small
    """

    out: int
    hidden: int
    scale: float
    dtype: Any

    @nn.compact
    def __call__(self, h: Array) -> Array:
        if self.hidden:
            h = nn.gelu(nn.Dense(self.hidden, dtype=self.dtype, kernel_init=uniform, name="hidden")(h))
        kernel, bias = _Weights(self.out, start=nn.initializers.normal(self.scale), name="out")(h)
        if self.out == 1:  # a second column of zeros: XLA has no fast product for the gradient of a single one
            kernel = jnp.pad(kernel, ((0, 0), (0, 1)))
        found = (h.astype(self.dtype) @ kernel.astype(self.dtype))[..., : self.out]
        return (found + _row(bias.astype(self.dtype), found)).astype("float32")


class Exchange(nn.Module):
    """What meeting the other flows adds to the energy: energy (B, n, c), h (b, n, w) -> (B, n, c), and a new memory.

        message = (energy A) * gate(h),    added = (answer * gate'(h)) B

    Energies pass linearly; only the gates know where a flow is. So what a pool adds to the map from inputs to outputs
    has at most the rank messages x steps; attention and a field give each flow a sum of its own. With
    `interaction.linear` off, GELU is put on the message and on the answer, to show what the linear path is worth.

    meet: messages (B, n, m), and (queries, keys) (b, n, m) for attention, else None -> (answers (B, n, m), memory)

    A pool of a linear path sums over the flows first: its messages are never made, which takes a third of the time.
    """

    settings: Any
    channels: int
    dtype: Any

    @nn.compact
    def __call__(self, energy: Array, h: Array, meet: Any) -> tuple[Array, Any]:
        def dense(width, name, bias=True):
            return nn.Dense(width, use_bias=bias, dtype=self.dtype, kernel_init=uniform, name=name)

        m, kind = self.settings.messages, self.settings.kind
        if kind == "pool" and self.settings.linear:
            gate, answer_gate = dense(m, "message_gate")(h), dense(m, "answer_gate")(h)
            mix, _ = _Weights(m, False, name="message")(energy)
            unmix, _ = _Weights(self.channels, False, name="answer")(mix)
            return _pooled(energy, gate, answer_gate, mix, unmix, self.dtype).astype("float32"), ()
        bend = (lambda x: x) if self.settings.linear else nn.gelu
        message = bend(dense(m, "message", False)(energy)) * dense(m, "message_gate")(h)
        pair = None
        if kind == "attention":
            pair = tuple(dense(m, name)(h).astype("float32") for name in ("query", "key"))
        answer, memory = meet(message.astype("float32"), pair)
        read = bend(answer * dense(m, "answer_gate")(h))
        return dense(self.channels, "answer", False)(read).astype("float32"), memory


class _Weights(nn.Module):
    """The kernel (d, width) and the bias, or None, of a linear layer for x (..., d), which the caller applies.

    Two layers for x and for the energy become one product of both side by side: alone, the product of one number and a
    row of weights has a slow gradient.
    """

    width: int
    biased: bool = True
    start: Any = uniform

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, Any]:
        kernel = self.param("kernel", self.start, (x.shape[-1], self.width))
        return kernel, self.param("bias", nn.initializers.zeros, (self.width,)) if self.biased else None


def _pooled(energy: Array, gate: Array, answer_gate: Array, mix: Array, unmix: Array, dtype: Any) -> Array:
    """What a pool adds to the energy (B, n, c): gates (b, n, m), mix (c, m), unmix (m, c)."""
    energy, mix, unmix = (x.astype(dtype) for x in (energy, mix, unmix))

    def product(letters, gate, x):
        """One matrix for all samples where b is 1: XLA would make a product of each sample."""
        return jnp.einsum(f"nm,{letters}", gate[0], x) if len(gate) == 1 else jnp.einsum(f"bnm,{letters}", gate, x)

    summed = product("bnc->bmc", gate, energy) / energy.shape[1] ** 0.5
    answer = jnp.sum(summed * mix.T[None], -1, keepdims=True)
    return product("bmc->bnc", answer_gate, answer * unmix[None])


def _start(zero: bool) -> Any:
    """The initializer of the weights of the energy."""
    return nn.initializers.zeros if zero else uniform


def _row(vector: Array, like: Array) -> Array:
    """A vector (d,) with the number of axes of an array (..., d): nothing here broadcasts by rank."""
    return vector.reshape((1,) * (like.ndim - 1) + vector.shape)


def _three_orthogonal(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """(h, 3 h): three orthogonal matrices side by side."""
    h = shape[0]
    return jnp.concatenate([*orthogonal(key, (3, h, h)).astype(dtype)], -1)
