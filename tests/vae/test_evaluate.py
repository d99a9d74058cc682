"""The metrics against an independent judge, scipy, and embeddings whose figures are known."""

import itertools
import json
import math
import subprocess
import sys
from pathlib import Path

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from reference import judge
from scipy import stats

from ternary_jax import poincare, ternary
from ternary_jax.precision import in_float64
from ternary_jax.vae import baselines, data, evaluate, references

N = 3**9
TRITS = ternary.operations()
V = ternary.valuations()
CEILING = -math.sqrt(9 / 13)


@pytest.fixture(scope="module", autouse=True)
def nan_is_an_answer():
    """Allow NaN, the value of undefined metrics. Module scope: a change of the setting recompiles everything."""
    with jax.debug_nans(False):
        yield


@pytest.fixture(scope="module")
def samples():
    return jax.device_put(evaluate.draw_samples())


@pytest.fixture(scope="module")
def few_samples(samples):
    """The first 500 of each sample, for tests that do not read the values of metrics of pairs and triplets."""
    return jax.tree.map(lambda a: a[:500], samples)


def unit_vectors(rng, n=N, dim=16):
    d = rng.normal(size=(n, dim))
    return d / np.linalg.norm(d, axis=1, keepdims=True)


def one_hot(c):
    u = jnp.asarray(np.eye(3)[TRITS + 1].reshape(N, 27) * 0.3, jnp.float32)
    return jax.vmap(poincare.exp0, (0, None))(u / jnp.sqrt(c), c)


def relu_encoder(rng, c):
    """9-256-128-64-16 with PyTorch's default initial values, U(-1/sqrt(fan in), 1/sqrt(fan in)), on trits."""
    h = TRITS.astype(float)
    for a, b in itertools.pairwise([9, 256, 128, 64, 16]):
        h = h @ rng.uniform(-(a**-0.5), a**-0.5, (a, b)) + rng.uniform(-(a**-0.5), a**-0.5, b)
        h = h if b == 16 else np.maximum(h, 0)
    return jax.vmap(poincare.exp0, (0, None))(jnp.asarray(h, jnp.float32), c)


def embedding(name, c):
    """Float32 points and a prediction."""
    rng, prediction = np.random.default_rng(7), TRITS
    if name == "tree":
        z = baselines.tree(baselines.Tree(), c)
    elif name == "rich":
        z = baselines.rich(baselines.Rich(), c)
    elif name == "random":
        z = unit_vectors(rng) * rng.uniform(0, 0.99, (N, 1)) / np.sqrt(c)
        prediction = np.where(rng.random((N, 9)) < 0.02, 0, TRITS).astype(np.int8)
    elif name == "one_hot":
        z = one_hot(c)
    elif name == "noisy":
        z = (baselines.tree(baselines.Tree()) + rng.normal(size=(N, 16)) * 0.02) / np.sqrt(c)
    else:
        assert name == "collapsed"  # on axes, where the radius is one coordinate and ties exactly
        z = np.zeros((N, 16))
        z[np.arange(N), np.arange(N) % 16] = (0.9 - 0.08 * V) / np.sqrt(c)
    return jnp.asarray(z, jnp.float32), jnp.asarray(prediction)


@pytest.mark.parametrize(
    ("name", "c"),
    [
        ("tree", 0.1),
        ("tree", 4.0),
        ("rich", 1.0),
        ("random", 0.1),
        ("one_hot", 1.0),
        ("noisy", 4.0),
        pytest.param("collapsed", 0.1, marks=pytest.mark.slow),  # equal radii: the last bit of a user's program
        pytest.param("collapsed", 1.0, marks=pytest.mark.slow),
    ],
)
def test_every_metric_agrees_with_the_judge(name, c, samples):
    c = jnp.float32(c)
    z, prediction = embedding(name, c)
    ours = evaluate.measure(z, prediction, c, samples)
    theirs = judge.judge(np.asarray(z), np.asarray(prediction), c)
    assert set(ours) - set(theirs) == {"hierarchy_rounded"}
    for key, value in theirs.items():
        np.testing.assert_allclose(ours[key], value, rtol=0, atol=1e-6, err_msg=key)


