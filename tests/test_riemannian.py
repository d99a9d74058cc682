"""The optimizers on the ball: against geoopt, against the algorithm's own invariants, and at the edge."""

import functools
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ternary_jax import poincare
from ternary_jax.engine.optimizer import adamw_by_group
from ternary_jax.riemannian import keep_inside, riemannian_adam, riemannian_sgd

GOLDEN = np.load(pathlib.Path(__file__).parent / "golden" / "geoopt.npz")
CURVATURES = (0.5, 1.0, 2.0)
SAME_AS_GEOOPT: dict[str, Any] = {
    "sgd": functools.partial(riemannian_sgd, 0.05),
    "momentum": functools.partial(riemannian_sgd, 0.015, momentum=0.9),
    "adam": functools.partial(riemannian_adam, 0.05, b1=0.9, b2=0.99),
}
apply_updates: Any = optax.apply_updates  # typed for trees, used on arrays
BOTH: dict[str, Any] = {
    "sgd": functools.partial(riemannian_sgd, momentum=0.9),
    "adam": riemannian_adam,
}


def ball_points(seed, n=4, dim=3, radius=0.7, dtype: Any = np.float32):
    x = np.random.default_rng(seed).normal(size=(n, dim))
    return jnp.asarray(radius * x / np.linalg.norm(x, axis=-1, keepdims=True), dtype)


def spread(x, targets, c):
    """Mean squared distance to targets (m, dim), summed over the points x (n, dim)."""
    return jnp.sum(jax.vmap(lambda p: jnp.mean(jax.vmap(poincare.squared_dist, (None, 0, None))(p, targets, c)))(x))


def descend(tx, params, gradient, steps):
    """The parameters after each step of a scan."""

    def step(carry, _):
        params, state = carry
        updates, state = tx.update(gradient(params), state, params)
        params = apply_updates(params, updates)
        return (params, state), params

    return jax.lax.scan(step, (params, tx.init(params)), length=steps)[1]


def test_momentum_is_carried_to_the_very_point_that_apply_updates_makes():
    """At the edge the last bit of a coordinate changes lambda by a hundredth, and so the length of a moment."""
    x, target = ball_points(0, n=64, radius=1 - 2e-5), ball_points(1, n=64, radius=1 - 2e-5)
    away = -jax.vmap(poincare.log, (0, 0, None))(x, target, 1.0)
    g = away * jax.vmap(poincare.conformal_factor, (0, None))(x, 1.0)[:, None] ** 2  # one step leads to the target
    tx = riemannian_sgd(1.0, 1.0, mask=True, momentum=0.9)
    updates, state = tx.update(g, tx.init(x), x)
    new = apply_updates(x, updates)
    m = jax.vmap(poincare.riemannian_gradient, (0, 0, None))(x, g, 1.0)
    expected = jax.vmap(poincare.transport, (0, 0, 0, None))(x, new, m, 1.0)
    first = next(leaf for leaf in jax.tree.leaves(state) if leaf.shape == x.shape)
    error = np.linalg.norm(first - expected, axis=-1) / np.linalg.norm(expected, axis=-1)
    assert error.max() < 1e-6


# --- against geoopt ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["exact", "retraction"])
@pytest.mark.parametrize("name", SAME_AS_GEOOPT)
def test_follows_geoopt_for_200_steps(name, kind):
    with jax.enable_x64(True):
        matrix, drive, wave = (jnp.asarray(GOLDEN[k]) for k in ("matrix", "drive", "wave"))

        def run(c, x):
            tx = SAME_AS_GEOOPT[name](c=c, mask=True, exact=kind == "exact")

            def step(carry, factor):
                x, state = carry
                # Elementwise: a matrix product is free to round differently on another machine.
                gradient = jnp.sum(x[:, :, None] * matrix[None], 1) + factor * drive
                updates, state = tx.update(gradient, state, x)
                x = apply_updates(x, updates)
                return (x, state), x

            return jax.lax.scan(step, (x, tx.init(x)), wave)[1]

        starts = GOLDEN["start"] / np.sqrt(CURVATURES)[:, None, None]
        ours = np.asarray(jax.jit(jax.vmap(run))(jnp.asarray(CURVATURES), jnp.asarray(starts)))
    assert ours.dtype == np.float64
    theirs = np.stack([GOLDEN[f"{name}_{kind}_c{c}"] for c in CURVATURES])
    error = np.abs(ours - theirs).max((0, 2, 3))
    assert error.max() < 1e-13, f"max {error.max():.2e}, first above 1e-13 at step {np.argmax(error > 1e-13)}"


