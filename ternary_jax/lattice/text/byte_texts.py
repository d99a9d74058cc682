"""Texts as rows of bytes, and what a byte costs without a network."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ternary_jax.lattice.text.models import MARK, SYMBOLS

WEIGHTS = np.linspace(0, 0.98, 15)  # of the longer context in a mixture


class Rows(NamedTuple):
    """n texts, (n, longest + 1) each.

    ids: int32, a mark and then bytes
    after: the symbol to predict at each place, from the ids up to there
    counted: bool, where there is one
    """

    ids: np.ndarray
    after: np.ndarray
    counted: np.ndarray


def rows(texts: Sequence[str], longest: int) -> Rows:
    """The first `longest` bytes of each text. The mark after a text that was cut does not count."""
    n = len(texts)
    ids = np.full((n, longest + 2), MARK, np.int32)
    counted = np.zeros((n, longest + 1), bool)
    for k, text in enumerate(texts):
        data = text.encode()[:longest]
        ids[k, 1 : 1 + len(data)] = list(data)
        counted[k, : len(data) + (len(text.encode()) <= longest)] = True
    return Rows(ids[:, :-1], ids[:, 1:], counted)


def text_of(ids: Sequence[int]) -> str:
    """The text of symbols up to the first mark; bytes that are no UTF-8 are shown as replacements."""
    data = [int(x) for x in ids]
    data = data[: data.index(MARK)] if MARK in data else data
    return bytes(data).decode(errors="replace")


class Trigram(NamedTuple):
    """Counts of symbols after the two before them, (257, 257, 257), and the weights of three and of two symbols."""

    counts: np.ndarray
    weights: tuple[float, float]


def trigram(train: Rows, chosen: Rows) -> Trigram:
    """A mixture of the shares after two, one and no symbols; the weights are the best for the chosen texts."""
    counts = np.zeros((SYMBOLS,) * 3, np.float32)
    np.add.at(counts, _contexts(train), 1)
    shares = _shares(counts, chosen)
    pairs = [(float(a), float(b)) for a in WEIGHTS for b in WEIGHTS]
    return Trigram(counts, min(pairs, key=lambda pair: _mixed(shares, pair)))


def cost(model: Trigram, texts: Rows) -> float:
    """Bits of all texts, the marks after them included."""
    return _mixed(_shares(model.counts, texts), model.weights)


def per_byte(bits: Any, texts: Rows) -> Any:
    """Bits of all texts over their bytes; the marks after texts cost bits, and are no bytes."""
    return bits / int((texts.counted & (texts.after != MARK)).sum())


def _shares(counts: np.ndarray, texts: Rows) -> np.ndarray:
    """(3, symbols): the share of each symbol among all, after one and after two; nan after what never occurred."""
    first, second, third = _contexts(texts)
    two, one = counts.sum(0), counts.sum((0, 1))
    with np.errstate(invalid="ignore"):
        after_one = two[second, third] / two.sum(-1)[second]
        after_two = counts[first, second, third] / counts.sum(-1)[first, second]
    return np.stack([(one[third] + 1) / (one.sum() + SYMBOLS), after_one, after_two])


def _mixed(shares: np.ndarray, weights: tuple[float, float]) -> float:
    """Bits of all symbols; where a context never occurred, the shorter one counts alone."""
    share = shares[0]
    for longer, weight in ((shares[1], weights[1]), (shares[2], weights[0])):
        share = np.where(np.isnan(longer), share, weight * longer + (1 - weight) * share)
    return float(-np.log2(share).sum())


def _contexts(texts: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(the symbol two places before, the one before, the symbol) of everything that counts."""
    before = np.concatenate([np.full((len(texts.ids), 1), MARK), texts.ids[:, :-1]], 1)
    return before[texts.counted], texts.ids[texts.counted], texts.after[texts.counted]