@pytest.mark.parametrize("n_digits", [1, 4])
def test_fewer_digits_than_nine_agree_with_the_judge(n_digits):
    n, c = 3**n_digits, jnp.float32(1)
    rng = np.random.default_rng(n_digits)
    z = jnp.asarray(unit_vectors(rng, n, 4) * rng.uniform(0, 0.9, (n, 1)), jnp.float32)
    prediction = ternary.operations(n_digits)
    ours = evaluate.measure(z, prediction, c, evaluate.draw_samples(n_digits))
    for key, value in judge.judge(np.asarray(z), prediction, c).items():
        np.testing.assert_allclose(ours[key], value, rtol=0, atol=1e-6, err_msg=key)


def test_the_judge_reads_a_file_and_refuses_a_bad_one(tmp_path, capsys):
    small = baselines.Tree(n_digits=3)
    z, prediction = np.asarray(baselines.tree(small)), ternary.operations(3)
    good = {"z_A": z, "z_B": z[::-1], "c": np.ones(1), "prediction_A": prediction, "prediction_B": prediction}
    missing = {k: a for k, a in good.items() if k != "z_B"}
    paths = {name: str(tmp_path / f"{name}.npz") for name in ("good", "missing", "outside")}
    for path, arrays in zip(paths.values(), (good, missing, good | {"z_A": 2 * z}), strict=True):
        with Path(path).open("wb") as f:
            np.savez(f, allow_pickle=False, **arrays)
    run = subprocess.run([sys.executable, judge.__file__, paths["good"]], capture_output=True, text=True)
    a, b = (json.loads(line) for line in run.stdout.splitlines())
    assert (a["branch"], b["branch"], run.returncode) == ("A", "B", 0)
    assert a["hierarchy"] < -0.8 < b["hierarchy"]
    for name, word in (("missing", "z_B"), ("outside", "not inside the ball")):
        assert judge.main(paths[name]) == 2
        assert word in capsys.readouterr().err


# --- ranks ------------------------------------------------------------------------------------------------------------

VALUES = st.sampled_from([-1e30, -1.0, -0.0, 0.0, 1e-30, 0.5, 1.0, 2.0, np.inf])
TIED = st.sampled_from([1, 2, 9, 40]).flatmap(lambda n: st.lists(VALUES, min_size=n, max_size=n))  # few compilations


_ranks_in_order, _spearman = in_float64(evaluate._ranks_in_order), in_float64(evaluate._spearman)


def average_ranks(a):
    order = np.argsort(a, kind="stable")
    ranks = np.empty(len(a))
    ranks[order] = _ranks_in_order(np.asarray(a)[order]) / 2 + 1
    return ranks


def spearman(a, b):
    return _spearman(np.asarray(a, np.float32), 2 * stats.rankdata(b) - 2)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(TIED)
def test_average_ranks_are_those_of_scipy(values):
    a = np.asarray(values, np.float32)
    np.testing.assert_array_equal(average_ranks(a), stats.rankdata(a))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([2, 30, 300]), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_spearman_is_that_of_scipy_under_ties(n, kinds, seed):
    a, b = np.random.default_rng(seed).integers(0, kinds, (2, n)).astype(np.float32)
    got = float(spearman(a, b))
    np.testing.assert_allclose(got, judge.spearman(a, b), rtol=0, atol=1e-6)


def test_spearman_takes_integers_and_long_arrays_without_losing_digits():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 10, (2, 300_001))
    np.testing.assert_allclose(spearman(a + b, b), judge.spearman(a + b, b), rtol=0, atol=1e-7)


def test_constant_or_nan_values_have_no_rank_correlation():
    a = np.arange(5, dtype=np.float32)
    assert np.isnan(spearman(a, np.full(5, 0.1, np.float32)))
    assert np.isnan(spearman(np.full(499_500, 0.1, np.float32), np.arange(499_500)))
    assert np.isnan(spearman(np.where(a == 2, np.nan, a), a))
    assert np.isnan(spearman(a, np.where(a == 2, np.nan, a)))
    assert np.isnan(average_ranks(np.where(a == 2, np.nan, a))).all()