def test_the_geoopt_problem_moves_and_stays_off_the_clipping():
    for c in CURVATURES:
        for name in SAME_AS_GEOOPT:
            exact, retraction = (np.sqrt(c) * GOLDEN[f"{name}_{kind}_c{c}"] for kind in ("exact", "retraction"))
            norm = np.linalg.norm(exact, axis=-1)
            assert norm.max() < 0.9
            assert norm.max() - norm.min() > 0.3
            assert np.abs(exact - retraction).max() > 1e-4


# --- the parts of the algorithm ---------------------------------------------------------------------------------------


def test_the_momentum_is_transported_not_copied():
    """After one gradient and then zeros, momentum 1 moves a point along one geodesic at constant speed.

    A buffer that is copied, or only rescaled by lambda, leaves the geodesic.
    """
    with jax.enable_x64(True):
        c, x = 1.3, jnp.array([[0.3, 0.2], [-0.5, 0.1]])
        g = jnp.array([[0.4, -1.0], [0.7, 0.9]])
        tx = riemannian_sgd(0.05, c, True, momentum=1.0)
        state, path = tx.init(x), [x]
        for n in range(10):
            updates, state = tx.update(g * (n == 0), state, path[-1])
            path.append(apply_updates(path[-1], updates))
        grad = jax.vmap(poincare.riemannian_gradient, (0, 0, None))(x, g, c)
        for n in range(11):
            geodesic = jax.vmap(poincare.exp, (0, 0, None))(x, -0.05 * n * grad, c)
            np.testing.assert_allclose(path[n], geodesic, atol=1e-14)


def test_adam_takes_steps_of_riemannian_length_rate_wherever_the_point_is():
    """At the first step m^ / sqrt(v^) is a unit vector of the metric: the step length does not know the place."""
    with jax.enable_x64(True):
        x, c = jnp.array([[0.0, 0.0], [0.6, 0.3], [0.0, -0.99]]), 0.9
        tx = riemannian_adam(0.1, c, True)
        g = jnp.array([[1.0, 2.0], [1e-3, 5e-3], [300.0, 0.0]])
        updates: Any = tx.update(g, tx.init(x), x)[0]
        moved = jax.vmap(poincare.dist, (0, 0, None))(x, x + updates, c)
        np.testing.assert_allclose(moved, 0.1, rtol=1e-4)  # the gradient 1e-3 has length 1.8e-3, eps is 1e-8 of it


def test_adam_is_equivariant_under_rotations():
    """A rotation is an isometry: rotated start and field, rotated path. A second moment per coordinate breaks this."""
    with jax.enable_x64(True):
        x, targets = ball_points(0, dim=3, dtype=np.float64), ball_points(1, dim=3, dtype=np.float64)
        turn = jnp.asarray(np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0])
        tx = riemannian_adam(0.05, 1.0, True)
        plain = descend(tx, x, jax.grad(lambda x: spread(x, targets, 1.0)), 30)
        turned = descend(tx, x @ turn, jax.grad(lambda x: spread(x, targets @ turn, 1.0)), 30)
        np.testing.assert_allclose(plain @ turn, turned, atol=1e-12)


@pytest.mark.parametrize(("name", "exact"), [("sgd", False), ("adam", True)])
def test_converges_to_the_frechet_mean(name, exact):
    """A schedule that ends at 0 lets Adam settle; the mean comes from Newton's method, another way."""
    with jax.enable_x64(True):
        c, targets = 0.7, ball_points(3, n=6, radius=0.9, dtype=np.float64)
        rate = optax.cosine_decay_schedule(0.1, 400)
        tx = BOTH[name](rate, c, True, exact=exact)
        gradient = jax.grad(lambda x: spread(x, targets, c))
        path = jax.jit(lambda x: descend(tx, x, gradient, 400))(ball_points(4, n=2, dtype=np.float64))
        mean = poincare.frechet_mean(targets, jnp.ones(6), c)
        np.testing.assert_allclose(path[-1], jnp.broadcast_to(mean, (2, 3)), atol=1e-6)


