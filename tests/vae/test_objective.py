"""The sum of the losses against Python loops: every part, weight and factor, and losses that are off."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from jaxprs import equations
from reference import judge
from reference import losses as reference
from scipy import stats

from ternary_jax.config import split
from ternary_jax.vae import objective
from ternary_jax.vae.branch import Latent, Points
from ternary_jax.vae.data import Indices
from ternary_jax.vae.losses import pairs, ranking, registry, rich
from ternary_jax.vae.outputs import Batch, BranchOutput

D, N, DIM = small.D, small.N, small.DIM
C, C0, SIGMA = 1.3, 0.7, 0.8
ROWS: Any = np.array([0, 80, 27, 9, 13, 54, 40, 3, 1, 30, 18, 31, 40, 27, 36, 7], np.int32)  # the latter half: partners
SHIFTS: Any = np.array([1, 5, 15], np.int32)
KEY = jax.random.key(3)
V: Any = judge.valuation_of_integer(ROWS, D).astype(np.int32)
X: Any = judge.trits(D)[ROWS].astype(np.int8)
TARGETS = reference.radial_targets(0.08, 0.9, C0, D)
# Some losses are on for one branch only, to save compiling.
ALL_ON = dict.fromkeys(registry.table(), "AB")
ALL_ON |= {"ranking": "A", "ranking_v2": "B", "ranking_hyperbolic": "A", "centroid": "B"}
# All weights differ from the config and from each other, so that a mix-up shows.
WEIGHTS = {name: 0.3 + 0.17 * k for k, name in enumerate(ALL_ON)}
FACTORS = {
    "radial": 0.6,
    "geodesic": 1.7,
    "kl_A": 2.2,
    "kl": 0.9,
    "kl_B": 0.4,
    "rich": 1.1,
    "bands": 0.0,
    "focus_A": 1.3,
    "alignment": 0.7,
}


def output_of(seed):
    rng: Any = np.random.default_rng(seed)
    z: Any = rng.normal(size=(len(ROWS), DIM))
    z *= rng.uniform(0.05, 0.9, (len(ROWS), 1)) / np.linalg.norm(z, axis=1, keepdims=True) / np.sqrt(C)
    u, r = rng.normal(size=z.shape), rng.uniform(0.1, 3, len(ROWS))
    noise, u_drawn = rng.normal(size=(2, *z.shape))
    found = BranchOutput(
        batch=Batch(ROWS, V, X, SHIFTS, None),
        latent=Latent(*rng.normal(size=(2, len(ROWS), DIM))),
        points=Points(z, u, r),
        noise=noise,
        drawn=Points(z, u_drawn, r),
        logits=rng.normal(size=(len(ROWS), D, 3)),
        c=jnp.float32(C),
        c0=jnp.float32(C0),
        sigma=jnp.float32(SIGMA),
        targets=jnp.array(TARGETS),
    )
    found = jax.tree.map(lambda a: a.astype("float32") if np.asarray(a).dtype == np.float64 else a, found)
    return found._replace(batch=found.batch._replace(key=KEY))


OUTPUTS = {"A": output_of(0), "B": output_of(1)}


@functools.cache
def weights():
    """The group `losses` of the hypers of one run."""
    given = {f"losses__{name}__weight": weight for name, weight in WEIGHTS.items()}
    shares = {"losses__ranking_v2__hard_share": 0.3, "losses__ranking_hyperbolic__hard_share": 0.8}
    _, hypers = split(small.config(**given, **shares, losses__rich__kappa=40.0))  # a floor that is not met
    return jax.tree.map(lambda x: x[0], hypers.losses)


total = objective.total


# --- against loops ----------------------------------------------------------------------------------------------------


def in_pairs(a):
    """(a_b, a_(b - shift)) of all rows b, by shift."""
    n = len(a)
    return [(a[b], a[(b - shift) % n]) for shift in SHIFTS for b in range(n)]


def pair_valuation(i, j):
    return int(judge.valuation_of_integer(np.array([abs(int(i) - int(j))]), D)[0])


def distance(pair):
    x, y = (np.asarray(z, np.float64)[None] for z in pair)
    return float(judge.geodesic(x, y, C)[0])


def expected_parts(output):
    """part: (loss, weight of the part, value)"""
    h, n = weights(), len(ROWS) // 2
    r, v, z, x = output.points.r.tolist(), V.tolist(), output.points.z, X.tolist()
    r_i, r_j = zip(*in_pairs(r), strict=True)
    v_i, v_j = zip(*in_pairs(v), strict=True)
    mean, log_variance = (np.asarray(a, np.float64).tolist() for a in output.latent)
    far = reference.geodesic_targets(h.geodesic.furthest, h.geodesic.scale, D)
    pair_v = [pair_valuation(i, j) for i, j in in_pairs(ROWS.tolist())]
    d = [distance(pair) for pair in in_pairs(z)]
    b = h.bands
    furthest = float(b.furthest / np.sqrt(C0))
    partners = [distance(pair) for pair in zip(z[:n], z[n:], strict=True)]
    partner_v = [pair_valuation(i, j) for i, j in zip(ROWS[:n], ROWS[n:], strict=True)]
    without_0 = [a if k > 0 else furthest for a, k in zip(r, v, strict=True)]
    of_band = (float(b.ratio), float(b.width), D)
    bands = np.asarray(rich.band_variance(jnp.asarray(TARGETS)), np.float64)
    share = np.tanh(np.sqrt(C) * np.asarray(r) / 2)
    u, wide = (np.asarray(a, np.float64) for a in (output.points.u, z))
    lengths = [flat(*pair) for pair in in_pairs(u)]
    of_level = {k: reference.centroid(wide, ROWS.tolist(), k, C) for k in (1, 2, 3)}
    return {
        "reconstruction": ("reconstruction", 1, reference.cross_entropy(output.logits.tolist(), x)),
        "kl": ("kl", 1, reference.gaussian_kl(mean, log_variance, h.kl.free_bits)),
        "prior": ("prior", 1, wrapped_kl(output)),
        "radial": ("radial", 1, reference.squared(r, v, TARGETS, h.radial.growth)),
        "radial_margin": (
            "radial",
            h.radial.margin,
            reference.margin(r_i, r_j, v_i, v_j, TARGETS, h.radial.share),
        ),
        "stratification": ("stratification", 1, reference.stratification(r, v, TARGETS)),
        "monotonic": (
            "monotonic",
            1,
            reference.monotonic(r, v, TARGETS, h.monotonic.share, h.monotonic.softness, h.monotonic.pull),
        ),
        "rank": ("rank", 1, reference.rank(r_i, r_j, v_i, v_j, h.rank.temperature)),
        "rich_means": ("rich", h.rich.means, reference.level_means(r, v, TARGETS)),
        "rich_floor": ("rich", h.rich.floor, reference.floor(r, v, bands, h.rich.kappa)),
        "rich_separation": ("rich", h.rich.separation, reference.separation(r, v, D, h.rich.gap)),
        "geodesic": ("geodesic", 1, reference.pair_distance(d, pair_v, far)),
        "zero": ("zero", h.zero.pull, reference.zero_pull(r, x, TARGETS)),
        "zero_correlation": ("zero", h.zero.correlation, reference.zero_correlation(r, x, h.zero.aim)),
        "band_radius": ("bands", b.radius, reference.outside(without_0, v, furthest, *of_band, True)),
        "band_distance": ("bands", b.distance, reference.outside(partners, partner_v, furthest, *of_band, False)),
        "band_spread": ("bands", b.spread, reference.spread(r, x, b.outer, b.between, C0)),
        "metric": ("metric", 1, reference.padic(lengths, pair_v, reference.padic_targets(h.metric.scale, D))),
        "norm": ("norm", 1, reference.padic(r, v, reference.padic_targets(h.norm.scale, D))),
        "ranking": ("ranking", 1, at_random(u, flat, h.ranking.margin, 0)),
        **half_mined("ranking_v2", u, flat, h.ranking_v2),
        **half_mined("ranking_hyperbolic", wide, lambda x, y: distance((x, y)), h.ranking_hyperbolic),
        "repulsion": ("repulsion", 1, reference.repulsion(lengths, pair_v, h.repulsion.width, D)),
        **{f"centroid_{k}": ("centroid", h.centroid.decay ** (k - 1), value) for k, value in of_level.items()},
        "entropy": ("entropy", 1, -reference.entropy_of_mean(output.logits.tolist())),
        "focus": ("focus", 1, reference.focus(output.logits.tolist(), x, share, h.focus.power, h.focus.least)),
    }


def wrapped_kl(output):
    """log q - log p of the draws: at lengths |v| from the mean, and |w| from the origin, in the metric."""
    scale, noise, u = (
        np.asarray(a, np.float64) for a in (np.exp(output.latent.log_variance / 2), output.noise, output.drawn.u)
    )
    log_q, log_p = (
        stats.norm.logpdf(v, scale=s).sum(-1) - (DIM - 1) * np.log(np.sinh(length) / length)
        for v, s in ((scale * noise, scale), (2 * u, SIGMA))
        for length in [np.sqrt(C) * np.linalg.norm(v, axis=-1)]
    )
    return float(np.mean(log_q - log_p))


def flat(x, y):
    return float(np.linalg.norm(x - y))


def at_random(points, distance, least, slope):
    n, (s, t) = len(ROWS), ranking.shifts(jax.random.fold_in(KEY, 0), len(ROWS))
    others = [[(i - int(shift)) % n for i in range(n)] for shift in (s, t)]
    v_j, v_k = ([pair_valuation(ROWS[i], ROWS[j]) for i, j in enumerate(other)] for other in others)
    d_j, d_k = ([distance(points[i], points[j]) for i, j in enumerate(other)] for other in others)
    return reference.ordered(d_j, d_k, v_j, v_k, reference.triplet_margin(v_j, v_k, least, slope))


def half_mined(name, points, distance, h):
    d = [[distance(x, y) for y in points] for x in points]
    v = [[pair_valuation(i, j) for j in ROWS] for i in ROWS]
    there = [(i, *pair) for i, pair in enumerate(reference.mine(d, v, D)[: len(ROWS) // 2]) if pair]
    (d_p, d_n), (v_p, v_n) = (([a[i][j] for i, j, _ in there], [a[i][k] for i, _, k in there]) for a in (d, v))
    margins = reference.triplet_margin(v_p, v_n, h.margin, h.slope)
    worst = reference.violated(d_p, d_n, len(there) * [True], margins)
    return {
        f"{name}_mined": (name, h.hard_share, worst),
        f"{name}_random": (name, 1 - h.hard_share, at_random(points, distance, h.margin, h.slope)),
    }


def expected_jointly():
    """The expected parts of the losses that use both branches."""
    entropies = [reference.entropy_of_rows(output.logits.tolist()) for output in OUTPUTS.values()]
    return {"alignment": ("alignment", 1, abs(entropies[0] - entropies[1]))}


@functools.cache
def expected():
    """{suffix of the term names: `expected_parts`} of each branch, and of the losses of both."""
    of_branches = {f"_{b}": of_loss(b, expected_parts(output)) for b, output in OUTPUTS.items()}
    return of_branches | {"": expected_jointly()}


def of_loss(b, parts):
    """The parts of the losses that are on for the branch."""
    return {part: found for part, found in parts.items() if b in ALL_ON[found[0]]}


@functools.cache
def found():
    """output, weights, factors -> (total, terms) with all on."""
    return small.jit(lambda output, weights, factors: total(output, ALL_ON, weights, factors))


def test_every_part_is_that_of_a_loop():
    _, terms = found()(OUTPUTS, weights(), FACTORS)
    assert set(terms) == {f"{part}{ending}" for ending, parts in expected().items() for part in parts}
    for ending, parts in expected().items():
        for part, (_, _, value) in parts.items():
            assert value < 0 if part == "entropy" else value > 0, part
            assert float(terms[f"{part}{ending}"]) == pytest.approx(value, rel=5e-5), f"{part}{ending}"


@pytest.mark.parametrize("factors", [FACTORS, dict.fromkeys(FACTORS, 1.0)])
def test_the_total_is_the_sum_of_weight_factor_and_part(factors):
    loss, _ = found()(OUTPUTS, weights(), factors)
    by_hand = 0.0
    for ending, parts in expected().items():
        for name, weight, value in parts.values():
            factor = factors.get(name, 1) * (factors.get(f"{name}{ending}", 1) if ending else 1)
            by_hand += WEIGHTS[name] * factor * float(weight) * value
    assert float(loss) == pytest.approx(by_hand, rel=2e-5)


def test_a_factor_by_the_name_of_a_joint_loss_counts_once():
    alone = small.jit(lambda factor: total(OUTPUTS, {"alignment": "AB"}, weights(), {"alignment": factor})[0])
    assert float(alone(0.7)) == pytest.approx(0.7 * float(alone(1.0)), rel=1e-6)


@pytest.mark.parametrize("k", [2, 7, 8])
def test_pairs_are_those_of_a_loop_for_every_shift(k):
    a: Any = np.random.default_rng(0).normal(size=(k, 3)).astype(np.float32)
    for shift in range(1, k):
        left, right = pairs.pairs(a, jnp.array([shift, 1], jnp.int32))
        expected = [(a[b], a[(b - s) % k]) for s in (shift, 1) for b in range(k)]
        np.testing.assert_array_equal(left, [pair[0] for pair in expected])
        np.testing.assert_array_equal(right, [pair[1] for pair in expected])
        assert (left != right).any(1).all()  # no row with itself


# --- on and off -------------------------------------------------------------------------------------------------------


def size(on):
    """Equations of the losses that are on."""
    made = jax.make_jaxpr(lambda output, weights: total(output, on, weights, {})[0])(OUTPUTS, weights())
    return len(made.jaxpr.eqns)


def test_a_loss_that_is_off_leaves_no_term_and_no_equation():
    """All losses together have the equations of each alone; so a loss that is off adds none."""
    alone = {name: size({name: "A"}) for name in ALL_ON}
    assert size({}) == 0
    assert min(alone.values()) > 3
    assert size(ALL_ON) == sum(
        n * (1 if registry.table()[name].joint else len(ALL_ON[name])) for name, n in alone.items()
    )
    for name, branches in ALL_ON.items():
        b = branches[-1]
        ending = "" if registry.table()[name].joint else f"_{b}"
        parts = {part for part, (of, _, _) in expected()[ending].items() if of == name}
        _, terms = jax.eval_shape(functools.partial(total, on={name: b}, factors={}), OUTPUTS, weights=weights())
        assert set(terms) == {f"{part}{ending}" for part in parts}


def of_step(**overrides):
    """The primitives of the loss of a whole step."""
    made, _, hypers, params = small.setting(**overrides)

    def loss(params, hypers):
        return made.loss(params, Indices(ROWS), small.context(made, hypers)).total

    return equations(jax.make_jaxpr(loss)(params, hypers).jaxpr)


def test_a_step_draws_and_computes_nothing_for_what_is_off():
    bare = of_step()
    for needs_distances, needs_pairs, overrides in (
        (True, True, dict(losses__geodesic__on="A")),
        (False, True, dict(losses__rank__on="B")),
        (False, False, dict(losses__stratification__on="B")),
        (False, True, dict(losses__ranking_v2__on="B")),
        (True, True, dict(losses__ranking_hyperbolic__on="A")),
    ):
        found = of_step(**overrides)
        assert len(found) > len(bare)
        assert ("asinh" in found) == needs_distances  # d(., .): radii are made from artanh
        assert ("random_bits" in found) == needs_pairs  # which shifts
        assert ("reduce_min" in found) == ("ranking" in str(overrides))
    assert not {"asinh", "random_bits", "random_fold_in"} & set(bare)
    assert "random_bits" in of_step(model__A__posterior="gaussian")
