"""What a trained model of addition can be asked, and what an export of it has."""

import jax
import numpy as np
import pytest
import small_workdir

import ternary_jax
from ternary_jax import export
from ternary_jax.config import load_config
from ternary_jax.errors import QuestionError, VerbError

P = 5
SMALL = {"data.p": P, "data.n_digits": 1, "model.width": 4, "model.hidden": 6, "model.heads": 2, "train.batch_size": 25}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    config = load_config("grok_addition", SMALL | {"compilation_cache": False})
    return small_workdir.write(tmp_path_factory.mktemp("addition") / "run", config)


def test_it_predicts_what_the_evaluation_measures(made):
    model = ternary_jax.load(made.path)
    wanted = jax.jit(made.task.export)(*made.of_run(0))["prediction"]
    numbers = np.arange(P)
    np.testing.assert_array_equal(model.predict(numbers[:, None], numbers[None]), wanted)
    assert model.predict(2, 3) == wanted[2, 3]
    assert model.logits(2, numbers).shape == (P, P)
    assert model.about.branch == ""


@pytest.mark.parametrize(
    ("a", "b", "sentence"),
    [
        (5, 0, r"a=5 is no summand mod 5: give ints from 0 to 4"),
        (0, [1, -1], r"b=-1 is no summand mod 5"),
        (0.5, 1, r"a is float64, and a summand is an int"),
        ([1, 2], [1, 2, 3], r"shapes \(2,\) and \(3,\), which do not broadcast"),
    ],
)
def test_what_it_cannot_add_is_one_sentence(made, a, b, sentence):
    with pytest.raises(QuestionError, match=sentence):
        ternary_jax.load(made.path).predict(a, b)


def test_another_verb_is_one_sentence(made, capsys):
    from ternary_jax import query

    with pytest.raises(VerbError, match=r"a model of 'a \+ b mod 5' has no 'encode'; it can predict, logits: ask one"):
        ternary_jax.load(made.path).encode(3)
    with pytest.raises(SystemExit):
        query.main([str(made.path), "--operation=+0-0+0-0+"])
    said = capsys.readouterr().err
    assert (
        "holds a model of 'a + b mod 5', which describes no operations (it can predict, logits in Python): give" in said
    )


def test_its_embedding_is_exported(made, tmp_path):
    export.main([str(made.path), "--format=csv", f"--output={tmp_path / 'out'}"])
    head, *rows = (tmp_path / "out" / "embedding.csv").read_text().splitlines()
    assert head == "number,embedding_0,embedding_1,embedding_2,embedding_3"
    wanted = made.of_run(0)[0]["embedding"]["embedding"][:P]
    np.testing.assert_array_equal(np.asarray([row.split(",")[1:] for row in rows], np.float32), wanted)
