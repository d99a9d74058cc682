"""The pool of states of a cube: beside plain Python, step by step; its damage; a run that is interrupted."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxprs import equations
from reference import cube as reference
from small_cube import CONFIG, SMALL, context, drawn, first, setting

from ternary_jax.config import load_config
from ternary_jax.engine import assembly, host
from ternary_jax.errors import ConfigError
from ternary_jax.lattice.cube import cube, pool
from ternary_jax.workdir import checkpoint

pytestmark = pytest.mark.usefixtures("compiled_soon")

ON = {
    "pool.on": True,
    "pool.size": 6,
    "pool.fresh": 0.4,
    "pool.damage": 0.5,
    "pool.block": 2,
    "train.batch_size": 4,
    "model.schedule": "all",
}
KEYS = {key.replace(".", "__"): value for key, value in ON.items()}
CELLS = [(x, y, z) for z in range(3) for y in range(2) for x in range(3)]


def test_draws_and_write_backs_are_those_of_a_plain_loop():
    """Each number of the pool is known: the states that step s has made of sample k are all 100 s + k."""
    static = setting(**KEYS)
    params = drawn(static)
    kept: Any = pool.init(jax.random.key(0), static)
    states: Any = [None] * 6
    faces, ages = [*np.asarray(kept.faces)], [0] * 6
    start = np.asarray(cube.start(params, 1, static))[:, 0]

    @jax.jit
    def draw(step, kept):
        one = pool.sample(jax.random.fold_in(jax.random.key(1), step), kept, static)
        made = jnp.broadcast_to(100.0 * step + jnp.arange(4.0)[:, None, None], (4, 18, 4))
        return one, pool.begin(params, one, static), pool.put(kept, one, made, 7)

    fresh = damaged = 0
    for step in range(60):
        one, begun, kept = jax.device_get(draw(step, kept))
        numbers = one.numbers.tolist()
        assert len(set(numbers)) == 4
        for k, number in enumerate(numbers):
            if int(one.ages[k]) == 0:  # replaced, or fresh since the beginning
                fresh += ages[number] > 0 or not np.array_equal(one.faces[k], faces[number])
                states[number], faces[number], ages[number] = start, one.faces[k], 0
            assert int(one.ages[k]) == ages[number]
            np.testing.assert_array_equal(one.faces[k], faces[number])
            lost = one.lost[k]
            damaged += lost.any()
            np.testing.assert_array_equal(begun[:, k], np.where(lost[:, None], 0, states[number]))
            states[number], ages[number] = np.full((18, 4), 100.0 * step + k), ages[number] + 7
        assert kept.ages.tolist() == ages
        for number in range(6):
            np.testing.assert_array_equal(kept.faces[number], faces[number])
            assert states[number] is None or np.array_equal(kept.states[number], states[number])
    assert 60 < fresh < 130  # 96 of 240 are expected, and 120 damaged
    assert 90 < damaged < 150


def test_a_damage_is_one_block_anywhere_in_the_cube():
    static = setting(**KEYS, lattice__width=4)
    cells = [(x, y, z) for z in range(3) for y in range(2) for x in range(4)]
    kept = pool.init(jax.random.key(0), static)
    lost = np.asarray(jax.jit(jax.vmap(lambda key: pool.sample(key, kept, static).lost))(_keys(60))).reshape(-1, 24)
    corners = set()
    for row in lost[lost.any(1)]:
        gone = {cell for cell, hit in zip(cells, row, strict=True) if hit}
        x, y, z = (min(axis) for axis in zip(*gone, strict=True))
        assert gone == {(x + i, y + j, z + k) for i in range(2) for j in range(2) for k in range(2)}
        corners.add((x, y, z))
    assert corners == {(x, 0, z) for x in range(3) for z in range(2)}


def _keys(n):
    return jax.random.split(jax.random.key(9), n)


def test_a_step_goes_on_with_its_entries_sees_no_others_and_signals_their_age():
    made, static, hypers = assembly.assemble(load_config(CONFIG, SMALL | ON | {"pool.damage": 0.0}))
    params, kept_by = drawn(static), made.state
    assert kept_by is not None
    rng: Any = np.random.default_rng(0)
    kept = pool.Pool(
        jnp.asarray(rng.normal(size=(6, 18, 4)), "float32"),
        jnp.asarray(rng.normal(size=(6, 2, 3)), "float32"),
        jnp.asarray([0, 4, 8, 12, 16, 20]),
    )

    @jax.jit
    def one(kept):
        batch = made.sample(context(made, first(hypers), jax.random.key(3), kept))
        found = made.loss(params, batch, context(made, first(hypers), jax.random.key(4), kept))
        return batch, found, kept_by.advance(kept, batch, found.aux)

    batch, found, after = one(kept)
    assert float(found.signals["pool_age"]) == 10
    np.testing.assert_allclose(found.signals["state_square"], np.mean(np.square(found.aux)), rtol=1e-5)
    others = sorted(set(range(6)) - set(np.asarray(batch.numbers).tolist()))
    assert len(others) == 2
    for a, b in zip(kept, after, strict=True):
        np.testing.assert_array_equal(np.asarray(a)[others], np.asarray(b)[others])
    changed = kept._replace(states=kept.states.at[jnp.asarray(others)].set(7.0))
    np.testing.assert_array_equal(one(changed)[1].total, found.total)
    np.testing.assert_array_equal(after.states[batch.numbers], found.aux)
    assert np.asarray(after.ages[batch.numbers] - batch.ages).tolist() == [4] * 4
    assert max(np.asarray(batch.ages).tolist()) > 0
    moved = []
    for k, age in enumerate(batch.ages):  # the states go on, with their own face
        loop = reference.Cube(params, static.model, cube.size(static))
        if age > 0:
            loop.states = {cell: np.asarray(batch.states[k, number], float) for cell, number in loop.number.items()}
        for _ in range(3):
            loop.step(np.asarray(batch.faces[k], float))
        last = np.stack([loop.states[cell] for cell in loop.number])
        loop.step(np.asarray(batch.faces[k], float))
        expected = np.stack([loop.states[cell] for cell in loop.number])
        moved.append(np.mean(np.square(expected - last)))
        np.testing.assert_allclose(found.aux[k], expected, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(found.signals["update_square"], np.mean(moved), rtol=1e-3)


def test_what_is_off_leaves_no_trace():
    def program(**changes):
        made, static, hypers = assembly.assemble(load_config(CONFIG, SMALL | ON | changes))
        params = jax.eval_shape(lambda: cube.init(jax.random.key(0), static))
        state = made.state.init(jax.random.key(0), first(hypers)) if made.state else ()

        def f(params, key):
            of = context(made, first(hypers), key, state)
            return made.loss(params, made.sample(of), of)

        return jax.make_jaxpr(f)(params, jax.random.key(0))

    one, other = (program(**{"pool.on": False} | more) for more in ({}, {"pool.fresh": 0.1, "pool.damage": 0.0}))
    assert str(one) == str(other)
    whole, undamaged = (equations(program(**more).jaxpr) for more in ({}, {"pool.damage": 0.0}))
    assert len(whole) > len(undamaged) > len(equations(one.jaxpr))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"pool.size": 3},
            r"config\.pool\.size=3 is less than config\.train\.batch_size=4, and no state is drawn",
        ),
        ({"pool.block": 3}, r"config\.pool\.block=3 cells do not fit into the 3 x 2 x 3 cells of the cube: give 2 or"),
        ({"model.schedule": "sweep"}, r"config\.pool\.on=True needs config\.model\.schedule=all, as a sweep"),
        (
            {"data.drive": "stream", "data.target": "identity", "model.updates": 11},
            r"config\.pool\.on=True goes on with the face of each state, and config\.data\.drive=stream has a new one",
        ),
        ({"model.updates": 2}, r"config\.model\.updates=2 do not reach the last layer of config\.lattice\.depth=3, as"),
    ],
)
def test_contradicting_keys_are_refused_in_one_sentence(changes, words):
    with pytest.raises(ConfigError, match=words) as e:
        load_config(CONFIG, SMALL | ON | changes)
    assert "\n" not in str(e.value)


@pytest.mark.slow
def test_a_resumed_run_with_a_pool_is_bit_identical(tmp_path, compiled_soon):
    short = ON | {"train.schedule": "constant", "train.warmup_epochs": 0, "train.microbatches": 2, "runs": 2}
    short |= {"evaluate.cheap_every": 4, "checkpoint.every": 4, "log.tensorboard": False}
    for name, lengths in (("whole", (8,)), ("resumed", (4, 8))):
        for steps in lengths:
            host.run(load_config(CONFIG, SMALL | short | {"train.steps": steps}), tmp_path / name)
    (_, one, _), (_, other, _) = (checkpoint.load(tmp_path / name / "checkpoints") for name in ("whole", "resumed"))
    leaves = jax.tree_util.tree_leaves_with_path(one)
    pooled = [leaf for path, leaf in leaves if "ages" in jax.tree_util.keystr(path)]
    assert np.shape(pooled[0]) == (2, 6)
    assert np.max(pooled[0]) >= 8
    for (path, a), b in zip(leaves, jax.tree.leaves(other), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes(), path
