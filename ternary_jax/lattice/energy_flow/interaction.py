"""How the flows of a sample act on each other: what each gets back for its message. See `models.Exchange`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax.lattice import faces

Meet = Callable[[Array, Any], tuple[Array, Any]]


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
