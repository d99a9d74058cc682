"""Chains of controllers: their order, and each member's own state and info."""

import jax
import jax.numpy as jnp

from ternary_jax.control.chain import Control, Controls, Signals, chain

SIGNALS = Signals(jnp.int32(0), {}, {}, {})
BEFORE = Controls({"slope": jnp.float32(0.5)}, None, {"tau": jnp.float32(0)})


def adds(start, by):
    """Adds its state to tau, and reports what tau was."""

    def update(state, signals, controls):
        tau = controls.knobs["tau"]
        return state + by, controls._replace(knobs={"tau": tau + state}), {"before": tau}

    return Control(lambda hypers: hypers + start, update)


def test_a_chain_of_none_carries_nothing_changes_nothing_and_costs_nothing():
    none = chain({})
    assert none.init(None) == {}
    state, after, info = none.update({}, SIGNALS, BEFORE)
    assert (state, info) == ({}, {})
    assert after is BEFORE
    made = jax.make_jaxpr(lambda s, c: none.update({}, s, c))(SIGNALS, BEFORE)
    assert made.jaxpr.eqns == []


def test_chains_nest_and_each_member_keeps_its_own_state():
    nested = chain({"one": adds(1, 10), "rest": chain({"two": adds(2, 20), "three": adds(3, 30)})})
    flat = chain({"one": adds(1, 10), "two": adds(2, 20), "three": adds(3, 30)})
    seen = []
    for control in (nested, flat):
        state, knobs = control.init(100), []
        for _ in range(2):
            state, after, _ = control.update(state, SIGNALS, BEFORE)
            knobs.append(float(after.knobs["tau"]))
        assert sorted(jax.tree.leaves(state)) == [121, 142, 163]
        seen.append(knobs)
    assert seen == [[306.0, 366.0]] * 2


def test_state_and_info_go_by_the_names_of_the_members_in_their_order():
    control = chain({"late": adds(1, 10), "early": adds(2, 20)})
    state, _, info = control.update(control.init(100), SIGNALS, BEFORE)
    assert state == {"late": 111, "early": 122}
    assert {name: float(own["before"]) for name, own in info.items()} == {"late": 0, "early": 101}