# --- the same however it is called ------------------------------------------------------------------------------------


def few(n_digits, n):
    """The first n of each sample of a small table: enough to compare calls, and quick to compile."""
    return jax.tree.map(lambda a: a[:n], evaluate.draw_samples(n_digits))


def test_mapped_over_runs_jitted_and_alone_are_the_same():
    c, samples = jnp.asarray([0.5, 1.0, 3.0], jnp.float32), few(4, 1000)
    form, rng = baselines.Rich(n_digits=4), np.random.default_rng(0)
    z = jnp.stack([baselines.rich(form, 0.5), baselines.rich(form), jnp.asarray(rng.normal(size=(81, 16)) / 20)])
    prediction = jnp.stack(
        [jnp.asarray(ternary.operations(4)) * (rng.random((81, 1)) < share) for share in (1, 0.5, 0)]
    )

    def both(z, prediction, c, samples):
        return evaluate.cheap(z, prediction, c), evaluate.costly(z, c, samples)

    together = jax.jit(jax.vmap(both, (0, 0, 0, None)))(z, prediction, c, samples)
    for k in range(3):
        alone = both(z[k], prediction[k], c[k], samples)
        for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(a[k], b, rtol=2e-7, atol=1e-12)
    assert all(a.dtype == jnp.float32 for a in jax.tree.leaves(together))


@pytest.mark.slow
def test_without_compilation_the_figures_are_the_same():
    z, prediction = baselines.rich(baselines.Rich(n_digits=2)), ternary.operations(2)
    compiled = evaluate.cheap(z, prediction, 1.0)
    with jax.disable_jit():
        eager = evaluate.cheap(z, prediction, 1.0)
    np.testing.assert_allclose(eager, compiled, rtol=0, atol=1e-6)


# --- coverage ---------------------------------------------------------------------------------------------------------


def test_coverage_counts_rows_with_all_digits_right():
    z = baselines.tree(baselines.Tree(n_digits=4))
    prediction = ternary.operations(4).copy()
    prediction[:9, 2] = 1 - prediction[:9, 2] ** 2  # 0 -> 1, 1 -> 0, -1 -> 0
    assert evaluate.cheap(z, prediction, 1.0).coverage == pytest.approx(72 / 81, abs=1e-7)


def test_prior_coverage_counts_distinct_operations_beside_what_uniform_draws_would_give():
    some = TRITS[[5, 17, 5, 19682, 0, 17]]
    prior_coverage = jax.jit(evaluate.prior_coverage)
    got = prior_coverage(some)
    assert got.share == pytest.approx(4 / N)
    assert got.uniform == pytest.approx(6 / N, rel=1e-3)
    uniform = prior_coverage(TRITS[np.random.default_rng(0).integers(0, N, N)])
    assert uniform.uniform == pytest.approx(1 - (1 - 1 / N) ** N)
    assert abs(uniform.share - uniform.uniform) < 5 * 0.31 / math.sqrt(N)
    assert references.levels()["prior_coverage"].chance == pytest.approx(float(uniform.uniform))
    assert np.isnan(prior_coverage(some + 1).share)


# --- what is held out -------------------------------------------------------------------------------------------------

SPLITS = {
    "random": data.random_mask(3, 4, 0.4),
    "residue balls": data.residue_mask(3, 4, 2, 4),
    "digit box": data.box_mask(1, 4, 2),
    "one row": np.arange(81) != 27,
    "all but one": np.arange(81) == 5,
    "one level": np.arange(81) % 3 == 0,
}


def half_decoded(seed):
    """Points and a prediction of 81 operations, of which about half are decoded."""
    rng = np.random.default_rng(seed)
    z = (unit_vectors(rng, 81, 4) * rng.uniform(0.1, 0.9, (81, 1)) / np.sqrt(0.7)).astype(np.float32)
    right = rng.random(81) < 0.5
    return z, np.where(right[:, None], ternary.operations(4), 1 - ternary.operations(4) ** 2).astype(np.int8), right


