"""Widths that fall during a training: of the filter over the residual, and of the edge of a barrier that closes."""

from typing import Any

import numpy as np

from ternary_jax.control import schedules
from ternary_jax.engine.plan import plan
from ternary_jax.engine.task import Context
from ternary_jax.lattice import blur


def falling(static: Any) -> dict[str, np.ndarray]:
    """The schedules of a run by name, where the config has them."""
    found = blur.falling(static) if hasattr(static.losses, "blur") else {}
    if softens(static):
        total = plan(static, None).total
        found["barrier"] = schedules.falling(static.barrier.softness, static.barrier.share, total)
    return found


def softens(static: Any) -> bool:
    """Whether training has a soft barrier."""
    return static.barrier.on and static.barrier.softness > 0


def softness(static: Any, context: Context) -> Any:
    """The softness of the barrier in a step, in cells; None where it is hard."""
    return context.signals.schedule["barrier"] if softens(static) else None
