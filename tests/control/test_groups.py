"""Settings that hold for a whole run: factors on the rates of groups, and frozen groups."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ternary_jax.control import groups
from ternary_jax.control.chain import Controls, Signals, chain
from ternary_jax.engine.optimizer import adamw_by_group

SIGNALS = Signals(jnp.int32(0), {}, {}, {})


def before(**knobs):
    return Controls({"slope": jnp.float32(0.5), "offset": jnp.float32(2), "other": jnp.float32(3)}, None, knobs)


def test_rates_are_multiplied_group_by_group():
    control = groups.scale(lambda hypers: {"slope": hypers, "offset": 10 * hypers, "no group": 1.0})
    state, after, _ = control.update(control.init(jnp.float32(0.1)), SIGNALS, before(tau=1))
    assert jax.tree.map(float, after.rates) == pytest.approx({"slope": 0.05, "offset": 2.0, "other": 3.0})
    assert (after.frozen, after.knobs) == (None, {"tau": 1})
    again, twice, _ = control.update(state, SIGNALS, after)
    assert again == state
    assert float(twice.rates["slope"]) == pytest.approx(0.005)


def test_factors_differ_between_runs_of_one_program():
    control = groups.scale(lambda hypers: {"slope": hypers})

    def rate(hypers):
        return control.update(control.init(hypers), SIGNALS, before())[1].rates["slope"]

    factors = jnp.array([0.0, 1.0, 4.0])
    np.testing.assert_allclose(jax.jit(jax.vmap(rate))(factors), 0.5 * factors)


def test_freezing_names_every_group_and_adds_to_what_is_frozen():
    state, after, _ = groups.freeze(("slope",)).update((), SIGNALS, before(tau=1))
    assert state == ()
    assert jax.tree.map(bool, after.frozen) == {"slope": True, "offset": False, "other": False}
    assert (after.rates, after.knobs) == (before().rates, {"tau": 1})
    two = chain({"a": groups.freeze(("slope",)), "b": groups.freeze(("other",))})
    _, both, _ = two.update(two.init(None), SIGNALS, before())
    assert jax.tree.map(bool, both.frozen) == {"slope": True, "offset": False, "other": True}


def test_a_rate_of_0_moves_no_parameter_but_the_optimizer_and_a_frozen_group_moves_neither():
    params = {"slope": {"w": jnp.ones(3)}, "offset": {"b": jnp.ones(2)}, "other": {"x": jnp.ones(1)}}
    slopes = jax.tree.map(lambda x: 3 * x, params)
    tx, norm = adamw_by_group(1.0), np.sqrt(9 * 3 + 9 * 1)  # without the frozen one
    start: Any = tx.init(params)
    control = chain({"a": groups.scale(lambda hypers: {"slope": jnp.float32(0)}), "b": groups.freeze(("offset",))})
    _, turned, _ = control.update(control.init(None), SIGNALS, before())
    updates: Any
    state: Any
    updates, state = tx.update(
        slopes, start, params, rates=turned.rates, weight_decay=jnp.float32(0), frozen=turned.frozen
    )
    assert not np.any(updates["slope"]["w"])
    assert not np.any(updates["offset"]["b"])
    assert np.all(updates["other"]["x"] < 0)
    np.testing.assert_allclose(state["slope"].mu["w"], np.full(3, 0.1 * 3 / norm), rtol=1e-6)
    assert int(state["slope"].count) == 1
    assert jax.tree.all(jax.tree.map(np.array_equal, state["offset"], start["offset"]))
