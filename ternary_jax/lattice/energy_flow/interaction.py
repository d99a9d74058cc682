"""How the flows of a sample act on each other: each gives a message, and its energy changes by what it gets back.

    message = (energy A) * gate(h),    energy' = ... + (answer * gate'(h)) B

Energies pass this way linearly; only the gates know where a flow is. So the map from inputs to outputs has at most the
rank channels x steps.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax.initializers import uniform
from ternary_jax.lattice import faces

Meet = Callable[[Array, Array], Any]


class Exchange(nn.Module):
    """energy (B, n, c), h (b, n, w), meet -> what meeting the others adds to the energy, and the new memory.

    meet: messages (B, n, m), (queries and keys (b, n, w) each, or None) -> (answers (B, n, m), memory)
    """

    settings: Any
    channels: int
    dtype: Any

    @nn.compact
    def __call__(self, energy: Array, h: Array, meet: Meet) -> Any:
        def dense(width, name, bias=True):
            return nn.Dense(width, use_bias=bias, dtype=self.dtype, kernel_init=uniform, name=name)

        m = self.settings.messages
        message = dense(m, "message", False)(energy) * dense(m, "message_gate")(h)
        pair = None
        if self.settings.kind == "attention":
            pair = dense(m, "query")(h), dense(m, "key")(h)
        found = meet(message.astype("float32"), pair)
        answer, memory = found if isinstance(found, tuple) else (found, ())
        read = answer * dense(m, "answer_gate")(h)
        return dense(self.channels, "answer", False)(read).astype("float32"), memory


def meet(settings: Any, position: Array, memory: Any) -> Meet:
    """The exchange of `interaction.kind` among flows at a position (b, n, 3)."""

    def pooled(messages, _):
        """Every flow gets the sum of all messages over sqrt n, which has the size of one message."""
        return jnp.sum(messages, 1, keepdims=True) / messages.shape[1] ** 0.5, ()

    def attended(messages, pair):
        """Every flow gets the messages of those that its query finds, times sqrt n, so that a mean is as `pooled`."""
        query, key = (jnp.broadcast_to(x, (len(messages), *x.shape[1:]))[:, :, None] for x in pair)
        found = jax.nn.dot_product_attention(query, key, messages[:, :, None])
        return found[:, :, 0] * messages.shape[1] ** 0.5, ()

    def through_cells(messages, _):
        """The flows add their messages to the cells around them, and read from these; what the cells had fades."""
        height, width = memory.shape[1:3]
        radius, points = settings.radius, position[..., :2]
        after = settings.decay * memory + radius**2 * faces.spread(points, messages, width, height, radius)
        return faces.read(points, after, radius), after

    return {"pool": pooled, "attention": attended, "field": through_cells}[settings.kind]


def empty(settings: Any, batch: int, width: int, height: int) -> Any:
    """The memory of the cells before the first step, (batch, height, width, messages); () without a field."""
    return jnp.zeros((batch, height, width, settings.messages)) if settings.kind == "field" else ()