@pytest.mark.parametrize("name", SPLITS)
def test_what_is_held_out_is_measured_by_itself(name):
    train, v = SPLITS[name], judge.valuation_of_integer(np.arange(81), 4)
    rows = evaluate.rows_held_out(train, 4)
    np.testing.assert_array_equal(rows.row, [i for i in range(81) if not train[i]])
    np.testing.assert_array_equal((rows.rank + 2) / 2, stats.rankdata(v[~train]))
    assert (rows.row.dtype, rows.rank.dtype) == (np.int32, np.int32)
    z, prediction, right = half_decoded(0)
    found = evaluate.on_held_out(z, prediction, np.float32(0.7), rows)
    assert float(found.held_out_coverage) == pytest.approx(right[~train].mean(), abs=1e-6)
    gap = right[train].mean() - right[~train].mean()
    assert float(found.coverage_gap) == pytest.approx(gap, abs=1e-6)
    known = references.held_out(train, 4)
    assert {*known, "held_out_coverage"} == set(evaluate.OnHeldOut._fields)
    if len(set(v[~train])) == 1:
        assert np.isnan(found.held_out_hierarchy)
        assert math.isnan(known["held_out_hierarchy"].best)
        return
    radius = np.linalg.norm(z.astype(np.float64), axis=1)
    expected = stats.spearmanr(v[~train], radius[~train])[0]
    assert float(found.held_out_hierarchy) == pytest.approx(expected, abs=1e-6)
    ordered = -v + np.random.default_rng(1).random(81) / 2
    assert known["held_out_hierarchy"].best == pytest.approx(stats.spearmanr(v[~train], ordered[~train])[0], abs=1e-9)


def test_what_is_held_out_has_its_own_ceiling_which_is_reached():
    train = SPLITS["random"]
    z = unit_vectors(np.random.default_rng(2), 81, 4)
    radius = 0.8 - 0.15 * ternary.valuations(4) + 0.1 * np.random.default_rng(3).random(81)
    rows = evaluate.rows_held_out(train, 4)
    found = evaluate.on_held_out((z * radius[:, None]).astype(np.float32), ternary.operations(4), 1.0, rows)
    best = references.held_out(train, 4)["held_out_hierarchy"].best
    assert float(found.held_out_hierarchy) == pytest.approx(best, abs=1e-6)
    assert abs(best - references.hierarchy_ceiling(4)) > 1e-3
    assert (float(found.held_out_coverage), float(found.coverage_gap)) == pytest.approx((1, 0), abs=1e-7)


def test_a_point_outside_the_ball_leaves_nothing_of_what_is_held_out():
    z, prediction, _ = half_decoded(0)
    rows = evaluate.rows_held_out(SPLITS["random"], 4)
    z[np.flatnonzero(SPLITS["random"])[0]] = 2  # one that is trained on
    assert all(np.isnan(value) for value in evaluate.on_held_out(z, prediction, 0.7, rows))


# --- undefined and invalid input --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["nan", "inf", "edge", "c"])
def test_one_bad_point_makes_every_metric_nan_though_no_sample_holds_it(bad, few_samples):
    z, prediction = embedding("tree", 1.0)
    sampled = set(np.concatenate([getattr(few_samples, name) for name in few_samples._fields]))
    row = next(i for i in range(N) if i not in sampled)
    value = {"nan": np.nan, "inf": np.inf, "edge": 1.0, "c": 0.0}[bad]
    z = z.at[row, 3].set(value)
    metrics = evaluate.measure(z, prediction, -1.0 if bad == "c" else 1.0, few_samples)
    assert all(math.isnan(value) for value in metrics.values()), metrics
    reasons = references.undefined(metrics)
    assert set(reasons) == set(metrics)
    assert all("not inside the ball" in reason for reason in reasons.values())
    assert references.verdict(metrics)[0] == "no verdict"


def test_a_prediction_is_made_of_integers_for_the_operations_of_some_p():
    z = jnp.zeros((27, 2))
    with pytest.raises(TypeError, match="integers"):
        evaluate.cheap(z, ternary.operations(3).astype(np.float32), 1.0)
    with pytest.raises(ValueError, match="26 rows of 3 digits"):
        evaluate.cheap(z[:26], ternary.operations(3)[:26], 1.0)
    with pytest.raises(ValueError, match="27 rows of 2 digits"):
        evaluate.cheap(z, ternary.operations(3)[:, :2], 1.0)


