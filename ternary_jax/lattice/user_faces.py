"""Faces, or streams of them, that a user gives a trained lattice, with one sentence for what is none."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from ternary_jax.errors import QuestionError


def checked(x: Any, shape: tuple[int, ...], what: str = "faces (B, height, width)") -> Array:
    """Arrays (B, *shape) of finite numbers, float32; a QuestionError for anything else. A single one is refused too."""
    try:
        values = np.asarray(x, np.float32)
    except (TypeError, ValueError):
        raise QuestionError(f"{x!r:.60} is no array of numbers: give {what}, here (B, {_text(shape)})") from None
    if values.shape[1:] != shape or not len(values):
        raise QuestionError(f"the shape {values.shape} is not that of {what}: give (B, {_text(shape)}), B of 1 or more")
    if not np.isfinite(values).all():
        raise QuestionError(f"the {what} have a NaN or an infinity: give finite numbers")
    return jnp.asarray(values)


def _text(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
