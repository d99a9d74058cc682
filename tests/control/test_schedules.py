"""Schedules: what a controller makes of them, and the edges of the learning rate's. Its formula: test_train.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ternary_jax.control import schedules
from ternary_jax.control.chain import Control, Controls, Signals, chain


def signals(**schedule):
    return Signals(jnp.int32(0), {name: jnp.float32(x) for name, x in schedule.items()}, {}, {})


def controls(**knobs):
    rates = {"slope": jnp.float32(0.5), "offset": jnp.float32(2)}
    return Controls(rates, None, {name: jnp.float32(x) for name, x in knobs.items()})


def numbers(tree):
    return jax.tree.map(float, tree)


def test_knobs_follow_the_schedules_they_are_given_and_rates_are_left():
    """The engine turns the rates by the learning rate; a controller of a task that did so too would square it."""
    control = schedules.follow(tau="cooling", weight="rise")
    state, after = control.update(
        control.init(None), signals(cooling=0.25, rise=7.0, learning_rate=0.1), controls(tau=1.0, weight=2.0, other=3.0)
    )
    assert state == ()
    assert numbers(after.knobs) == {"tau": 0.25, "weight": 7.0, "other": 3.0}
    assert numbers(after.rates) == {"slope": 0.5, "offset": 2.0}
    assert after.frozen is None


def test_rates_follow_the_learning_rate_and_what_is_frozen_stays_frozen():
    before = controls(tau=1.0)._replace(frozen={"slope": True, "offset": False})
    _, after = schedules.follow("learning_rate").update((), signals(learning_rate=0.5, tau=9.0), before)
    assert numbers(after.rates) == {"slope": 0.25, "offset": 1.0}
    assert numbers(after.knobs) == {"tau": 1.0}
    assert after.frozen == before.frozen


def test_a_schedule_enters_a_scan_row_by_row_and_stays_unbatched_under_vmap():
    rows = {"learning_rate": jnp.linspace(1, 0, 5), "cooling": jnp.arange(5.0)}
    control = chain(schedules.follow("learning_rate"), schedules.follow(tau="cooling"))

    def run(start):
        def step(state, row):
            before = Controls({"slope": start}, None, {"tau": start})
            state, after = control.update(state, Signals(jnp.int32(0), row, {}, {}), before)
            return state, (after.rates["slope"], after.knobs["tau"])

        return jax.lax.scan(step, control.init(None), rows)[1]

    rate, tau = jax.jit(jax.vmap(run))(jnp.array([1.0, 3.0]))
    np.testing.assert_allclose(rate, np.outer([1, 3], np.linspace(1, 0, 5)), rtol=1e-6)
    np.testing.assert_array_equal(tau, np.tile(np.arange(5), (2, 1)))


def test_a_chain_of_none_carries_nothing_changes_nothing_and_costs_nothing():
    none, before = chain(), controls(tau=1.0)
    assert jax.tree.leaves(none.init(None)) == []
    state, after = none.update(none.init(None), signals(), before)
    assert state == ()
    assert after is before
    made = jax.make_jaxpr(lambda s, c: none.update((), s, c))(signals(learning_rate=1.0), before)
    assert made.jaxpr.eqns == []


def test_chains_nest_and_each_member_keeps_its_own_state():
    def adds(start, by):
        def update(state, signals, controls):
            return state + by, controls._replace(knobs={"tau": controls.knobs["tau"] + state})

        return Control(lambda hypers: hypers + start, update)

    nested = chain(adds(1, 10), chain(adds(2, 20), adds(3, 30)))
    flat = chain(adds(1, 10), adds(2, 20), adds(3, 30))
    seen = []
    for control in (nested, flat):
        state, knobs = control.init(100), []
        for _ in range(2):
            state, after = control.update(state, signals(), controls(tau=0.0))
            knobs.append(float(after.knobs["tau"]))
        assert jax.tree.leaves(state) == [121, 142, 163]
        seen.append(knobs)
    assert seen == [[306.0, 366.0]] * 2


@pytest.mark.parametrize("shape", ["constant", "cosine"])
@pytest.mark.parametrize(("steps", "warmup"), [(4, 4), (4, 9), (1, 1), (1, 5), (3, 10**7)])
def test_a_warmup_as_long_as_the_run_or_longer_only_rises(shape, steps, warmup):
    rate = schedules.learning_rate(shape, steps, warmup, 0.1)
    np.testing.assert_allclose(rate, [(n + 1) / (warmup + 1) for n in range(steps)], rtol=1e-6)


@pytest.mark.parametrize("shape", ["constant", "cosine"])
def test_short_runs_have_finite_rates(shape):
    final = {"constant": 1.0, "cosine": 0.1}[shape]
    for steps, warmup, expected in (
        (1, 0, [1.0]),  # the first step is also the last: at the full rate, or it would do nothing
        (2, 0, [1.0, final]),
        (2, 1, [0.5, 1.0]),
        (3, 1, [0.5, 1.0, final]),
    ):
        np.testing.assert_allclose(schedules.learning_rate(shape, steps, warmup, 0.1), expected, rtol=1e-6)
