"""The bridge between texts and surfaces on a small encoder: faces of texts, banks of texts, and the nearest of them."""

import jax.numpy as jnp
import numpy as np
import pytest
import small_teacher

from ternary_jax.errors import ConfigError
from ternary_jax.lattice.text import bridge, prepare, prepared, projection, teacher, weights
from ternary_jax.lattice.text.pairs import Pairs
from ternary_jax.lattice.text.plan import Plan

N, WIDTH, HEIGHT = 40, 5, 3  # 15 cells hold the 12 numbers of a vector
LEFT, RIGHT = small_teacher.texts(N), small_teacher.texts(N, seed=1)
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher") / "small"
    small_teacher.write(folder)
    return weights.load(folder)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The folder of what is encoded."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module", params=["words", "meaning"])
def corpus(request, model, kept):
    plan = Plan("small", face=(WIDTH, HEIGHT), inputs=request.param, longest=9, test=6)
    return prepare.prepare(Pairs(LEFT, RIGHT, LEFT), plan, model, kept)


@pytest.fixture
def calls(monkeypatch):
    """The lists of texts that were encoded."""
    found = []
    monkeypatch.setattr(teacher, "encode", small_teacher.counted(found))
    return found


def test_the_faces_of_texts_are_those_of_the_left_sides(model, corpus, tmp_path):
    found = bridge.encode_text(model, corpus, LEFT[::-1], tmp_path)
    assert found.shape == (N, HEIGHT, WIDTH)
    np.testing.assert_allclose(found[::-1], prepared.faces(corpus), atol=5e-3)  # vectors on disk are halves
    rows = (corpus.left - corpus.onto.mean) @ corpus.onto.basis * corpus.onto.gain
    np.testing.assert_allclose(found[::-1].reshape(N, -1), rows, atol=5e-3)
    assert np.std(rows) > 0.5


def test_the_face_of_a_text_as_a_target_is_that_of_the_right_side(model, corpus, tmp_path):
    found = bridge.encode_target(model, corpus, corpus.texts[1][::-1], tmp_path)
    expected = (corpus.right - corpus.back.mean) @ corpus.back.basis * corpus.back.gain
    np.testing.assert_allclose(found[::-1].reshape(len(expected), -1), expected, atol=5e-3)
    assert np.std(expected) > 0.5
    assert found.shape[1:] == (HEIGHT, WIDTH)


def order(vectors, queries):
    """(places, cosines) of all vectors for each query by numpy float64, the nearest first."""
    units = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries.astype(float), vectors.astype(float))]
    similar = units[0] @ units[1].T
    places = np.argsort(-similar, axis=1)
    return places, np.take_along_axis(similar, places, 1)


