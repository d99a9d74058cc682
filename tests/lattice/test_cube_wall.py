"""The wall across a cube: beside the float64 loop, and as a light cone that goes through the hole alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxprs import equations
from reference import cube as reference
from small_cube import CONFIG, SMALL, drawn, setting

from ternary_jax.config import load_config
from ternary_jax.errors import ConfigError
from ternary_jax.lattice.cube import cube, probes, task, wall

pytestmark = pytest.mark.usefixtures("compiled_soon")

RNG = np.random.default_rng(7)
WALL = {"wall__on": True, "lattice__width": 3, "lattice__height": 3}


def closed(hole, width, height, z):
    """The cells of the wall, one after the other."""
    first = ((width - hole) // 2, (height - hole) // 2)
    inside = [(x, y) for x in range(first[0], first[0] + hole) for y in range(first[1], first[1] + hole)]
    return [(x, y, z) for x in range(width) for y in range(height) if (x, y) not in inside]


@pytest.mark.parametrize(("cell", "carry"), [("gated", True), ("concatenated", False)])
def test_both_schedules_with_a_wall_are_those_of_a_float64_loop(cell, carry):
    static = setting(**WALL | {"lattice__width": 4}, wall__hole=2, model__cell=cell, model__carry=carry)
    params, faces = drawn(static), RNG.normal(size=(2, 3, 4)).astype(np.float32)

    @jax.jit
    def both(params, faces):
        drives = jnp.broadcast_to(faces, (4, *faces.shape))
        states, read, _ = cube.run(params, cube.start(params, 2, static), drives, static)
        return states, read[-1], *cube.sweep(params, faces, static)

    found, shut = both(params, faces), closed(2, 4, 3, 1)
    assert len(shut) == 8
    for k, face in enumerate(faces):
        one, other = (reference.Cube(params, static.model, cube.size(static), shut) for _ in range(2))
        for _ in range(4):
            one.step(face.astype(float))
        other.sweep(face.astype(float))
        for by, (states, read) in ((one, found[:2]), (other, found[2:])):
            np.testing.assert_allclose(read[k], by.read(), rtol=2e-4, atol=2e-5)
            assert all((states[by.number[place], k] == 0).all() for place in shut)


@pytest.mark.parametrize(("cell", "weights"), [("gated", "own"), ("concatenated", "shared")])
def test_the_light_cone_goes_through_the_hole_alone(cell, weights):
    static = setting(**WALL, model__schedule="all", model__cell=cell, model__weights=weights)
    params, face = drawn(static), jnp.asarray(RNG.normal(size=(1, 3, 3)), "float32")
    y, x = np.indices((3, 3)).reshape(2, -1)
    way = np.abs(y - 1) + np.abs(x - 1)  # to the hole, and from it
    slope = jax.jit(jax.jacfwd(lambda face: task.outputs_in_time(static, params, face, 7)[0][:, 0]))(face)
    for updates, of_update in enumerate(np.asarray(slope).reshape(7, 9, 9), 1):
        np.testing.assert_array_equal(np.abs(of_update) > 0, way[:, None] + way[None] + 3 <= updates)


def test_one_rule_is_asked_of_the_cells_that_are_there():
    """Cells of the wall with weights of their own do not count; a rule that all others share explains all."""
    static = setting(**WALL, model__schedule="all")
    params, there = drawn(static), np.asarray(wall.there(static))
    same = {name: jnp.where(there.reshape(-1, *[1] * (x.ndim - 1)), x[:1], x) for name, x in params["cells"].items()}
    face = RNG.normal(size=(4, 3, 3)).astype(np.float32)
    found = jax.jit(probes.shared_rule, static_argnums=(2, 4))(
        params | {"cells": same}, face, static, jax.random.key(0), 16
    )
    assert float(found) == pytest.approx(1, abs=1e-5)


def test_what_is_off_leaves_no_trace():
    def program(**changes):
        static = setting(model__schedule="all", **changes)
        params = jax.eval_shape(lambda: cube.init(jax.random.key(0), static))
        return jax.make_jaxpr(lambda p, x: task.outputs_in_time(static, p, x, 3)[0])(params, jnp.zeros((2, 3, 3)))

    one, other, on = (
        program(**WALL | change) for change in ({"wall__on": False, "wall__hole": 2}, {"wall__on": False}, {})
    )
    assert str(one) == str(other)
    assert equations(on.jaxpr).count("select_n") > equations(one.jaxpr).count("select_n")
    assert wall.there(setting()) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"wall.hole": 3},
            r"config\.wall\.hole=3 leaves no wall, or is larger than the face of config\.lattice\.width=3",
        ),
        ({"wall.hole": 2, "lattice.width": 2}, r"config\.wall\.hole=2 leaves no wall"),
        (
            {"lattice.depth": 2},
            r"config\.wall\.on=True needs layers on both sides of the wall, and config\.lattice\.de",
        ),
    ],
)
def test_a_wall_without_layers_or_cells_is_refused_in_one_sentence(changes, words):
    with pytest.raises(ConfigError, match=words) as e:
        load_config(CONFIG, SMALL | {"wall.on": True} | changes)
    assert "\n" not in str(e.value)
