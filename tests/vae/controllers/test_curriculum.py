"""The curriculum: tau against a loop, at its bounds, with signals that are not finite, and in closed loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ternary_jax.control.chain import Controls, Signals
from ternary_jax.vae.controllers.curriculum import curriculum

pytestmark = pytest.mark.usefixtures("strict_dtypes")

RADIAL, AIM, RATE = ("radial_A", "radial_B"), 0.2, 0.01
MEMBER = curriculum(lambda hypers: hypers, RATE, AIM, RADIAL)
OTHERS = {"rho": 0.5, "tau": 0.9}


@jax.jit
def run(start, rows):
    """The knobs of all steps; rows: the radial losses (n, 2)."""

    def step(tau, row):
        signals = Signals(jnp.int32(0), {}, dict(zip(RADIAL, row, strict=True)), {})
        before = {name: jnp.float32(x) for name, x in OTHERS.items()}
        tau, after, _ = MEMBER.update(tau, signals, Controls({}, None, before))
        return tau, after.knobs

    return jax.lax.scan(step, MEMBER.init(start), rows)[1]


@jax.jit
def moved(tau, loss):
    """tau after one step that saw this loss in both branches."""
    signals = Signals(jnp.int32(0), {}, {"radial_A": loss, "radial_B": loss}, {})
    return MEMBER.update(tau, signals, Controls({}, None, {}))[0]


def tau_of(start, rows):
    return np.asarray(run(np.float32(start), np.asarray(rows, np.float32))["tau"], np.float64)


@pytest.mark.parametrize("start", [0.0, 0.4, 1.0])
def test_tau_is_that_of_a_loop(start):
    rows = AIM * np.random.default_rng(0).lognormal(0, 1, (600, 2))
    rows[0] = np.inf
    tau, expected = start, []
    for row in rows:
        error = 1 - row.mean() / AIM if np.isfinite(row).all() else 0
        tau = min(max(tau + RATE * min(max(error, -1), 1), 0), 1)
        expected.append(tau)
    np.testing.assert_allclose(tau_of(start, rows), expected, atol=2e-5)


def test_it_rises_while_the_radii_are_in_order_and_falls_while_they_are_not():
    rows = np.repeat([[0.0], [AIM], [2 * AIM], [1e30], [AIM / 2]], 50, 0) * np.ones(2)
    tau = tau_of(0.2, rows)
    np.testing.assert_allclose(np.diff(tau)[[0, 60, 110, 160, 210]] / RATE, [1, 0, -1, -1, 0.5], atol=1e-3)
    assert tau[49] == pytest.approx(0.7)
    assert tau[199] == 0


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_a_loss_that_is_not_finite_changes_neither_tau_nor_the_state(value):
    rows = np.full((40, 2), AIM / 2)
    rows[10:20] = value
    rows[30, 0] = value
    expected = 0.3 + RATE / 2 * np.cumsum(np.isfinite(rows).all(1))
    np.testing.assert_allclose(tau_of(0.3, rows), expected, rtol=1e-5)


@pytest.mark.parametrize("sign", [-1, 1])
def test_ends_are_met_and_left_at_once_and_one_bad_batch_costs_a_step_at_most(sign):
    rows = np.full((250, 2), AIM * (1 - sign))
    rows[200:] = AIM * (1 + sign)
    tau = tau_of(0.5, rows)
    assert tau[199] == (sign + 1) / 2
    assert abs(tau[200] - tau[199]) == pytest.approx(RATE, rel=1e-4)
    rows[100] = sign * 1e30
    assert np.abs(np.diff(tau_of(0.5, rows))).max() < 1.001 * RATE


@pytest.mark.parametrize("start", [0.0, 1.0])
def test_in_closed_loop_the_radial_loss_converges_to_aim(start):
    """The simulated radial loss is 0.05 at full weight, and grows as its weight 1 - tau falls."""
    loss, tau = np.inf, jnp.float32(start)
    for _ in range(600):
        tau = moved(tau, np.float32(loss))
        target = 0.05 / (1.02 - float(tau))
        loss = target if np.isinf(loss) else 0.9 * loss + 0.1 * target
    assert loss == pytest.approx(AIM, rel=1e-2)
    assert float(tau) == pytest.approx(1.02 - 0.05 / AIM, rel=1e-2)


def test_other_knobs_are_left_and_runs_differ_by_where_they_start():
    rows = np.full((3, 2), 2 * AIM, np.float32)
    found = jax.jit(jax.vmap(run, (0, None)))(np.array([0.2, 0.8], np.float32), rows)
    assert found.keys() == {"rho", "tau"}
    np.testing.assert_allclose(found["rho"], 0.5)
    np.testing.assert_allclose(found["tau"][:, -1], [0.17, 0.77], rtol=1e-5)
