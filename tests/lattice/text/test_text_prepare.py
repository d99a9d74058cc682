"""Preparation from end to end on a small encoder: by the command, stopped and continued, and with bad flags."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import small_teacher
from hypothesis import given
from hypothesis import strategies as st

from ternary_jax.config import load_config
from ternary_jax.lattice.text import __main__ as command
from ternary_jax.lattice.text import (
    corpora,
    encodings,
    models,
    pairs,
    plan,
    prepare,
    prepared,
    projection,
    splits,
    teacher,
    weights,
)
from ternary_jax.lattice.text.pairs import Pairs

N = 40
PAIRS = Pairs(small_teacher.texts(N), small_teacher.texts(N, seed=1), [f"{k // 2}" for k in range(N)])
PAIRS.right[5] = PAIRS.right[0]  # an answer of two questions
HERE = Path("encoded_texts")
CONFIG = Path(__file__).parents[3] / "configs" / "energy_flow_text.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a teacher, pairs of texts and pairs of vectors."""
    found = tmp_path_factory.mktemp("inputs")
    small_teacher.write(found / "teacher")
    rows = zip(*PAIRS, strict=True)
    (found / "pairs.jsonl").write_text("".join(json.dumps(dict(left=x, right=y, group=g)) + "\n" for x, y, g in rows))
    left, right = np.random.default_rng(0).normal(size=(2, 30, 12))
    np.savez(found / "vectors.npz", left=left[np.arange(30) // 2], right=right)
    return found


@pytest.fixture
def calls(monkeypatch):
    """Parts of 16 texts, and the list of texts that were encoded, part by part."""
    found = []
    monkeypatch.setattr(encodings, "PART", 16)
    monkeypatch.setattr(teacher, "encode", small_teacher.counted(found))
    return found


def flags(folder, out, *more):
    inputs = [f"--teacher={folder / 'teacher'}", f"--pairs={folder / 'pairs.jsonl'}", "--group=group"]
    return ["prepare", *inputs, f"--out={out}", "--face=3x3", "--longest=10", "--test=6", *more]


def test_a_command_prepares_what_its_flags_say(folder, tmp_path, calls, capsys):
    command.main(flags(folder, tmp_path / "a.npz"))
    found, model = prepared.read(tmp_path / "a.npz"), weights.load(folder / "teacher")
    assert found.texts == (PAIRS.left, list(dict.fromkeys(PAIRS.right)))
    assert found.texts[1] == [found.texts[1][k] for k in range(N - 1)]  # 39 distinct ones
    assert [found.texts[1][k] for k in found.right_of] == PAIRS.right
    left, right = (teacher.encode(model, texts, 10) for texts in found.texts)
    for values, wanted in ((found.left, left.words), (found.meaning, left.meaning), (found.right, right.meaning)):
        np.testing.assert_allclose(values, wanted, atol=5e-4)  # halves
    ids = pairs.distinct([*PAIRS.left, *PAIRS.right])[1]
    expected = splits.split(PAIRS.group, ids[:N], ids[N:], 6, 0.08)
    np.testing.assert_array_equal(found.split, expected)
    train = found.right[found.right_of[expected == splits.TRAIN]]
    np.testing.assert_allclose(found.back.mean, train.mean(0), atol=1e-3)
    np.testing.assert_allclose(np.mean(np.square(projection.onto(found.back, train))), 1, atol=1e-2)
    assert found.about.items() >= dict(name="pairs", face=[3, 3], inputs="words", longest=10, groups=20).items()
    assert found.about["teacher"] == model.digest
    out, err = capsys.readouterr()
    assert err.endswith(f"wrote {tmp_path / 'a.npz'}\n")
    cut = left.cut + right.cut
    numbers = [int(np.sum(expected == part)) for part in (*range(3), splits.UNUSED)]
    assert out.startswith("pairs: {} training, {} validation and {} test pairs; 39 candidates".format(*numbers))
    assert "12 -> 3 x 3 -> 12 by pca: " in out
    assert f"\n{cut} texts were longer than 10 tokens and were cut\n{numbers[3]} unused pairs: of the group" in out
    assert cut > 0 < numbers[3]


def test_a_stopped_preparation_goes_on_and_writes_the_same_file(folder, tmp_path, calls, monkeypatch, capsys):
    whole, stopped = tmp_path / "whole" / "a.npz", tmp_path / "stopped" / "a.npz"
    command.main(flags(folder, whole))
    assert [len(part) for part in calls] == [16, 16, 8, 16, 16, 7]
    every, counted = calls[:], teacher.encode
    calls.clear()

    def stops(model, texts, longest):
        if calls:
            raise KeyboardInterrupt
        return counted(model, texts, longest)

    with monkeypatch.context() as patched:
        patched.setattr(teacher, "encode", stops)
        with pytest.raises(SystemExit) as caught:
            command.main(flags(folder, stopped))
    assert caught.value.code == 130
    sentence = "interrupted; what was encoded is kept: type the same command to go on"
    assert capsys.readouterr().err.splitlines()[-1] == sentence
    assert not stopped.exists()
    assert calls == every[:1]
    command.main(flags(folder, stopped))
    assert calls == every
    assert stopped.read_bytes() == whole.read_bytes()

    calls.clear()  # another face or split encodes nothing, a damaged part is made again
    command.main(flags(folder, stopped, "--face=2x4", "--projection=orthogonal", "--inputs=meaning", "--test=5"))
    assert calls == []
    assert prepared.read(stopped).about["inputs"] == "meaning"
    parts = sorted((stopped.parent / HERE).iterdir(), key=lambda path: path.stat().st_size)
    parts[0].write_bytes(parts[0].read_bytes()[:-50])
    parts[1].write_bytes(b"")
    command.main(flags(folder, stopped))
    assert sorted(map(len, calls)) == [7, 8]
    assert stopped.read_bytes() == whole.read_bytes()


def test_texts_are_encoded_again_where_the_longest_changes(folder, tmp_path, calls):
    for longest in (10, 11):
        command.main([*flags(folder, tmp_path / "a.npz"), f"--longest={longest}", f"--folder={tmp_path / 'kept'}"])
    assert len(calls) == 12
    assert len([*(tmp_path / "kept").iterdir()]) == 12


def test_the_name_of_a_part_depends_on_all_that_its_vectors_depend_on():
    sizes = models.Sizes(1, 1, 1, 1, 1, 1, 1, "relu", 0.0)
    one, other = (weights.Teacher(sizes, None, None, "mean", digest) for digest in ("one", "other"))
    parts = [(one, ["a", "b"], 5), (other, ["a", "b"], 5), (one, ["a", "b"], 6), (one, ["b", "a"], 5), (one, ["ab"], 5)]
    parts += [(one, ["ab", ""], 5), (one._replace(pooling="max"), ["a", "b"], 5)]
    parts += [(one._replace(sizes=sizes._replace(activation="gelu")), ["a", "b"], 5)]
    names = [encodings.name(*part) for part in parts]
    assert len(set(names)) == len(names)


def test_pairs_of_vectors_are_prepared_without_a_teacher(folder, tmp_path, capsys):
    vectors = dict(np.load(folder / "vectors.npz"))
    command.main(
        ["prepare", f"--pairs={folder / 'vectors.npz'}", f"--out={tmp_path / 'a.npz'}", "--face=4x4", "--small"]
    )
    found = prepared.read(tmp_path / "a.npz")
    assert found.left.shape == (15, 12)  # equal rows are one
    np.testing.assert_allclose(found.left[found.left_of], vectors["left"], atol=0.02)
    np.testing.assert_allclose(found.right[found.right_of], vectors["right"], atol=0.02)
    assert (found.texts, found.meaning.shape, found.about["inputs"]) == (([], []), (0, 12), "vectors")
    assert "12 -> 4 x 4 -> 12 by pca: 100.0% of" in capsys.readouterr().out


def test_a_small_file_has_no_texts(folder, tmp_path, calls):
    command.main(flags(folder, tmp_path / "a.npz", "--small"))
    assert prepared.read(tmp_path / "a.npz").texts == ([], [])


def test_a_corpus_has_a_limit_and_a_teacher_of_its_own(folder, tmp_path, calls, monkeypatch):
    monkeypatch.setattr(corpora, "read", {"wiki": PAIRS}.__getitem__)
    monkeypatch.setattr(corpora, "find", lambda file: folder / "teacher" / "model.safetensors")
    monkeypatch.setitem(command.LIMITS, "wiki", 20)
    rest = ["--test=4", "--face=2x2", f"--out={tmp_path / 'a.npz'}"]
    command.main(["prepare", "--corpus=wiki", *rest])
    found = prepared.read(tmp_path / "a.npz")
    assert (len(found.right), found.about["name"]) == (20, "wiki")
    command.main(["prepare", "--corpus=wiki", *rest, "--limit=0"])
    found = prepared.read(tmp_path / "a.npz")
    assert (len(found.right), found.about["name"]) == (N - 1, "wiki_all")
    command.main(["prepare", "--corpus=wiki", *rest, "--limit=21"])
    assert prepared.read(tmp_path / "a.npz").about["name"] == "wiki_first_21"  # wiki_20 has a face of 20 x 20


@pytest.mark.parametrize(
    ("face", "corpus", "config"),
    [
        ((15, 15), None, "wiki"),
        ((20, 20), None, "wiki_20"),
        ((15, 15), "boolq", "boolq"),
        ((20, 20), "wiki", "wiki_20"),
        ((15, 20), "boolq", "boolq"),
        ((2, 9), None, "wiki"),
    ],
)
def test_the_command_that_is_printed_has_a_config_of_the_face(face, corpus, config):
    words = shlex.split(command.training(Path("my texts.npz"), face, corpus))
    assert words[:4] == ["python", "-m", "ternary_jax.main", f"--config=energy_flow_text:{config}"]
    overrides = dict(word.removeprefix("--config.").split("=") for word in words[4:])
    values = {key: value if key == "data.pairs" else int(value) for key, value in overrides.items()}
    made = load_config(f"{CONFIG}:{config}", values)
    assert (made.lattice.width, made.lattice.height, made.data.pairs) == (*face, "my texts.npz")
    assert len(values) == (1 if face in ((15, 15), (20, 20)) else 3)


def test_the_command_that_trains_is_printed_last(folder, tmp_path, calls, capsys):
    command.main(flags(folder, tmp_path / "a.npz"))
    expected = command.training(tmp_path / "a.npz", (3, 3), None)
    assert capsys.readouterr().out.splitlines()[-1] == f"train on it with: {expected}"


def test_the_defaults_of_the_command_are_those_of_the_plan(folder, tmp_path):
    """Without flags the command makes what a plan of a name alone makes; --help says the same."""
    source = [f"--teacher={folder / 'teacher'}", f"--pairs={folder / 'pairs.jsonl'}"]
    command.main(["prepare", *source, f"--out={tmp_path / 'a.npz'}"])
    of_file = pairs.read(folder / "pairs.jsonl", pairs.Columns("left", "right", ""))
    made = prepare.prepare(of_file, plan.Plan("pairs"), weights.load(folder / "teacher"), tmp_path / HERE)
    prepared.write(tmp_path / "b.npz", made)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    text = " ".join(command.parser().format_help().split())
    for default in ("15x15", "pca", "words", "48", "wiki 5,000, boolq 8,000, else 0"):
        assert f"(default: {default})" in text


def test_a_text_of_both_sides_is_in_one_part():
    """Each text is the right side of one pair and the left side of the next one."""
    chain = small_teacher.texts(60)
    left, right = prepare._ids(Pairs(chain[:-1], chain[1:], chain[:-1]))
    assert left[1:].tolist() == right[:-1].tolist()
    found = splits.split(chain[:-1], left, right, 8, 0.1)
    held_out = {k for k in range(59) if found[k] in (splits.TEST, splits.VALIDATION)}
    training = {k for k in range(59) if found[k] == splits.TRAIN}
    assert not training & {k + step for k in held_out for step in (-1, 1)}
    assert len(training) > 10


def test_vectors_of_two_sides_have_no_number_in_common():
    rows = np.arange(12, dtype=np.float32).reshape(6, 2)[[0, 1, 1, 2, 0, 3]]
    left, right = prepare._ids(Pairs(rows, rows, [""] * 6))
    assert left.tolist() == [0, 1, 1, 2, 0, 3]
    assert (right - right.min()).tolist() == left.tolist()
    assert not {*left} & {*right}


@given(st.lists(st.integers(0, 5), min_size=1, max_size=9))
def test_equal_vectors_have_one_row(numbers):
    rows = np.array(numbers, np.float32)[:, None] + np.array([1, 2], np.float32)
    made = prepare._given(Pairs(rows, rows[::-1], [""] * len(rows)))
    np.testing.assert_array_equal(made["left"][made["left_of"]], rows)
    np.testing.assert_array_equal(made["right"][made["right_of"]], rows[::-1])
    assert len(made["left"]) == len(set(numbers))


# --- sentences --------------------------------------------------------------------------------------------------------


def refused(capsys, *given) -> str:
    """What the command writes to stderr before it exits with the status 2: one line."""
    with pytest.raises(SystemExit) as caught:
        command.main(["prepare", *given])
    out, err = capsys.readouterr()
    assert (caught.value.code, out, err.count("\n")) == (2, "", 1)
    return err.strip()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--face=abc"], r"--face=abc has to be WIDTHxHEIGHT, with 2 to 256 cells each: give one like 15x15$"),
        (["--face=1x5"], r"--face=1x5 has to be WIDTHxHEIGHT, with 2 to 256 cells each"),
        (["--face=15x257"], r"--face=15x257 has to be"),
        (["--corpus=wiki"], r"--corpus and --pairs are both given: leave one of them out$"),
        (["--out="], r"--out=\. has to be a file that ends with .npz: give one$"),
        (["--out=a.txt"], r"--out=a.txt has to be a file that ends with .npz: give one$"),
        (["--longest=2"], r"--longest=2 has to be 3 or more: give such a number$"),
        (["--limit=-1"], r"--limit=-1 has to be 0 or more: give such a number$"),
        (["--test=-1"], r"--test=-1 has to be 0 or more: give such a number$"),
        (
            ["--test=many"],
            r"argument --test: invalid int value: 'many'; type: python -m ternary_jax.lattice.text --help$",
        ),
        (["--corpus=news"], r"argument --corpus: invalid choice: 'news' .*wiki.*; type: python -m"),
        (["--projection=none"], r"argument --projection: invalid choice: 'none' .*pca.*orthogonal.*; type: python"),
        (["--inputs=none"], r"argument --inputs: invalid choice: 'none' .*words.*meaning.*; type: python"),
        (["--colour=red"], r"unrecognized arguments: --colour=red; type: python -m ternary_jax.lattice.text --help$"),
        (["--longest=49"], r"--longest=49 is more than the 48 positions of the teacher: give fewer$"),
        (["--left=right"], r"--left=right and --right=right are the same column: give two$"),
        (["--test=39"], r"--test=39 of 20 groups leaves fewer than two validation pairs: give another number, or more"),
        (["--left=none"], r"row 1 has no text in column 'none'; it has left, right, group: name the columns by --left"),
        (["--teacher=minilm"], r"--teacher=minilm is no folder: give the folder that has config.json"),
        (["--pairs=none.csv"], r"--pairs=none.csv is no file: give one that ends with"),
        (["--teacher="], r"--teacher is missing, and the pairs are texts: give the folder of a sentence encoder$"),
    ],
)
def test_a_flag_that_does_not_fit_is_refused_in_one_sentence(folder, tmp_path, capsys, given, sentence):
    assert re.search(sentence, refused(capsys, *flags(folder, tmp_path / "a.npz")[1:], *given))
    assert not (tmp_path / "a.npz").exists()


