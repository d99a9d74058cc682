"""Files of prepared corpora: what is written is read, the same content gives the same bytes, and damage is refused."""

import io
import json
from typing import Any

import numpy as np
import pytest

from ternary_jax.errors import ConfigError, RunError
from ternary_jax.lattice.text import prepared, splits
from ternary_jax.lattice.text.projection import Projection

RNG = np.random.default_rng(0)


def drawn(*shape) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


CORPUS = prepared.Prepared(
    left=drawn(4, 5),
    right=drawn(3, 6) * np.array([[1], [100], [0]], np.float32),
    meaning=drawn(4, 6),
    left_of=np.array([0, 1, 2, 3, 3], np.int32),
    right_of=np.array([0, 1, 2, 0, 1], np.int32),
    split=np.array([0, 0, 1, 2, -1], np.int8),
    onto=Projection(drawn(5), drawn(5, 4), np.float32(1.5)),
    back=Projection(drawn(6), drawn(6, 4), np.float32(0.5)),
    texts=(["é山😀", "", "two\nlines", "d"], ["a", "b", "c"]),
    about={"face": [2, 2], "name": "drawn"},
)
ARRAYS = ("left_of", "right_of", "split")


@pytest.fixture
def file(tmp_path):
    prepared.write(tmp_path / "folder" / "corpus.npz", CORPUS)
    return tmp_path / "folder" / "corpus.npz"


def refused(file) -> str:
    with pytest.raises(ConfigError) as caught:
        prepared.read(file)
    sentence = f"{caught.value}"
    assert sentence.startswith(f"config.data.pairs={file} ")
    assert sentence.endswith(" python -m ternary_jax.lattice.text prepare makes one")
    assert "\n" not in sentence
    return sentence


def assert_same(found, expected, tolerance=0.0):
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), strict=True)
    for side in ("onto", "back"):
        for part in Projection._fields:
            values = (getattr(getattr(one, side), part) for one in (found, expected))
            np.testing.assert_allclose(*values, atol=tolerance, rtol=tolerance)
    assert found.texts == expected.texts


def test_what_is_written_is_read_with_vectors_as_halves(file):
    found = prepared.read(file)
    assert_same(found, CORPUS)
    for name in ("left", "right", "meaning"):
        np.testing.assert_array_equal(getattr(found, name), np.float32(np.float16(getattr(CORPUS, name))), strict=True)
    assert found.about.items() >= CORPUS.about.items()


def test_a_small_file_has_the_error_that_is_stated(tmp_path):
    prepared.write(tmp_path / "small.npz", CORPUS, small=True)
    found = prepared.read(tmp_path / "small.npz")
    assert_same(found, CORPUS._replace(texts=([], [])), tolerance=1e-3)
    for name in ("left", "right", "meaning"):
        wanted = getattr(CORPUS, name)
        bound = np.abs(wanted).max(1, keepdims=True) / 254 * 1.001
        assert np.all(np.abs(getattr(found, name) - wanted) <= bound)


@pytest.mark.parametrize("small", [False, True])
def test_the_same_content_gives_the_same_bytes(tmp_path, small):
    for name in ("a", "b"):
        prepared.write(tmp_path / name, CORPUS, small)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_corpus_of_vectors_has_no_texts_and_no_meanings(tmp_path):
    prepared.write(tmp_path / "vectors.npz", CORPUS._replace(texts=([], []), meaning=drawn(0, 6)))
    found = prepared.read(tmp_path / "vectors.npz")
    assert found.texts == ([], [])
    assert found.meaning.shape == (0, 6)


@pytest.mark.parametrize(
    ("row", "dtype"),
    [
        ([1, 1e5, 0, 0, 0, 0], np.float32),
        ([1e30, 3e38, 0, 0, 0, 0], np.float32),
        ([1e-8, 2e-8, 0, 0, 0, 0], np.float32),
        ([6e4, 1e-8, 0, 0, 0, 0], np.float16),
    ],
)
def test_vectors_that_halves_do_not_hold_are_written_as_they_are(tmp_path, row, dtype):
    wanted = CORPUS._replace(right=np.array([row, [1, 2, 3, 4, 5, 6], [0] * 6], np.float32))
    prepared.write(tmp_path / "large.npz", wanted)
    with np.load(tmp_path / "large.npz") as arrays:
        assert (arrays["right"].dtype, arrays["left"].dtype) == (dtype, np.float16)
    bound = prepared.ROUNDING * np.linalg.norm(wanted.right.astype(float), axis=1) * (dtype == np.float16)
    found = prepared.read(tmp_path / "large.npz").right
    assert np.all(np.linalg.norm(found.astype(float) - wanted.right, axis=1) <= bound)


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"right": np.full((3, 6), np.inf, np.float32)}, "right"),
        ({"meaning": np.full((4, 6), np.nan, np.float32)}, "meaning"),
        ({"back": CORPUS.back._replace(gain=np.float32(np.nan))}, "gain of back"),
    ],
)
def test_what_is_not_finite_is_not_written(tmp_path, small, changes, name):
    with pytest.raises(ConfigError, match=rf"a.npz is not written, as {name} has a NaN or an infinity: give pairs of"):
        prepared.write(tmp_path / "a.npz", CORPUS._replace(**changes), small)
    assert not (tmp_path / "a.npz").exists()


