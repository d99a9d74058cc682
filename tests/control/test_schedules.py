"""Schedules of knobs and rates, and edge cases of the learning rate; its formula is tested in test_program.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ternary_jax.control import schedules
from ternary_jax.control.chain import Controls, Signals, chain


def signals(**schedule):
    return Signals(jnp.int32(0), {name: jnp.float32(x) for name, x in schedule.items()}, {}, {})


def controls(**knobs):
    rates = {"slope": jnp.float32(0.5), "offset": jnp.float32(2)}
    return Controls(rates, None, {name: jnp.float32(x) for name, x in knobs.items()})


def numbers(tree):
    return jax.tree.map(float, tree)


def test_knobs_follow_the_schedules_they_are_given_and_rates_are_left():
    """The engine multiplies rates by the learning rate; a controller that did the same would square it."""
    control = schedules.follow(tau="cooling", weight="rise")
    state, after, _ = control.update(
        control.init(None), signals(cooling=0.25, rise=7.0, learning_rate=0.1), controls(tau=1.0, weight=2.0, other=3.0)
    )
    assert state == ()
    assert numbers(after.knobs) == {"tau": 0.25, "weight": 7.0, "other": 3.0}
    assert numbers(after.rates) == {"slope": 0.5, "offset": 2.0}
    assert after.frozen is None


def test_rates_follow_the_learning_rate_and_what_is_frozen_stays_frozen():
    before = controls(tau=1.0)._replace(frozen={"slope": True, "offset": False})
    _, after, _ = schedules.follow("learning_rate").update((), signals(learning_rate=0.5, tau=9.0), before)
    assert numbers(after.rates) == {"slope": 0.25, "offset": 1.0}
    assert numbers(after.knobs) == {"tau": 1.0}
    assert after.frozen == before.frozen


def test_a_schedule_enters_a_scan_row_by_row_and_stays_unbatched_under_vmap():
    rows = {"learning_rate": jnp.linspace(1, 0, 5), "cooling": jnp.arange(5.0)}
    control = chain({"rate": schedules.follow("learning_rate"), "tau": schedules.follow(tau="cooling")})

    def run(start):
        def step(state, row):
            before = Controls({"slope": start}, None, {"tau": start})
            state, after, _ = control.update(state, Signals(jnp.int32(0), row, {}, {}), before)
            return state, (after.rates["slope"], after.knobs["tau"])

        return jax.lax.scan(step, control.init(None), rows)[1]

    rate, tau = jax.jit(jax.vmap(run))(jnp.array([1.0, 3.0]))
    np.testing.assert_allclose(rate, np.outer([1, 3], np.linspace(1, 0, 5)), rtol=1e-6)
    np.testing.assert_array_equal(tau, np.tile(np.arange(5), (2, 1)))


@pytest.mark.parametrize("shape", ["constant", "cosine"])
@pytest.mark.parametrize(("steps", "warmup"), [(4, 4), (4, 9), (1, 1), (1, 5), (3, 10**7)])
def test_a_warmup_as_long_as_the_run_or_longer_only_rises(shape, steps, warmup):
    rate = schedules.learning_rate(shape, steps, warmup, 0.1)
    np.testing.assert_allclose(rate, [(n + 1) / (warmup + 1) for n in range(steps)], rtol=1e-6)


@pytest.mark.parametrize("shape", ["constant", "cosine"])
def test_short_runs_have_finite_rates(shape):
    final = {"constant": 1.0, "cosine": 0.1}[shape]
    for steps, warmup, expected in (
        (1, 0, [1.0]),  # a single step has the full rate
        (2, 0, [1.0, final]),
        (2, 1, [0.5, 1.0]),
        (3, 1, [0.5, 1.0, final]),
    ):
        np.testing.assert_allclose(schedules.learning_rate(shape, steps, warmup, 0.1), expected, rtol=1e-6)


# --- warm restarts ----------------------------------------------------------------------------------------------------


def restarted(steps, warmup, final, cycle, growth):
    """The reference: warm restarts computed from step to step."""
    rate, at, length = [], 0, cycle
    for n in range(steps):
        if n <= warmup:
            at = 0
        elif at + 1 == length:
            at, length = 0, length * growth
        else:
            at += 1
        level = final + (1 - final) * (1 + np.cos(np.pi * at / length)) / 2
        rate.append(min(1, (n + 1) / (warmup + 1)) * level)
    return rate


@pytest.mark.parametrize(("cycle", "growth"), [(4, 2), (5, 1), (1, 3), (1, 1), (100, 2), (7, 100)])
@pytest.mark.parametrize(("warmup", "final"), [(0, 0.0), (3, 0.1), (60, 0.2)])
def test_warm_restarts_are_those_of_a_walk(warmup, final, cycle, growth):
    found = schedules.learning_rate("warm_restarts", 50, warmup, final, cycle, growth)
    np.testing.assert_allclose(found, restarted(50, warmup, final, cycle, growth), rtol=1e-6, atol=1e-7)
    assert found.dtype == np.float32


def test_cycles_begin_at_the_full_rate_and_each_is_longer_than_the_one_before():
    found = schedules.learning_rate("warm_restarts", 3 + 4 + 8 + 16, 3, 0.0, 4, 2)
    assert np.flatnonzero(found == 1).tolist() == [3, 7, 15]
    assert np.flatnonzero(np.diff(found) > 0).tolist() == [0, 1, 2, 6, 14]  # the rise, and two restarts
    assert found[[6, 14, 30]].tolist() == sorted(found[[6, 14, 30]].tolist(), reverse=True)  # each ends nearer to 0


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_cycle_that_is_cut_short_is_one_that_began(steps):
    found = schedules.learning_rate("warm_restarts", steps, 0, 0.1, 10, 2)
    whole = schedules.learning_rate("warm_restarts", 10, 0, 0.1, 10, 2)
    np.testing.assert_array_equal(found, whole[:steps])


# --- phases -----------------------------------------------------------------------------------------------------------


def test_a_line_falls_by_equal_parts_to_its_end():
    found = schedules.learning_rate("linear", 12, 2, 0.1)
    expected = [1 / 3, 2 / 3] + [0.1 + 0.9 * (9 - k) / 9 for k in range(10)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_phases_are_their_shapes_one_after_the_other_and_only_the_first_warms_up():
    parts = [
        schedules.Phase("warm_restarts", 7, 1.0),
        schedules.Phase("constant", 3, 0.3),
        schedules.Phase("linear", 5, 0.1),
    ]
    found = schedules.in_phases(parts, 2, 0.0, 2, 2)
    cycles = [(1 + np.cos(np.pi * t)) / 2 for t in (0, 1 / 2, 0, 1 / 4, 1 / 2)]  # of 2 and 4 steps, once it has risen
    np.testing.assert_allclose(found[:7], [1 / 3, 2 / 3, *cycles], rtol=1e-6)
    np.testing.assert_allclose(found[7:10], 0.3, rtol=1e-6)
    np.testing.assert_allclose(found[10:], [0.1, 0.075, 0.05, 0.025, 0.0], atol=1e-7)
    one = schedules.in_phases([schedules.Phase("cosine", 9, 1.0)], 3, 0.2, 1, 1)
    np.testing.assert_array_equal(one, schedules.learning_rate("cosine", 9, 3, 0.2, 1, 1))
