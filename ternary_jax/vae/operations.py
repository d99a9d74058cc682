"""What a user may give in place of an operation: an index, its trits, or its trits as text.

    index    an integer, or integers of any shape (...)
    trits    int8 (..., D), as rows of `ternary.operations`
    text     "+0-0+0-0+", digit 0 first, or texts of any shape (...)

Floating numbers are points, and no operations.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ternary_jax import ternary
from ternary_jax.errors import QuestionError

KINDS = "an index, its int8 trits, or a text as '+0-0+0-0+'"


def is_point(x: Any) -> bool:
    """Whether x is an array of points: floating numbers."""
    return jnp.issubdtype(_array(x).dtype, jnp.floating)


def index_of(x: Any, n_digits: int) -> Any:
    """The indices (...) int32 of operations; a QuestionError where one of them is none."""
    values = _array(x)
    try:
        if values.dtype.kind == "U":
            found = [ternary.from_signs(text, n_digits) for text in values.ravel().tolist()]
            return np.asarray(found, np.int32).reshape(values.shape)
        if values.dtype == np.int8 and values.ndim:
            return _of_trits(values, n_digits)
        if not jnp.issubdtype(values.dtype, jnp.integer):
            raise ValueError(f"{x!r:.60} is no operation: give {KINDS}")
        if not isinstance(values, Tracer):
            ternary.digits(np.asarray(values), n_digits)  # which raises where an index is out of range
    except ValueError as e:
        hint = "; trits have the dtype int8" if "index -1" in str(e) else ""
        raise QuestionError(f"{e}{hint}") from None
    return values.astype(np.int32)


def one_of(x: Any, n_digits: int) -> int:
    """The index of one operation, which may also be a text of its index in decimal digits, as it is typed."""
    if isinstance(x, str) and len(x) != n_digits and x.isdecimal() and x.isascii():
        x = int(x[:18])
    if np.ndim(found := index_of(x, n_digits)):
        raise QuestionError(f"operations of the shape {found.shape} are several: give one")
    return int(found)


# --- inside -----------------------------------------------------------------------------------------------------------


def _array(x: Any) -> Any:
    if isinstance(x, jax.Array):
        return x
    try:
        return np.asarray(x)
    except ValueError:  # rows of different lengths
        raise QuestionError(
            f"{x!r:.60} has rows of different lengths: give {KINDS}, or an array of one of them"
        ) from None


def _of_trits(trits: Any, n_digits: int) -> Any:
    if trits.shape[-1] != n_digits:
        raise ValueError(f"trits of the shape {trits.shape} are no operations: their last axis has {n_digits} entries")
    if not isinstance(trits, Tracer) and np.any(np.abs(np.asarray(trits)) > 1):
        raise ValueError("trits are -1, 0 or 1, and these are not: give those of `ternary.operations`")
    return ternary.index((trits + 1).astype(np.int32)).astype(np.int32)