@pytest.mark.parametrize("name", BOTH)
def test_scaling_the_ball_scales_the_path(name):
    """x / s in curvature c s^2 with metric lengths kept: one meaning of c in gradient, step, transport and moments."""
    with jax.enable_x64(True):
        x, targets, s = ball_points(0, dtype=np.float64), ball_points(1, dtype=np.float64), 2.5
        wide = descend(BOTH[name](0.02, 1.0, True), x, jax.grad(lambda x: spread(x, targets, 1.0)), 25)
        # Lengths of the metric shrink by s: what Adam does in length rate takes rate / s, what SGD does takes rate.
        rate = 0.02 / s if name == "adam" else 0.02
        narrow = descend(BOTH[name](rate, s**2, True), x / s, jax.grad(lambda x: spread(x, targets / s, s**2)), 25)
        np.testing.assert_allclose(wide / s, narrow, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("name", BOTH)
def test_a_schedule_is_read_at_the_number_of_updates_made(name):
    x, targets = ball_points(0), ball_points(1)
    gradient = jax.grad(lambda x: spread(x, targets, 1.0))
    rates = jnp.array([0.1, 0.0, 0.02, 0.05])
    scheduled = descend(BOTH[name](lambda n: rates[n], 1.0, True), x, gradient, 4)
    constant = jax.jit(lambda g, state, x, rate: BOTH[name](rate, 1.0, True).update(g, state, x))
    np.testing.assert_array_equal(scheduled[0], scheduled[1])
    state, y = BOTH[name](0.1, 1.0, True).init(x), x
    for n in range(4):
        updates, state = constant(gradient(y), state, y, rates[n])
        y = apply_updates(y, updates)
        np.testing.assert_allclose(scheduled[n], y, rtol=2e-6, atol=1e-7)


# --- trees and masks --------------------------------------------------------------------------------------------------


DECAY = optax.exponential_decay(0.1, 1, 0.9)


def mixed_tree():
    return {
        "table": ball_points(0),
        "layers": [{"w": jnp.ones((3, 2)), "b": jnp.zeros(2)}, {"w": jnp.ones((2, 2)), "b": jnp.zeros(2)}],
        "theta": jnp.float32(0.3),
    }


MASKS = {
    "full": {"table": True, "layers": [{"w": False, "b": False}] * 2, "theta": False},
    "prefix": {"table": True, "layers": False, "theta": False},
    "callable": lambda params: {"table": True, "layers": False, "theta": False},
    "by path": lambda params: jax.tree_util.tree_map_with_path(
        lambda path, _: "table" in jax.tree_util.keystr(path), params
    ),
}


OPTIMIZERS = {
    "sgd": (functools.partial(riemannian_sgd, 0.1), optax.sgd(0.1)),
    "momentum": (functools.partial(riemannian_sgd, 0.1, momentum=0.9), optax.sgd(0.1, 0.9)),
    "adam": (functools.partial(riemannian_adam, DECAY, b1=0.8), optax.adam(DECAY, 0.8)),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "mask"), [("sgd", "full"), ("momentum", "callable"), ("adam", "prefix"), ("adam", "by path")]
)
def test_other_leaves_are_exactly_optax_and_ball_leaves_exactly_as_if_alone(name, mask):
    (ball, flat), mask = OPTIMIZERS[name], MASKS[mask]

    def gradient(params):
        return jax.tree.map(lambda p: p * p - 0.5 * p + 0.1, params)

    steps = 12
    params = mixed_tree()
    mixed = descend(ball(c=1.0, mask=mask), params, gradient, steps)
    alone = descend(ball(c=1.0, mask=True), params.pop("table"), gradient, steps)
    others = descend(flat, params, gradient, steps)
    np.testing.assert_array_equal(mixed.pop("table"), alone)
    jax.tree.map(np.testing.assert_array_equal, mixed, others)


