"""experiments/text_lattices.py and lab_text_decoder.py: their parts, tables and comparisons, on a small corpus."""

import re
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import lab_result_rows
import lab_text_decoder
import numpy as np
import text_lattices
from scipy import stats

from ternary_jax.lattice.text import byte_texts, decoder, prepared, projection, splits

RNG = np.random.default_rng(0)
LEFT = [f"left {k}" for k in range(7)]
RIGHT = [*(f"right {k}" for k in range(7)), "left 1", "right 8"]
PAIRS = [  # left, right, part
    (0, 0, splits.TRAIN),
    (0, 1, splits.TRAIN),
    (1, 2, splits.TRAIN),
    (2, 7, splits.TRAIN),  # its right side is the left side of another pair
    (3, 3, splits.VALIDATION),
    (4, 3, splits.VALIDATION),
    (5, 4, splits.TEST),
    (6, 5, splits.TEST),
    (6, 6, splits.TEST),
    (6, 8, splits.UNUSED),
]


def corpus(left=LEFT, right=RIGHT, **about: Any) -> prepared.Prepared:
    """A corpus of these pairs with vectors of three numbers on four cells."""
    of = np.array(PAIRS)
    vectors = RNG.normal(size=(len(right), 3)).astype("float32")
    meaning = RNG.normal(size=(len(left), 3)).astype("float32")
    meaning[1] = vectors[7]  # one text
    back = projection.fit("orthogonal", vectors, 4)
    about = {"name": "drawn", "face": [2, 2], "inputs": "words", "teacher": "none", "longest": 9} | about
    left_of, right_of, split = (of[:, k].astype(kind) for k, kind in enumerate(("int32", "int32", "int8")))
    return prepared.Prepared(
        meaning + 1, vectors, meaning, left_of, right_of, split, back, back, (list(left), list(right)), about
    )


def read(part):
    """text -> surface of a part."""
    texts = [byte_texts.text_of(row) for row in part.rows.after]
    assert len(set(texts)) == len(texts) == len(part.surface)
    return dict(zip(texts, np.asarray(part.surface), strict=True))


def test_a_decoder_learns_from_both_sides_of_training_pairs_and_is_measured_on_right_sides():
    made = corpus()
    train, validation, test = map(read, lab_text_decoder.parts(made))
    assert train.keys() == {"right 0", "right 1", "right 2", "left 0", "left 1", "left 2"}
    assert (validation.keys(), test.keys()) == ({"right 3"}, {"right 4", "right 5", "right 6"})
    for found, side, vectors in ((train, LEFT, made.meaning), (train | validation | test, RIGHT, made.right)):
        for text in found.keys() & side:
            vector = vectors[side.index(text)].astype(float) - made.back.mean
            np.testing.assert_allclose(found[text], vector @ made.back.basis * made.back.gain, atol=1e-5)


def test_a_training_text_that_begins_as_a_held_out_one_is_left_out(monkeypatch):
    """Cut to seven bytes, a right side is the text of the validation, and a left side one of the test."""
    monkeypatch.setattr(lab_text_decoder, "LONGEST", 7)
    train, *_ = lab_text_decoder.parts(corpus([*LEFT[:2], "right 4 too", *LEFT[3:]], ["right 3 too", *RIGHT[1:]]))
    assert [*map(byte_texts.text_of, train.rows.after)] == ["right 1", "right 2", "left 1", "left 0"]


def test_what_is_measured_is_the_cost_of_the_test_texts_with_each_surface(monkeypatch):
    """Training is replaced by a draw of parameters, which differ with the key and with the surfaces that are given."""
    recipe = decoder.Recipe(width=8, heads=2, layers=1, steps=2, batch=2, every=1)
    monkeypatch.setattr(lab_text_decoder, "LONGEST", 8)
    monkeypatch.setattr(lab_text_decoder, "RECIPE", recipe)
    monkeypatch.setattr(lab_text_decoder, "installed_teacher", lambda _: None)
    made, calls = corpus(), []
    learned, validation, test = lab_text_decoder.parts(made)
    net = decoder.network(recipe, 8)

    apply, start = jax.jit(net.apply), jax.jit(lambda key: net.init(key, test.rows.ids[:1], test.surface[:1]))

    def drawn(key, size):
        return jax.tree.map(lambda x: size * (x + 0.1), start(key))

    def train(key, texts, surface, chosen, recipe):
        calls.append((texts, surface, chosen, recipe))
        return drawn(key, jnp.abs(surface).max() + 1), jnp.asarray([30.0, 20.0, 40.0])

    monkeypatch.setattr(decoder, "train", train)
    found = lab_text_decoder.measured(made, 2)
    for given, call in zip((1, 0), calls, strict=True):
        expected = (learned.rows, given * learned.surface, (validation.rows, given * validation.surface), recipe)
        jax.tree.map(np.testing.assert_array_equal, call, expected)
    assert found["validation"] == {"surface": [2.85714] * 2, "no surface": [2.85714] * 2}  # 20 bits of "right 3"
    assert found["sentences"] == []
    assert found["training_texts"] == 6

    def per_byte(given, surface):
        size = given * jnp.abs(learned.surface).max() + 1
        logs = [
            np.asarray(jax.nn.log_softmax(apply(drawn(jax.random.key(seed), size), test.rows.ids, surface)))
            for seed in range(2)
        ]
        data = [row[row < 256] for row in test.rows.after]
        bits = [[-one[k, range(len(text)), text].sum() / np.log(2) for k, text in enumerate(data)] for one in logs]
        ends = [[-one[k, len(text), 256] / np.log(2) for k, text in enumerate(data)] for one in logs]
        return (np.sum(bits, 1) + np.sum(ends, 1)) / sum(map(len, data))

    bits = found["bits_per_byte"]
    np.testing.assert_allclose(bits["surface"], per_byte(1, test.surface), rtol=1e-4)
    np.testing.assert_allclose(bits["surface hidden"], per_byte(1, test.surface * 0), rtol=1e-4)
    np.testing.assert_allclose(
        bits["surface of another text"], per_byte(1, test.surface[np.random.default_rng(0).permutation(3)]), rtol=1e-4
    )
    np.testing.assert_allclose(bits["no surface"], per_byte(0, test.surface * 0), rtol=1e-4)
    assert bits["surface of another text"] != bits["surface"] != bits["surface hidden"]
    assert len(bits["trigram"]) == 1


