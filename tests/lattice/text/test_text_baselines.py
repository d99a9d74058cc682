"""Baselines of text: linear maps against least squares, copies, ceilings and perceptrons on tasks that are known."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from reference import retrieval as reference

from ternary_jax.lattice.text import baselines, prepare, projection, splits
from ternary_jax.lattice.text.pairs import Pairs

RNG = np.random.default_rng(0)
N, WIDTH, NOISE = 240, 6, 0.5
TURN = np.linalg.qr(RNG.normal(size=(WIDTH, WIDTH)))[0]
LEFT: Any = RNG.normal(size=(N, WIDTH)).astype(np.float32) + 3
CLEAN: Any = LEFT @ TURN


def judge(left, right, cells=(3, 3), meaning=None) -> baselines.Judge:
    """Of pairs of vectors with a group each; a face of 9 cells holds all of a vector."""
    plan = prepare.Plan("drawn", face=cells, test=60, validation=1 / 3)
    pairs = Pairs(np.float32(left), np.float32(right), [f"{k}" for k in range(len(left))])
    made = prepare.prepare(pairs, plan, None, Path("unused"))
    if meaning is not None:
        made = made._replace(meaning=np.float32(meaning), about=made.about | {"inputs": "words"})
    return baselines.judge(made)


NOISY = CLEAN + NOISE * RNG.normal(size=(N, WIDTH))
LINEAR, IN_ONE_SPACE = judge(LEFT, NOISY, meaning=CLEAN), judge(LEFT, NOISY)


def test_the_sides_are_faces_of_their_pairs():
    made = LINEAR.prepared
    for part, side in (
        (splits.TRAIN, LINEAR.train),
        (splits.VALIDATION, LINEAR.validation),
        (splits.TEST, LINEAR.test),
    ):
        rows = np.flatnonzero(made.split == part)
        assert len(side.x) == len(rows) > 1
        for k, row in enumerate(rows[:5]):
            left, right = made.left[made.left_of[row]], made.right[made.right_of[row]]
            np.testing.assert_allclose(side.x[k], (left - made.onto.mean) @ made.onto.basis * made.onto.gain, rtol=1e-5)
            np.testing.assert_allclose(LINEAR.vectors[side.truth[k]], right - made.back.mean, rtol=1e-5)
            np.testing.assert_allclose(
                projection.back(made.back, side.y[k : k + 1])[0], right - made.back.mean, atol=1e-4
            )


@pytest.mark.parametrize("penalty", [1e-3, 10.0])
@pytest.mark.parametrize("identity", [0.0, 1.0])
def test_ridge_is_least_squares_with_rows_for_the_penalty(monkeypatch, penalty, identity):
    monkeypatch.setattr(baselines, "PENALTIES", (penalty,))
    towards = identity * np.eye(9)
    matrix, offset, chosen = baselines.ridge(LINEAR, towards)
    x, y = LINEAR.train.x.astype(float), LINEAR.train.y.astype(float)
    root = np.sqrt(penalty * len(x) / 100)
    rows, values = np.vstack([x - x.mean(0), root * np.eye(9)]), np.vstack([y - y.mean(0), root * towards])
    expected = np.linalg.lstsq(rows, values)[0]
    np.testing.assert_allclose(matrix, expected, atol=1e-6)
    np.testing.assert_allclose(offset, y.mean(0) - x.mean(0) @ expected, atol=1e-6)
    assert chosen == penalty


def test_ridge_takes_the_penalty_that_is_best_on_the_validation(monkeypatch):
    *_, chosen = baselines.ridge(LINEAR, np.zeros((9, 9)))
    found = {}
    for penalty in baselines.PENALTIES:
        with monkeypatch.context() as patched:
            patched.setattr(baselines, "PENALTIES", (penalty,))
            matrix, offset, _ = baselines.ridge(LINEAR, np.zeros((9, 9)))
        outputs = projection.back(LINEAR.prepared.back, LINEAR.validation.x @ matrix + offset)
        found[penalty] = reference.mean_cosine(outputs, LINEAR.vectors[LINEAR.validation.truth])
    assert found[chosen] > max(found.values()) - 1e-6


def cosine(of, outputs):
    return reference.mean_cosine(np.asarray(outputs, float), of.vectors[of.test.truth].astype(float))


def test_ridge_recovers_a_known_linear_map():
    """The vectors without noise are the best outputs; of 120 pairs to learn from, little is lost."""
    made = LINEAR.prepared
    best = CLEAN[made.split == splits.TEST] - CLEAN[made.split == splits.TRAIN].mean(0)
    found = baselines.closed_forms(LINEAR)
    assert 0.85 < cosine(LINEAR, best) < 0.95
    assert abs(cosine(LINEAR, found["ridge"]) - cosine(LINEAR, best)) < 0.02
    assert abs(cosine(LINEAR, found["shuffled pairs, ridge"])) < 0.3
    assert cosine(LINEAR, baselines.closed_forms(IN_ONE_SPACE)["ridge to identity"]) > 0.8


def test_closed_forms_are_those_of_their_definitions():
    made, found = LINEAR.prepared, baselines.closed_forms(LINEAR)
    lefts, train = (made.left_of[made.split == part] for part in (splits.TEST, splits.TRAIN))
    np.testing.assert_array_equal(found["mean"], np.zeros((60, WIDTH)))
    copied = baselines.closed_forms(IN_ONE_SPACE)["copy"]
    np.testing.assert_allclose(copied, made.left[lefts] - made.left[train].astype(float).mean(0), atol=1e-5)
    ceiling = made.meaning[lefts] - made.meaning[train].astype(float).mean(0)
    np.testing.assert_allclose(found["ceiling: the teacher's left side"], ceiling, atol=1e-5)
    np.testing.assert_allclose(cosine(LINEAR, found["oracle: the target itself, through the face"]), 1, atol=1e-5)
    x, y = LINEAR.train.x.astype(float), LINEAR.train.y.astype(float)
    lines = [np.polyfit(x[:, cell], y[:, cell], 1) for cell in range(WIDTH)]  # the other three cells are empty
    rows = np.stack([np.polyval(line, LINEAR.test.x[:, cell]) for cell, line in enumerate(lines)], 1)
    expected = rows @ made.back.basis.T[:WIDTH] / made.back.gain
    np.testing.assert_allclose(found["no step: a gain and an offset for each cell"], expected, atol=1e-4)


@pytest.mark.parametrize("cells", [(3, 3), (2, 2)])
def test_a_map_that_is_held_to_the_identity_copies_what_is_on_both_faces(monkeypatch, cells):
    monkeypatch.setattr(baselines, "PENALTIES", (1e12,))
    of = judge(LEFT, NOISY, cells)
    found, (onto, back) = baselines.closed_forms(of), (of.prepared.onto.basis, of.prepared.back.basis)
    expected = found["copy"] @ onto @ onto.T @ back @ back.T
    np.testing.assert_allclose(found["ridge to identity"], expected, atol=1e-4)


def test_inputs_that_are_not_in_the_space_of_the_targets_have_no_copy():
    forms = baselines.closed_forms(LINEAR)
    assert {"copy", "ridge to identity"} == baselines.closed_forms(IN_ONE_SPACE).keys() - forms.keys()
    assert {"ceiling: the teacher's left side"} == forms.keys() - baselines.closed_forms(IN_ONE_SPACE).keys()
    small = judge(LEFT, CLEAN, (2, 2))
    kept = cosine(small, baselines.closed_forms(small)["oracle: the target itself, through the face"])
    assert 0.6 < kept < 0.95  # four cells do not hold six numbers


def test_scores_are_those_of_loops():
    outputs: Any = RNG.normal(size=(60, WIDTH)) + 2 * LINEAR.vectors[LINEAR.test.truth]
    outputs[3] = 0
    found = baselines.scores(LINEAR, outputs)
    own = LINEAR.vectors[LINEAR.test.truth]
    among, of_all = (
        reference.ranks(outputs, own, range(60)),
        reference.ranks(outputs, LINEAR.vectors, LINEAR.test.truth),
    )
    expected = {
        "cosine": reference.mean_cosine(outputs, own),
        "recall_1": np.mean(among <= 1),
        "recall_10": np.mean(among <= 10),
        "median_rank": np.median(among),
        "reciprocal_rank": np.mean(1 / np.asarray(among)),
        "recall_1_of_all": np.mean(of_all <= 1),
        "recall_10_of_all": np.mean(of_all <= 10),
        "pair_cosine": reference.pair_cosine(outputs),
        "dimensions": reference.dimensions(outputs),
        "collapsed": 0,
    }
    assert found == pytest.approx(expected, rel=2e-5, abs=2e-5)


@pytest.mark.parametrize("loss", [pytest.param("infonce", marks=pytest.mark.slow), "cosine"])
def test_a_perceptron_learns_what_no_linear_map_has(loss):
    right = np.abs(LEFT - 3) + 0.05 * RNG.normal(size=LEFT.shape)
    of = judge(LEFT, right)
    recipe = baselines.Recipe(hidden=48, loss=loss, steps=300, batch=64, rate=1e-2, dropout=0.0, every=150)
    outputs = jax.jit(baselines.perceptrons(of, recipe))(jax.random.split(jax.random.key(0), 1))[0]
    linear = cosine(of, baselines.closed_forms(of)["ridge"])
    assert cosine(of, outputs) > max(linear, 0) + 0.3
    assert outputs.shape == (60, WIDTH)


def test_a_perceptron_of_as_many_parameters_is_found():
    """With a linear map of 9 x 9 and its offset beside 48 hidden units and theirs."""
    assert baselines.size(48, 9) == (9 * 48 + 48) + (48 * 9 + 9) + (9 * 9 + 9)
    assert baselines.size(0, 9) == 9 * 9 + 9
    assert baselines.hidden_of_size(baselines.size(48, 9), 9) == 48
    assert baselines.hidden_of_size(50, 9) == 0
