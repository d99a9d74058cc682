"""Emergence metrics against numpy float64, a loop over vertices and closed forms; and in short runs of three tasks."""

import functools
import math
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
import toy
from hypothesis import given
from hypothesis import strategies as st
from jaxprs import equations

from ternary_jax.addition import task as addition
from ternary_jax.config import ConfigError, load_config
from ternary_jax.engine import host
from ternary_jax.engine.assembly import assemble
from ternary_jax.engine.program import make_train
from ternary_jax.grokking import emergence, extension
from ternary_jax.vae.branch import features
from ternary_jax.workdir import rows as log

TOY = Path(__file__).parents[1] / "toy_config.py"
pytestmark = pytest.mark.usefixtures("compiled_soon")

ADDITION = Path(__file__).parents[2] / "configs" / "grok_addition.py"
M = 9
FLAGS = ("weight_norm", "weight_rank", "representation_rank", "local_complexity")
SMALL = {
    "data.n_digits": 2,
    "data.train_share": 0.6,
    "model.width": 12,
    "model.hidden": 20,
    "train.batch_size": 49,
    "train.steps": 40,
    "evaluate.cheap_every": 20,
    "checkpoint.every": 40,
    "emergence.points": 16,
    "grokking.on": False,
    "log.tensorboard": False,
    "compilation_cache": False,
}
rank = jax.jit(emergence.effective_rank)


def reference(a):
    """The effective rank by numpy's singular values, float64."""
    s = np.linalg.svd(np.asarray(a, np.float64), compute_uv=False)
    return s.sum() ** 2 / (s**2).sum()


def rotation(rng, n):
    return np.linalg.qr(rng.normal(size=(n, n)))[0]


def of_spectrum(rng, s, n, m):
    """A random matrix (n, m) float32 with these singular values."""
    return (rotation(rng, n)[:, : len(s)] * np.asarray(s) @ rotation(rng, m)[: len(s)]).astype(np.float32)


# --- effective rank ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (30, 30), (12, 90), (400, 60)])
@pytest.mark.parametrize("decay", [0.0, 0.1, 0.5, 3.0])
def test_the_effective_rank_is_that_of_float64(shape, decay):
    """With a fast decay most singular values are below 3e-4 of the greatest, where a Gram matrix would lose them."""
    rng = np.random.default_rng(int(10 * decay))
    a = of_spectrum(rng, np.exp(-decay * np.arange(min(shape))), *shape)
    assert float(rank(a)) == pytest.approx(reference(a), rel=3e-6)


@given(st.integers(1, 12), *2 * [st.sampled_from([0, 1, 8])], st.integers(0, 99), st.floats(-30, 30))
def test_k_equal_singular_values_have_rank_k_at_any_scale_in_any_frame(k, more, wide, seed, exponent):
    rng = np.random.default_rng(seed)
    a = of_spectrum(rng, np.ones(k), 12 + more, 12 + wide)
    found = float(rank(a * np.float32(10.0**exponent)))
    assert found == pytest.approx(k, rel=1e-5)


@given(*2 * [st.sampled_from([1, 2, 5, 9])], st.integers(0, 99))
def test_neither_scale_rotation_nor_order_change_it_and_it_is_within_its_bounds(n, m, seed):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(n, m))
    others = [7e-12 * a, rotation(rng, n) @ a, a @ rotation(rng, m), a[rng.permutation(n)], a.T]
    found = [float(rank(x.astype(np.float32))) for x in (a, *others)]
    assert found == pytest.approx([reference(a)] * 6, rel=1e-5)
    assert 1 - 1e-6 <= found[0] <= min(n, m) + 1e-5


def test_a_matrix_of_zeros_has_rank_0_and_one_with_a_nan_none():
    assert float(rank(jnp.zeros((4, 3)))) == 0
    with jax.debug_nans(False):
        assert math.isnan(rank(jnp.ones((4, 3)).at[1, 2].set(jnp.nan)))
    assert float(rank(jnp.full((40, 9), 3.0))) == pytest.approx(1, rel=1e-6)  # a common offset is a direction


