"""Balance of two branches: against a loop, in closed loop with its own factors, and its rule of weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ternary_jax.control.chain import Controls, Signals
from ternary_jax.vae.controllers import balance

pytestmark = pytest.mark.usefixtures("strict_dtypes")

OF_A, OF_B = ("encoder_A", "decoder_A", "projection_A"), ("encoder_B", "decoder_B")
NAMES = balance.names((*OF_A, *OF_B))
BAND, BOUNDS = (0.8, 1.25), (0.5, 0.95)


def run(member, rows, knobs=lambda n: {}):
    """The knobs and the info of each step, by name, (n,), and the last state.

    rows: norms by group as the step sees them, (n, 5); knobs: step number -> knobs before the controller
    """

    def step(state, xs):
        n, row = xs
        signals = Signals(n, {}, dict(zip(NAMES, row, strict=True)), {})
        state, after, info = member.update(state, signals, Controls({}, None, knobs(n)))
        return state, after.knobs | info

    @jax.jit
    def all_steps(rows):
        return jax.lax.scan(step, member.init(None), (jnp.arange(len(rows), dtype=jnp.int32), rows))

    state, found = all_steps(np.asarray(rows, np.float32))
    return {name: np.asarray(values, np.float64) for name, values in found.items()}, state


def ratios(rows, decay):
    """The reference: r at each step, by a loop that computes the weighted means from all past steps."""
    found = []
    for n in range(len(rows)):
        past = np.asarray(rows[: n + 1], np.float64)
        past = past[np.isfinite(past).all(1)]
        weights = decay ** np.arange(len(past))[::-1]
        a, b = (np.sum(weights * np.sqrt(np.square(past[:, part]).sum(1))) for part in (slice(0, 3), slice(3, 5)))
        found.append(b / a if a > 0 and b > 0 else 1.0)
    return np.array(found)


def noisy(n, scale=2.0, seed=0):
    """Random norms of both branches, (n, 5). All are unknown (inf) in row 0, and one of each branch in a later row."""
    rows = np.random.default_rng(seed).lognormal(0, scale, (n, 5))
    rows[0] = np.inf
    rows[n // 2, 1] = np.inf
    rows[n // 3, 4] = np.inf
    return rows


@pytest.mark.parametrize("decay", [0.5, 0.97])
def test_factors_are_the_ratio_of_running_means_and_its_inverse_within_bounds(decay):
    rows = noisy(150)
    found, _ = run(balance.balance(OF_A, OF_B, decay, (0.5, 2.0)), rows, set_to(0.7, 0.6))
    assert found.keys() == {"balance_A", "balance_B", "ratio", *set_to(0.7, 0.6)(0)}
    r = ratios(rows, decay)
    np.testing.assert_allclose(found["ratio"], r, rtol=1e-4)
    assert (r > 2).any()
    assert (r < 0.5).any()
    np.testing.assert_allclose(found["balance_A"], np.clip(r, 0.5, 2), rtol=1e-4)
    np.testing.assert_allclose(found["balance_B"], np.clip(1 / r, 0.5, 2), rtol=1e-4)
    assert found["balance_A"][0] == found["balance_B"][0] == 1


@pytest.mark.parametrize("member", [0, 1, 2, 3, 4])
def test_each_group_counts_for_its_branch(member):
    rows = np.ones((2, 5))
    rows[:, member] = 3.0
    found, _ = run(balance.balance(OF_A, OF_B, 0.9, (1e-3, 1e3)), rows)
    norm = np.sqrt([rows[0, :3] @ rows[0, :3], rows[0, 3:] @ rows[0, 3:]])
    np.testing.assert_allclose(found["balance_A"], norm[1] / norm[0], rtol=1e-6)


@pytest.mark.parametrize("row", [np.inf, np.nan, 0.0, [0, 0, 0, 1, 1], [1, 1, 1, 0, 0], [np.nan, 1, 1, 1, 1]])
def test_an_unknown_or_zero_gradient_norm_changes_no_factor(row):
    rows = np.empty((20, 5))
    rows[:] = row
    found, state = run(balance.balance(OF_A, OF_B, 0.9, (0.5, 2.0)), rows)
    np.testing.assert_array_equal([*found.values()], 1)
    assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(state))


@pytest.mark.parametrize("row", [[1e38, 1e38, 1e38, 1e38, 1e38], [1e-30] * 3 + [1e30] * 2, [1e30] * 3 + [1e-30] * 2])
def test_norms_whose_squares_or_ratio_overflow_are_norms(row):
    found, _ = run(balance.balance(OF_A, OF_B, 0.9, (0.5, 2.0)), np.tile(row, (5, 1)))
    expected = np.clip(np.sqrt(2 / 3) * row[3] / row[0], 0.5, 2)
    np.testing.assert_allclose(found["balance_A"], expected, rtol=1e-6)
    np.testing.assert_allclose(found["balance_B"], 1 / expected, rtol=1e-6)


@pytest.mark.parametrize("r0", [0.2, 1.0, 5.0])
@pytest.mark.parametrize("decay", [0.4, 0.9])
def test_in_closed_loop_r_converges_to_the_cube_root_of_its_start(r0, decay):
    assert settled(r0, decay)[-1] == pytest.approx(r0 ** (1 / 3), rel=1e-3)


def test_in_closed_loop_with_a_short_memory_r_oscillates():
    swings = settled(2.0, 0.2)
    assert abs(np.log(swings[-1] / swings[-2])) > 0.5


def settled(r0, decay):
    """The factor of A at each step of a closed loop: the factors of the last step scale the gradients of A and B."""
    member = balance.balance(("encoder_A",), ("encoder_B",), decay, (1e-3, 1e3))

    def step(carry, _):
        state, last = carry
        state, after, _ = member.update(state, Signals(jnp.int32(0), {}, last, {}), Controls({}, None, {}))
        factors = after.knobs
        last = dict(zip(last, (0.3 * factors["balance_A"], 0.3 * r0 * factors["balance_B"]), strict=True))
        return (state, last), factors["balance_A"]

    @jax.jit
    def all_steps():
        before = dict.fromkeys(balance.names(("encoder_A", "encoder_B")), jnp.float32(jnp.inf))
        return jax.lax.scan(step, (member.init(None), before), None, length=300)[1]

    return np.asarray(all_steps(), np.float64)


# --- the rule of the weights ------------------------------------------------------------------------------------------


def rule(every=3, rate=0.02, decay=0.0):
    return balance.balance(OF_A, OF_B, decay, weights=balance.Weights(every, rate, BAND, BOUNDS))


def constant(r, n=300):
    """Rows whose ratio is r."""
    return np.tile([1.0, 0, 0, r, 0], (n, 1))


def set_to(lambda_1, lambda_2):
    return lambda n: {"lambda_1": jnp.float32(lambda_1), "lambda_2": jnp.float32(lambda_2), "tau": jnp.float32(0.1)}


@pytest.mark.parametrize("decay", [0.0, 0.8])
def test_weights_are_those_of_a_loop(decay):
    rows = noisy(240, 1.0)
    found, _ = run(rule(3, 0.05, decay), rows, set_to(0.7, 0.6))
    weights, step, expected = np.array([0.7, 0.6]), np.array([0.05, -0.05]), []
    for n, r in enumerate(ratios(rows, decay) if decay else without_a_past(rows)):
        if n % 3 == 0 and r > 1.25:
            weights = np.clip(weights + step, 0.5, 0.95)
        if n % 3 == 0 and r < 0.8:
            weights = np.clip(weights - step, 0.5, 0.95)
        expected.append(weights)
    assert len(np.unique(expected, axis=0)) > 5
    np.testing.assert_allclose(np.stack([found["lambda_1"], found["lambda_2"]], -1), expected, atol=1e-5)
    np.testing.assert_allclose(found["tau"], 0.1)


def without_a_past(rows):
    """r of the latest known row, without running means."""
    found = [1.0]
    for row in rows[1:]:
        found.append(np.hypot(*row[3:]) / np.sqrt((row[:3] ** 2).sum()) if np.isfinite(row).all() else found[-1])
    return found


def test_the_branch_with_the_smaller_gradients_gains_up_to_the_bounds():
    for r, ends in ((2.0, (0.95, 0.5)), (0.5, (0.5, 0.95))):
        found, _ = run(rule(), constant(r), set_to(0.7, 0.7))
        assert [found["lambda_1"][-1], found["lambda_2"][-1]] == pytest.approx(ends)
        assert np.flatnonzero(np.diff(found["lambda_1"])).tolist()[:3] == [2, 5, 8]
    for r in (*np.linspace(0.81, 1.24, 5), *BAND):
        found, _ = run(rule(), constant(np.float32(r)), set_to(0.7, 0.7))
        np.testing.assert_allclose([found["lambda_1"], found["lambda_2"]], 0.7, rtol=1e-6)


def test_a_bound_is_left_at_once_and_a_weight_beyond_it_is_left_alone():
    rows = np.concatenate([constant(2.0), constant(0.5, 4)])
    found, _ = run(rule(), rows, set_to(0.7, 0.3))
    assert found["lambda_1"][[299, 300]] == pytest.approx([0.95, 0.93])
    assert found["lambda_2"][[0, 299, 300]] == pytest.approx([0.3, 0.3, 0.32])
    still, _ = run(rule(), constant(1.0), set_to(0.3, 1.7))
    np.testing.assert_allclose([still["lambda_1"], still["lambda_2"]], np.tile([[0.3], [1.7]], 300), rtol=1e-6)


def test_weights_follow_their_schedules():
    def rising(n):
        return {"lambda_1": 0.6 + 0.001 * n.astype(jnp.float32), "lambda_2": jnp.float32(0.7)}

    found, _ = run(rule(every=1000), np.concatenate([constant(2.0, 1), constant(1.0, 100)]), rising)
    np.testing.assert_allclose(found["lambda_1"], 0.62 + 0.001 * np.arange(101), rtol=1e-5)


def test_norms_differ_between_runs_of_one_program():
    member = balance.balance(OF_A, OF_B, 0.9, (0.5, 2.0))

    def factor(last):
        signals = Signals(jnp.int32(1), {}, last, {})
        return member.update(member.init(None), signals, Controls({}, None, {}))[1].knobs["balance_A"]

    last = {name: jnp.array([1.0, 1.0], jnp.float32) for name in NAMES}
    last["gradient/encoder_B"] = jnp.array([1.0, 2.0], jnp.float32)
    np.testing.assert_allclose(jax.jit(jax.vmap(factor))(last), np.sqrt([2 / 3, 5 / 3]), rtol=1e-6)
