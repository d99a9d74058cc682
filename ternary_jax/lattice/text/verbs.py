"""What a trained lattice of texts can be asked: the vector of a left side, and the right sides near it."""

import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ternary_jax.engine.task import Context, Verbs
from ternary_jax.errors import QuestionError
from ternary_jax.lattice import user_faces
from ternary_jax.lattice.text import bridge, byte_texts, metrics
from ternary_jax.lattice.text import data as data_of_text
from ternary_jax.lattice.text.prepared import Prepared


class Retrieved(NamedTuple):
    """The right sides with the greatest cosine to what comes out of a lattice, the greatest first.

    rows: (B, k) of the right sides of the corpus; cosines: (B, k)
    texts: k texts for each of the B; () where the corpus was prepared without its texts
    """

    rows: np.ndarray
    cosines: np.ndarray
    texts: tuple[tuple[str, ...], ...]


def verbs(static: Any, corpus: Prepared, outputs: Callable[..., Any]) -> Verbs:
    """What a lattice on a corpus can be asked. outputs: params, inputs, data -> (centred vectors (B, e), ...)."""
    vectors_of = jax.jit(lambda params, inputs, data: outputs(params, inputs, data)[0])
    to_inputs = functools.partial(_inputs, static)

    def make(params: Any, context: Context, part: str) -> dict[str, Callable[..., Any]]:
        bank, rights = metrics.unit(context.data["vectors"]), data_of_text.rights(static, corpus)

        def run(x: Any) -> Array:
            """left sides -> centred vectors (B, e) in the space of the right sides.

            x: faces (B, height, width), as `bridge.encode_text` makes them of texts; or a row, or rows (B,), of the
                left sides of the corpus that are on the device; with config.data.encoder=bytes texts instead of faces
            """
            return vectors_of(params, to_inputs(x, context.data["inputs"]), context.data)

        def retrieve(x: Any, k: int = 5) -> Retrieved:
            """left sides as in `run`, k -> Retrieved: rows (B, k) of the nearest right sides, cosines, texts."""
            if not 1 <= operator.index(k) <= len(bank):
                raise QuestionError(f"k={k} is outside 1 .. {len(bank)}, the number of right sides: give one of these")
            places, cosines = bridge.nearest(bank, run(x), k)
            rows = rights[np.asarray(places)]
            texts = corpus.texts[1]
            found = tuple(tuple(texts[row] for row in each) for each in rows) if texts else ()
            return Retrieved(rows, np.asarray(cosines), found)

        return {"run": run, "retrieve": retrieve}

    return Verbs(make)


# --- inside -----------------------------------------------------------------------------------------------------------


def _inputs(static: Any, x: Any, lefts: Array) -> Array:
    """The inputs of the lattice, as those of the left sides (lefts, ...), of what the user gives."""
    values = np.asarray(x)
    if values.dtype.kind in "iu" and values.ndim <= 1:
        outside = np.atleast_1d(values)[(np.atleast_1d(values) < 0) | (np.atleast_1d(values) >= len(lefts))]
        if outside.size or not values.size:
            named = f"row {outside[0]}" if outside.size else "an empty list"
            raise QuestionError(f"{named} is no left side: give rows from 0 to {len(lefts) - 1}")
        return lefts[jnp.atleast_1d(jnp.asarray(values))]
    if static.data.encoder == "bytes":
        if values.dtype.kind != "U" or not values.size:
            raise QuestionError(f"{x!r:.60} is no text, and config.data.encoder=bytes reads texts: give one, or a list")
        return jnp.asarray(byte_texts.rows(np.atleast_1d(values).tolist(), static.data.longest).ids)
    if values.dtype.kind == "U":
        raise QuestionError(
            f"{x!r:.60} is a text, and this model reads faces: make them by lattice.text.bridge.encode_text, give rows "
            "of the corpus, or train with config.data.encoder=bytes"
        )
    return user_faces.checked(x, (static.lattice.height, static.lattice.width))