def test_any_number_of_leading_axes_and_none():
    x = ball_points(0, n=6)
    g = jnp.linspace(-1, 1, 18).reshape(6, 3)
    tx = riemannian_adam(0.1, 1.0, True)
    update: Any = jax.jit(tx.update)
    rows, _ = update(g, tx.init(x), x)
    grid, state = update(g.reshape(2, 3, 3), tx.init(x.reshape(2, 3, 3)), x.reshape(2, 3, 3))
    np.testing.assert_array_equal(grid.reshape(6, 3), rows)
    assert state.inner_states["ball"].inner_state.second.shape == (2, 3)
    one, _ = update(g[0], tx.init(x[0]), x[0])
    np.testing.assert_allclose(one, rows[0], rtol=1e-6)


def test_a_tree_without_ball_leaves_is_plain_optax():
    params = {"w": jnp.ones(3)}
    tx = riemannian_sgd(0.1, 1.0, False, momentum=0.9)
    updates: Any = tx.update(params, tx.init(params))[0]
    np.testing.assert_array_equal(updates["w"], -0.1 * jnp.ones(3))


@pytest.mark.parametrize("make", [*BOTH.values(), lambda rate, c, mask: keep_inside(c, mask)])
def test_errors_name_the_leaf_and_the_fix(make):
    params = mixed_tree()
    with pytest.raises(ValueError, match=r"params\['theta'\].*float32\[\].*\(\.\.\., dim\).*Mark it False"):
        make(0.1, 1.0, True).init(params)
    with pytest.raises(ValueError, match=r"params\['table'\].*int32\[2\]"):
        make(0.1, 1.0, True).init({"table": jnp.arange(2)})
    tx = make(0.1, 1.0, MASKS["prefix"])
    with pytest.raises(ValueError, match=r"params\['table'\].*update\(gradients, state, params\)"):
        tx.update(params, tx.init(params))


# --- the same under every transformation ------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "exact"), [("sgd", True), ("adam", False)])
def test_vmapped_runs_scans_and_jit_agree_with_a_python_loop(name, exact):
    targets, steps = ball_points(9), 20

    def run(rate, c, x):
        tx = BOTH[name](rate, c, True, exact=exact)  # built inside: rate and c are traced
        return descend(tx, x, jax.grad(lambda x: spread(x, targets, c)), steps)

    rates, curvatures = jnp.array([0.01, 0.05, 0.1]), jnp.array([0.5, 1.0, 1.5])
    starts = jnp.stack([ball_points(k) for k in range(3)])
    together = jax.jit(jax.vmap(run))(rates, curvatures, starts)
    for k in range(3):
        alone = jax.jit(run)(rates[k], curvatures[k], starts[k])
        np.testing.assert_allclose(together[k], alone, atol=2e-6)

    tx = BOTH[name](0.05, 1.0, True, exact=exact)
    gradient, x = jax.jit(jax.grad(lambda x: spread(x, targets, 1.0))), starts[1]
    state = tx.init(x)
    for n in range(4):  # eager
        updates, state = tx.update(gradient(x), state, x)
        x = apply_updates(x, updates)
        np.testing.assert_allclose(x, together[1][n], atol=2e-6)


def test_the_state_keeps_its_structure_and_dtypes():
    """In float32 with x64 on and a float64 c, as in float64: a scan refuses a carry that changes type."""
    with jax.enable_x64(True):
        for dtype in (np.float32, np.float64):
            x = ball_points(0, dtype=dtype)
            for name in BOTH:
                path = descend(BOTH[name](0.1, np.float64(0.8), True), x, lambda x: x, 3)
                assert path.dtype == dtype


@pytest.mark.slow
def test_an_update_can_be_differentiated_where_the_gradient_is_zero():
    @jax.jit
    def after(rate):
        tx = riemannian_adam(rate, 1.0, True)
        return jnp.sum(descend(tx, jnp.array([[0.5, 0.0], [0.0, 0.0]]), lambda x: x, 3)[-1] ** 2)

    slope = jax.grad(after)(0.1)
    assert slope == pytest.approx(float(after(0.101) - after(0.099)) / 0.002, rel=1e-2)
    assert slope < -0.1


# --- the edge, and what is not a number -------------------------------------------------------------------------------


class Push(NamedTuple):
    """A field that pushes out of the ball.

    out: factor of -x.
    around: factor of x turned by a right angle.
    turns: the push changes sign at every so many steps.
    """

    out: jax.Array
    around: jax.Array
    turns: jax.Array


