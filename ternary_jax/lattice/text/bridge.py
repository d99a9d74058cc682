"""Between texts and surfaces: texts onto the input face, and from the output face to the nearest texts of a bank.

`decoder.py` writes new texts from a surface. All of it is batched; what is encoded is kept on disk by the hash of its
content (encodings.py).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ternary_jax.errors import ConfigError
from ternary_jax.lattice.text import encodings, metrics, projection
from ternary_jax.lattice.text.prepared import Prepared
from ternary_jax.lattice.text.weights import Teacher

BLOCK = 256  # surfaces that are compared with a bank at once


class Bank(NamedTuple):
    """Texts to find: vectors (m, e), centred, of length 1; texts, m of them."""

    vectors: Array
    texts: list[str]


def encode_text(teacher: Teacher, corpus: Prepared, texts: Sequence[str], folder: Path) -> np.ndarray:
    """Faces (n, height, width) of texts, made as those of the left sides of a corpus. folder: of what is encoded."""
    _check(teacher, corpus)
    found = encodings.encode(teacher, texts, corpus.about["longest"], folder, "texts")
    vectors = found.words if corpus.about["inputs"] == "words" else found.meaning
    width, height = corpus.about["face"]
    return np.asarray(projection.onto(corpus.onto, vectors), np.float32).reshape(-1, height, width)


def bank(teacher: Teacher, corpus: Prepared, texts: Sequence[str], folder: Path) -> Bank:
    """A bank of texts; each that occurs twice is in it once."""
    _check(teacher, corpus)
    texts = list(dict.fromkeys(texts))
    found = encodings.encode(teacher, texts, corpus.about["longest"], folder, "the bank")
    return Bank(metrics.unit(jnp.asarray(found.meaning - corpus.back.mean)), texts)


def bank_of(corpus: Prepared) -> Bank:
    """The right sides of a corpus, which are encoded already."""
    if not corpus.texts[1]:
        raise ConfigError("this corpus was prepared without its texts (--small): prepare it again without that flag")
    return Bank(metrics.unit(jnp.asarray(corpus.right - corpus.back.mean)), corpus.texts[1])


def decode_surface(corpus: Prepared, surfaces: Any, texts: Bank, number: int = 1) -> list[list[tuple[str, float]]]:
    """The nearest texts of a bank for each output face (n, height, width), with their cosines, the nearest first."""
    vectors = projection.back(corpus.back, jnp.asarray(surfaces).reshape(len(surfaces), -1))
    places, cosines = nearest(texts.vectors, vectors, min(number, len(texts.texts)))
    return [
        [(texts.texts[place], float(cosine)) for place, cosine in zip(*pair, strict=True)]
        for pair in zip(np.asarray(places), np.asarray(cosines), strict=True)
    ]


def nearest(vectors: Array, queries: Array, number: int) -> tuple[Array, Array]:
    """(n, number) rows of unit vectors (m, e) with the greatest cosine to each query (n, e), and the cosines: exact."""

    def of_query(query):
        similar = jnp.matmul(vectors, metrics.unit(query), precision=jax.lax.Precision.HIGHEST)
        return jax.lax.top_k(similar, number)

    cosines, places = jax.lax.map(of_query, queries, batch_size=BLOCK)
    return places, cosines


def _check(teacher: Teacher, corpus: Prepared) -> None:
    if teacher.digest != corpus.about["teacher"]:
        raise ConfigError(
            f"the teacher has the SHA-256 {teacher.digest[:12]}..., and the corpus was prepared by "
            f"{corpus.about['teacher'][:12] or 'none'}...: give the same teacher"
        )
