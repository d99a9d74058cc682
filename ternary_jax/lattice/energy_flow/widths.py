"""Widths that fall during a training: of the filter over the residual, and of the edge of a barrier that closes."""

from typing import Any

import numpy as np

from ternary_jax.control import schedules
from ternary_jax.engine.plan import plan
from ternary_jax.engine.task import Context


def falling(static: Any) -> dict[str, np.ndarray]:
    """The schedules of a run by name, where the config has them.

    A loss of single cells has a barrier at every border of a cell, as a flow between two cells counts less; flows then
    stay within three cells of their start. A blurred loss sees the whole way.
    """
    total, found = plan(static, None).total, {}
    if blur := getattr(static.losses, "blur", None):
        found["blur"] = schedules.falling(blur.width, blur.share, total)
    if softens(static):
        found["barrier"] = schedules.falling(static.barrier.softness, static.barrier.share, total)
    return found


def softens(static: Any) -> bool:
    """Whether training has a soft barrier."""
    return static.barrier.on and static.barrier.softness > 0


def softness(static: Any, context: Context) -> Any:
    """The softness of the barrier in a step, in cells; None where it is hard."""
    return context.signals.schedule["barrier"] if softens(static) else None
