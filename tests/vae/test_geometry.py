"""model.geometry: R^n as a latent space, its functions, its losses and metrics, and what it refuses."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from scipy.stats import spearmanr

from ternary_jax import poincare, ternary
from ternary_jax.config import load_config, split
from ternary_jax.engine import host
from ternary_jax.errors import ConfigError
from ternary_jax.vae import evaluate, forward, geometry, task
from ternary_jax.vae.data import Indices
from ternary_jax.vae.losses import centroid, geodesic, radial, registry

FLAT = {"model__geometry": "euclidean", "model__c": 1.0}


def points(n=81, dim=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


@pytest.mark.parametrize("name", ["dist", "squared_dist", "dist0", "log0"])
def test_the_functions_are_the_limits_of_those_of_the_ball(name):
    x, y = points(2)
    args = (x, y) if name in ("dist", "squared_dist") else (x,)
    flat = getattr(geometry, name)(*args, None)
    np.testing.assert_allclose(flat, getattr(poincare, name)(*args, 1e-7), rtol=2e-6)
    np.testing.assert_array_equal(getattr(geometry, name)(*args, 0.01), getattr(poincare, name)(*args, 0.01))


def test_a_distance_is_twice_the_norm_and_0_with_gradient_0_at_one_point():
    x, y = points(2)
    np.testing.assert_allclose(geometry.dist(x, y, None), 2 * np.linalg.norm(x - y), rtol=1e-6)
    for f in (geometry.dist, geometry.squared_dist):
        value, slopes = jax.value_and_grad(f, (0, 1))(x, x, None)
        assert value == 0
        assert all((g == 0).all() for g in slopes)
    assert (jax.grad(geometry.dist0)(0 * x, None) == 0).all()


@pytest.mark.parametrize("c", [None, 0.7])
def test_share_is_the_inverse_of_radius(c):
    shares = np.array([0.0, 0.08, 0.5, 0.9], np.float32)
    np.testing.assert_allclose(geometry.share(geometry.radius(shares, c), c), shares, rtol=1e-6)
    np.testing.assert_array_equal(geometry.radius(shares, None), geometry.radius(shares, 1.0))


def test_targets_are_those_of_the_ball_of_c_1():
    np.testing.assert_array_equal(radial.targets(0.08, 0.9, None, 9), radial.targets(0.08, 0.9, jnp.float32(1), 9))
    np.testing.assert_allclose(geodesic.reachable(0.9, None), 4 * math.atanh(0.9), rtol=1e-6)


@pytest.mark.parametrize("projection", ["direction_radius", pytest.param("exp_map", marks=pytest.mark.slow)])
def test_points_of_a_branch_are_their_own_tangent_vectors(projection):
    """z = u and r = 2|u|; all else of the branch is as in the ball of c = 1."""
    own = {f"model__{b}__projection": projection for b in "AB"}

    def branch_a(given):
        made, static, hypers, params = small.setting(**own, **given)
        branches = {b: task.make_branch(b, static) for b in "AB"}
        rows, context = Indices(jnp.arange(24)), small.context(made, hypers)
        return small.jit(lambda params: forward.forward(branches, static, params, rows, context, 0)["A"])(params)

    flat, ball = branch_a(FLAT), branch_a({"model__c": 1.0})
    assert flat.c is None
    assert flat.c0 is None
    np.testing.assert_array_equal(flat.points.z, flat.points.u)
    np.testing.assert_allclose(flat.points.r, 2 * np.linalg.norm(flat.points.z, axis=-1), rtol=1e-6)
    np.testing.assert_allclose(flat.points.u, ball.points.u, rtol=1e-6)
    np.testing.assert_allclose(flat.logits, ball.logits, rtol=1e-5, atol=1e-6)


def test_the_means_of_balls_are_arithmetic():
    z, rows = points(24), np.arange(24, dtype=np.int32)
    by_hand = [4 * ((z[rows % 9 == k] - z[rows % 9 == k].mean(0)) ** 2).sum(-1) for k in range(9)]
    np.testing.assert_allclose(
        centroid.mean_squared_distance(jnp.asarray(z), jnp.asarray(rows), 2, None),
        np.concatenate(by_hand).mean(),
        rtol=1e-6,
    )


@pytest.mark.slow
def test_every_loss_of_points_and_gaussians_has_a_value_and_a_gradient():
    named = [name for name, loss in registry.table().items() if loss.posterior != "wrapped"]
    on = {f"losses__{name}__on": "AB" for name in named}
    stochastic = {f"model__{b}__posterior": "gaussian" for b in "AB"}
    made, _, hypers, params = small.setting(**FLAT, **on, **stochastic, data__partners=True)
    batch = Indices(jnp.arange(12), jnp.arange(12, 24))

    @small.jit
    def slope(params):
        def total(params):
            found = made.loss(params, batch, small.context(made, hypers))
            return found.total, found.terms

        return jax.value_and_grad(total, has_aux=True)(params)

    (_, terms), gradient = slope(params)
    assert len(terms) > len(named)
    assert all(np.isfinite(x) for x in terms.values())
    assert np.isfinite(small.flat(gradient)).all()


def test_metrics_are_those_of_euclidean_distances():
    z, samples = points(), evaluate.draw_samples(4)
    found = evaluate.measure(z, np.asarray(ternary.operations(4)), None, samples)  # pyright: ignore[reportArgumentType]
    v, norm = ternary.valuations(4), np.linalg.norm(z.astype(np.float64), axis=-1)

    def d(i, j):
        return 2 * np.linalg.norm(z[i].astype(np.float64) - z[j], axis=-1)

    in_order = d(samples.anchor, samples.near) < d(samples.anchor, samples.far)
    levels = [norm[v == k].var() for k in range(5)]
    by_hand = {
        "coverage": 1,
        "hierarchy": spearmanr(v, norm)[0],
        "richness": np.mean(levels),
        "richness_geodesic": 4 * np.mean(levels),
        "triplet_accuracy": in_order.mean(),
        "ultrametric_correlation": spearmanr(samples.pair_rank, d(samples.pair_i, samples.pair_j))[0],
    }
    for name, value in by_hand.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)


def test_ceilings_are_those_of_the_ball_but_for_richness_which_has_none():
    flat, ball = (
        {metric.name: metric.best for metric in small.setting(**given)[0].metrics}
        for given in (FLAT, {"model__c": 1.0})
    )
    assert flat.keys() == ball.keys()
    differ = {name for name in flat if flat[name] != ball[name] and not math.isnan(ball[name])}
    assert differ == {"richness_A", "richness_B"}
    assert flat["richness_B"] == math.inf


REFUSED = (
    (dict(model__c=0.7), "config.model.c=0.7 needs a curvature.*leave it at 1.0"),
    (dict(model__c=(1.0, 2.0), runs=2), "config.model.c=2.0 needs a curvature"),
    (dict(model__curvature="learned"), "config.model.curvature=learned needs a curvature"),
    (dict(rates__curvature=2.0), "config.rates.curvature=2.0 needs a curvature"),
    (dict(prior__homeostat=True), "config.prior.homeostat=True needs a curvature"),
    (dict(model__B__posterior="wrapped"), "config.model.B.posterior=wrapped needs a curvature.*set that"),
    (dict(control="statenet"), "config.control=statenet needs a curvature"),
)


@pytest.mark.parametrize(("given", "words"), REFUSED)
def test_what_needs_a_curvature_is_refused_with_the_key_and_the_fix(given, words):
    with pytest.raises(ConfigError, match=f"{words}.*or set config.model.geometry=poincare"):
        small.config(**(FLAT | given))


def test_the_ball_is_the_default_and_the_formulas_of_the_ball_refuse_r_n():
    static, _ = split(load_config(small.CONFIGS / "v5_12.py"))
    assert static.model.geometry == "poincare"
    x, y = points(2)
    with pytest.raises(TypeError):
        poincare.dist(x, y, None)  # pyright: ignore[reportArgumentType]


@pytest.mark.slow
def test_v5_12_trains_in_r_n(tmp_path):
    changes = {"model.geometry": "euclidean", "data.n_digits": 5, "data.high_from": 3, "train.batch_size": 162}
    changes |= {"train.epochs": 12, "evaluate.costly_every": 12, "evaluate.cheap_every": 6, "checkpoint.every": 12}
    changes |= {"log.tensorboard": False, "compilation_cache": False}
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)  # most of the time is compiling
    summary = host.run(load_config(small.CONFIGS / "v5_12.py", changes), tmp_path)
    jax.config.update("jax_disable_most_optimizations", before)
    (run,) = summary["runs"]
    assert summary["finished"]
    assert run["final"]["hierarchy_B"] < -0.5
    assert run["final"]["triplet_accuracy_B"] > 0.8
    with np.load(tmp_path / "embeddings" / "run_000.npz") as exported:
        assert "c" not in exported
        np.testing.assert_allclose(exported["radius_B"], 2 * np.linalg.norm(exported["z_B"], axis=-1), rtol=1e-6)
