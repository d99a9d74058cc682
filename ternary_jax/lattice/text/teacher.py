"""What a sentence encoder makes of texts: two vectors each, in batches of texts of about one length.

`meaning` is the encoder's own vector. `words` is the mean of the embeddings of the tokens before the first layer, which
does not depend on their order: a cheap input, from which the meaning cannot be copied.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ternary_jax.errors import ConfigError
from ternary_jax.lattice.text import metrics
from ternary_jax.lattice.text.models import Bert, Sizes
from ternary_jax.lattice.text.weights import Teacher

LENGTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)  # a batch is padded to the next of these
TOKENS = 2048  # tokens of a batch, about


class Encoded(NamedTuple):
    """Texts as unit vectors.

    words: (n, width) float32, means of the embeddings of the tokens
    meaning: (n, width) float32, the encoder's own vectors
    cut: how many texts were longer than the limit
    """

    words: np.ndarray
    meaning: np.ndarray
    cut: int


def tokens_of(teacher: Teacher, texts: Sequence[str], longest: int) -> tuple[list[list[int]], int]:
    """(the token ids of each text with its first and last mark, how many texts were cut to `longest` tokens)."""
    found = [one.ids for one in teacher.tokenizer.encode_batch(list(texts))]
    cut = [[*ids[: longest - 1], ids[-1]] if len(ids) > longest else ids for ids in found]
    return cut, sum(len(ids) > longest for ids in found)


def encode(teacher: Teacher, texts: Sequence[str], longest: int) -> Encoded:
    """The vectors of texts, in their order. Texts of about one length share a batch, which is padded to LENGTHS."""
    if longest > teacher.sizes.positions:
        raise ConfigError(
            f"--longest={longest} is more than the {teacher.sizes.positions} positions of the teacher: give fewer"
        )
    ids, cut = tokens_of(teacher, texts, longest)
    order = sorted(range(len(ids)), key=lambda k: len(ids[k]))
    words, meaning = (np.zeros((len(ids), teacher.sizes.width), np.float32) for _ in range(2))
    while order:
        length = next((n for n in LENGTHS if n >= len(ids[order[0]])), longest)
        size = max(TOKENS // length, 1)
        rows = [k for k in order[:size] if len(ids[k]) <= length]
        order = order[len(rows) :]
        batch = np.zeros((size, length), np.int32)
        number = np.zeros(size, np.int32)
        for place, k in enumerate(rows):
            batch[place, : len(ids[k])], number[place] = ids[k], len(ids[k])
        both = _encoded(teacher.sizes, teacher.pooling, teacher.params, batch, number)
        words[rows], meaning[rows] = (np.asarray(x)[: len(rows)] for x in both)
    return Encoded(words, meaning, cut)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _encoded(sizes: Sizes, pooling: str, params: Any, ids: jax.Array, number: jax.Array) -> tuple[jax.Array, jax.Array]:
    """ids (B, T), of which `number` (B,) count -> two unit vectors of each text."""
    mask = jnp.arange(ids.shape[1])[None] < jnp.maximum(number, 1)[:, None]
    encoder: Any = Bert(sizes)
    first, last = encoder.apply({"params": params}, ids, mask)

    def mean(x):
        return jnp.sum(jnp.where(mask[..., None], x, 0), 1) / jnp.sum(mask, 1)[:, None]

    if pooling == "mean":
        pooled = mean(last)
    else:
        pooled = last[:, 0] if pooling == "first" else jnp.max(jnp.where(mask[..., None], last, -jnp.inf), 1)
    return metrics.unit(mean(first)), metrics.unit(pooled)