# --- tables -----------------------------------------------------------------------------------------------------------


def t_test(a, b, form):
    """The mean of the differences with the interval of a paired t-test, as text."""
    less = np.subtract(a, b)
    low, high = stats.ttest_1samp(less, 0).confidence_interval()
    return f"{less.mean():+{form}} [{low:+{form}}, {high:+{form}}]"


COSTS = {"surface": [2.0, 2.1, 2.3], "no surface": [2.4, 2.2, 2.5], "trigram": [3.0]}
WRITTEN = [{"sentence": "a | b", "greedy": "c", "beam": "d"}]


def test_the_table_of_decoders_has_medians_and_intervals():
    lines = lab_text_decoder.table({"bits_per_byte": COSTS, "sentences": WRITTEN}).splitlines()
    assert [line.split() for line in lines[1:4]] == [
        ["surface", "2.1000", "2.0000"],
        ["no", "surface", "2.4000", "2.2000"],
        ["trigram", "3.0000", "3.0000"],
    ]
    assert lines[4:6] == [
        f"surface less {other}: {t_test(COSTS['surface'], COSTS[other], '.4f')}" for other in ("no surface", "trigram")
    ]
    assert lines[6:] == ["", "sentence: a | b", "greedy: c", "beam: d"]


def test_the_page_of_results_has_the_same_figures():
    rows = lab_result_rows.decoded({"bits_per_byte": COSTS, "sentences": WRITTEN})
    assert rows[1] == ["bits per byte: surface", "2.1000", "2.0000"]
    assert rows[4:] == [
        ["surface less no surface, 95 %", t_test(COSTS["surface"], COSTS["no surface"], ".4f"), ""],
        ["surface less trigram, 95 %", t_test(COSTS["surface"], COSTS["trigram"], ".4f"), ""],
        [r"'a \| b'", "'c'", "'d'"],
    ]


RECALLS = {"flows": [0.5, 0.4, 0.6], "flows_smaller": [0.3, 0.3, 0.2], "flows_content": [0.1, 0.2, 0.2], "mean": [0.1]}


def test_rows_are_compared_with_the_flows_beside_them():
    rows: dict[str, Any] = {
        name: {"metrics": {"recall_1": values, "cosine": values[::-1]}} for name, values in RECALLS.items()
    }
    rows["flows_content"]["beside"] = rows["flows_smaller"]["beside"] = "flows_smaller"
    found = [re.split(" {2,}", line) for line in text_lattices.compared(rows).splitlines()[1:]]
    content, mean = (
        [t_test(a[::way], b[::way], ".3f") for way in (1, -1)]
        for a, b in ((RECALLS["flows_content"], RECALLS["flows_smaller"]), ([0.1] * 3, RECALLS["flows"]))
    )
    assert found == [["flows_content", "flows_smaller", *content], ["mean", "flows", *mean]]


def test_a_table_has_the_medians_and_the_worst_of_the_metrics_that_are_there():
    rows: dict[str, Any] = {
        "flows": {"metrics": {"recall_1": [0.5, 0.3, 0.4], "median_rank": [3, 9, 2]}, "cpu_s": 7.4, "parameters": 1234},
        "mean": {"metrics": {"recall_1": [0.1]}},
    }
    head, *lines = text_lattices.table(rows).splitlines()
    assert head.split("  ")[0] == "row"
    assert head.split() == ["row", "recall_1", "median_rank", "CPU", "s", "parameters"]
    assert [line.split() for line in lines] == [
        ["flows", "0.4000", "[0.3000]", "3.0000", "[9.0000]", "7", "1,234"],  # the worst rank is the greatest
        ["mean", "0.1000", "[0.1000]", "-", "0", "0"],
    ]
    tried = {"flows": {"metrics": {"validation_cosine": [0.2], "cosine": [0.1]}}}
    assert "0.2000" in text_lattices.table(tried, "validation_")
    assert "0.1000" not in text_lattices.table(tried, "validation_")


def test_a_corpus_on_another_face_has_a_file_of_its_own():
    names = [text_lattices.file_of(corpus(face=[side, side])) for side in (8, 15, 20)]
    assert names == ["text_drawn", "text_drawn", "text_drawn_20"]


def test_rows_of_another_preparation_are_not_kept(tmp_path):
    given, made = SimpleNamespace(out=tmp_path), corpus(face=[15, 15])
    text_lattices.keep(made, given, rows={"flows": 1, "mean": 2})
    text_lattices.keep(made, given, rows={"ridge": 3, "flows": 4})
    assert text_lattices.of_file(made, given)["rows"] == {"mean": 2, "ridge": 3, "flows": 4}
    other = corpus(face=[15, 15], groups=9)
    assert text_lattices.of_file(other, given) == {}
    text_lattices.keep(other, given, rows={"flows": 5})
    assert text_lattices.of_file(other, given)["rows"] == {"flows": 5}
    assert text_lattices.of_file(made, given) == {}
