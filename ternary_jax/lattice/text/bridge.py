"""Between texts and surfaces: texts onto the input face, and from the output face to the nearest texts of a bank.

`decoder.py` writes new texts from a surface. All of it is batched; what is encoded is kept on disk by the hash of its
content (encodings.py).
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ternary_jax.errors import ConfigError
from ternary_jax.lattice.text import encodings, metrics, prepared, projection
from ternary_jax.lattice.text.prepared import Prepared
from ternary_jax.lattice.text.teacher import Encoded
from ternary_jax.lattice.text.weights import Teacher

BLOCK = 256  # surfaces that are compared with a bank at once


class Bank(NamedTuple):
    """Texts to find.

    vectors: (m, e), centred, of length 1
    texts: m of them
    """

    vectors: Array
    texts: list[str]


def encode_text(teacher: Teacher, corpus: Prepared, texts: Sequence[str], folder: Path) -> np.ndarray:
    """Faces (n, height, width) of texts, made as those of the left sides of a corpus. folder: of what is encoded."""
    found = _encoded(teacher, corpus, texts, folder, "texts")
    return prepared.on_face(corpus, found.words if corpus.about["inputs"] == "words" else found.meaning)


def encode_target(teacher: Teacher, corpus: Prepared, texts: Sequence[str], folder: Path) -> np.ndarray:
    """The output faces (n, height, width) that stand for texts, as those of the right sides of a corpus do."""
    found = _encoded(teacher, corpus, texts, folder, "texts")
    width, height = corpus.about["face"]
    return np.asarray(projection.onto(corpus.back, found.meaning), np.float32).reshape(-1, height, width)


def bank(teacher: Teacher, corpus: Prepared, texts: Sequence[str], folder: Path) -> Bank:
    """A bank of texts; each that occurs twice is in it once."""
    texts = list(dict.fromkeys(texts))
    found = _encoded(teacher, corpus, texts, folder, "the bank")
    return Bank(metrics.unit(jnp.asarray(prepared.centred(corpus, found.meaning))), texts)


def bank_of(corpus: Prepared) -> Bank:
    """The right sides of a corpus, which are encoded already."""
    _check_of_texts(corpus)
    if not corpus.texts[1]:
        raise ConfigError("this corpus was prepared without its texts (--small): prepare it again without that flag")
    return Bank(metrics.unit(jnp.asarray(prepared.targets(corpus))), corpus.texts[1])


def decode_surface(corpus: Prepared, surfaces: Any, texts: Bank, number: int = 1) -> list[list[tuple[str, float]]]:
    """The nearest texts of a bank for each output face (n, height, width), with their cosines, the nearest first."""
    width, height = corpus.about["face"]
    shape = np.shape(surfaces)
    if shape[1:] != (height, width) or not shape[0]:
        raise ConfigError(
            f"the surfaces have the shape {shape}, and the corpus was prepared for (n, {height}, {width}) with n of 1 "
            "or more: give surfaces of that size"
        )
    return find(texts, projection.back(corpus.back, jnp.asarray(surfaces).reshape(shape[0], -1)), number)


def find(texts: Bank, vectors: Any, number: int = 1) -> list[list[tuple[str, float]]]:
    """The nearest texts of a bank for each centred vector (n, e), with their cosines, the nearest first."""
    places, cosines = nearest(texts.vectors, jnp.asarray(vectors), min(number, len(texts.texts)))
    return [
        [(texts.texts[place], float(cosine)) for place, cosine in zip(*pair, strict=True)]
        for pair in zip(np.asarray(places), np.asarray(cosines), strict=True)
    ]


@functools.partial(jax.jit, static_argnums=2)
def nearest(vectors: Array, queries: Array, number: int) -> tuple[Array, Array]:
    """(n, number) rows of unit vectors (m, e) with the greatest cosine to each query (n, e), and the cosines: exact."""

    def of_query(query):
        similar = jnp.matmul(vectors, metrics.unit(query), precision=jax.lax.Precision.HIGHEST)
        return jax.lax.top_k(similar, number)

    cosines, places = jax.lax.map(of_query, queries, batch_size=BLOCK)
    return places, cosines


# --- inside -----------------------------------------------------------------------------------------------------------


def _encoded(teacher: Teacher, corpus: Prepared, texts: Sequence[str], folder: Path, what: str) -> Encoded:
    """Texts as those of the corpus were encoded; a ConfigError where the teacher is another one."""
    _check_of_texts(corpus)
    if teacher.digest != corpus.about["teacher"]:
        raise ConfigError(
            f"the teacher has the SHA-256 {teacher.digest[:12]}..., and the corpus was prepared by "
            f"{corpus.about['teacher'][:12]}...: give the same teacher"
        )
    if not texts:
        raise ConfigError("the list of texts is empty: give at least one text")
    return encodings.encode(teacher, texts, corpus.about["longest"], folder, what)


def _check_of_texts(corpus: Prepared) -> None:
    if corpus.about["inputs"] == "vectors":
        raise ConfigError(
            "this corpus was prepared from vectors, so no teacher encodes texts for it: give one of texts"
        )
