"""Probes of cubes whose behaviour is known: wires, whose every figure is a closed form; and the exact light cone."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_cube import drawn, setting, wires

from ternary_jax.errors import ConfigError
from ternary_jax.lattice.cube import probes

pytestmark = pytest.mark.usefixtures("compiled_soon")

ALL = {"model__schedule": "all", "model__leak": 1.0}
DEPTH = 3
ONE: Any = np.ones((6, 2, 3), np.float32) - 2 * np.eye(6, dtype=np.float32).reshape(6, 2, 3)
SIGNS: Any = np.concatenate([ONE, -ONE])  # of mean 0 and variance 1 in each pixel
RNG = np.random.default_rng(3)


def jit(name, *static):
    return jax.jit(getattr(probes, name), static_argnums=static)


@pytest.fixture
def wired():
    static = setting(**ALL)
    return wires(static), static


def test_wires_show_the_face_from_their_length_on(wired):
    params, static = wired
    r2, states = jit("r2_by_update", 3, 4)(params, SIGNS, SIGNS, static, 6)
    np.testing.assert_allclose(r2, [0, 0, 1, 1, 1, 1], atol=1e-6)
    more, _ = jit("r2_by_update", 3, 4)(params, SIGNS, SIGNS, static, 2, (states, 6))
    np.testing.assert_allclose(more, [1, 1], atol=1e-6)


def test_a_pulse_in_wires_is_gone_after_their_length():
    static = setting(**ALL, data__drive="pulse", data__shown=2)
    r2, states = jit("r2_by_update", 3, 4)(wires(static), SIGNS, SIGNS, static, 4)
    np.testing.assert_allclose(r2, [0, 0, 1, 1], atol=1e-6)
    more, _ = jit("r2_by_update", 3, 4)(wires(static), SIGNS, SIGNS, static, 4, (states, 4))
    np.testing.assert_allclose(more, 0, atol=1e-6)


def test_wires_return_from_noise_within_their_length(wired):
    params, static = wired
    found = jit("after_noise", 3, 5)(params, SIGNS, SIGNS, static, jax.random.key(0), 4)
    assert found.shape == (5, 5)
    np.testing.assert_allclose(found[0], 1, atol=1e-6)
    np.testing.assert_allclose(found[:, 3:], 1, atol=1e-5)
    # The states are +-1 in one of four channels, so r = 1/2, and the noise on the read channel costs a^2 / 4.
    np.testing.assert_allclose(1 - found[1:, 0], np.square(probes.NOISES) / 4, rtol=0.5)


@pytest.mark.parametrize(("z", "first"), [(0, 1.0), (1, 1 - 4 / 6)])
def test_a_block_of_wires_is_refilled_from_the_face(wired, z, first):
    params, static = wired
    for key in (None, jax.random.key(1)):
        curve = jit("after_damage", 3, 5, 6)(params, SIGNS, SIGNS, static, jnp.array([1, 0, z]), 2, 5, key)
        np.testing.assert_allclose(curve[0], 1, atol=1e-6)
        assert int(probes.updates_to_regrow(curve)) == DEPTH - z
        if key is None:
            np.testing.assert_allclose(curve[1], first, atol=1e-6)
            np.testing.assert_allclose(curve[DEPTH - z], 1 - 4 / 6, atol=1e-6)  # the last of the lost ones
    for curve in ([1.0, 0.5, 0.98], [-1.0, -2.0, 0.0]):
        assert int(probes.updates_to_regrow(jnp.array(curve))) == -1


def test_removed_cells_cost_their_columns(wired):
    params, static = wired
    found = jit("lesion", 3)(params, SIGNS, SIGNS, static, jax.random.key(5))
    order = np.asarray(jax.random.permutation(jax.random.key(5), 18))
    for r2, share in zip(found, probes.SHARES, strict=True):
        gone = {n % 6 for n in range(18) if order[n] < round(share * 18)}
        np.testing.assert_allclose(r2, 1 - len(gone) / 6, atol=1e-6)
    np.testing.assert_allclose(jit("without_layer", 3)(params, SIGNS, SIGNS, static), np.zeros(3), atol=1e-6)
    for share, r2 in zip(probes.SHARES, probes.r2_of_columns(2, 1, 2), strict=True):
        lost = [len({n % 2 for n in gone}) / 2 for gone in itertools.combinations(range(4), round(share * 4))]
        assert r2 == pytest.approx(1 - np.mean(lost))


def test_swapped_cells_have_each_others_weights():
    static = setting(**ALL)
    params, pairs = drawn(static), [[2, 11], [5, 5]]
    found = jit("swapped", 3)(params, SIGNS, SIGNS, static, jnp.array(pairs))
    for r2, (a, b) in zip(found, pairs, strict=True):
        order = np.arange(18)
        order[[a, b]] = b, a
        other = params | {group: jax.tree.map(lambda x, o=order: x[o], params[group]) for group in ("cells", "start")}
        expected, _ = jit("r2_by_update", 3, 4)(other, SIGNS, SIGNS, static, 8)
        np.testing.assert_allclose(r2, expected[-1], rtol=1e-5)
    assert abs(found[0] - found[1]) > 1e-3
    shared = setting(**ALL, model__weights="shared")
    r2 = jit("swapped", 3)(drawn(shared), SIGNS, SIGNS, shared, jnp.array(pairs))
    assert r2[0] == r2[1]


@pytest.mark.parametrize(
    ("cell", "changes"), [("gated", {"wall__on": True}), ("concatenated", {"model__carry": False})]
)
def test_the_slopes_are_those_inside_of_the_light_cone(cell, changes):
    static = setting(model__schedule="all", model__cell=cell, **changes)
    face = jnp.asarray(RNG.normal(size=(2, 3)), "float32")
    found = jit("slopes", 2, 3)(drawn(static), face, static, 5)
    cone = probes.cone(static, 5)
    np.testing.assert_array_equal(found > 0, cone)
    if "wall__on" not in changes:
        z, y, x = np.indices((3, 2, 3)).reshape(3, -1)
        away = np.abs(x - x[:6, None]) + np.abs(y - y[:6, None]) + z
        for t in range(5):
            np.testing.assert_array_equal(cone[t], away <= t + 1)
    assert (probes.front(found, static) <= np.arange(1, 6)).all()


def test_the_front_in_wires_has_the_speed_of_light(wired):
    params, static = wired
    found = jit("slopes", 2, 3)(params, SIGNS[0], static, 5)
    np.testing.assert_array_equal(probes.front(found, static), [1, 2, 3, 3, 3])


@pytest.mark.parametrize("cell", ["gated", "concatenated"])
def test_one_rule_explains_what_cells_have_in_common(cell):
    share = jit("shared_rule", 2, 4)
    for weights in ("own", "shared"):
        static = setting(**ALL, model__cell=cell, model__weights=weights)
        params = drawn(static)
        found = float(share(params, SIGNS, static, jax.random.key(0), 16))
        assert found == pytest.approx(1, abs=1e-5) if weights == "shared" else found < 0.6
    static = setting(**ALL, model__cell=cell)
    params = drawn(static)
    same = params["cells"] | {name: jnp.broadcast_to(x[:1], x.shape) for name, x in params["cells"].items()}
    assert float(share(params | {"cells": same}, SIGNS, static, jax.random.key(0), 16)) == pytest.approx(1, abs=1e-5)
    sign = jnp.where(jnp.arange(18) % 2, 1.0, -1.0)
    turned = {name: x * sign.reshape(-1, *[1] * (x.ndim - 1)) if "out" in name else x for name, x in same.items()}
    assert float(share(params | {"cells": turned}, SIGNS, static, jax.random.key(0), 16)) == pytest.approx(0, abs=1e-5)


def test_cells_that_are_updated_at_random_need_longer(wired):
    params, static = wired
    run = jit("asynchronous", 3, 5, 6)
    found = run(params, SIGNS, SIGNS, static, jax.random.key(0), 40, 0.5)
    assert found[2] < 0.9
    np.testing.assert_allclose(found[-1], 1, atol=1e-6)
    whole, _ = jit("r2_by_update", 3, 4)(params, SIGNS, SIGNS, static, 4)
    np.testing.assert_array_equal(run(params, SIGNS, SIGNS, static, jax.random.key(0), 4, 1.0), whole)


def test_shared_rules_fit_a_larger_cube():
    static = setting(**ALL, model__weights="shared", model__readout="shared")
    larger = probes.enlarged(static, 5, 4, 6, 8)
    faces: Any = RNG.normal(size=(4, 4, 5)).astype(np.float32)
    r2, states = jit("r2_by_update", 3, 4)(wires(static), faces, faces, larger, 8)
    assert states.shape == (120, 4, 4)
    np.testing.assert_allclose(r2[5:], 1, atol=1e-6)
    with pytest.raises(ConfigError, match=r"config\.model\.weights=own and config\.model\.readout=own have parts for"):
        probes.enlarged(setting(**ALL), 5, 4, 6, 8)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, r"config\.model\.schedule=sweep has no states that go on"),
        ({"model__schedule": "all", "data__drive": "stream"}, r"config\.data\.drive=stream has no face that is held"),
    ],
)
def test_other_cubes_have_no_probes(changes, words):
    static = setting(**changes, data__target="identity", model__updates=11)
    with pytest.raises(ConfigError, match=words):
        probes.r2_by_update({}, SIGNS, SIGNS, static, 2)
