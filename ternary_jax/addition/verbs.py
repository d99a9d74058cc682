"""What a trained model of addition can be asked: the sum that it predicts. Batches have any shapes that broadcast."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ternary_jax.engine.task import Context, Verbs
from ternary_jax.errors import QuestionError


def verbs(forward: Callable[[Any, Array, Array], Array], modulus: int) -> Verbs:
    """forward: params, a, b (n,) int32 -> logits (n, m). modulus: m."""
    of_pairs = jax.jit(forward)

    def make(params: Any, context: Context, part: str) -> dict[str, Callable[..., Array]]:
        def logits(a: Any, b: Any) -> Array:
            """a, b (...), ints from 0 to m - 1 -> logits (..., m) of their sum mod m."""
            a, b = _pairs(a, b, modulus)
            return of_pairs(params, a.ravel(), b.ravel()).reshape(*a.shape, modulus)

        def predict(a: Any, b: Any) -> Array:
            """a, b (...), ints from 0 to m - 1 -> the predicted sum mod m (...), int32."""
            return jnp.argmax(logits(a, b), -1).astype(jnp.int32)

        return {"predict": predict, "logits": logits}

    return Verbs(make, table=lambda params, context, part: _table(params, modulus))


# --- inside -----------------------------------------------------------------------------------------------------------


def _table(params: Any, modulus: int) -> dict[str, Any]:
    """A row for each number, with its embedding."""
    return {
        "number": np.arange(modulus, dtype=np.int32),
        "embedding": np.asarray(params["embedding"]["embedding"])[:modulus],
    }


def _pairs(a: Any, b: Any, modulus: int) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays of one shape; a QuestionError if they are no summands."""
    arrays = [np.asarray(a), np.asarray(b)]
    for name, values in zip("ab", arrays, strict=True):
        if values.dtype.kind not in "iu":
            raise QuestionError(f"{name} is {values.dtype}, and a summand is an int: give ints from 0 to {modulus - 1}")
        outside = values[(values < 0) | (values >= modulus)]
        if outside.size:
            raise QuestionError(f"{name}={outside[0]} is no summand mod {modulus}: give ints from 0 to {modulus - 1}")
    try:
        a, b = np.broadcast_arrays(*arrays)
    except ValueError:
        shapes = f"a and b have the shapes {arrays[0].shape} and {arrays[1].shape}"
        raise QuestionError(f"{shapes}, which do not broadcast: give equal shapes") from None
    return a.astype(np.int32), b.astype(np.int32)
