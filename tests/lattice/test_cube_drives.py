"""What drives a cube over time: pulses, silence and streams, beside plain Python; the window of answers; the losses."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import cube as reference
from small_cube import CONFIG, SMALL, context, drawn, first, setting

from ternary_jax.config import load_config
from ternary_jax.engine import assembly
from ternary_jax.errors import ConfigError
from ternary_jax.lattice.cube import cube, drives, losses, task

pytestmark = pytest.mark.usefixtures("compiled_soon")

RNG = np.random.default_rng(4)
FACES: Any = RNG.normal(size=(2, 2, 3)).astype(np.float32)
ALL = {"model__schedule": "all"}
NOTHING: Any = None


@pytest.mark.parametrize("carry", [True, False])
def test_silence_drives_nothing_also_not_the_bias(carry):
    static = setting(**ALL, data__drive="pulse", data__shown=2, model__carry=carry)
    params = drawn(static)
    found = jax.jit(lambda: task.outputs_in_time(static, params, FACES, 5)[0])()
    for k, face in enumerate(FACES):
        one = reference.Cube(params, static.model, cube.size(static))
        for number in range(5):
            one.step(face.astype(float) if number < 2 else None)
            np.testing.assert_allclose(found[number, k], one.read(), rtol=2e-4, atol=2e-5)


def test_states_of_any_age_go_on_with_their_own_face_and_what_is_left_of_their_pulse():
    static = setting(**ALL, data__drive="pulse", data__shown=2)
    params, ages = drawn(static), np.array([0, 1, 2, 7])
    states: Any = RNG.normal(size=(18, 4, 4)).astype(np.float32)
    faces: Any = RNG.normal(size=(4, 2, 3)).astype(np.float32)
    run = jax.jit(lambda faces, states, ages: task.outputs_in_time(static, params, faces, 3, None, (states, ages)))
    read, after, _ = run(faces, states, ages)
    for k, age in enumerate(ages):
        one = reference.Cube(params, static.model, cube.size(static))
        one.states = {cell: states[number, k].astype(float) for cell, number in one.number.items()}
        for number in range(3):
            one.step(faces[k].astype(float) if age + number < 2 else None)
        np.testing.assert_allclose(read[-1, k], one.read(), rtol=2e-4, atol=2e-5)
    order = np.array([3, 1, 0, 2])  # states never cross samples
    moved, same, _ = run(faces[order], states[:, order], ages[order])
    np.testing.assert_allclose(moved, read[:, order], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(same, after[:, order], rtol=1e-5, atol=1e-6)


def test_a_stream_is_that_of_plain_python():
    static = setting(**ALL, data__drive="stream", data__target="identity", model__updates=11, data__amplitude=0.5)
    bits = np.asarray(drives.inputs(jax.random.key(0), 4, static))
    assert bits.shape == (4, drives.bits(static), 2, 3) == (4, 3, 2, 3)
    assert sorted(set(bits.ravel())) == [-0.5, 0.5]
    faces, on = (np.asarray(x) for x in drives.of_updates(jnp.asarray(bits), 13, static))
    answers = np.asarray(drives.answers(jnp.asarray(bits), static))
    updates, asked = drives.asked(setting(**ALL, **STREAM, losses__window="mean"))
    assert (updates, [*range(updates)][asked]) == (11, [4, 7, 10])  # the last before the next bit is at the last layer
    assert [*range(11)][drives.asked(static)[1]] == [10]
    for k in range(4):
        ones = np.zeros((2, 3), int)
        for update in range(13):
            bit, phase = divmod(update, 3)
            assert on[update, k] == (phase == 0 and bit < 3)
            if bit < 3:
                np.testing.assert_array_equal(faces[update, k], bits[k, bit])
        for bit in range(3):
            for y in range(2):
                for x in range(3):
                    ones[y, x] += bits[k, bit, y, x] < 0
                    assert answers[bit, k, y, x] == (-0.5 if ones[y, x] % 2 else 0.5)


STREAM = {"data__drive": "stream", "data__target": "identity", "model__updates": 11}


def test_the_answer_to_a_bit_does_not_depend_on_the_next_one():
    static = setting(**ALL, **STREAM, lattice__width=1, lattice__height=1)
    params, bits = drawn(static), drives.inputs(jax.random.key(1), 1, static)
    slope = jax.jit(jax.jacobian(lambda bits: task.outputs_in_time(static, params, bits, 11)[0][4::3, 0, 0, 0]))(bits)
    np.testing.assert_array_equal(np.abs(slope[:, 0, :, 0, 0]) > 0, np.tri(3, dtype=bool))


@pytest.mark.parametrize(("drive", "more"), [("pulse", ["r2_held", "r2_after_10", "r2_after_100"]), ("stream", [])])
def test_the_metrics_of_a_memory_are_those_of_its_updates(drive, more):
    made, static, hypers = assembly.assemble(config(drive))
    params = drawn(static)
    found = jax.jit(lambda params: made.evaluate(params, context(made, first(hypers))))(params)
    names = more or ["accuracy", "accuracy_64"]
    assert set(found) == {one.name for one in made.metrics} == {"r2", *names, "state_rms"}
    given = made.data["evaluated"]
    read = np.asarray(jax.jit(lambda: task.outputs_in_time(static, params, given, 194)[0])(), float)
    if drive == "pulse":
        for name, update in {"r2": 4, "r2_held": 8, "r2_after_10": 12, "r2_after_100": 102}.items():
            left = ((read[update - 1] - given) ** 2).sum() / ((given - given.mean(0)) ** 2).sum()
            np.testing.assert_allclose(found[name], 1 - left, rtol=1e-4, atol=1e-5)
        return
    assert given.shape == (8, 64, 2, 3)
    for name, (bits, update) in {"accuracy": (3, 11), "accuracy_64": (64, 194)}.items():
        right = np.sign(read[update - 1]) == np.prod(np.sign(given[:, :bits]), 1)
        assert found[name] == pytest.approx(right.mean())


def config(drive, **changes):
    own = {"stream": {"model.updates": 11}, "pulse": {"data.shown": 2}, "held": {}}[drive]
    given = {"data.drive": drive, "data.target": "identity", "model.schedule": "all", "data.evaluated": 8}
    return load_config(CONFIG, SMALL | given | own | changes)


@pytest.mark.parametrize("drive", ["held", "stream"])
def test_a_random_answer_of_the_window_is_one_of_them(drive):
    made, static, hypers = assembly.assemble(config(drive, **{"losses.window": "random"}))
    params = drawn(static)
    given = drives.inputs(jax.random.key(2), 2, static)

    def fit(key):
        return made.loss(params, given, context(made, first(hypers), key)).total

    found = np.asarray(jax.jit(jax.vmap(fit))(jax.random.split(jax.random.key(3), 60)))
    updates, asked = drives.asked(static)
    read = np.asarray(task.outputs_in_time(static, params, given, updates)[0], float)[asked]
    wanted = np.asarray(drives.answers(given, static), float)
    each = ((read - wanted) ** 2).mean((1, 2, 3))
    assert len(each) == {"held": 5, "stream": 3}[drive]
    near = np.abs(found[:, None] - each[None]) < 1e-5
    assert near.any(1).all()
    assert near.any(0).all()


def test_the_losses_are_their_closed_forms():
    static = setting(losses__cosine__on=True, losses__layers__on=True)
    wanted, states = FACES[None], RNG.normal(size=(18, 2, 4)).astype(np.float32)
    for factor, cosine in ((3.0, 0.0), (-0.5, 2.0), (0.0, 1.0)):
        found = losses.terms(factor * wanted, wanted, jnp.asarray(states), static, NOTHING)
        np.testing.assert_allclose(found["cosine"], cosine, atol=1e-6)
        np.testing.assert_allclose(found["fit"], (factor - 1) ** 2 * np.mean(FACES.astype(float) ** 2), rtol=1e-5)
    between = [(states[6 * z + k + 6] - states[6 * z + k]) ** 2 for z in range(2) for k in range(6)]
    np.testing.assert_allclose(found["layers"], np.mean(between), rtol=1e-5)
    assert [*losses.terms(wanted, wanted, jnp.asarray(states), setting(), NOTHING)] == ["fit"]


@pytest.mark.parametrize("more", [{}, {"losses__cosine__on": True, "losses__fit__on": False}])
def test_the_objective_is_the_weighted_sum(more):
    changes = {key.replace("__", "."): value for key, value in more.items()}
    weights = {"losses.fit.weight": (2.0, 0.0), "losses.cosine.weight": (3.0, 1.0)}
    made, static, hypers = assembly.assemble(load_config(CONFIG, SMALL | changes | weights))
    params = drawn(static)

    def objective(hypers):
        found = made.loss(params, jnp.asarray(FACES), context(made, hypers, jax.random.key(0)))
        return found.total, found.terms

    total, terms = jax.jit(jax.vmap(objective))(hypers)
    (name,) = terms
    np.testing.assert_allclose(total, {"fit": [2, 0], "cosine": [3, 1]}[name] * np.asarray(terms[name]), rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data.drive": "pulse"}, r"config\.data\.drive=pulse needs config\.model\.schedule=all, as a sweep"),
        ({"data.shown": 4} | (ON := {"model.schedule": "all", "data.drive": "pulse"}), r"config\.data\.shown=4 drives"),
        (ON | {"data.drive": "stream", "data.target": "blur"}, r"config\.data\.target=blur does not map bits to bits"),
        (ON | {"data.drive": "stream", "data.shown": 4}, r"config\.data\.shown=4 drives longer than config\.data\.ev"),
        (
            ON | {"data.drive": "stream"},
            r"config\.model\.updates=4 are no whole number of bits, .*: give n x 3 \+ 2 for n ",
        ),
        (
            ON | {"data.drive": "stream", "model.updates": 2, "lattice.depth": 2},
            r"config\.model\.updates=2 are no w",
        ),
        ({"losses.fit.on": False}, r"config\.losses\.fit\.on=False and config\.losses\.cosine\.on=False leave no loss"),
        ({"losses.layers.on": True, "lattice.depth": 1}, r"config\.losses\.layers\.on=True compares adjacent layers,"),
    ],
)
def test_contradicting_keys_are_refused_in_one_sentence(changes, words):
    with pytest.raises(ConfigError, match=words) as e:
        load_config(CONFIG, SMALL | changes)
    assert "\n" not in str(e.value)
