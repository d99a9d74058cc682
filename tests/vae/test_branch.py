"""A branch: networks and points against numpy in float64; dropout, draws, dtype and remat of training."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from reference import judge

from ternary_jax import poincare
from ternary_jax.config import split
from ternary_jax.vae import branch as branches
from ternary_jax.vae.branch import Latent

ROWS = np.array([0, 80, 27, 9, 13, 40, 5, 1, 2], np.int32)
TRITS = judge.trits(small.D)[ROWS].astype(np.int8)
CURVATURES = (0.3, 1.0, 4.0)


def of(name: Any = "A", **overrides: Any) -> branches.Branch:
    return branches.make_branch(name, split(small.config(**overrides))[0])


def params_of(*made, seed=0):
    """Random parameters of branches, none of them 0."""
    shapes = {}
    for one in made:
        shapes |= jax.eval_shape(one.init, jax.random.key(0))
    return small.drawn(shapes, seed)


def latents(scale=1.0):
    return (scale * np.random.default_rng(3).normal(size=(40, small.DIM))).astype(np.float32)


# --- the same in numpy, float64 ---------------------------------------------------------------------------------------


def dense(x, layer):
    return x @ np.asarray(layer["kernel"], np.float64) + np.asarray(layer.get("bias", 0), np.float64)


def silu(x):
    return x / (1 + np.exp(-x))


def trunk(x, params, kind):
    for k in range(len(params)):
        layer = params[f"layer_{k}"]
        x = dense(x, layer["dense"])
        if kind == "improved":
            x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
            x = x * np.asarray(layer["norm"]["scale"], np.float64) + np.asarray(layer["norm"]["bias"], np.float64)
        x = np.maximum(x, 0) if kind == "plain" else silu(x)
    return x


def encoder(x, params, kind):
    """mean, log variance"""
    h = trunk(x, params["trunk"], kind)
    return dense(h, params["mean"]), np.clip(dense(h, params["log_variance"]), -10, 2)


def decoder(u, params, kind, gain):
    u = gain * u
    if kind not in ("residual", "relu_residual"):
        return dense(trunk(u, params["trunk"], kind), params["out"])
    if kind == "relu_residual":
        h = dense(u, params["into"])
        for k in range(3):
            h = np.maximum(h, 0)
            block = params[f"block_{k}"]
            h = h + dense(np.maximum(dense(h, block["in"]), 0), block["back"])
        return dense(h, params["out"])
    h = silu(dense(u, params["into"]))
    for k in range(sum(name.startswith("block") for name in params)):
        block = params[f"block_{k}"]
        h = h + dense(silu(dense(h, block["in"])), block["back"])
    return dense(silu(h), params["out"]) + dense(u, params["direct"])


def one_hot(x):
    return np.eye(3)[np.asarray(x) + 1].reshape(len(x), -1)


def norms(x):
    return np.linalg.norm(np.asarray(x, np.float64), axis=-1)


def log0(z, c):
    s = np.sqrt(c) * norms(z)[:, None]
    return np.where(s > 0, np.arctanh(s) / np.where(s > 0, s, 1), 1) * np.asarray(z, np.float64)


# --- the networks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inputs", ["trits", "one_hot"])
@pytest.mark.parametrize("kind", ["plain", "improved"])
def test_the_encoder_is_that_of_numpy(kind, inputs):
    made = of(model__A__encoder=kind, model__inputs=inputs, model__A__posterior="gaussian", model__A__hidden=(8, 6))
    params = params_of(made)
    found = small.jit(made.encode)(params, TRITS)
    x = TRITS if inputs == "trits" else one_hot(TRITS)
    mean, log_variance = encoder(x.astype(np.float64), params["encoder_A"], kind)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.log_variance, log_variance, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "widths"), [("plain", (7, 5)), ("improved", (7,)), ("residual", (7, 7)), ("relu_residual", (7, 7, 7))]
)
def test_the_decoder_is_that_of_numpy(kind, widths):
    made = of("B", model__B__decoder=kind, model__B__decoder_hidden=widths, model__B__decoder_gain=3.0)
    params, u = params_of(made), latents()
    found = small.jit(made.decode)(params, u)
    assert found.shape == (40, small.D, 3)
    expected = decoder(u.astype(np.float64), params["decoder_B"], kind, 3.0)
    np.testing.assert_allclose(found.reshape(40, -1), expected, rtol=1e-4, atol=1e-5)


def test_a_shared_decoder_is_that_of_a():
    a = of(model__A__decoder_hidden=(9,), model__A__decoder_gain=2.0)
    b = of("B", model__A__decoder_hidden=(9,), model__A__decoder_gain=2.0, model__B__decoder="shared")
    assert a.groups == ("encoder_A", "decoder_A", "projection_A")
    assert b.groups == ("encoder_B", "decoder_A", "projection_B")
    assert jax.eval_shape(b.init, jax.random.key(0)).keys() == {"encoder_B", "projection_B"}
    params, u = params_of(a, b), latents()
    np.testing.assert_array_equal(b.decode(params, u), a.decode(params, u))
    changed = params | {"decoder_A": jax.tree.map(lambda x: 2 * x, params["decoder_A"])}
    assert np.abs(b.decode(changed, u) - b.decode(params, u)).max() > 0.1


def test_the_documented_networks_have_the_documented_sizes():
    sizes = dict(
        data__n_digits=9, data__high_from=4, model__dim=16, model__inputs="trits", model__A__posterior="gaussian"
    )
    sizes |= dict(model__direction_hidden=(64, 64), model__radius_hidden=(32, 32), model__A__decoder="plain")
    sizes |= dict(model__A__hidden=(256, 128, 64), model__A__decoder_hidden=(32, 64))
    for kind, expected in (("plain", 45_792), ("improved", 46_688)):
        shapes = jax.eval_shape(of(model__A__encoder=kind, **sizes).init, jax.random.key(0))
        found = {group: sum(x.size for x in jax.tree.leaves(tree)) for group, tree in shapes.items()}
        assert found == {"encoder_A": expected, "decoder_A": 4_411, "projection_A": 8_177}
    assert "projection_A" not in jax.eval_shape(of(model__A__projection="exp_map").init, jax.random.key(0))
    made = of(
        model__A__projection="exp_map",
        model__A__encoder="plain",
        **sizes | dict(model__A__decoder="relu_residual", model__A__decoder_hidden=(128, 128)),
    )
    shapes = jax.eval_shape(made.init, jax.random.key(0))
    found = {group: sum(x.size for x in jax.tree.leaves(tree)) for group, tree in shapes.items()}
    assert found == {"encoder_A": 45_792, "decoder_A": 71_707}


def test_a_branch_that_is_not_stochastic_has_no_variance():
    made = of()
    params = params_of(made)
    assert made.encode(params, TRITS).log_variance is None
    assert params["encoder_A"].keys() == {"trunk", "mean"}


def test_log_variances_are_held_between_bounds():
    made = of(model__A__posterior="gaussian")
    params = params_of(made)
    params["encoder_A"]["log_variance"]["kernel"] *= 1e3
    found: Any = made.encode(params, TRITS).log_variance
    assert (found.min(), found.max()) == (-10, 2)


# --- points of the ball -----------------------------------------------------------------------------------------------


@functools.cache
def projecting(kind):
    made = of(model__A__projection=kind)
    return small.jit(lambda params, y, c: made.project(params, y, c)), params_of(made)


def assert_points(points, c, limit):
    """u = log_0(z) and r = d(0, z), of points that lie inside the limit."""
    s = np.sqrt(c) * norms(points.z)
    assert s.max() < limit
    np.testing.assert_allclose(points.r, 2 / np.sqrt(c) * np.arctanh(s), rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(points.u, log0(points.z, c), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("c", CURVATURES)
def test_a_direction_and_a_radius_make_a_point(c):
    project, params = projecting("direction_radius")
    y = latents()
    points = project(params, y, jnp.float32(c))
    assert_points(points, c, 0.95 * (1 + 1e-6))

    own, wide = params["projection_A"], y.astype(np.float64)
    towards = wide + dense(trunk(wide, own["direction"], "improved"), own["turn"])
    share = 1 / (1 + np.exp(-dense(trunk(wide, own["radius"], "smooth"), own["length"])))
    z = 0.95 / np.sqrt(c) * share * towards / norms(towards)[:, None]
    np.testing.assert_allclose(points.z, z, rtol=1e-4, atol=1e-5)
    assert np.ptp(norms(z)) > 0.05


@pytest.mark.parametrize("c", CURVATURES)
def test_no_latent_vector_leaves_the_greatest_radius(c):
    project, params = projecting("direction_radius")
    params = jax.tree.map(lambda x: 30 * x, params)
    points = project(params, latents(100), jnp.float32(c))
    assert_points(points, c, 0.95 * (1 + 1e-6))
    assert np.sqrt(c) * norms(points.z).max() > 0.9499


def test_at_the_start_the_direction_is_that_of_the_latent_vector():
    (project, drawn), y = projecting("direction_radius"), latents()
    params = small.jit(of().init)(jax.random.key(1))
    z = np.asarray(project(params, y, jnp.float32(0.7)).z, np.float64)
    np.testing.assert_allclose(z / norms(z)[:, None], y / norms(y)[:, None], rtol=1e-5, atol=1e-6)
    z = np.asarray(project(drawn, y, jnp.float32(0.7)).z, np.float64)
    assert np.abs(z / norms(z)[:, None] - y / norms(y)[:, None]).max() > 0.1  # and not for good


def test_a_latent_vector_of_0_has_a_finite_gradient():
    made = of()
    params = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), params_of(made))
    slope = small.jit(jax.grad(lambda y: sum(jnp.sum(a) for a in made.project(params, y, jnp.float32(0.7)))))
    assert np.isfinite(slope(jnp.zeros((1, small.DIM)))).all()


@pytest.mark.parametrize("c", CURVATURES)
def test_an_exp_map_makes_a_point(c):
    project, params = projecting("exp_map")
    y = latents(0.5 / np.sqrt(c))
    points = project(params, y, jnp.float32(c))
    assert_points(points, c, 1)
    np.testing.assert_allclose(points.u, y, rtol=1e-4)
    assert_points(project(params, 0 * y, jnp.float32(c)), c, 1)
    far = project(params, latents(100), jnp.float32(c))  # its float32 norm would be 1
    assert (np.sqrt(c) * norms(far.z) < 1).all()
    assert all(np.isfinite(a).all() for a in far)


# --- training ---------------------------------------------------------------------------------------------------------


def test_dropout_is_of_training_alone_and_changes_no_mean():
    made = of(model__A__encoder="improved", model__A__dropout=0.5)
    params, keys = params_of(made), jax.random.split(jax.random.key(0), 2000)
    sure = small.jit(made.encode)(params, TRITS).mean
    drawn = small.jit(jax.vmap(lambda key: made.encode(params, TRITS, key).mean))(keys)
    spread = np.std(drawn, 0)
    assert spread.min() > 0.01
    assert (np.abs(np.mean(drawn, 0) - sure) < 5 * spread / np.sqrt(len(keys))).all()  # the head is linear


@pytest.mark.parametrize("part", ["projection", "decoder"])
def test_projection_and_decoder_have_dropout_of_their_own(part):
    y, c = latents(), jnp.float32(1)
    made = of(model__projection_dropout=0.5, model__A__decoder="improved", model__A__dropout=0.5)
    none = of(model__A__decoder="improved")
    params = params_of(made)

    def call(made, key):
        found = made.project(params, y, c, key).z if part == "projection" else made.decode(params, y, key)
        return np.asarray(found)

    one, other = call(made, jax.random.key(0)), call(made, jax.random.key(1))
    assert np.abs(one - other).max() > 0.01
    np.testing.assert_array_equal(call(made, jax.random.key(0)), one)
    np.testing.assert_array_equal(call(made, None), call(none, None))
    np.testing.assert_array_equal(call(none, jax.random.key(0)), call(none, None))


def outcome(made, params, c):
    latent = made.encode(params, TRITS)
    points = made.project(params, latent.mean, c)
    return latent, points, made.decode(params, points.u)


IMPROVED = dict(model__A__encoder="improved", model__A__decoder="improved", model__A__posterior="gaussian")


def test_bfloat16_is_inside_the_networks_alone():
    params, found = params_of(of(**IMPROVED)), {}
    for dtype in ("float32", "bfloat16"):
        made = of(**IMPROVED, train__dtype=dtype)
        assert {x.dtype for x in jax.tree.leaves(jax.eval_shape(made.init, jax.random.key(0)))} == {jnp.float32.dtype}
        found[dtype] = small.jit(functools.partial(outcome, made))(params, jnp.float32(0.7))
    for wide, narrow in zip(*map(jax.tree.leaves, found.values()), strict=True):
        assert narrow.dtype == jnp.float32
        assert 1e-4 < np.abs(wide - narrow).max() < 0.1
    assert_points(found["bfloat16"][1], 0.7, 0.95 * (1 + 1e-6))


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [("improved", "residual"), ("plain", "improved")])
def test_remat_changes_no_value_and_no_gradient(kinds):
    options = dict(model__A__encoder=kinds[0], model__A__decoder=kinds[1], model__A__decoder_hidden=(7, 7))
    found, again = [], []
    for remat in (False, True):
        made = of(**options, train__remat=remat)
        params = params_of(made)

        def total(params, c, made=made):
            return jnp.sum(jnp.square(outcome(made, params, c)[2]))

        step = jax.value_and_grad(total, (0, 1))
        found.append(small.jit(step)(params, jnp.float32(0.7)))
        names = [eqn.primitive.name for eqn in jax.make_jaxpr(step)(params, jnp.float32(0.7)).jaxpr.eqns]
        again.append(sum(name in ("checkpoint", "remat", "remat2") for name in names))
    for kept, computed in zip(*map(jax.tree.leaves, found), strict=True):
        np.testing.assert_allclose(computed, kept, rtol=1e-5, atol=1e-5)
    assert again == [0, 3]  # in the backward pass: 1 layer of the encoder, 2 of the decoder


def test_what_is_drawn_has_the_mean_and_the_variance_that_the_encoder_says():
    """A draw is Gaussian before exp_0, or from the wrapped normal of `poincare`."""
    mean, log_variance = jnp.array([[0.6, -0.2]]), jnp.array([[-1.0, 0.5]])
    noise = jax.random.normal(jax.random.key(0), (40_000, 2))
    latent = Latent(*(jnp.broadcast_to(x, noise.shape) for x in (mean, log_variance)))
    drawn = {}
    for posterior in ("gaussian", "wrapped"):
        made = of(model__A__posterior=posterior, model__A__projection="exp_map", model__dim=2)
        points = made.project({}, latent.mean, 0.7)
        drawn[posterior] = small.jit(made.draw)({}, latent, points, 0.7, noise)
    np.testing.assert_allclose(drawn["gaussian"].u.mean(0), mean[0], atol=0.03)
    np.testing.assert_allclose(np.log(drawn["gaussian"].u.var(0)), log_variance[0], atol=0.03)
    centre = points.z[0]
    back = jax.vmap(lambda z: poincare.conformal_factor(centre, 0.7) * poincare.log(centre, z, 0.7))
    steps = small.jit(back)(drawn["wrapped"].z)  # as long as at the origin, PT_{centre -> 0} has the directions kept
    np.testing.assert_allclose(steps, np.exp(log_variance / 2) * noise, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(norms(drawn["wrapped"].u) * 2, drawn["wrapped"].r, rtol=1e-5)
    made = of()
    assert made.draw({}, latent, points, 0.7, None) is points


@pytest.mark.parametrize("length", [3.0, 9.0, 40.0, 1e4])
def test_a_draw_from_afar_is_in_the_ball_and_the_point_of_its_own_tangent_vector(length):
    """exp_0 of so long a step rounds to the edge, where the geometry is undefined."""
    made = of(model__A__posterior="wrapped", model__A__projection="exp_map", model__dim=2)
    noise = length * jnp.array([[1.0, 0.0], [-0.6, 0.8], [0.0, -1.0]])
    mean = jnp.array([[0.5, 0.1], [3.0, 2.0], [-1e3, 1e3]])  # the last is shortened to what float32 holds
    latent = Latent(mean, jnp.zeros_like(mean))

    def both(latent, c):
        points = made.project({}, latent.mean, c)
        return points, made.draw({}, latent, points, c, noise)

    for points in small.jit(both)(latent, 1.0):
        assert (jnp.sqrt(1.0) * norms(points.z) <= poincare.max_norm(jnp.float32) * (1 + 1e-7)).all()
        poincare.check(points.z, 1.0)
        np.testing.assert_allclose(points.r, 2 * norms(points.u), rtol=1e-5)
        np.testing.assert_allclose(jax.vmap(poincare.exp0, (0, None))(points.u, 1.0), points.z, rtol=2e-6, atol=1e-7)
    of_sum = jax.grad(lambda *a: sum(jnp.sum(x) for x in jax.tree.leaves(both(*a))), (0, 1))(latent, jnp.float32(1.0))
    assert all(jnp.isfinite(g).all() for g in jax.tree.leaves(of_sum))