def test_shapes_and_samples_that_do_not_fit_are_refused():
    z, prediction = jnp.zeros((27, 2)), ternary.operations(3)
    with pytest.raises(ValueError, match="more than the 27 rows"):
        evaluate.costly(z, 1.0, evaluate.draw_samples(4))
    with pytest.raises(ValueError, match="at least one draw"):
        evaluate.prior_coverage(prediction[:0])


@pytest.mark.slow
@pytest.mark.parametrize("c", [0.1, 1.0])
def test_float64_points_are_measured_in_float64_without_x64(c, samples):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(N, 4))
    z *= (1 - 10 ** rng.uniform(-9, 0, (N, 1))) / np.linalg.norm(z, axis=-1, keepdims=True) / np.sqrt(c)
    prediction = ternary.operations()
    got, expected = evaluate.measure(z, prediction, c, samples), judge.judge(z, prediction, c)
    for name, value in expected.items():
        if name in got:
            assert got[name] == pytest.approx(value, abs=1e-6), name


def test_metrics_belong_to_the_labels(samples):
    z, prediction = embedding("tree", 1.0)
    order = np.random.default_rng(0).permutation(N)
    right = evaluate.measure(z, prediction, 1.0, samples)
    shuffled = evaluate.measure(z[order], prediction[order], 1.0, samples)
    chance = {"coverage": 0, "hierarchy": 0, "dist_corr": 0, "triplet_accuracy": 0.5, "ultrametric_correlation": 0}
    for key, value in chance.items():
        assert abs(shuffled[key] - value) < 0.03, key
        assert abs(right[key] - value) > 0.3, key
    assert shuffled["richness"] > 5 * right["richness"]
    assert shuffled["distortion"] != right["distortion"]


def test_distortion_is_zero_up_to_any_exponent_and_scale():
    """In four dimensions a ternary tree of two digits is embedded exactly: triangles on a triangle, far apart."""
    samples = evaluate.draw_samples(2)
    x = ternary.operations(2) + 1
    angle = 2 * np.pi * x / 3
    plane = np.stack([np.cos(angle[:, 0]), np.sin(angle[:, 0]), np.cos(angle[:, 1]), np.sin(angle[:, 1])], 1)
    z = jnp.asarray(plane * [1e-3, 1e-3, 1e-6, 1e-6], jnp.float32)
    assert evaluate.costly(z, 1.0, samples).distortion < 1e-4
    stretched = z * jnp.asarray([1, 1, 30, 30])[None]
    assert evaluate.costly(stretched, 1.0, samples).distortion < 2e-3
    one_off = z.at[4].multiply(1.5)
    assert evaluate.costly(one_off, 1.0, samples).distortion > 0.02


# --- references -------------------------------------------------------------------------------------------------------


def bands(rng, widths, fill):
    """Points whose level v fills, by fill(m) in [0, 1], the v-th band from outside."""
    outer = 0.995 - np.cumsum(widths) + widths
    s = np.empty(N)
    for v, w in enumerate(widths):
        s[v == V] = outer[v] - w * fill(ternary.level_counts()[v])
    return jnp.asarray(unit_vectors(rng) * s[:, None], jnp.float32)


def test_the_ceilings_are_reached_and_not_passed(samples):
    rng = np.random.default_rng(3)
    best = references.levels(samples=samples)
    assert best["hierarchy"].best == pytest.approx(CEILING, abs=1e-7)
    cheap = evaluate.cheap(bands(rng, np.full(10, 0.099), rng.random), TRITS, 1.0)
    assert float(cheap.hierarchy) == pytest.approx(CEILING, abs=1e-6)
    for name, rank in (("dist_corr", "radial_rank"), ("ultrametric_correlation", "pair_rank")):
        rank = np.asarray(getattr(samples, rank), float)
        without_ties = rank + 0.9 * np.argsort(rng.random(rank.shape)) / rank.size
        assert abs(best[name].best) == pytest.approx(judge.spearman(without_ties, rank), abs=1e-9)
    assert best["q"].best == pytest.approx(best["dist_corr"].best + 1.5 * abs(CEILING), abs=1e-6)
    assert (round(best["dist_corr"].best, 3), round(best["q"].best, 3)) == (0.914, 2.162)


