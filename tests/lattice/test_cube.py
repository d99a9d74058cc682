"""ternary_jax.lattice.cube beside numpy float64, one cell after the other; its light cone; its task in the engine."""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import lab
import numpy as np
import pytest
from jaxprs import equations
from reference import cube as reference
from small_cube import CONFIG, SMALL, context, drawn, first, setting

from ternary_jax import workdir
from ternary_jax.config import load_config, split
from ternary_jax.engine import assembly, host
from ternary_jax.engine.task import Context
from ternary_jax.errors import ConfigError
from ternary_jax.lattice.cube import cell, cube, task
from ternary_jax.lattice.cube.cell import WEIGHTS

pytestmark = pytest.mark.usefixtures("compiled_soon")

RNG = np.random.default_rng(0)

CASES = [("concatenated", weights, 0) for weights in WEIGHTS] + [("gated", weights, 0) for weights in WEIGHTS]
CASES += [("concatenated", "own", 1), ("gated", "shared", 1)]


@pytest.mark.parametrize(("kind", "weights", "private"), CASES)
def test_both_schedules_are_those_of_a_float64_loop(kind, weights, private):
    carry = weights != "code"
    static = setting(model__cell=kind, model__weights=weights, model__private=private, model__carry=carry)
    params, faces = drawn(static), RNG.normal(size=(2, 2, 3)).astype(np.float32)

    @jax.jit
    def both(params, faces):
        drives = jnp.broadcast_to(faces, (3, *faces.shape))
        return cube.run(params, cube.start(params, 2, static), drives, static)[1][-1], cube.sweep(
            params, faces, static
        )[1]

    found = both(params, faces)
    for k, face in enumerate(faces):
        one = reference.Cube(params, static.model, cube.size(static))
        for _ in range(3):
            one.step(face.astype(float))
        np.testing.assert_allclose(found[0][k], one.read(), rtol=2e-4, atol=2e-5)
        other = reference.Cube(params, static.model, cube.size(static))
        other.sweep(face.astype(float))
        np.testing.assert_allclose(found[1][k], other.read(), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(("kind", "carry"), [("concatenated", True), ("gated", False)])
def test_a_value_moves_by_one_cell_in_an_update_and_no_farther(kind, carry):
    static = setting(model__cell=kind, model__carry=carry, lattice__width=7, lattice__height=1, lattice__depth=2)
    params, face = drawn(static), jnp.asarray(RNG.normal(size=(1, 1, 7)), "float32")

    def states(face, updates):
        drives = jnp.broadcast_to(face, (updates, *face.shape))
        return cube.run(params, cube.start(params, 1, static), drives, static)[0].reshape(2, 7, -1)

    for updates in (1, 2, 4):
        slope = jax.jit(jax.jacobian(lambda face, t=updates: states(face, t)))(face)[:, :, :, 0, 0]
        reached = np.abs(np.asarray(slope)).max(2) > 0  # (layer, x, pixel)
        z, x, pixel = np.indices(reached.shape)
        np.testing.assert_array_equal(reached, np.abs(x - pixel) + z + carry <= updates)


def test_samples_are_independent():
    static = setting(model__schedule="all", model__private=1)
    params, faces = drawn(static), jnp.asarray(RNG.normal(size=(4, 2, 3)), "float32")
    run = jax.jit(lambda faces: task.outputs(static, params, faces, 4)[0])
    order = jnp.array([2, 0, 3, 1])
    np.testing.assert_allclose(run(faces[order]), run(faces)[:, order], rtol=1e-5, atol=1e-6)


RANDOM = [("all", "fire", 0.5), ("all", "noise", 0.3), ("all", "dropout", 0.2)]
RANDOM += [("sweep", "noise", 0.3), ("sweep", "dropout", 0.2)]


@pytest.mark.parametrize(("schedule", "key", "value"), RANDOM)
def test_each_kind_of_noise_is_drawn_in_training_and_off_in_an_evaluation(schedule, key, value):
    static, plain = (setting(model__schedule=schedule, **more) for more in ({f"model__{key}": value}, {}))
    params, faces = drawn(static), jnp.asarray(RNG.normal(size=(4, 2, 3)), "float32")
    run = jax.jit(lambda faces, key: task.outputs(static, params, faces, 4, key)[0])
    quiet = jax.jit(lambda faces: task.outputs(plain, params, faces, 4)[0])(faces)
    np.testing.assert_array_equal(run(faces, None), quiet)
    noisy = run(faces, jax.random.key(0))
    assert np.abs(noisy - quiet).max() > 1e-3
    assert np.abs(noisy - run(faces, jax.random.key(1))).max() > 1e-3
    np.testing.assert_array_equal(noisy, run(faces, jax.random.key(0)))


@pytest.mark.parametrize("carry", [True, False])
def test_a_share_of_the_cells_is_updated_and_the_others_keep_their_states(carry):
    static, quiet = (setting(model__fire=fire, model__schedule="all", model__carry=carry) for fire in (0.2, 1.0))
    params, face = drawn(static), jnp.asarray(RNG.normal(size=(400, 2, 3)), "float32")
    before = jnp.asarray(RNG.normal(size=(18, 400, 4)), "float32")
    one = jax.jit(lambda key: cube.step(params, before, face, static, key))(jax.random.key(0))
    whole = jax.jit(lambda: cube.step(params, before, face, quiet))()
    rests = (one == before).all(-1)
    assert abs(float(rests.mean()) - 0.8) < 0.02
    np.testing.assert_allclose(one, jnp.where(rests[..., None], before, whole), rtol=1e-5, atol=1e-6)


def test_noise_has_its_deviation_and_dropout_its_share_without_moving_the_mean():
    static = setting(model__dropout=0.2)
    params = drawn(static)
    given = [cube.driven(params, jnp.zeros((2000, 2, 3)), jax.random.key(0), noise) for noise in (0.3, 0.0)]
    pixels = (given[0] - given[1])[..., 0] / params["drive"]["weights"][0]
    assert abs(float(pixels.mean())) < 0.01
    assert abs(float(pixels.std()) - 0.3) < 0.01

    own = jax.tree.map(lambda x: x[:1], params["cells"])
    own |= {"out_kernel": jnp.ones_like(own["out_kernel"]).at[:, 1:].set(0), "out_bias": 0 * own["out_bias"]}
    rows = [
        jnp.broadcast_to(jnp.asarray(RNG.normal(size=shape), "float32"), (1, 4000, *shape)) for shape in ((4,), (7, 4))
    ]
    seen = jnp.moveaxis(rows[1], 2, 1)

    @jax.jit
    def first_unit(key):  # the kernel lets the first gated unit alone through
        return cell.update(params | {"cells": own}, rows[0], seen, static.model, key=key)[0, :, 0]

    dropped, plain = first_unit(jax.random.key(1)), first_unit(None)
    assert abs(float((dropped == 0).mean()) - 0.2) < 0.02
    np.testing.assert_allclose(dropped, jnp.where(dropped == 0, 0, plain / 0.8), rtol=1e-5)


@pytest.mark.parametrize("schedule", ["all", "sweep"])
def test_remat_gives_equal_gradients_and_products_in_bfloat16_near_ones(schedule):
    static = setting(model__schedule=schedule, train__remat=False)
    params, face = drawn(static), jnp.asarray(RNG.normal(size=(2, 2, 3)), "float32")

    def slope(static):
        return jax.grad(lambda params: jnp.mean(jnp.square(task.outputs(static, params, face, 5)[0])))

    kept, short = (static._replace(train=static.train._replace(**k)) for k in ({"remat": True}, {"dtype": "bfloat16"}))
    assert ["remat" in str(jax.make_jaxpr(slope(one))(params)) for one in (static, kept)] == [False, True]
    found, expected, rounded = (jax.jit(slope(one))(params) for one in (kept, static, short))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), found, expected)
    for group, exact in expected.items():
        exact, other = (np.concatenate([np.ravel(x) for x in jax.tree.leaves(g)]) for g in (exact, rounded[group]))
        assert 1e-5 < np.linalg.norm(other - exact) / np.linalg.norm(exact) < 0.1, group


