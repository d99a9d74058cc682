"""The losses against Python loops in float64, at points of known value, and on degenerate batches."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from jax.test_util import check_grads
from reference import losses as reference
from scipy import stats

from ternary_jax import poincare, ternary
from ternary_jax.vae.losses import (
    entropy,
    geodesic,
    levels,
    padic,
    radial,
    ranking,
    reconstruction,
    repulsion,
    rich,
    zero,
)

pytestmark = pytest.mark.usefixtures("strict_dtypes")

D, ROWS, DIM = 9, 40, 4
LEVELS = np.arange(D + 1, dtype=np.int32)
RADIAL = np.asarray(reference.radial_targets(0.08, 0.9, 1.0, D), np.float32)
FAR = np.asarray(reference.geodesic_targets(2.5, 3.0, D), np.float32)
BANDS = np.asarray(reference.band_variance(RADIAL), np.float32)
RADIAL_, FAR_, BANDS_ = RADIAL.tolist(), FAR.tolist(), (30 * BANDS).tolist()  # for the reference: float64
STATISTICS = jax.jit(functools.partial(levels.statistics, n_digits=D))


class Batch(NamedTuple):
    """Rows i with two other rows each, j and k, as the caller pairs them."""

    x: np.ndarray  # (n, D) trits of i
    v: np.ndarray  # (2, n) valuations of i and j
    pair_v: np.ndarray  # (2, n) valuations of i - j and i - k
    r: np.ndarray  # (2, n) radii of i and j
    d: np.ndarray  # (2, n) distances of i to j and to k
    logits: np.ndarray  # (n, D, 3)
    code: np.ndarray  # (2, n, dim) mean and log variance


def of_statistics(loss):
    return lambda r, b: loss(levels.statistics(r[0], b.v[0], D))


def margins(margin, b):
    return margin(b.pair_v[0], b.pair_v[1], 0.05, 0.15)


def decided(b):
    """Whether j is the positive."""
    return b.pair_v[0] > b.pair_v[1]


# name: (differentiated argument, our loss, reference loss)
LOSSES = {
    "cross_entropy": (
        "logits",
        lambda a, b: reconstruction.cross_entropy(a, b.x),
        lambda a, b: reference.cross_entropy(a, b.x),
    ),
    "gaussian_kl": (
        "code",
        lambda a, b: reconstruction.gaussian_kl(a[0], a[1], 0.8),
        lambda a, b: reference.gaussian_kl(a[0], a[1], 0.8),
    ),
    "squared": (
        "r",
        lambda r, b: radial.weighted_squared_error(r[0], b.v[0], jnp.asarray(RADIAL), 0.4),
        lambda r, b: reference.squared(r[0], b.v[0], RADIAL_, 0.4),
    ),
    "margin": (
        "r",
        lambda r, b: radial.separation_hinge(r[0], r[1], b.v[0], b.v[1], jnp.asarray(RADIAL), 0.5),
        lambda r, b: reference.margin(r[0], r[1], b.v[0], b.v[1], RADIAL_, 0.5),
    ),
    "rank": (
        "r",
        lambda r, b: radial.rank(r[0], r[1], b.v[0], b.v[1], 0.3),
        lambda r, b: reference.rank(r[0], r[1], b.v[0], b.v[1], 0.3),
    ),
    "stratification": (
        "r",
        lambda r, b: radial.stratification(r[0], b.v[0], jnp.asarray(RADIAL)),
        lambda r, b: reference.stratification(r[0], b.v[0], RADIAL_),
    ),
    "monotonic": (
        "r",
        lambda r, b: radial.monotonic(r[0], b.v[0], jnp.asarray(RADIAL), 0.7, 0.2, 0.5),
        lambda r, b: reference.monotonic(r[0], b.v[0], RADIAL_, 0.7, 0.2, 0.5),
    ),
    "level_means": (
        "r",
        of_statistics(lambda s: rich.level_means(s, jnp.asarray(RADIAL))),
        lambda r, b: reference.level_means(r[0], b.v[0], RADIAL_),
    ),
    "floor": (
        "r",
        of_statistics(lambda s: rich.floor(s, jnp.asarray(30 * BANDS), 0.5)),
        lambda r, b: reference.floor(r[0], b.v[0], BANDS_, 0.5),
    ),
    "separation": (
        "r",
        of_statistics(lambda s: rich.separation(s, 0.1)),
        lambda r, b: reference.separation(r[0], b.v[0], D, 0.1),
    ),
    "pair_distance": (
        "d",
        lambda d, b: geodesic.smooth_l1(d[0], b.pair_v[0], jnp.asarray(FAR)),
        lambda d, b: reference.pair_distance(d[0], b.pair_v[0], FAR_),
    ),
    "ranking": (
        "d",
        lambda d, b: ranking.ordered(d[0], d[1], b.pair_v[0], b.pair_v[1], 0.1),
        lambda d, b: reference.ordered(d[0], d[1], b.pair_v[0], b.pair_v[1], ROWS * [0.1]),
    ),
    "ranking by margins": (
        "d",
        lambda d, b: ranking.ordered(d[0], d[1], b.pair_v[0], b.pair_v[1], margins(ranking.required_margin, b)),
        lambda d, b: reference.ordered(d[0], d[1], b.pair_v[0], b.pair_v[1], margins(reference.triplet_margin, b)),
    ),
    "violated": (
        "d",
        lambda d, b: ranking.violated(d[0], d[1], decided(b), margins(ranking.required_margin, b)),
        lambda d, b: reference.violated(d[0], d[1], decided(b), margins(reference.triplet_margin, b)),
    ),
    "metric": (
        "d",
        lambda d, b: padic.squared_error(d[0], b.pair_v[0], padic.targets(1.5, D)),
        lambda d, b: reference.padic(d[0], b.pair_v[0], reference.padic_targets(1.5, D)),
    ),
    "norm": (
        "r",
        lambda r, b: padic.squared_error(r[0], b.v[0], padic.targets(3, D)),
        lambda r, b: reference.padic(r[0], b.v[0], reference.padic_targets(3, D)),
    ),
    "repulsion": (
        "d",
        lambda d, b: repulsion.gaussian(d[0], b.pair_v[0], 1.5, D),
        lambda d, b: reference.repulsion(d[0], b.pair_v[0], 1.5, D),
    ),
    "entropy": (
        "logits",
        lambda a, b: entropy.of_mean(a),
        lambda a, b: reference.entropy_of_mean(a),
    ),
    "alignment": (
        "logits",
        lambda a, b: entropy.alignment(a, 1.5 * a),
        lambda a, b: abs(reference.entropy_of_rows(a) - reference.entropy_of_rows((1.5 * np.array(a)).tolist())),
    ),
    "focus": (
        "logits",
        lambda a, b: reconstruction.focus(a, b.x, jnp.tanh(b.r[0] / 2), 2.0, 0.5),
        lambda a, b: reference.focus(a, b.x, np.tanh(b.r[0].astype(float) / 2), 2.0, 0.5),
    ),
    "zero_pull": (
        "r",
        lambda r, b: zero.pull(r[0], b.x, jnp.asarray(RADIAL)),
        lambda r, b: reference.zero_pull(r[0], b.x, RADIAL_),
    ),
    "zero_correlation": (
        "r",
        lambda r, b: zero.correlation(r[0], b.x, -0.3),
        lambda r, b: reference.zero_correlation(r[0], b.x, -0.3),
    ),
}


def draw(seed, allowed=tuple(range(D + 1))):
    """Random operations of these levels; levels are equally likely, so operations of high levels repeat."""
    rng = np.random.default_rng(seed)
    index = np.array([[rng.choice(np.flatnonzero(ternary.valuations() == v)) for v in rng.choice(allowed, ROWS)]])
    index = np.concatenate([index, rng.permutation(index[0])[None], rng.permutation(index[0])[None]])
    v = ternary.valuations()[index]
    r = 2.2 - 0.2 * v[:2] + rng.normal(size=(2, ROWS))
    return Batch(
        x=ternary.operations()[index[0]],
        v=v[:2],
        pair_v=ternary.pair_valuation(index[:1], index[1:]),
        r=np.abs(r).astype(np.float32),
        d=rng.uniform(0, 4, (2, ROWS)).astype(np.float32),
        logits=rng.normal(size=(ROWS, D, 3)).astype(np.float32),
        code=rng.normal(size=(2, ROWS, DIM)).astype(np.float32),
    )


def with_single(batch):
    """Level 3 has one row, level 4 none."""
    v = batch.v[0].copy()
    v[(v == 3) | (v == 4)] = 2
    v[0] = 3
    return batch._replace(v=np.stack([v, batch.v[1]]))


GENERIC = {
    "all levels": draw(0),
    "gaps": draw(1, (0, 3, 4, 8)),
    "ends": draw(2, (0, 9)),
    "a single": with_single(draw(3)),
}
DEGENERATE = {
    "one level": draw(4, (2,)),
    "one operation": draw(5, (9,)),
    "one radius": draw(6)._replace(r=np.full((2, ROWS), 0.3, np.float32), d=np.zeros((2, ROWS), np.float32)),
    "at the origin": draw(7)._replace(r=np.zeros((2, ROWS), np.float32)),
    "far": draw(8)._replace(r=np.full((2, ROWS), 12, np.float32), d=np.full((2, ROWS), 25, np.float32)),
}


@functools.cache
def compiled(name):
    return jax.jit(jax.value_and_grad(LOSSES[name][1]))


def ours(name, batch):
    return compiled(name)(jnp.asarray(getattr(batch, LOSSES[name][0])), batch)


def theirs(name, batch, a):
    return LOSSES[name][2](np.asarray(a, np.float64).tolist(), batch._replace(v=batch.v.tolist()))


@pytest.mark.parametrize("kind", GENERIC | DEGENERATE)
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_that_of_the_reference_with_a_finite_gradient(name, kind):
    batch = (GENERIC | DEGENERATE)[kind]
    value, gradient = ours(name, batch)
    assert value.shape == ()
    assert value.dtype == jnp.float32
    assert float(value) == pytest.approx(theirs(name, batch, getattr(batch, LOSSES[name][0])), rel=2e-5, abs=1e-6)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("kind", GENERIC)
@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_the_slopes_of_the_reference(name, kind):
    batch = GENERIC[kind]
    at, gradient = np.asarray(getattr(batch, LOSSES[name][0]), np.float64), ours(name, batch)[1]
    rng = np.random.default_rng(9)
    for _ in range(3):
        direction = rng.normal(size=at.shape)
        step = 1e-6 * direction
        slope = (theirs(name, batch, at + step) - theirs(name, batch, at - step)) / 2e-6
        size = float(np.linalg.norm(gradient) * np.linalg.norm(direction))
        assert np.vdot(gradient, direction) == pytest.approx(slope, rel=1e-4, abs=1e-5 * size + 1e-9)


def test_a_variance_and_a_correlation_have_second_derivatives():
    """check_grads to order two of the variance inside levels and of the correlation with zero trits."""
    batch = GENERIC["a single"]
    with jax.enable_x64(True):

        def smooth(r):
            spread = levels.statistics(r, jnp.asarray(batch.v[0]), D).variance
            return jnp.sum(spread) + zero.correlation(r, jnp.asarray(batch.x), -0.3)

        check_grads(jax.jit(smooth), (jnp.asarray(batch.r[0].astype(np.float64)),), order=2, modes=["fwd"])


@pytest.mark.parametrize("name", LOSSES)
def test_losses_do_not_depend_on_the_order_of_the_batch(name):
    batch = GENERIC["all levels"]
    order = np.random.default_rng(1).permutation(ROWS)
    shuffled = Batch(*(a[order] if field in ("x", "logits") else a[:, order] for field, a in batch._asdict().items()))
    (value, gradient), (again, moved) = ours(name, batch), ours(name, shuffled)
    assert float(again) == pytest.approx(float(value), rel=1e-5)
    gradient = gradient[order] if LOSSES[name][0] == "logits" else gradient[:, order]
    np.testing.assert_allclose(moved, gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["margin", "rank", "ranking", "ranking by margins"])
def test_losses_are_symmetric_in_a_pair(name):
    batch = GENERIC["all levels"]
    turned = batch._replace(v=batch.v[::-1], pair_v=batch.pair_v[::-1], r=batch.r[::-1], d=batch.d[::-1])
    assert float(ours(name, turned)[0]) == pytest.approx(float(ours(name, batch)[0]), rel=1e-6)


@pytest.mark.parametrize("name", ["margin", "rank", "separation", "ranking", "ranking by margins", "violated"])
def test_losses_that_compare_levels_are_0_on_one_level(name):
    batch = DEGENERATE["one level"]
    batch = batch._replace(pair_v=batch.v)
    value, gradient = ours(name, batch)
    assert float(value) == 0
    assert not gradient.any()


# --- known values -----------------------------------------------------------------------------------------------------


def one_of_each(r):
    """(radii, levels) of a batch: the radii r (D + 1,) of all levels in order, repeated."""
    return np.tile(np.asarray(r, np.float32), ROWS // (D + 1)), np.tile(LEVELS, ROWS // (D + 1))


def known(r, v=LEVELS):
    """The values of all losses of radii, by name, for radii r and levels v, each row paired with the next."""
    r, v = one_of_each(r) if len(r) == D + 1 else (np.asarray(r, np.float32), v)
    pairs = (np.stack([a, np.roll(a, 1)]) for a in (r, v))
    radii, valuations = pairs
    batch = GENERIC["all levels"]._replace(r=radii, v=valuations)
    return {name: float(ours(name, batch)[0]) for name in LOSSES if LOSSES[name][0] == "r"}


def test_perfect_bands_cost_nothing():
    losses = known(RADIAL)
    for name in ("squared", "margin", "stratification", "level_means", "separation"):
        assert losses[name] == pytest.approx(0, abs=1e-12), name
    assert losses["monotonic"] < 0.1
    monotonic = jax.jit(radial.monotonic)(*map(jnp.asarray, (*one_of_each(RADIAL), RADIAL)), 1.0, 0.2, 0.5)
    assert float(monotonic) == pytest.approx(0.2 * math.log(2))
    assert float(ours("pair_distance", GENERIC["all levels"]._replace(d=FAR[GENERIC["all levels"].pair_v]))[0]) == 0


def test_bands_upside_down_cost_their_distances():
    losses = known(RADIAL[::-1])
    assert losses["separation"] == pytest.approx(RADIAL[0] - RADIAL[-1] + 9 * 0.1, rel=1e-5)
    assert losses["level_means"] == pytest.approx(np.mean((RADIAL - RADIAL[::-1]) ** 2), rel=1e-5)
    assert losses["margin"] == pytest.approx(1.5 * np.mean(np.abs(RADIAL - np.roll(RADIAL, 1))), rel=1e-5)


def test_equal_radii_cost_half_a_rank_per_step_and_the_margins_between_targets():
    losses = known(np.full(D + 1, 1.0))
    assert losses["rank"] == pytest.approx((9 * 1 + 9) / 10 / 2)
    assert losses["margin"] == pytest.approx(0.5 * np.mean(np.abs(RADIAL - np.roll(RADIAL, 1))), rel=1e-5)
    assert losses["separation"] == pytest.approx(9 * 0.1)
    assert losses["zero_correlation"] == pytest.approx(0.09)
    assert losses["floor"] == pytest.approx(0.25)


def test_absent_levels_are_skipped():
    """Of levels 0, 2 and 9, the neighbours are 0 - 2 and 2 - 9; 2 lies 0.5 too far out, 9 at the gap."""
    v = np.resize(np.array([0, 2, 9, 2], np.int32), ROWS)
    r = np.where(v == 0, 2.0, np.where(v == 2, 2.5, 2.4))
    assert known(r, v)["separation"] == pytest.approx((0.5 + 0.1) + 0, abs=1e-6)
    pairs = np.argwhere(jax.jit(levels.adjacent)(STATISTICS(jnp.asarray(r, jnp.float32), jnp.asarray(v))))
    assert pairs.tolist() == [[0, 2], [2, 9]]


def test_a_level_of_one_row_and_the_top_level_have_no_floor():
    v = np.r_[np.zeros(ROWS - 9), np.full(8, 9), 4].astype(np.int32)
    r = np.ones(ROWS)
    assert known(r, v)["floor"] == pytest.approx(0.25)  # level 0 alone, not a third or two thirds of it
    r[0] = 4.0 + math.sqrt(30 * BANDS[0] * ROWS)
    assert known(r, v)["floor"] == 0


def test_bands_filled_uniformly_have_the_variance_of_reference():
    middle = (RADIAL[1:] + RADIAL[:-1]) / 2
    outer = np.r_[2 * RADIAL[0] - middle[0], middle]
    inner = np.r_[middle, 2 * RADIAL[-1] - middle[-1]]
    share = np.linspace(0, 1, 401)
    r = (inner + (outer - inner) * share[:, None]).astype(np.float32)
    full = STATISTICS(jnp.asarray(r.ravel()), jnp.asarray(np.tile(LEVELS, 401)))
    reference_variance = jax.jit(rich.band_variance)(jnp.asarray(RADIAL))
    np.testing.assert_allclose(reference_variance, BANDS, rtol=1e-5)
    np.testing.assert_allclose(full.variance, reference_variance, rtol=0.01)
    floor = jax.jit(rich.floor)
    assert float(floor(full, reference_variance, 0.98)) == 0
    assert float(floor(full, reference_variance, 1.2)) == pytest.approx(0.04, rel=0.1)
    np.testing.assert_allclose(reference.band_variance([3, 2.5, 2, 1.5, 1]), np.full(5, 0.25 / 12), rtol=1e-12)


def test_statistics_of_levels_keep_a_narrow_spread_far_out():
    rng = np.random.default_rng(2)
    v = rng.choice(np.array([0, 1, 5], np.int32), ROWS)
    v[:2] = 7, 0
    r = (3 + 1e-4 * rng.normal(size=ROWS)).astype(np.float32)
    found = STATISTICS(jnp.asarray(r), jnp.asarray(v))
    wide = [r[v == k].astype(np.float64) for k in LEVELS]
    np.testing.assert_array_equal(found.size, [len(a) for a in wide])
    np.testing.assert_allclose(found.mean, [a.mean() if len(a) else 0 for a in wide], rtol=3e-7)
    np.testing.assert_allclose(found.variance, [a.var(ddof=1) if len(a) > 1 else 0 for a in wide], rtol=0.01)


def test_cross_entropy_is_the_log_of_three_per_digit_at_chance_and_0_when_sure():
    batch = GENERIC["all levels"]
    chance = batch._replace(logits=np.zeros_like(batch.logits))
    assert float(ours("cross_entropy", chance)[0]) == pytest.approx(D * math.log(3), rel=1e-5)
    sure = batch._replace(logits=100 * np.eye(3, dtype=np.float32)[batch.x + 1])
    assert float(ours("cross_entropy", sure)[0]) == 0


def test_free_bits_are_a_floor_per_dimension_of_the_mean_over_the_batch():
    prior = np.zeros((ROWS, DIM), np.float32)
    one = np.zeros((ROWS, DIM), np.float32)
    one[:, 1] = one[0, 2] = 2  # dimension 1 uses 2 nats in all rows, dimension 2 in one of them
    kl = jax.jit(reconstruction.gaussian_kl)
    assert float(kl(prior, prior, 0.0)) == 0
    assert float(kl(prior, prior + np.float32(1e-3), 0.0)) == pytest.approx(DIM * 1e-6 / 4, rel=1e-3)
    assert float(kl(prior, prior, 0.3)) == pytest.approx(DIM * 0.3)
    assert float(kl(one, prior, 0.3)) == pytest.approx(2 + 3 * 0.3)
    assert float(kl(one, prior, 0.0)) == pytest.approx(2 + 2 / ROWS)


def test_targets_are_shares_of_the_radius_of_the_ball_at_any_curvature():
    traced = jax.jit(radial.targets, static_argnums=3)
    for inner, outer, c0, n_digits in ((0.08, 0.9, 1.0, 9), (0.2, 0.7, 0.3, 9), (0.1, 0.95, 4.0, 2)):
        expected = reference.radial_targets(inner, outer, c0, n_digits)
        np.testing.assert_allclose(traced(inner, outer, c0, n_digits), expected, rtol=3e-6)
        edge = np.array([outer, 0], np.float32) / np.float32(math.sqrt(c0))
        antipodes = float(poincare.dist(edge, -edge, c0))
        assert antipodes == pytest.approx(2 * expected[0], rel=1e-5)
        assert float(geodesic.reachable(outer, c0)) == pytest.approx(antipodes, rel=1e-5)
    assert [round(float(t), 2) for t in RADIAL[[0, -1]]] == [2.94, 0.16]


def test_geodesic_targets_fall_by_level_and_end_at_one_operation():
    found = jax.jit(geodesic.targets, static_argnums=2)(3.0, 3.0, D)
    np.testing.assert_allclose(found, reference.geodesic_targets(3.0, 3.0, D), rtol=1e-6)
    np.testing.assert_allclose(found[:5], [3.0, 2.15, 1.54, 1.10, 0.79], atol=0.005)


def test_a_level_beyond_the_table_is_no_number():
    with jax.debug_nans(False):
        assert np.isnan(levels.at(jnp.asarray(RADIAL), jnp.asarray([10]))).all()


def test_padic_targets_are_the_distances_of_the_operations():
    found = jax.jit(padic.targets, static_argnums=1)(1.5, D)
    rows = np.r_[0, 3 ** np.arange(D)[::-1]]  # of valuation D, D-1, ..., 0
    np.testing.assert_allclose(found[::-1], 1.5 * ternary.distance(rows, 0), rtol=1e-6)


def test_repulsion_of_normal_latents_is_its_closed_form_and_next_to_nothing_in_16_dimensions():
    rng, width, dim, one = np.random.default_rng(0), 1.5, 2, np.zeros(200_000, np.int32)
    d = np.linalg.norm(np.sqrt(2) * rng.normal(size=(len(one), dim)), axis=1).astype(np.float32)
    found = float(jax.jit(repulsion.gaussian, static_argnums=3)(d, one, width, D))
    assert found == pytest.approx((1 + 4 / width**2) ** (-dim / 2), rel=0.01)
    assert (1 + 4 / 0.5**2) ** -8 < 1.5e-10


def test_entropies_at_chance_when_sure_and_when_all_rows_are_sure_of_the_same():
    of_mean, of_rows = small.jit(entropy.of_mean), small.jit(entropy.of_rows)
    chance = jnp.zeros((ROWS, D, 3))
    turns = np.arange(ROWS * D).reshape(ROWS, D) % 3
    turns[:, 0] = 2
    sure = jnp.asarray(1e4 * np.eye(3, dtype=np.float32)[turns])
    assert float(of_mean(chance)) == pytest.approx(D * math.log(3), rel=1e-6)
    assert float(of_rows(chance)) == pytest.approx(math.log(3), rel=1e-5)
    shares = np.stack([np.bincount(column, minlength=3) / ROWS for column in turns.T])
    assert float(of_mean(sure)) == pytest.approx(sum(stats.entropy(p) for p in shares), rel=1e-5)
    assert float(of_rows(sure)) == 0
    for loss in (entropy.of_mean, entropy.of_rows):
        assert np.isfinite(small.jit(jax.grad(loss))(sure)).all()
    value, gradient = small.jit(jax.value_and_grad(entropy.alignment))(0.1 * sure, 0.1 * sure)
    assert (float(value), np.any(gradient)) == (0, False)


def test_ascending_the_entropy_spreads_what_is_decoded():
    drawn = np.random.default_rng(3).normal(size=(ROWS, D, 3)) + np.array([2, 0, 0])

    @small.jit
    def ascended(logits):
        after = jax.lax.fori_loop(0, 100, lambda _, a: a + 5 * jax.grad(entropy.of_mean)(a), logits)
        return entropy.of_mean(logits), entropy.of_mean(after)

    before, after = ascended(drawn.astype(np.float32))
    assert before < 0.9 * D * math.log(3) < 0.99 * D * math.log(3) < after


def test_focus_is_the_cross_entropy_at_a_weight_that_the_place_sets_and_no_gradient_moves():
    batch = GENERIC["all levels"]
    x, logits, whole = jnp.asarray(batch.x), jnp.asarray(batch.logits), float(ours("cross_entropy", batch)[0])
    of_share = small.jit(jax.value_and_grad(lambda share: reconstruction.focus(logits, x, share, 2.0, 0.5)))
    for place, weight in ((0.0, 1.5), (0.9, 0.51), (1.0, 0.5)):
        share = jnp.full(ROWS, place, jnp.float32)
        value, slope = of_share(share)
        assert float(value) == pytest.approx(weight * whole, rel=1e-5)
        assert not slope.any()


# --- the zero structure -----------------------------------------------------------------------------------------------


def test_the_zero_structure_pulls_operations_of_valuation_0_inward():
    """The defect: 6,561 of the 19,683 operations have a leading zero trit, all of valuation 0, the outermost level."""
    x, v = jnp.asarray(ternary.operations()), ternary.valuations()
    z = np.asarray(zero.leading(x))
    assert z.tolist() == [reference.leading_zero_trits(row) for row in x.tolist()]
    assert np.sum(z >= 1) == 6561
    assert (v[z >= 1] == 0).all()
    assert (z[9841], v[9841]) == (D, 0)  # the operation that is 0 everywhere
    assert stats.spearmanr(v, z)[0] == pytest.approx(-0.4815, abs=1e-4)

    r = jnp.full(len(z), 2.5)  # between the targets of levels 0 and 1
    inward = jax.grad(lambda r: zero.pull(r, x, jnp.asarray(RADIAL)))(r) > 0
    outward = jax.grad(lambda r: radial.weighted_squared_error(r, jnp.asarray(v), jnp.asarray(RADIAL), 0.4))(r) < 0
    np.testing.assert_array_equal(inward, z >= 1)
    np.testing.assert_array_equal(outward, v == 0)
    assert (inward & outward).sum() == 6561


def test_correlation_with_zero_trits_is_pearsons_at_any_scale_and_0_where_there_is_no_spread():
    batch = GENERIC["all levels"]
    count = (batch.x == 0).sum(1)
    for scale in (1.0, 1e-12, 1e12):
        r = scale * batch.r
        aim_off = (np.corrcoef(count, r[0])[0, 1] + 0.3) ** 2
        value, gradient = ours("zero_correlation", batch._replace(r=r.astype(np.float32)))
        assert float(value) == pytest.approx(aim_off, rel=1e-4)
        assert np.isfinite(gradient).all()
    rounded = np.where(count > 3, np.float32(0.3), np.nextafter(np.float32(0.3), np.float32(1)))
    flat = [DEGENERATE[name] for name in ("one radius", "at the origin", "one operation")]
    for case in (*flat, batch._replace(r=np.stack([rounded, rounded]))):
        value, gradient = ours("zero_correlation", case)
        assert float(value) == pytest.approx(0.09)
        assert not gradient.any()
