"""What the dual model can be asked, beside numpy float64, loops over all operations, and closed forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from ternary_jax import poincare, ternary
from ternary_jax.errors import QuestionError

D, N, DIM, C = small.D, small.N, small.DIM, 0.7
GAUSSIAN = {"model__A__posterior": "gaussian", "losses__kl__on": "A"}


@functools.cache
def asked(branch="B", **changes):
    """The verbs of a branch with random parameters."""
    made, _, hypers, params = small.setting(**changes)
    return made.verbs.make(params, small.context(made, hypers, knobs=made.knobs(hypers)), branch)


@functools.cache
def exported():
    """What the task of `asked()` exports."""
    made, _, hypers, params = small.setting()
    return jax.device_get(small.jit(made.export)(params, small.context(made, hypers, knobs=made.knobs(hypers))))


def apart(x, y):
    """d(x, y) in float64, from the arcosh of the textbooks."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    gaps = (1 - C * (x * x).sum(-1)) * (1 - C * (y * y).sum(-1))
    return np.arccosh(1 + 2 * C * ((x - y) ** 2).sum(-1) / gaps) / np.sqrt(C)


def test_an_operation_is_an_index_trits_or_text():
    found = asked()
    text = found["text"](np.arange(N))
    assert text[5] == "+0--"  # 5 = 2 + 1 * 3, digit 0 first
    np.testing.assert_allclose(found["points"](), exported()["z_B"], atol=1e-6)
    for given in (np.arange(N), ternary.operations(D), text, jnp.arange(N), [*range(N)]):
        np.testing.assert_array_equal(found["encode"](given), found["points"]())
    assert found["encode"]("+0--").shape == (DIM,)
    assert found["encode"](np.arange(6).reshape(2, 3)).shape == (2, 3, DIM)
    np.testing.assert_array_equal(found["encode"]([["+0--"], ["----"]])[:, 0], found["points"]()[np.array([5, 0])])


def test_points_are_decoded_as_the_evaluation_does():
    found = asked()
    wanted = [sum((int(t) + 1) * 3**k for k, t in enumerate(row)) for row in exported()["prediction_B"]]
    np.testing.assert_array_equal(found["decode"](found["points"]()), wanted)
    np.testing.assert_array_equal(found["decode"](np.arange(N).reshape(3, 27)), np.reshape(wanted, (3, 27)))
    assert found["logits"]("+0--").shape == (D, 3)
    assert found["decode"]("+0--").dtype == jnp.int32


