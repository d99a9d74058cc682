"""Probes of flows whose placement is known: removal against its closed form, and ways that know of no content."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_flows import FACES, model, run, settings

from ternary_jax.errors import ConfigError
from ternary_jax.lattice.energy_flow import flow, probes

SIGNS: Any = np.concatenate([x := np.ones((20, 4, 5), np.float32) - 2 * np.eye(20).reshape(20, 4, 5), -x])


def in_place(**changes):
    """Flows that stay in their cells, and keep their energy."""
    static, params = model(**changes)
    return static, params | {name: jax.tree.map(jnp.zeros_like, params[name]) for name in ("movement", "energy")}


def test_removed_flows_cost_their_own_outputs():
    static, params = in_place()
    inputs = SIGNS.astype(np.float32)  # of mean 0 and variance 1 in each cell
    found = probes.r2_without(params, inputs, inputs[:, None], static, jax.random.key(0))
    np.testing.assert_allclose(found, probes.r2_of_lost_outputs(20), atol=1e-6)
    assert probes.r2_of_lost_outputs(20) == [1, 0.95, 0.9, 0.75, 0.5, 0.25]
    assert probes.r2_of_lost_outputs(7, (0.25,)) == [5 / 7]  # whole flows


def test_the_removed_flows_of_a_share_are_among_those_of_a_greater_one():
    keeps = np.asarray(probes.kept(jax.random.key(3), 20, probes.SHARES))
    assert keeps.sum(1).tolist() == [20, 19, 18, 15, 10, 5]
    assert (keeps[1:] <= keeps[:-1]).all()


def test_a_removed_flow_gives_nothing_to_outputs_and_other_flows():
    static, params = model(model__content=False, interaction__kind="field")
    keep = probes.kept(jax.random.key(1), 20, (0.25,))[0]
    without = jax.jit(probes.without, static_argnums=2)
    other = jnp.where(keep.reshape(1, 4, 5), FACES, 7.0)
    flows, same = without(params, FACES, static, keep), without(params, other, static, keep)
    np.testing.assert_array_equal(flow.outputs(flows, static), flow.outputs(same, static))
    assert (np.asarray(flows.energy)[:, ~np.asarray(keep)] == 0).all()
    np.testing.assert_allclose(
        flow.outputs(without(params, FACES, static, jnp.ones(20, bool)), static),
        flow.outputs(run(params, FACES, static, 3)[0], static),
        atol=1e-5,
    )


def test_attention_has_no_flow_to_remove():
    static = settings(interaction__kind="attention")
    with pytest.raises(ConfigError, match=r"config\.interaction\.kind=attention gives weight to flows without energy"):
        probes.without({}, FACES, static, jnp.ones(20, bool))


def test_ways_are_apart_where_they_depend_on_the_content():
    other = probes.permuted(jax.random.key(0), FACES)
    np.testing.assert_array_equal(np.sort(other.reshape(2, -1)), np.sort(FACES.reshape(2, -1)))
    static, params = model()
    apart_of = jax.jit(probes.ways_apart, static_argnums=3)
    found = apart_of(params, FACES, other, static)
    one, two = (np.asarray(run(params, faces, static, 3)[2], float) for faces in (FACES, other))
    apart = np.sqrt(((one - two) ** 2).sum(-1))
    np.testing.assert_allclose(found["apart"], apart.mean(), rtol=1e-5)
    np.testing.assert_allclose(found["ends"], apart[-1].mean(), rtol=1e-5)
    assert apart.mean() > 0.1
    start = np.asarray(flow.place(params, FACES, static).position, float)
    np.testing.assert_allclose(found["way"], np.hypot(*(one[-1] - start)[..., :2].T).mean(), rtol=1e-5)
    for group in ("neuron", "carrier"):
        params = params | {group: {name: layer for name, layer in params[group].items() if name != "energy"}}
    assert apart_of(params, FACES, other, settings(model__content=False))["longest"] == 0
