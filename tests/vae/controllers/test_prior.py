"""The homeostat of the prior: against a loop in numpy, in closed loop, and with absurd signals."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from ternary_jax import poincare
from ternary_jax.control.chain import Controls, Signals, chain
from ternary_jax.vae.controllers.prior import PriorState, Rule, homeostat

pytestmark = pytest.mark.usefixtures("strict_dtypes")

DIM, STEPS = 16, 3000
RULE = Rule(
    decay=0.99, kl=1.5, falls=True, sigma_rate=0.01, c_rate=2e-4, sigma_bounds=(0.05, 3.0), c_bounds=(0.25, 4.0)
)
RADII, KLS = ("radius_A", "radius_B"), ("kl_A", "kl_B")


def control(rule=RULE, dim=DIM):
    return homeostat(lambda hypers: (hypers, 1.0), rule, dim, RADII, KLS)


def run(observed, sigma=0.5, rule=RULE, dim=DIM):
    """(sigma, c) of all steps, (n, 2), and the last state; observed: rows of radius_A, radius_B, kl_A, kl_B, (n, 4)."""
    member = control(rule, dim)

    def step(state, row):
        signals = Signals(jnp.int32(0), {}, dict(zip((*RADII, *KLS), row, strict=True)), {})
        state, after, _ = member.update(state, signals, Controls({}, None, {"tau": jnp.float32(0.3)}))
        return state, jnp.stack([after.knobs["sigma"], after.knobs["c"]])

    @jax.jit
    def all_steps(sigma, rows):
        return jax.lax.scan(step, member.init(sigma), rows)

    state, knobs = all_steps(np.float32(sigma), np.asarray(observed, np.float32))
    return np.asarray(knobs, np.float64), state


def looped(observed, sigma, rule=RULE, dim=DIM):
    """The reference: (sigma, c) by a loop over floats."""
    m, c, kl = stats.chi(dim).mean(), 1.0, rule.kl
    radius, found, far = sigma * m, [], np.exp(2)
    for row in np.asarray(observed, np.float64):
        seen_radius, seen_kl = (row[0] + row[1]) / 2, (row[2] + row[3]) / 2 / dim
        if np.isfinite(seen_radius):
            seen_radius = min(max(seen_radius, sigma * m / far), sigma * m * far)
            radius = rule.decay * radius + (1 - rule.decay) * seen_radius
        if np.isfinite(seen_kl):
            kl = rule.decay * kl + (1 - rule.decay) * min(max(seen_kl, rule.kl / far), rule.kl * far)
        sigma *= np.exp(rule.sigma_rate * min(max(np.log(radius / (sigma * m)), -1), 1))
        c *= np.exp(rule.c_rate * min(max(np.log(kl / rule.kl), -1), 1))
        sigma, c = np.clip(sigma, *rule.sigma_bounds), np.clip(c, *rule.c_bounds)
        found.append((sigma, c))
    return np.array(found)


def plausible(rng, radius, kl, n=STEPS):
    """Random signals around a mean radius and a KL per coordinate; unknown at the first step."""
    rows = np.array([radius, radius, DIM * kl, DIM * kl]) * rng.lognormal(0, 0.2, (n, 4))
    rows[0] = np.inf
    return rows


@pytest.mark.parametrize("dim", [2, 16, 60])
def test_it_is_the_rule_by_a_loop(dim):
    rng = np.random.default_rng(0)
    rows = np.array([2.0, 2.0, 3 * dim, 3 * dim]) * rng.lognormal(0, 2, (800, 4))
    rows[rng.random((800, 4)) < 0.02] = np.inf
    for nonsense in (-np.inf, np.nan):
        rows[rng.random(800) < 0.02] = nonsense
    rule = RULE._replace(sigma_rate=0.05, c_rate=0.01, decay=0.8)
    found, _ = run(rows, 0.5, rule, dim)
    np.testing.assert_allclose(found, looped(rows, 0.5, rule, dim), rtol=2e-5)


@pytest.mark.parametrize("radius", [0.8, 1.9, 2.9])
@pytest.mark.parametrize("kl", [0.3, 1.5, 7.0])
def test_no_bound_is_met_within_3000_steps_of_plausible_signals(radius, kl):
    found, _ = run(plausible(np.random.default_rng(1), radius, kl))
    for values, (low, high) in zip(found.T, (RULE.sigma_bounds, RULE.c_bounds), strict=True):
        assert (1.5 * low < values).all()
        assert (values < high / 1.5).all()
    assert np.sign(np.log(found[-1, 1])) == np.sign(np.log(kl / RULE.kl)) or kl == RULE.kl
    np.testing.assert_allclose(found[-1, 0], radius / stats.chi(DIM).mean(), rtol=0.05)


@pytest.mark.parametrize("much", [1e9, 1e-9])
def test_no_signal_moves_c_faster_than_its_rate(much):
    found, _ = run(np.full((STEPS, 4), much))
    assert abs(np.log(found[-1, 1])) == pytest.approx(RULE.c_rate * STEPS, rel=0.05)
    assert abs(np.log(found[:, 1])).max() < RULE.c_rate * STEPS < np.log(RULE.c_bounds[1])


@pytest.mark.parametrize("c", [0.3, 1.0, 4.0])
def test_draws_of_the_prior_have_the_radius_that_it_follows(c):
    found, _ = run(plausible(np.random.default_rng(2), 1.9, 1.5))
    rng = np.random.default_rng(3)
    draws = jnp.asarray(found[-1, 0] * rng.normal(size=(4000, DIM)) / 2, jnp.float32)
    radii = jax.vmap(lambda u: poincare.dist0(poincare.exp0(u, jnp.float32(c)), jnp.float32(c)))(draws)
    np.testing.assert_allclose(np.mean(radii), 1.9, rtol=0.05)


def test_c_brings_the_kl_to_its_target_where_radii_shrink_with_it_and_sigma_goes_along():
    """Simulated: points at sqrt(c)|z| = 0.7, posteriors of a fixed width, and the KL of a normal to the prior."""
    member, m = control(RULE._replace(c_rate=2e-3, kl=0.6)), stats.chi(DIM).mean()

    def step(carry, _):
        state, last = carry
        state, after, _ = member.update(state, Signals(jnp.int32(0), {}, last, {}), Controls({}, None, {}))
        sigma, c = after.knobs["sigma"], after.knobs["c"]
        radius = 2 * np.arctanh(0.7).astype(np.float32) / jnp.sqrt(c)
        narrow = 0.2 / sigma
        kl = -DIM * jnp.log(narrow) + (DIM * narrow**2 + (radius / sigma) ** 2 - DIM) / 2
        last = dict.fromkeys(RADII, radius) | dict.fromkeys(KLS, kl)
        return (state, last), jnp.stack([sigma, c, kl / DIM, radius])

    @jax.jit
    def all_steps(sigma):
        before = dict.fromkeys((*RADII, *KLS), jnp.float32(jnp.inf))
        return jax.lax.scan(step, (member.init(sigma), before), None, length=6000)[1]

    sigma, c, kl, radius = np.asarray(all_steps(jnp.float32(0.5)), np.float64).T
    assert abs(kl[1000] - 0.6) > 0.02  # it had something to do
    np.testing.assert_allclose(kl[-1], 0.6, rtol=1e-2)
    np.testing.assert_allclose(sigma[-1] * m, radius[-1], rtol=1e-2)
    assert RULE.c_bounds[0] * 1.1 < c[-1] < RULE.c_bounds[1] / 1.1


@pytest.mark.parametrize("falls", [True, False])
def test_c_goes_the_way_that_brings_the_kl_to_its_target(falls):
    """The simulated KL per coordinate is 0.9 / sqrt(c) or 0.9 sqrt(c), which is 0.6 at c = 2.25 or at c = 1 / 2.25."""
    member = control(RULE._replace(c_rate=2e-3, kl=0.6, falls=falls))

    def step(carry, _):
        state, c = carry
        kl = DIM * 0.9 * (1 / jnp.sqrt(c) if falls else jnp.sqrt(c))
        last: Any = dict.fromkeys(RADII, jnp.float32(2)) | dict.fromkeys(KLS, kl)
        state, after, _ = member.update(state, Signals(jnp.int32(0), {}, last, {}), Controls({}, None, {}))
        return (state, after.knobs["c"]), None

    (_, c), _ = jax.lax.scan(step, (member.init(jnp.float32(1)), jnp.float32(1)), None, length=6000)
    assert float(c) == pytest.approx(2.25 if falls else 1 / 2.25, rel=0.02)


ABSURD = [np.inf, -np.inf, np.nan, 3e38, 1e30, -1e30, 0.0, 1e-45, -1.0]


@pytest.mark.parametrize("value", ABSURD)
def test_absurd_signals_respect_the_bounds_and_leave_a_finite_state(value):
    fast = RULE._replace(sigma_rate=0.5, c_rate=0.5)
    rows = plausible(np.random.default_rng(4), 1.9, 1.5, 1300)
    rows[100:200] = value
    found, state = run(rows, rule=fast)
    assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(state))
    for values, (low, high) in zip(found.T, (fast.sigma_bounds, fast.c_bounds), strict=True):
        assert (low * (1 - 1e-6) <= values).all()
        assert (values <= high * (1 + 1e-6)).all()
    np.testing.assert_allclose(found[-1, 0], 1.9 / stats.chi(DIM).mean(), rtol=0.2)  # sigma recovers


def test_bounds_are_met_from_both_sides_and_left_again():
    fast = RULE._replace(sigma_rate=0.5, c_rate=0.5, decay=0.5)
    for much, bounds in ((1e9, (3.0, 4.0)), (1e-9, (0.05, 0.25))):
        rows = np.full((60, 4), much)
        rows[50:] = 1 / much
        found, _ = run(rows, rule=fast)
        np.testing.assert_allclose(found[49], bounds, rtol=1e-6)
        assert (np.abs(np.log(found[53] / found[49])) > 0.1).all()


def test_before_the_first_step_and_at_its_targets_it_changes_nothing():
    unseen, state = run(np.full((50, 4), np.inf), sigma=0.7)
    np.testing.assert_allclose(unseen, [(0.7, 1.0)] * 50, rtol=1e-6)
    assert isinstance(state, PriorState)
    np.testing.assert_allclose([state.radius, state.kl], [0.7 * stats.chi(DIM).mean(), 1.5], rtol=1e-6)
    at_target = np.array([0.7 * stats.chi(DIM).mean()] * 2 + [DIM * 1.5] * 2)
    np.testing.assert_allclose(run(np.tile(at_target, (50, 1)), sigma=0.7)[0], [(0.7, 1.0)] * 50, rtol=1e-5)


def test_nothing_changes_while_the_signals_of_a_branch_are_unknown():
    rows = np.tile([np.inf, 2.0, np.inf, 90.0], (50, 1))
    np.testing.assert_allclose(run(rows, sigma=0.7)[0], [(0.7, 1.0)] * 50, rtol=1e-6)


def test_runs_differ_by_where_they_start_and_other_knobs_are_left():
    member = chain({"prior": control()})
    last: Any = dict.fromkeys((*RADII, *KLS), jnp.float32(4))
    signals = Signals(jnp.int32(0), {}, last, {})
    before = Controls({"slope": jnp.float32(1)}, None, {"tau": jnp.float32(0.3), "c": jnp.float32(9)})

    def sigma_of(start):
        return member.update(member.init(start), signals, before)[1]

    after = jax.jit(jax.vmap(sigma_of))(jnp.array([0.2, 2.0], jnp.float32))
    assert after.knobs.keys() == {"tau", "c", "sigma"}
    np.testing.assert_allclose(after.knobs["tau"], [0.3, 0.3])
    np.testing.assert_allclose(after.knobs["sigma"], [0.2, 2.0], rtol=0.02)
    np.testing.assert_allclose(after.knobs["c"], [1, 1], rtol=1e-3)  # not 9: the prior replaces c
    np.testing.assert_allclose(after.rates["slope"], [1, 1])