@pytest.mark.slow
def test_four_microbatches_are_one_batch():
    """The mean gradient, as the first moment of two steps of Adam has it; without noise, dropout and clipping."""
    short = {"train.steps": 2, "evaluate.cheap_every": 2, "checkpoint.every": 2, "train.batch_size": 8}
    short |= {"train.schedule": "constant", "train.warmup_epochs": 0, "train.clip_norm": 0.0}
    found = []
    for parts in (1, 4):
        chunk = lab.Chunk(load_config(CONFIG, SMALL | short | {"train.microbatches": parts}))
        state = chunk.step(chunk.init(chunk.hypers), 0)
        found.append({name: np.asarray(own.mu) for name, own in state.opt_state.items()})
    for name, moments in found[0].items():
        assert np.abs(moments).max() > 0.1, name
        np.testing.assert_allclose(found[1][name], moments, atol=1e-6)


def blurred(residual, width, frame=4):
    """Residuals (..., height, width) under a Gaussian filter of unit sum of squares, float64, tap by tap."""
    taps = np.exp(-(np.arange(-frame, frame + 1.0) ** 2) / (2 * width**2))
    taps /= np.sqrt((np.exp(-(np.arange(-40, 41.0) ** 2) / (2 * width**2)) ** 2).sum())
    found = np.zeros((*residual.shape[:-2], residual.shape[-2] + 2 * frame, residual.shape[-1] + 2 * frame))
    for dy, down in enumerate(taps):
        for dx, across in enumerate(taps):
            found[..., dy : dy + residual.shape[-2], dx : dx + residual.shape[-1]] += down * across * residual
    return found


