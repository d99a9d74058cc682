"""A barrier across the lattice: the plane x = barrier.x with a hole of a few rows, which flows have to go through.

A flow belongs to the side on which it starts, and to the other one from the step on that leads it through the hole. A
step from (x, y) to (x', y') that ends beyond the plane, on the other side, enters it in the row

    y + (barrier.x - x) (y' - y) / (x' - x),    or y if the step begins at the plane or beyond it.

In training, the part of the step beyond the plane is multiplied by sigmoid(distance / softness), where the distance
from that row to the nearer edge of the hole is negative outside of it. The softness is a schedule that ends at 0, the
hard barrier: outside of the hole the flow stops at the plane. Evaluations have the hard barrier at all times.

Only x is stopped, as at the walls of the lattice: a flow slides along the barrier, and may so reach the hole. The step
is the one that the walls have left, so neither a reflection nor noise leads past the barrier. The side is carried, as a
flow at the plane would not tell it. Without it, a flow a little beyond a soft barrier would be free in its next step,
and a soft barrier would cost one step of many.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

THINNEST = 1e-3  # cells; a smaller softness divides as this one, so that the gradient stays finite at 0


def sides(position: Array, barrier: Any) -> Array:
    """Whether flows at a position (..., 3) stand left of the barrier, (...) bool."""
    return position[..., 0] < barrier.x


def stopped(
    before: Array, after: Array, left: Array, barrier: Any, walls: str, softness: ArrayLike | None = None
) -> tuple[Array, Array]:
    """(position after the barrier, left') of a step from `before` to `after`, (..., 3), of flows that belong to a side.

    left: (...) bool, whether a flow belongs to the left side
    walls: "inward" or "through", the gradient that passes where a flow is stopped, as at a wall; others: none
    softness: in cells, may be traced; None or 0: the hard barrier
    """
    away = jnp.where(left, 1.0, -1.0)
    start, end = (away * (position[..., 0] - barrier.x) for position in (before, after))  # above 0: beyond the plane
    beyond, fresh = end > 0, (start < 0) & (end > 0)
    share = jnp.where(fresh, -start / jnp.where(fresh, end - start, 1), 0)
    y = before[..., 1] + share * (after[..., 1] - before[..., 1])
    distance = (barrier.last_row - barrier.first_row + 1) / 2 - jnp.abs(y - (barrier.first_row + barrier.last_row) / 2)
    inside = distance >= 0
    x = jnp.where(beyond & ~inside, _held(after[..., 0], barrier.x, away, walls), after[..., 0])
    if softness is not None:
        gate = jax.nn.sigmoid(distance / jnp.maximum(softness, THINNEST))
        begun = jnp.maximum(start, 0)
        reached = jnp.minimum(end, begun) + gate * jnp.maximum(end - begun, 0)
        x = jnp.where(beyond & (jnp.asarray(softness) > 0), barrier.x + away * reached, x)
    return jnp.concatenate([x[..., None], after[..., 1:]], -1), left ^ (beyond & inside)


# --- inside -----------------------------------------------------------------------------------------------------------


def _held(x: Array, plane: float, away: Array, walls: str) -> Array:
    """The plane, with the gradient of x that `walls` lets pass. With "reflect", flows stop here too, without one."""
    if walls == "inward":
        return _held_inward(x, jnp.full_like(x, plane), away)
    held = jnp.full_like(x, plane)
    return held + (x - jax.lax.stop_gradient(x)) if walls == "through" else held


@jax.custom_vjp
def _held_inward(x: Array, held: Array, away: Array) -> Array:
    """`held`; of its gradient, x gets the one whose descent leads back to the own side."""
    return held


def _held_inward_bwd(kept, gradient):
    (away,) = kept
    back = jnp.where(gradient * away > 0, gradient, 0)
    return back, jnp.zeros_like(gradient), jnp.zeros_like(gradient)


_held_inward.defvjp(lambda x, held, away: (held, (away,)), _held_inward_bwd)