PUSHES = Push(  # outwards; spiralling; outwards, reversed every 50 steps; spiralling, near the float32 limit of squares
    jnp.array([1e6, 1e4, 1e8, 1e17]), jnp.array([0.0, 1e7, 0.0, 1e17]), jnp.array([10**6, 10**6, 50, 10**6])
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        *(functools.partial(BOTH[name], exact=exact) for name in BOTH for exact in (True, False)),
        lambda rate, c, mask: optax.chain(optax.sgd(rate), keep_inside(c, mask)),
    ],
    ids=["sgd-exact", "sgd-retraction", "adam-exact", "adam-retraction", "euclidean"],
)
def test_no_push_gets_a_point_out_of_the_ball(make):
    def run(c, push, x):
        tx = make(10.0, c, True)

        def step(carry, n):
            x, state = carry
            around = jnp.stack([-x[:, 1], x[:, 0], -x[:, 3], x[:, 2], -x[:, 5], x[:, 4]], -1)
            sign = jnp.where(n % push.turns == push.turns - 1, -1, 1)
            updates, state = tx.update(-sign * (push.out * x + push.around * around), state, x)
            x = apply_updates(x, updates)
            return (x, state), x

        return jax.lax.scan(step, (x, tx.init(x)), jnp.arange(400))[1]

    curvatures = jnp.array([0.1, 0.37, 1.0, 1.7, 4.0])
    starts = ball_points(5, n=16, dim=6, radius=0.5)[None] / jnp.sqrt(curvatures)[:, None, None]
    every = jax.vmap(jax.vmap(run, (0, None, 0)), (None, 0, None))
    path = np.asarray(jax.jit(every)(curvatures, PUSHES, starts), np.float64)
    norm = np.linalg.norm(path, axis=-1) * np.sqrt(np.asarray(curvatures, np.float64))[:, None, None]
    assert np.isfinite(path).all()
    assert (norm.max((2, 3)) > 0.99999).all(), "a push does not reach the edge: make it larger"
    # Two roundings by eps / 2, of new - old and of the sum, the first of a vector up to two radii long.
    assert norm.max() <= poincare.max_norm(np.float32) + 1.5 * np.finfo(np.float32).eps


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("name", BOTH)
def test_a_bad_gradient_makes_its_point_nan_and_no_other(name, exact):
    """3e38 is a number, but Adam's second moment of it is not: later steps would be 0, and look like convergence."""
    targets = ball_points(1)
    tx = BOTH[name](0.1, 1.0, True, exact=exact)
    gradient = jax.jit(jax.grad(lambda x: spread(x, targets, 1.0)))
    update: Any = jax.jit(tx.update)
    with jax.debug_nans(False):
        for bad, becomes_nan in ((np.nan, True), (np.inf, True), (-np.inf, True), (3e38, name == "adam")):
            x = ball_points(0)
            state = tx.init(x)
            for n in range(3):
                g = gradient(x)
                updates, state = update(g.at[2, 1].set(bad) if n == 0 else g, state, x)
                x = apply_updates(x, updates)
                assert np.isnan(x).any(-1).tolist() == [False, False, becomes_nan, False]


def test_a_point_outside_or_a_bad_c_gives_nan():
    with jax.debug_nans(False):
        for x, c in (([[0.9, 0.9]], 1.0), ([[0.1, 0.1]], -1.0), ([[0.1, 0.1]], 0.0)):
            x = jnp.array(x)
            for make in BOTH.values():
                tx = make(0.1, c, True)
                updates, _ = jax.jit(tx.update)(jnp.ones_like(x), tx.init(x), x)
                assert np.isnan(updates).all()


# --- AdamW by group ---------------------------------------------------------------------------------------------------


GROUPS = {"encoder": {"w": (3, 2), "b": (3,)}, "decoder": [(3, 2)], "heads": {"a": {"w": (3,)}, "b": (3,)}}


def trees(seed, scale=1.0):
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda shape: (scale * rng.normal(size=shape)).astype(np.float32), GROUPS, is_leaf=lambda x: type(x) is tuple
    )


def norm(tree):
    """The norm of all leaves together, by numpy in float64."""
    return np.sqrt(sum(float((np.asarray(leaf, np.float64) ** 2).sum()) for leaf in jax.tree.leaves(tree)))