def test_only_matrices_of_two_rows_and_columns_have_a_rank_that_can_be_learned():
    tree = {"a": jnp.ones((2, 3)), "b": jnp.ones(3), "c": [jnp.ones((5, 1)), jnp.ones((1, 5)), jnp.ones((2, 2))]}
    assert [leaf.shape for leaf in emergence.matrices(tree)] == [(2, 3), (2, 2)]


# --- local complexity -------------------------------------------------------------------------------------------------


def asked_at(points, radius, directions, seed=0):
    """The vertices (n, 2 P, d) that a network is asked about."""
    seen = _asked_at(points, jax.random.key(seed), radius, directions)
    return np.asarray(seen).reshape(len(points), 2 * directions, -1)


@functools.partial(jax.jit, static_argnums=3)
def _asked_at(points, key, radius, directions):
    seen = []

    def record(x):
        seen.append(x)
        return {"all": x}

    emergence.local_complexity(record, points, key, radius, directions)
    return seen[0]


@pytest.mark.parametrize(("n", "d", "directions"), [(3, 5, 5), (2, 6, 3), (4, 1, 1), (1, 8, 1)])
def test_vertices_lie_both_ways_along_orthonormal_directions(n, d, directions):
    points = np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)
    v = (asked_at(points, 0.3, directions) - points[:, None]) / 0.3
    np.testing.assert_allclose(v[:, :directions], -v[:, directions:], atol=1e-5)
    expected = np.broadcast_to(np.eye(directions), (n, directions, directions))
    np.testing.assert_allclose(v[:, :directions] @ v[:, :directions].swapaxes(1, 2), expected, atol=1e-5)
    others = (asked_at(points, 0.3, directions, seed=1) - points[:, None]) / 0.3
    if d > 1:  # of one coordinate, there is one direction
        assert np.abs(others - v).max() > 0.1
        assert n == 1 or np.abs(v[0] - v[1]).max() > 0.1


@pytest.mark.parametrize("radius", [0.2, 1.0, 5.0])
def test_a_relu_network_is_counted_as_a_loop_over_its_vertices_does(radius):
    rng = np.random.default_rng(1)
    points = rng.normal(size=(6, 4)).astype(np.float32)
    layers = [(rng.normal(size=(4, 9)), rng.normal(size=9)), (rng.normal(size=(9, 7)) / 3, rng.normal(size=7) / 3)]

    def network(x):
        first = x @ layers[0][0].astype("f4") + layers[0][1].astype("f4")[None]
        return {"first": first, "second": jax.nn.relu(first) @ layers[1][0].astype("f4") + layers[1][1].astype("f4")}

    with jax.numpy_rank_promotion("allow"):
        found = jax.jit(lambda x, key: emergence.local_complexity(network, x, key, radius, 3))(
            points, jax.random.key(0)
        )
    counts = np.zeros(2)
    for vertices in asked_at(points, radius, 3):
        active = [[set() for _ in b] for _, b in layers]
        for x in vertices.astype(np.float64):
            for k, (w, b) in enumerate(layers):
                x = x @ w + b
                for unit, h in enumerate(x):
                    active[k][unit].add(bool(h > 0))
                x = np.maximum(x, 0)
        counts += [sum(len(states) == 2 for states in layer) for layer in active]
    assert counts.min() > 0
    np.testing.assert_allclose([found["first"], found["second"]], counts / len(points), rtol=1e-6)


@given(st.integers(1, 6), st.floats(0.1, 2.0), st.floats(-3.0, 3.0), st.integers(0, 99))
def test_a_hyperplane_counts_if_it_is_near_and_not_if_it_misses_the_ball(d, radius, distance, seed):
    """One point and one unit w x + b; `distance` is that of the hyperplane from the point, in radii."""
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(2, d))
    w /= np.linalg.norm(w)
    b = -w @ x + distance * radius
    found = float(_counted(w.astype(np.float32), np.float32(b), x.astype(np.float32), jax.random.key(seed), radius))
    if abs(distance) > 1.001:
        assert found == 0
    if abs(distance) < 0.999 / math.sqrt(d):  # one of d orthonormal directions has |w u| >= 1 / sqrt(d)
        assert found == 1