def test_vectors_with_a_teacher_are_refused(folder, tmp_path, capsys):
    given = flags(folder, tmp_path / "a.npz", f"--pairs={folder / 'vectors.npz'}", "--group=")[1:]
    sentence = "--teacher is given, and the pairs are vectors already: leave it out"
    assert refused(capsys, *given) == sentence


@pytest.mark.parametrize(
    ("flag", "given"), [("--longest=48", "longest"), ("--inputs=words", "inputs"), ("--inputs=meaning", "inputs")]
)
def test_flags_of_an_encoder_are_refused_for_vectors(folder, tmp_path, capsys, flag, given):
    found = refused(capsys, f"--pairs={folder / 'vectors.npz'}", f"--out={tmp_path / 'a.npz'}", flag)
    assert found == f"--{given} is given, and the pairs are vectors already: leave it out"


@pytest.mark.parametrize("flag", ["--left=left", "--right=answer", "--group=title"])
def test_columns_are_refused_for_a_corpus(tmp_path, capsys, flag):
    found = refused(capsys, "--corpus=wiki", f"--out={tmp_path / 'a.npz'}", flag)
    assert found == f"{flag.partition('=')[0]} is given, and --corpus=wiki has its own columns: leave it out"


@pytest.mark.parametrize("flag", ["--out=x.npz", "--test=0", "--small"])
def test_a_flag_without_pairs_is_refused(capsys, flag):
    assert refused(capsys, flag).startswith("--corpus and --pairs are both missing: give one of them, or type python")


def test_the_pairs_are_never_replaced_by_the_output(folder, tmp_path, capsys):
    before = (folder / "vectors.npz").read_bytes()
    same = folder / ".." / folder.name / "vectors.npz"
    found = refused(capsys, f"--pairs={folder / 'vectors.npz'}", f"--out={same}")
    assert found == f"--out={same} is the file of --pairs, and would replace it: give another name"
    assert (folder / "vectors.npz").read_bytes() == before


def test_a_place_that_cannot_be_written_is_refused(folder, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for flag in (f"--folder={tmp_path / 'file' / 'kept'}", f"--out={tmp_path / 'file' / 'a.npz'}"):
        found = refused(capsys, *flags(folder, tmp_path / "a.npz", flag)[1:])
        assert re.search(r"file/.*npz cannot be written \(.+\): ", found)


def test_without_pairs_the_command_prints_how_to_get_some(capsys):
    command.main(["prepare"])
    assert capsys.readouterr().out.strip() == corpora.instructions().strip()
    with pytest.raises(SystemExit) as caught:
        command.main(["--help"])
    assert caught.value.code == 0
    assert "--face WIDTHxHEIGHT" in capsys.readouterr().out.replace("FACE", "WIDTHxHEIGHT")