@pytest.mark.parametrize(("window", "width"), [("mean", 0.0), ("end", 0.0), ("end", 0.7)])
def test_the_fit_is_the_mean_square_of_the_window_and_of_the_map_of_the_run(window, width):
    given = {"model.schedule": "all", "losses.window": window, "losses.blur.width": width, "data.map": (0, 3)}
    config = load_config(CONFIG, SMALL | given)
    made, static, hypers = assembly.assemble(config)
    params, faces = drawn(static), jnp.asarray(RNG.normal(size=(4, 2, 3)), "float32")
    nothing: Any = None
    signals: Any = SimpleNamespace(schedule={"blur": width})
    data = jax.tree.map(jnp.asarray, made.data)

    def fit(hypers):
        context = Context(jnp.int32(0), jax.random.key(0), nothing, hypers, data, signals=signals)
        return made.loss(params, faces, context).total

    found = jax.jit(jax.vmap(fit))(hypers)
    read = np.asarray(task.outputs(static, params, faces, 8)[0], float)[3 : 8 if window == "mean" else 4]
    for value, number in zip(found, (0, 3), strict=True):
        sources = made.data["table"][number]
        wanted = np.asarray(faces, float).reshape(4, -1)[:, sources].reshape(4, 2, 3)
        seen = blurred(read - wanted, width) if width else read - wanted
        np.testing.assert_allclose(value, np.sum(seen**2) / read.size, rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"model.schedule": "all", "model.updates": 2},
            r"config\.model\.updates=2 do not reach the last layer of conf",
        ),
        (
            {"model.private": 4},
            r"config\.model\.private=4 of config\.model\.channels=4 leave nothing that a cell shows",
        ),
        ({"model.fire": 0.5}, r"config\.model\.fire=0\.5 lets a share of the cells rest, and config\.model\.schedule="),
        (
            {"losses.window": "mean"},
            r"config\.losses\.window=mean needs config\.model\.schedule=all, as a sweep",
        ),
        (
            {"data.target": "gate", "lattice.width": 1},
            r"config\.data\.target=gate takes several values of a row, and config\.lattice\.width=1 has one",
        ),
        ({"data.target": "shift_wrapped", "data.shift": 6}, r"config\.data\.shift=6 shifts .*width=3 onto itself: "),
        ({"data.target": "shift", "data.shift": 3}, r"config\.data\.shift=3 shifts everything off a face with config"),
    ],
)
def test_contradicting_keys_are_refused_in_one_sentence(changes, words):
    with pytest.raises(ConfigError, match=words) as e:
        load_config(CONFIG, SMALL | changes)
    assert "\n" not in str(e.value)


@pytest.mark.slow
def test_a_short_training_learns_to_show_a_face_and_to_hold_it(tmp_path, compiled_soon):
    short = {"train.steps": 100, "checkpoint.every": 100, "train.batch_size": 16, "data.target": "identity"}
    host.run(load_config(CONFIG, short | {"model.schedule": "all", "losses.window": "mean"}), tmp_path / "run")
    row = workdir.open(tmp_path / "run").rows(0)
    assert row["r2"][-1] > 0.9
    assert abs(row["r2"][-1] - row["r2_held"][-1]) < 0.1


def test_cells_that_are_frozen_have_no_gradient():
    """None is computed, and the drive and the readout have the one that they have beside free cells."""
    config = load_config(CONFIG, SMALL | {"start.frozen": ("cells", "start")})
    params, hypers = drawn(setting()), first(split(config)[1])
    faces = jnp.asarray(RNG.normal(size=(4, 2, 3)), "float32")

    def gradient(static):
        made = task.make_task(static)
        return jax.grad(lambda params: made.loss(params, faces, context(made, hypers)).total)

    free, found = gradient(setting()), gradient(split(config)[0])
    products = [equations(jax.make_jaxpr(f)(params).jaxpr).count("dot_general") for f in (found, free)]
    assert products[0] < products[1]
    found, wanted = jax.jit(lambda params: (found(params), free(params)))(params)
    wanted |= {group: jax.tree.map(jnp.zeros_like, wanted[group]) for group in ("cells", "start")}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-7), found, wanted)
