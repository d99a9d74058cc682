"""The networks of the learned controllers (flax linen), and the compression of their inputs."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array

from ternary_jax.initializers import uniform


def compressed(values: Sequence[Any]) -> Array:
    """Scalars s -> (n,), x = sign(s) log(1 + |s|); 0 for values that are not finite, as before the first step."""
    s = jnp.stack(values)
    s = jnp.where(jnp.isfinite(s), s, 0)
    return jnp.sign(s) * jnp.log1p(jnp.abs(s))


class StateNet(nn.Module):
    """x (n,), memory m (memory,) or None -> corrections (outputs,) in (-1, 1), and the memory after x.

        a = softmax(dense(x)), a weight for each group of inputs
        h = dense 14(relu(dense 64(tanh(layer norm(dense 64(a x))))))
        m = GRU(m, h), where there is a memory; without one m = h
        tanh(dense(relu(dense 64(m)))), initially 0, as the last kernel is

    groups: the sizes of the groups of inputs, in the order of x; memory: units of the GRU (Cho et al., arXiv
        1406.1078), 0 for none
    """

    groups: tuple[int, ...]
    outputs: int
    memory: int = 0

    @nn.compact
    def __call__(self, x: Array, memory: Array | None = None) -> tuple[Array, Array | None]:
        attention = nn.softmax(_dense(len(self.groups), "attention")(x))
        group_of = np.repeat(np.arange(len(self.groups), dtype=np.int32), self.groups)
        h = nn.LayerNorm(name="norm")(_dense(64, "encoder_0")(attention[group_of] * x))
        h = _dense(14, "encoder_2")(nn.relu(_dense(64, "encoder_1")(nn.tanh(h))))
        if self.memory:
            memory, h = nn.GRUCell(self.memory, kernel_init=uniform, name="memory")(memory, h)
        h = nn.relu(_dense(64, "decoder_0")(h))
        return nn.tanh(nn.Dense(self.outputs, kernel_init=nn.initializers.zeros, name="decoder_1")(h)), memory


class LearnedWeights(nn.Module):
    """x (n,) -> corrections (outputs,) in (-1, 1), initially 0. Layers: dense, layer norm, silu; dense, silu; tanh."""

    widths: tuple[int, ...]
    outputs: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        for k, width in enumerate(self.widths):
            x = _dense(width, f"layer_{k}")(x)
            x = nn.silu(nn.LayerNorm()(x) if k == 0 else x)
        return jnp.tanh(nn.Dense(self.outputs, kernel_init=nn.initializers.zeros, name="out")(x))


def _dense(width: int, name: str) -> nn.Dense:
    return nn.Dense(width, name=name, kernel_init=uniform)