@jax.jit
def _counted(w, b, x, key, radius):
    """The local complexity of the unit w x + b at one point x (d,), along d directions."""
    unit = functools.partial(_unit, w, b)
    return emergence.local_complexity(unit, x[None], key, radius, len(x))["unit"]


def _unit(w, b, x):
    return {"unit": (x @ w + b)[:, None]}


def test_units_that_do_not_switch_are_not_counted_and_a_nan_stays_nan():
    points = jnp.zeros((5, 3))

    def of(h):
        return float(emergence.local_complexity(lambda x: {"h": h(x)}, points, jax.random.key(0), 0.1, 3)["h"])

    assert of(lambda x: x) == 3  # every one of three hyperplanes through the point, 1 / sqrt(3) of the radius or nearer
    assert of(lambda x: jnp.concatenate([x + 9, x - 9], -1)) == 0  # far from 0
    assert of(lambda x: 0 * x) == 0  # dead
    assert of(jax.nn.relu) == 3  # and never below 0
    with jax.debug_nans(False):
        assert math.isnan(of(lambda x: x.at[0, 0].set(jnp.nan)))


# --- in a task --------------------------------------------------------------------------------------------------------


def asking(*flags):
    return {f"emergence.{flag}": True for flag in flags}


def of_toy(*flags):
    return load_config(TOY, asking(*flags))


def of_addition(*flags, **changes):
    given = {key.replace("__", "."): value for key, value in changes.items()}
    return load_config(ADDITION, SMALL | {"emergence.weight_norm": False} | asking(*flags) | given)


def of_vae(**changes):
    return small.config(**{key.replace(".", "__"): value for key, value in asking(*FLAGS).items()}, **changes)


@functools.cache
def prepared(*flags, seed=0):
    return assemble(of_addition(*flags, seed=seed))


def program(task, static, hypers):
    init, chunk = make_train(task, static)
    return jax.make_jaxpr(chunk.program)(*chunk.inputs(jax.eval_shape(init, hypers), hypers))


def test_metrics_that_are_off_leave_no_equation():
    task, static, hypers = assemble(of_toy())
    assert extension.extend(task, static, hypers) is task
    off, bare = (program(one, static, hypers) for one in (task, toy.make_task(static)))
    assert str(off) == str(bare)
    on = program(*assemble(of_toy("weight_norm")))
    assert len(equations(on.jaxpr)) > len(equations(off.jaxpr))

    task, static, hypers = prepared()
    bare = program(addition.make_task(static), static, hypers)
    assert str(program(task, static, hypers)) == str(bare)
    of = {flag: equations(program(*prepared(flag)).jaxpr) for flag in FLAGS}
    assert min(map(len, of.values())) > len(equations(bare.jaxpr))
    new = {flag: {*found} - {*equations(bare.jaxpr)} for flag, found in of.items()}
    for name, among in {"svd": {"weight_rank", "representation_rank"}, "while": {"local_complexity"}}.items():
        assert {flag for flag in FLAGS if name in new[flag]} == among


@pytest.mark.parametrize("flag", FLAGS)
def test_each_flag_adds_its_own_metrics_and_nothing_else(flag):
    task, static, _ = prepared(flag)
    bare = addition.make_task(static).metrics
    added = {m.name for m in task.metrics[len(bare) :]}
    assert [m.name for m in task.metrics[: len(bare)]] == [m.name for m in bare]
    assert (
        added
        == {
            "weight_norm": {"weight_norm"},
            "weight_rank": {f"weight_rank_{group}" for group in ("embedding", "left", "right", "out")},
            "representation_rank": {"representation_rank_embedding", "representation_rank_hidden"},
            "local_complexity": {"local_complexity_perceptron"},
        }[flag]
    )
    assert all(math.isnan(m.best) and math.isnan(m.chance) and m.untrained is None for m in task.metrics[len(bare) :])