def by_group(gradients, state, params, clip_norm, rates, decay=0.0, frozen=None) -> Any:
    return _by_group(clip_norm)(gradients, state, params, rates, np.float32(decay), frozen)


@functools.cache
def _by_group(clip_norm):
    def update(gradients, state, params, rates, decay, frozen):
        tx = adamw_by_group(clip_norm)
        return tx.update(gradients, state, params, rates=rates, weight_decay=decay, frozen=frozen)

    return jax.jit(update)


def same(value):
    return dict.fromkeys(GROUPS, np.asarray(value, np.float32 if type(value) is float else None))


def moved_by(params, updates):
    return jax.tree.map(lambda x, u: x + np.asarray(u), params, updates)


def close(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-6, atol=1e-7), a, b)


def equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_adamw_by_group_is_optax_with_one_rate():
    """The norms of the gradients lie on both sides of the clip norm."""
    tx = optax.chain(optax.clip_by_global_norm(4.0), optax.adamw(0.03, weight_decay=0.2))
    theirs: Any = jax.jit(tx.update)
    ours_at = theirs_at = trees(0)
    ours_state, theirs_state = adamw_by_group(4.0).init(ours_at), tx.init(theirs_at)
    gradients = [trees(n, scale) for n, scale in enumerate([0.1, 3.0, 1.0, 10.0, 0.5], 1)]
    assert {norm(g) > 4 for g in gradients} == {True, False}
    for g in gradients:
        updates, ours_state = by_group(g, ours_state, ours_at, 4.0, same(0.03), 0.2)
        ours_at = moved_by(ours_at, updates)
        updates, theirs_state = theirs(g, theirs_state, theirs_at)
        theirs_at = moved_by(theirs_at, updates)
        close(ours_at, theirs_at)


def test_each_group_has_its_own_rate_and_an_optimizer_of_its_own():
    rates = {"encoder": 0.1, "decoder": 0.02, "heads": 0.0}
    ours_at = theirs_at = trees(0)
    ours_state = adamw_by_group(0.0).init(ours_at)
    alone = {group: optax.adamw(rate, weight_decay=0.3) for group, rate in rates.items()}
    states = {group: alone[group].init(theirs_at[group]) for group in GROUPS}
    for n in range(1, 4):
        g = trees(n)
        updates, ours_state = by_group(g, ours_state, ours_at, 0.0, jax.tree.map(np.float32, rates), 0.3)
        ours_at = moved_by(ours_at, updates)
        moved = {}
        for group in GROUPS:
            u, states[group] = alone[group].update(g[group], states[group], theirs_at[group])
            moved[group] = moved_by(theirs_at[group], u)
        theirs_at = moved
        close(ours_at, theirs_at)
    equal(ours_at["heads"], trees(0)["heads"])


def test_a_clip_norm_of_zero_leaves_no_equation():
    params, state = trees(0), adamw_by_group(0.0).init(trees(0))

    numbers = same(0.1), np.float32(0)

    def primitives(clip_norm):
        made = jax.make_jaxpr(_by_group(clip_norm))(params, state, params, *numbers, None).jaxpr
        return [eqn.primitive.name for eqn in made.eqns[0].params["jaxpr"].eqns]

    def without(gradients, state, params, rates, decay):
        adam, made = optax.scale_by_adam(), {}
        for group in gradients:
            u, after = adam.update(gradients[group], state[group])
            made[group] = jax.tree.map(lambda u, x, r=rates[group]: -r * (u + decay * x), u, params[group]), after
        return made

    plain = jax.make_jaxpr(without)(params, state, params, *numbers).jaxpr
    assert primitives(0.0) == [eqn.primitive.name for eqn in plain.eqns]
    assert len(primitives(4.0)) > len(plain.eqns)