def test_distances_and_radii_are_those_of_the_closed_form():
    found = asked()
    z = np.asarray(found["points"]())
    np.testing.assert_allclose(found["distance"](z[:, None], z[None]), apart(z[:, None], z[None]), rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(found["radius"](np.arange(N)), apart(z, np.zeros(DIM)), rtol=1e-5)
    assert found["distance"]("+0--", np.arange(6).reshape(2, 3)).shape == (2, 3)


def test_the_nearest_are_those_of_a_loop_over_all():
    found = asked()
    z = np.asarray(found["points"](), np.float64)
    k, pairs = 4, apart(z[:, None], z[None])
    index, distance = map(np.asarray, found["nearest"](np.arange(N), k))
    assert index.shape == distance.shape == (N, k)
    for i in range(N):
        others = sorted((pairs[i, j], j) for j in range(N) if j != i)
        np.testing.assert_allclose(distance[i], [d for d, _ in others[:k]], rtol=2e-5, atol=2e-6)
        np.testing.assert_allclose(pairs[i, index[i]], distance[i], rtol=2e-5, atol=2e-6)
        assert i not in index[i]
    of_point = found["nearest"](z[7].astype(np.float32), k)
    assert of_point.indices[0] == 7
    np.testing.assert_array_equal(of_point.indices[1:], index[7][:3])
    assert found["nearest"](7, N - 1).indices.shape == (N - 1,)


@pytest.mark.parametrize("level", [0, 2, D])
def test_a_residue_ball_has_all_others_with_the_same_low_digits_the_nearest_first(level):
    found = asked()
    index, distance = found["residue_ball"]([5, 80], level)
    for i, own, lengths in zip((5, 80), index, distance, strict=True):
        assert {*map(int, own)} == {j for j in range(N) if j % 3**level == i % 3**level and j != i}
        assert np.all(np.diff(lengths) >= 0)
        np.testing.assert_array_equal(lengths, found["distance"](i, own))
    one = found["residue_ball"]("+0--", level).indices  # 5
    np.testing.assert_array_equal(one, index[0])


def test_a_geodesic_runs_from_one_end_to_the_other_at_constant_speed():
    found = asked()
    t, ends = np.array([0, 0.25, 0.5, 1], np.float32), ([5, 9], 40)
    z = np.asarray(found["points"](), np.float64)
    ways = np.asarray(found["interpolate"](*ends, t), np.float64)
    assert ways.shape == (2, 4, DIM)
    for way, i in zip(ways, ends[0], strict=True):
        whole = apart(z[i], z[40])
        np.testing.assert_allclose(apart(z[i], way), t * whole, rtol=1e-4, atol=5e-4)
        np.testing.assert_allclose(apart(way, z[40]), (1 - t) * whole, rtol=1e-4, atol=5e-4)
    np.testing.assert_allclose(found["interpolate"](5, 40), ways[0, 2], atol=1e-6)


def test_samples_of_a_wrapped_prior_have_the_radii_of_its_scale():
    changes = {f"model__{b}__posterior": "wrapped" for b in "AB"} | {"prior__sigma": 0.3, "losses__kl__on": "none"}
    found = asked("A", **changes)
    z = found["sample"](50, seed=3)
    noise = np.asarray(jax.random.normal(jax.random.key(3), (50, DIM)), np.float64)
    np.testing.assert_allclose(apart(z, np.zeros(DIM)), 0.3 * np.linalg.norm(noise, axis=1), rtol=1e-5)
    np.testing.assert_array_equal(z, found["sample"](50, seed=3))
    assert not np.allclose(z, found["sample"](50, seed=4))


def test_samples_are_points_and_a_branch_without_a_prior_says_so():
    found = asked("A", **GAUSSIAN)
    z = found["sample"](5)
    assert z.shape == (5, DIM)
    poincare.check(z, C)
    assert found["decode"](z).shape == (5,)
    with pytest.raises(QuestionError, match=r"branch B has no prior, as its config\.model\.B\.posterior is point"):
        asked()["sample"](5)


def test_flat_space_has_straight_lines():
    found = asked(model__geometry="euclidean", model__c=1.0)
    z = np.asarray(found["points"](), np.float64)
    np.testing.assert_allclose(found["distance"](5, 9), 2 * np.linalg.norm(z[5] - z[9]), rtol=1e-5)
    np.testing.assert_allclose(found["interpolate"](5, 9), (z[5] + z[9]) / 2, atol=1e-6)
    np.testing.assert_allclose(found["radius"](5), 2 * np.linalg.norm(z[5]), rtol=1e-5)


def test_verbs_can_be_compiled_and_differentiated():
    found = asked()
    z = found["points"]()[5]
    np.testing.assert_allclose(jax.jit(found["distance"])(z, 9), found["distance"](z, 9), rtol=1e-5)
    slope = jax.grad(lambda z: found["distance"](z, 9))(z)
    assert np.isfinite(slope).all()
    assert np.abs(slope).max() > 0


@pytest.mark.parametrize(
    ("verb", "args", "sentence"),
    [
        ("encode", ["+0-"], r"'\+0-' is no operation: write 4 of the signs \+ 0 -, digit 0 first"),
        ("encode", ["+0-x"], r"'\+0-x' is no operation: write 4"),
        ("encode", [81], r"index 81 is outside \[0, 80\]"),
        ("encode", [[1, -1]], r"index -1 is outside \[0, 80\].*; trits have the dtype int8"),
        ("encode", [np.zeros((2, 3), np.int8)], r"trits of the shape \(2, 3\) are no operations: .* 4 entries"),
        ("encode", [np.full((2, 4), 2, np.int8)], "trits are -1, 0 or 1, and these are not"),
        ("encode", [np.zeros(DIM)], r"floats of the shape \(4,\) are points already: give an index"),
        ("encode", [None], "None is no operation: give an index, its int8 trits, or a text"),
        ("encode", [[[1], [1, 2]]], "has rows of different lengths"),
        ("decode", [np.zeros(3)], r"points of the shape \(3,\) do not fit: .* 4 coordinates"),
        ("decode", [np.ones(DIM)], "1 of 1 points are not inside the ball of c"),
        ("distance", [[1, 2], [1, 2, 3]], r"shapes \(2,\) and \(3,\) do not broadcast: give equal shapes"),
        ("nearest", [5, 0], r"k=0 is outside 1 \.\. 80"),
        ("nearest", [5, 81], r"k=81 is outside 1 \.\. 80"),
        ("residue_ball", [5, 5], r"level=5 is outside 0 \.\. 4"),
        ("interpolate", [5, 9, np.zeros((2, 2))], r"t has the shape \(2, 2\): give a number"),
        ("compose", [5, 9], r"those of config\.data\.n_digits=4 are none: load a model of 9 digits"),
        ("describe", ["99"], r"index 99 is outside \[0, 80\]"),
        ("describe", [[1, 2]], r"operations of the shape \(2,\) are several: give one"),
    ],
)
def test_what_cannot_be_answered_is_one_sentence(verb, args, sentence):
    with pytest.raises(QuestionError, match=sentence) as caught:
        asked()[verb](*args)
    assert "\n" not in str(caught.value)


def test_a_description_has_the_facts_and_of_two_the_midpoint():
    found = asked()
    text = found["describe"]("+0--", "9")
    middle = int(found["decode"](found["interpolate"](5, 9)))
    assert text.startswith("operation +0--\nindex      5\nvaluation  0 of 4\n")
    assert f"radius     {float(found['radius'](5)):.4f}" in text
    assert "f(x, y)" not in text  # a map of four trits has no table of two
    nearest = int(found["nearest"](5, 1).indices[0])
    assert f"{ternary.signs(nearest, D)}" in text.partition("nearest")[2].splitlines()[1]
    assert f"distance   {float(found['distance'](5, 9)):.4f}" in text
    assert f"midpoint   decoded {ternary.signs(middle, D)}, index {middle}" in text
    assert "operation --0-\nindex      9\nvaluation  2 of 4" in text
    assert found["describe"](5, 9) == text
    assert "index      0\nvaluation  4 of 4" in found["describe"](5, 0)


def test_the_table_of_an_export_has_a_row_for_each_operation():
    made, _, hypers, params = small.setting()
    table = made.verbs.table(params, small.context(made, hypers, knobs=made.knobs(hypers)), "B")
    wanted = exported()
    assert {name: np.shape(x)[0] for name, x in table.items()} == dict.fromkeys(table, N)
    np.testing.assert_allclose(table["radius"], wanted["radius_B"], rtol=1e-5)
    np.testing.assert_allclose(table["z"], wanted["z_B"], atol=1e-6)
    np.testing.assert_array_equal(table["valuation"], wanted["valuation"])
    trits = (wanted["prediction_B"] + 1).astype(int)
    assert table["decoded"].tolist() == ["".join("-0+"[t] for t in row) for row in trits]