def test_richness_comes_near_its_best_with_level_0_at_both_ends_and_no_split_of_the_budget_passes_it():
    rng = np.random.default_rng(4)
    best = references.richness_best()
    assert best == pytest.approx(1 / 40)

    def both_ends(m):
        return np.where(np.arange(m) < m / 2, 0.001 * rng.random(m), 1 - 0.001 * rng.random(m))

    widths = np.r_[0.99, np.full(9, 0.001)]
    cheap = evaluate.cheap(bands(rng, widths, both_ends), TRITS, 1.0)
    assert float(cheap.hierarchy) == pytest.approx(CEILING, abs=1e-5)  # some radii tie in float32
    assert 0.97 * best < cheap.richness < best
    for _ in range(20):
        widths = rng.dirichlet(np.full(10, 0.3)) * 0.99
        assert evaluate.cheap(bands(rng, widths, both_ends), TRITS, 1.0).richness < best


def test_small_tables_have_their_own_ceilings():
    for n_digits, p in ((3, 3), (4, 2), (2, 5)):
        samples = evaluate.draw_samples(n_digits, p)
        v = ternary.valuations(n_digits, p)
        r = -v + np.random.default_rng(0).random(v.size) / 2
        assert references.hierarchy_ceiling(n_digits, p) == pytest.approx(judge.spearman(v, r))
        known = references.levels(n_digits, p, samples)
        assert known["coverage"].chance == p**-n_digits
        assert all(math.isnan(r.untrained) for r in known.values())


@pytest.mark.slow
def test_untrained_levels_are_those_of_encoders_without_training(samples):
    known, c = references.levels(samples=samples), jnp.float32(1)
    digits = evaluate.costly(one_hot(c), c, samples)
    assert float(digits.triplet_accuracy) == pytest.approx(known["triplet_accuracy"].untrained, abs=0.005)
    assert float(digits.ultrametric_correlation) == pytest.approx(known["ultrametric_correlation"].untrained, abs=0.005)
    rng = np.random.default_rng(0)
    relu = [evaluate.measure(relu_encoder(rng, c), TRITS, c, samples) for _ in range(4)]
    mean = {key: np.mean([m[key] for m in relu]) for key in relu[0]}
    assert mean["triplet_accuracy"] == pytest.approx(0.75, abs=0.03)
    assert mean["ultrametric_correlation"] == pytest.approx(-0.14, abs=0.05)


def test_random_points_are_at_chance(samples):
    z, prediction = embedding("random", 1.0)
    metrics, known = evaluate.measure(z, prediction, 1.0, samples), references.levels(samples=samples)
    for key in ("hierarchy", "dist_corr", "triplet_accuracy", "ultrametric_correlation"):
        assert metrics[key] == pytest.approx(known[key].chance, abs=0.03), key


# --- what the figures mean --------------------------------------------------------------------------------------------


def verdict_of(s, few_samples, dtype=jnp.float32):
    """The metrics and first sentence of points in random directions at radii s."""
    z = jnp.asarray(unit_vectors(np.random.default_rng(11)) * s[:, None], dtype)
    metrics = evaluate.measure(z, TRITS, 1.0, few_samples)
    return metrics, references.verdict(metrics)[0]


def test_a_collapse_is_told_from_perfection(few_samples):
    z, prediction = embedding("collapsed", 1.0)
    metrics = evaluate.measure(z, prediction, 1.0, few_samples)
    assert metrics["hierarchy"] == pytest.approx(-1, abs=1e-6)
    assert references.verdict(metrics)[0].startswith("collapse: hierarchy -1.00000 is 100.0% of the way")
    for name in ("tree", "rich"):
        z, prediction = embedding(name, 1.0)
        lines = references.verdict(evaluate.measure(z, prediction, 1.0, few_samples))
        assert lines == ["no collapse: hierarchy -0.83205 is at its ceiling 0.83205 without ties"]