def test_a_frozen_group_keeps_its_state_and_is_not_in_the_clip_norm():
    """The bools are traced: one program. A gradient that is NaN does not get out of a frozen group."""
    start, g = trees(0), trees(1, 5.0)
    first, warm = by_group(g, adamw_by_group(4.0).init(start), start, 4.0, same(0.1), 0.1, same(False))
    params = moved_by(start, first)
    some = same(False) | {"encoder": np.asarray(True)}
    rest = {group: g[group] for group in ("decoder", "heads")}
    kept = {group: params[group] for group in rest}
    tx = optax.chain(optax.clip_by_global_norm(4.0), optax.scale_by_adam())
    expected, _ = tx.update(rest, (optax.EmptyState(), _joined(warm, rest)))
    expected = jax.tree.map(lambda u, x: -0.1 * (u + 0.1 * x), expected, kept)
    state = warm
    for value in (1.0, 1e6, np.nan):
        ill = g | {"encoder": jax.tree.map(lambda x, v=value: np.full(x.shape, v, np.float32), g["encoder"])}
        updates, state = by_group(ill, warm, params, 4.0, same(0.1), 0.1, some)
        assert all(np.all(np.asarray(leaf) == 0) for leaf in jax.tree.leaves(updates["encoder"]))
        equal(state["encoder"], warm["encoder"])
        close({group: updates[group] for group in rest}, expected)
    thawed, _ = by_group(g, state, params, 4.0, same(0.1), 0.1, same(False))
    assert all(np.all(np.asarray(leaf) != 0) for leaf in jax.tree.leaves(thawed["encoder"]))


def _joined(state, groups):
    """The state of one Adam over several groups."""
    counts = {int(state[group].count) for group in groups}
    assert len(counts) == 1
    moments = [{group: getattr(state[group], name) for group in groups} for name in ("mu", "nu")]
    return optax.ScaleByAdamState(jnp.int32(counts.pop()), *moments)


def test_a_zero_gradient_moves_nothing():
    params, zero = trees(0), jax.tree.map(np.zeros_like, trees(0))
    for clip_norm in (0.0, 4.0):
        updates, state = by_group(zero, adamw_by_group(clip_norm).init(params), params, clip_norm, same(0.1))
        assert all(np.all(np.asarray(leaf) == 0) for leaf in jax.tree.leaves(updates))
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(state))
        updates, _ = by_group(zero, adamw_by_group(clip_norm).init(params), params, clip_norm, same(0.5), 0.5)
        equal(updates, jax.tree.map(lambda x: -0.25 * x, params))


def test_a_gradient_at_the_clip_norm_is_left_as_it_is():
    """The test reads Adam's first moment, because its step does not depend on the scale of a gradient."""
    params = jax.tree.map(np.zeros_like, trees(0))
    for value, clipped in ((2.0, 2.0), (4.0, 4.0), (16.0, 4.0)):
        g = {**params, "decoder": [np.array([[0, 0], [value, 0], [0, 0]], np.float32)]}
        _, state = by_group(g, adamw_by_group(4.0).init(params), params, 4.0, same(0.1))
        assert state["decoder"].mu[0][1, 0] == np.float32(1 - 0.9) * np.float32(clipped)


def test_an_update_without_parameters_names_the_call_that_is_needed():
    params = trees(0)
    tx = adamw_by_group(1.0)
    with pytest.raises(ValueError, match=r"needs the parameters: call update\(gradients, state, params"):
        tx.update(params, tx.init(params), rates=same(0.1), weight_decay=0.0)


def test_updates_have_slopes_in_the_gradients_also_where_these_are_0():
    """Without this, look-ahead through a step of Adam gives NaN for every unit that is never active."""
    params, rates = {"w": jnp.array([0.5, -1.0, 2.0])}, {"w": jnp.float32(0.1)}

    def moved(g, tx) -> Any:
        updates, _ = tx.update({"w": g}, tx.init(params), params, rates=rates, weight_decay=0.01)
        return updates["w"]

    g = jnp.array([0.0, 0.3, -1e-4])
    with jax.debug_nans(False):
        smooth, bare = (
            jax.jacobian(lambda g, tx=tx: moved(g, tx))(g)
            for tx in (adamw_by_group(0.0, differentiable=True), adamw_by_group(0.0))
        )
    assert np.isfinite(np.asarray(smooth)).all()
    assert np.isnan(np.asarray(bare)[0, 0])
    of_smooth, of_bare = (moved(g, adamw_by_group(0.0, differentiable=d)) for d in (True, False))
    np.testing.assert_allclose(of_smooth, of_bare, rtol=1e-6)