@functools.cache
def finished(folder, **changes):
    """(rows, embeddings of each run, metrics of the summary) of a run with all flags."""
    summary = host.run(of_addition(*FLAGS, **changes), folder)
    embeddings = [dict(np.load(file)) for file in sorted((folder / "embeddings").iterdir())]
    return log.read(folder), embeddings, summary


@pytest.mark.slow
def test_a_run_has_them_in_its_log_and_each_run_of_many_is_that_run_alone(tmp_path):
    rows, embeddings, summary = finished(tmp_path / "two", runs=2, data__split_seed=(0, 1))
    alone, _, _ = finished(tmp_path / "one", seed=1, data__split_seed=1)
    assert [row["step"] for row in rows] == [20, 20, 40, 40]
    names = [name for name in rows[0] if name.startswith(FLAGS)]
    assert len(names) == 8
    for row, own in zip(rows[1::2], alone, strict=True):
        for name in names:  # a unit of one of 16 points may be on either side of 0
            assert row[name] == pytest.approx(own[name], rel=1e-3, abs=0.2 * name.startswith("local")), name
    assert rows[0]["weight_norm"] != rows[1]["weight_norm"]
    for row, arrays in zip(rows[-2:], embeddings, strict=True):
        assert row["representation_rank_embedding"] == pytest.approx(reference(arrays["embedding"]), rel=1e-5)
        assert row["weight_rank_embedding"] == row["representation_rank_embedding"]  # without a row for "="
    for name in names:
        assert math.isfinite(summary["metrics"][name]["untrained"])
        assert summary["metrics"][name]["ceiling"] is None
    assert "gradient_norm" in rows[0]  # always


def test_untrained_is_run_0_before_its_first_step(tmp_path):
    task, static, hypers = prepared("weight_norm", seed=5)
    init, _ = make_train(task, static)
    weights = small.flat(jax.device_get(init(hypers).params))
    about = host.run(of_addition("weight_norm", seed=5), tmp_path)["metrics"]["weight_norm"]
    assert about["untrained"] == pytest.approx(np.sqrt((weights**2).sum()), rel=1e-5)


# --- of the dual model ------------------------------------------------------------------------------------------------


def encoder(params, x, kind):
    """The preactivations of each layer, by numpy float64; x (n, 3 D)."""
    found = {}
    for name, layer in sorted(params["trunk"].items()):
        h = x @ layer["dense"]["kernel"] + layer["dense"]["bias"]
        if kind == "improved":
            h = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-6)
            h = h * layer["norm"]["scale"] + layer["norm"]["bias"]
        found[name] = h
        x = h / (1 + np.exp(-h)) if kind == "improved" else np.maximum(h, 0)
    return found


CASES = {"improved": {}, "plain": {"model__A__encoder": "plain", "model__B__encoder": "plain"}}