def test_parts_of_a_corpus_are_those_of_their_definitions():
    np.testing.assert_allclose(prepared.targets(CORPUS), CORPUS.right - CORPUS.back.mean, rtol=1e-6)
    np.testing.assert_array_equal(prepared.centred(CORPUS, CORPUS.right), prepared.targets(CORPUS))
    corpus = CORPUS._replace(about={"face": [4, 1]})
    rows = (CORPUS.left - CORPUS.onto.mean) @ CORPUS.onto.basis * CORPUS.onto.gain
    assert prepared.faces(corpus).shape == (4, 1, 4)
    np.testing.assert_allclose(prepared.faces(corpus)[:, 0], rows, rtol=1e-5)
    np.testing.assert_array_equal(prepared.on_face(corpus, CORPUS.left[2:]), prepared.faces(corpus)[2:])
    assert prepared.part(CORPUS, splits.TRAIN).tolist() == [[0, 0], [1, 1]]
    assert prepared.part(CORPUS, splits.TEST).tolist() == [[3, 0]]
    found = (prepared.targets(corpus), prepared.faces(corpus), prepared.part(corpus, splits.TEST))
    assert [array.dtype for array in found] == [np.float32, np.float32, np.int32]


def test_a_flipped_bit_is_refused_or_changes_nothing(file):
    """Some bits of a zip file, such as those of its dates, mean nothing."""
    data, before, refusals = file.read_bytes(), prepared.read(file), 0
    for place in np.random.default_rng(1).integers(0, len(data), 40):
        changed = bytearray(data)
        changed[place] ^= 16
        file.write_bytes(changed)
        try:
            found = prepared.read(file)
        except ConfigError:
            refusals += 1
            continue
        assert_same(found, before)
        for name in ("left", "right", "meaning"):
            np.testing.assert_array_equal(getattr(found, name), getattr(before, name))
    assert refusals > 20


def edited(file, **changes):
    """Write the file again with other arrays, or with other entries of `about`."""
    with np.load(file) as opened:
        arrays = dict(opened)
    about = json.loads(arrays["about"].tobytes())
    about |= {name: changes.pop(name) for name in ("face", "format") if name in changes}
    stream = io.BytesIO()
    written: Any = arrays | {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)} | changes
    np.savez(stream, **written)
    file.write_bytes(stream.getvalue())


def test_edited_content_is_refused(file):
    edited(file)
    assert_same(prepared.read(file), CORPUS)
    edited(file, split=np.zeros(5, np.int8))
    assert "has the SHA-256" in refused(file)
    assert ": it was damaged or edited; python" in refused(file)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"digest": np.frombuffer(b"0" * 64, np.uint8)}, "and says 000000000000...: it was damaged or edited"),
        ({"face": [9, 9]}, ": it was damaged or edited"),
        ({"format": 2}, "has the format 2, and this program reads 1:"),
        ({"about": np.frombuffer(b"[1]", np.uint8)}, "is no prepared corpus ("),
        ({"about": np.frombuffer(b"{}", np.uint8)}, "has the format None, and this program reads 1:"),
    ],
)
def test_an_edited_head_is_refused(file, changes, sentence):
    edited(file, **changes)
    assert sentence in refused(file)


def test_what_is_no_prepared_corpus_is_refused(tmp_path, file):
    np.savez(tmp_path / "other.npz", left=np.zeros(3))
    assert "is no prepared corpus (it has no array about): python" in refused(tmp_path / "other.npz")
    for content in (b"", b"PK\x03\x04", file.read_bytes()[:-100]):
        (tmp_path / "bad.npz").write_bytes(content)
        assert "is no prepared corpus (" in refused(tmp_path / "bad.npz")
    assert f"={tmp_path} is no file" in refused(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(file):
    with pytest.raises(RunError, match=r"corpus.npz.below.npz cannot be written \(.+\): "):
        prepared.write(file / "below.npz", CORPUS)
