"""Token ids and vectors of the published encoder all-MiniLM-L6-v2, and of a small one, against plain references."""

import json
from pathlib import Path

import numpy as np
import pytest
import small_teacher
from hypothesis import given
from hypothesis import strategies as st
from reference import bert, wordpiece
from safetensors.numpy import load_file

from ternary_jax.errors import ConfigError
from ternary_jax.lattice.text import corpora, teacher, weights

GOLDEN = Path(__file__).parents[2] / "golden"
TABLE = json.loads((GOLDEN / "tokens_of_minilm.json").read_text())
TEXTS, IDS = map(list, zip(*TABLE, strict=True))
SMALL = small_teacher.tokenizer()
SMALL.no_padding()
SMALL.no_truncation()
NUMBERS = {token: number for number, token in enumerate(small_teacher.VOCABULARY)}
published = pytest.mark.weights


@pytest.fixture(scope="module")
def folder():
    """The folder of the published weights."""
    try:
        return corpora.find(corpora.TEACHER).parent
    except ConfigError as e:
        pytest.skip(f"{e}")


@pytest.fixture(scope="module")
def real(folder):
    return weights.load(folder)


def test_the_table_has_fifty_texts():
    assert len(TEXTS) == len(set(TEXTS)) == 50


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_tokens_of_a_small_vocabulary_are_those_of_plain_rules(number):
    assert SMALL.encode(TEXTS[number]).ids == wordpiece.ids(TEXTS[number], NUMBERS)


@given(st.text(st.sampled_from("abRiverσΣé́山\u200b\u00a0 \t.,-$\x07"), max_size=110))
def test_tokens_of_any_text_are_those_of_plain_rules(text):
    assert SMALL.encode(text).ids == wordpiece.ids(text, NUMBERS)


@published
def test_tokens_of_the_published_tokenizer_are_those_of_the_table(real):
    assert teacher.tokens_of(real, TEXTS, 512) == (IDS, 0)


@published
def test_the_table_is_that_of_plain_rules_on_the_published_vocabulary(real):
    vocabulary = real.tokenizer.get_vocab(with_added_tokens=True)
    assert [wordpiece.ids(text, vocabulary) for text in TEXTS] == IDS


@published
def test_published_vectors_are_those_on_file(real):
    golden = np.load(GOLDEN / "vectors_of_minilm.npz")
    found = teacher.encode(real, [TEXTS[k] for k in golden["rows"]], 512)
    for name in ("words", "meaning"):
        np.testing.assert_allclose(getattr(found, name), golden[name].astype(float), atol=2e-4)  # of float16


@published
def test_vectors_on_file_are_those_of_a_plain_encoder(folder):
    golden, arrays = np.load(GOLDEN / "vectors_of_minilm.npz"), load_file(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    for place, k in enumerate(golden["rows"]):
        both = bert.encode(arrays, config, IDS[k], "mean")
        for name, expected in zip(("words", "meaning"), both, strict=True):
            np.testing.assert_allclose(golden[name][place], expected, atol=1e-4)