@pytest.mark.parametrize("remat", [False, True])
@pytest.mark.parametrize("kind", CASES)
def test_an_encoder_returns_the_preactivations_of_its_units(kind, remat):
    changes = CASES[kind] | {"model__A__hidden": (8, 6), "train__remat": remat}
    made, _, hypers, params = small.setting(**changes)

    def read(params):
        networks = made.inner.networks(params, small.context(made, hypers))
        return {name: network.preactivations(network.inputs) for name, network in networks.items()}

    found = jax.device_get(small.jit(read)(params))
    x = np.asarray(features(jnp.asarray(made.data.operations), "one_hot"), np.float64)
    assert {name: len(layers) for name, layers in found.items()} == {"encoder_A": 2, "encoder_B": 1}
    for name, layers in found.items():
        expected = encoder(jax.tree.map(lambda a: np.asarray(a, np.float64), params[name]), x, kind)
        assert layers.keys() == expected.keys()
        for layer in layers:
            np.testing.assert_allclose(layers[layer], expected[layer], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_the_dual_model_shows_the_rank_of_its_points_and_all_the_rest():
    config = of_vae(model__A__hidden=(8, 6), emergence__points=20, runs=2)
    task, _, hypers = assemble(config)
    params = [small.drawn(jax.eval_shape(task.init, jax.random.key(0), hypers), seed) for seed in (0, 1)]
    both, task = jax.tree.map(lambda *x: np.stack(x), *params), task._replace(data=jax.device_put(task.data))

    def measured(params, hypers):
        context = small.context(task, hypers)
        return task.evaluate(params, context), cast(Any, task.export)(params, context)

    found, arrays = jax.device_get(small.jit(jax.vmap(measured))(both, hypers))
    groups = [f"{part}_{b}" for part in ("encoder", "projection", "decoder") for b in "AB"]
    names = {"weight_norm"} | {f"weight_rank_{group}" for group in groups} | {f"representation_rank_{b}" for b in "AB"}
    layers = [f"local_complexity_encoder_A_layer_{k}" for k in (0, 1)]
    names |= {*layers} | {f"local_complexity_encoder_{b}" for b in "AB"}
    assert {name for name in found if name.startswith(FLAGS)} == names
    assert {m.name for m in task.metrics if m.name.startswith(FLAGS)} == names
    np.testing.assert_allclose(found["local_complexity_encoder_A"], sum(found[name] for name in layers), rtol=1e-5)
    for k in (0, 1):
        assert 0 < found["local_complexity_encoder_B"][k] < 8
        assert found["weight_norm"][k] == pytest.approx(np.sqrt((small.flat(params[k]) ** 2).sum()), rel=1e-5)
        for b in "AB":
            assert found[f"representation_rank_{b}"][k] == pytest.approx(reference(arrays[f"z_{b}"][k]), rel=1e-5)
            own = [x for x in jax.tree.leaves(params[k][f"decoder_{b}"]) if x.ndim == 2]
            expected = np.mean([reference(x) for x in own])
            assert found[f"weight_rank_decoder_{b}"][k] == pytest.approx(expected, rel=1e-5)


def test_a_network_without_layers_has_no_folds():
    made, _, hypers, params = small.setting(model__A__hidden=(), model__B__hidden=())
    network = made.inner.networks(params, small.context(made, hypers))["encoder_A"]
    asked = small.config(emergence__points=3).emergence
    assert {name: float(x) for name, x in emergence._of_network("lc", network, asked).items()} == {"lc": 0.0}


# --- what can't be had ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: of_toy("weight_rank"), ["config.emergence.weight_rank=True", "a line", "leave it False"]),
        (lambda: of_toy("representation_rank"), ["config.emergence.representation_rank=True", "Task.inner", "a line"]),
        (lambda: of_toy("local_complexity"), ["config.emergence.local_complexity=True", "a line", "leave it False"]),
        (
            lambda: of_addition("local_complexity", emergence__points=82),
            ["config.emergence.points=82 is more than", "which is 81: give fewer"],
        ),
        (
            lambda: of_addition("local_complexity", emergence__directions=25),
            ["config.emergence.directions=25 is more than", "which is 24: give fewer"],
        ),
    ],
)
def test_a_metric_that_a_task_does_not_offer_is_refused_before_writing(make, words, tmp_path):
    with pytest.raises(ConfigError) as caught:
        host.run(make(), tmp_path / "run")
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("key", "value"), [("radius", 0.0), ("points", 0), ("directions", 0), ("weight_norm", "yes")])
def test_a_value_out_of_range_is_refused_by_its_key(key, value):
    with pytest.raises(ConfigError, match=rf"config\.emergence\.{key}="):
        load_config(TOY, {f"emergence.{key}": value})