@pytest.mark.parametrize("shape", ["bands", "level 0 only"])
@pytest.mark.parametrize("outer", np.linspace(0.85, 0.9, 4))
def test_a_collapse_that_rounding_hides_is_found_at_any_radius(shape, outer, few_samples):
    s = outer - 0.08 * V
    if shape == "level 0 only":
        s = np.where(V == 0, s, s - 0.05 * np.random.default_rng(0).random(N))
    metrics, said = verdict_of(s, few_samples)
    assert metrics["hierarchy"] == pytest.approx(CEILING, abs=1e-4)  # looks perfect
    assert metrics["hierarchy_rounded"] < CEILING - 0.03
    assert said.startswith("collapse hidden by rounding")


def test_bands_a_thousandth_wide_are_no_collapse(few_samples):
    metrics, said = verdict_of(0.9 - 0.08 * V - 1e-3 * np.random.default_rng(0).random(N), few_samples)
    assert said.startswith("no collapse")
    assert abs(metrics["hierarchy_rounded"] - CEILING) < 2e-5


@pytest.mark.parametrize("radius", [0.3, 0.5, 0.61, 0.8])
def test_one_radius_for_all_is_a_collapse_whether_rounding_shows_or_not(radius, few_samples):
    metrics, said = verdict_of(np.full(N, radius), few_samples)
    assert math.isfinite(metrics["hierarchy"])
    assert said.startswith("collapse: all radii are equal up to rounding")
    at_a_point = evaluate.measure(jnp.full((N, 16), radius / 4), TRITS, 1.0, few_samples)
    undefined = {"hierarchy", "hierarchy_rounded", "dist_corr", "q", "ultrametric_correlation", "distortion"}
    assert {key for key, value in at_a_point.items() if math.isnan(value)} == undefined
    assert references.verdict(at_a_point)[0] == "collapse: all radii are equal"
    assert set(references.undefined(at_a_point)) == undefined
    assert "log 0" in references.undefined(at_a_point)["distortion"]


def test_equal_radii_in_the_wrong_order_are_a_collapse_too(few_samples):
    order = np.array([4, 9, 1, 7, 0, 3, 8, 2, 6, 5])
    metrics, said = verdict_of(0.1 + 0.08 * order[V], few_samples)
    assert abs(metrics["hierarchy_rounded"]) < abs(CEILING)
    assert said.startswith("collapse: radii inside levels differ by less than 1e-6")


def test_a_reversed_hierarchy_is_reported(few_samples):
    metrics, _ = verdict_of(0.1 + 0.08 * V + 0.05 * np.random.default_rng(0).random(N), few_samples)
    assert any(line.startswith("upside down: hierarchy +0.83") for line in references.verdict(metrics))


def test_undefined_coverages_have_their_own_reasons():
    reasons = references.undefined({"held_out_coverage": math.nan, "prior_coverage": math.nan, "coverage": 1.0})
    assert reasons == {
        "held_out_coverage": "nothing is held out",
        "prior_coverage": "a draw was decoded to something that is not a digit",
    }


def test_the_table_has_a_column_per_embedding_and_the_three_references():
    known = references.levels(3)
    text = references.table({"mine": {"hierarchy": -0.5, "richness": 2e-5}, "other": {"coverage": math.nan}}, known)
    lines = [line.split() for line in text.splitlines()]
    assert lines[0] == ["metric", "mine", "other", "chance", "untrained", "best"]
    assert [line[0] for line in lines[1:]] == ["coverage", "hierarchy", "richness"]
    assert lines[1][1:] == ["-", "nan", "0.037037", "-", "1"]
    assert lines[2][1:3] == ["-0.50000", "-"]
    assert lines[3][1] == "2.00e-05"
    assert len({len(line) for line in text.splitlines()}) == 1
    with pytest.raises(ValueError, match="hierachy"):
        references.table({"mine": {"hierachy": 0.0}}, known)


def test_the_judge_imports_nothing_of_the_package():
    assert "ternary_jax" not in Path(judge.__file__).read_text()