@pytest.mark.parametrize(("n", "number"), [(1, 1), (4, 30), (11, 7)])
def test_the_nearest_vectors_are_those_of_numpy_in_their_order(monkeypatch, n, number):
    monkeypatch.setattr(bridge, "BLOCK", 4)  # less than a block, one block, and two blocks and a rest
    vectors, queries = RNG.normal(size=(30, 8)), 3 * RNG.normal(size=(n, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    places, cosines = bridge.nearest(jnp.float32(vectors), jnp.float32(queries), number)
    wanted = order(vectors, queries)
    np.testing.assert_array_equal(places, wanted[0][:, :number])
    np.testing.assert_allclose(cosines, wanted[1][:, :number], atol=1e-5)


def test_the_face_of_a_target_finds_the_target(corpus):
    rows = projection.onto(corpus.back, corpus.right)
    found = bridge.decode_surface(corpus, rows.reshape(-1, HEIGHT, WIDTH), bridge.bank_of(corpus), number=3)
    assert [texts[0][0] for texts in found] == corpus.texts[1]
    np.testing.assert_allclose([texts[0][1] for texts in found], 1, atol=1e-4)
    places, cosines = order(prepared.targets(corpus), prepared.targets(corpus))
    np.testing.assert_allclose([[cosine for _, cosine in texts] for texts in found], cosines[:, :3], atol=1e-4)
    assert [texts[1][0] for texts in found] == [corpus.texts[1][k] for k in places[:, 1]]


def test_more_texts_than_a_bank_has_are_all_of_them(corpus):
    few = bridge.bank_of(corpus)
    few = bridge.Bank(few.vectors[:2], few.texts[:2])
    found = bridge.decode_surface(corpus, np.ones((1, HEIGHT, WIDTH), np.float32), few, number=5)
    assert sorted(text for text, _ in found[0]) == sorted(few.texts)


def test_a_bank_encodes_each_text_once_and_nothing_the_second_time(model, corpus, tmp_path, calls):
    texts = [*RIGHT[:5], *RIGHT[:3], *LEFT[:2]]
    made = bridge.bank(model, corpus, texts, tmp_path)
    assert calls == [[*RIGHT[:5], *LEFT[:2]]]
    assert made.texts == calls[0]
    again = bridge.bank(model, corpus, texts, tmp_path)
    assert len(calls) == 1
    np.testing.assert_array_equal(again.vectors, made.vectors)
    whole = bridge.bank_of(corpus)
    np.testing.assert_allclose(made.vectors[:5], whole.vectors[:5], atol=5e-3)
    np.testing.assert_allclose(np.linalg.norm(made.vectors, axis=1), 1, atol=1e-5)


def test_calls_of_the_same_shape_are_compiled_once(corpus):
    texts, surfaces = bridge.bank_of(corpus), RNG.normal(size=(2, 6, HEIGHT, WIDTH)).astype(np.float32)
    compiled = bridge.nearest._cache_size  # pyright: ignore[reportAttributeAccessIssue]
    first = bridge.decode_surface(corpus, surfaces[0], texts, 2)
    before = compiled()
    assert bridge.decode_surface(corpus, surfaces[1], texts, 2) != first
    assert compiled() == before > 0


# --- sentences --------------------------------------------------------------------------------------------------------


def refused(function, *given) -> str:
    with pytest.raises(ConfigError) as caught:
        function(*given)
    assert "\n" not in f"{caught.value}"
    return f"{caught.value}"


@pytest.mark.parametrize("function", [bridge.encode_text, bridge.encode_target, bridge.bank])
def test_another_teacher_and_an_empty_list_are_refused(model, corpus, tmp_path, function):
    sentence = refused(function, model._replace(digest="f" * 64), corpus, LEFT, tmp_path)
    assert sentence.startswith("the teacher has the SHA-256 ffffffffffff..., and the corpus was prepared by ")
    assert sentence.endswith(f"{model.digest[:12]}...: give the same teacher")
    assert refused(function, model, corpus, [], tmp_path) == "the list of texts is empty: give at least one text"
    assert [*tmp_path.iterdir()] == []


def test_a_corpus_of_vectors_is_refused(model, tmp_path):
    left, right = RNG.normal(size=(2, 30, 12)).astype(np.float32)
    made = prepare.prepare(Pairs(left, right, [f"{k}" for k in range(30)]), Plan("drawn", (3, 3)), None, tmp_path)
    sentence = "this corpus was prepared from vectors, so no teacher encodes texts for it: give one of texts"
    assert refused(bridge.encode_text, model, made, LEFT, tmp_path) == sentence
    assert refused(bridge.bank, model, made, LEFT, tmp_path) == sentence
    assert refused(bridge.bank_of, made) == sentence


def test_a_corpus_without_its_texts_is_refused(corpus):
    sentence = "this corpus was prepared without its texts (--small): prepare it again without that flag"
    assert refused(bridge.bank_of, corpus._replace(texts=([], []))) == sentence


@pytest.mark.parametrize("shape", [(2, WIDTH, HEIGHT), (HEIGHT, WIDTH), (2, HEIGHT * WIDTH), (0, HEIGHT, WIDTH), ()])
def test_surfaces_of_another_size_are_refused(corpus, shape):
    sentence = refused(bridge.decode_surface, corpus, np.ones(shape, np.float32), bridge.bank_of(corpus))
    assert sentence == (
        f"the surfaces have the shape {shape}, and the corpus was prepared for (n, 3, 5) with n of 1 or more: give "
        "surfaces of that size"
    )
