"""The ternary task on small spaces: its loss and its export against numpy, its options, and its config."""

import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from reference import judge

from ternary_jax import poincare
from ternary_jax.config import ConfigError, load_config, split
from ternary_jax.control.chain import Controls
from ternary_jax.engine import checkpoint, log, train
from ternary_jax.engine.task import Context, Loss
from ternary_jax.vae import evaluate, references, task
from ternary_jax.vae.models import Mlp

SMOKE = Path(__file__).parents[2] / "configs" / "smoke.py"
D, N, DIM = 3, 27, 5
SMALL = {
    "data.n_digits": D,
    "model.hidden": (24,),  # to train; the loss is that of two layers
    "model.dim": DIM,
    "model.c": 0.7,
    "train.epochs": 90,
    "train.batch_size": 24,
    "train.learning_rate": 1e-2,
    "evaluate.cheap_every": 5,
    "evaluate.costly_every": 0,
    "checkpoint.every": 90,
    "log.tensorboard": False,
    "compilation_cache": False,
}
ROWS = np.array([0, 0, 9, 18, 3, 1, 26, 2, 5, 17, 13], np.int32)


def config(**overrides):
    """Of the smoke config on a small space; keys with __ for a dot."""
    return load_config(SMOKE, SMALL | {key.replace("__", "."): value for key, value in overrides.items()})


def setting(**overrides):
    """(task, hypers of run 0, parameters) of two layers. All parameters are drawn, as untrained biases are 0."""
    static, hypers = split(config(**{"model__hidden": (32, 24)} | overrides))
    made, hypers = task.make_task(static), jax.tree.map(lambda x: x[0], hypers)
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(made.init, jax.random.key(0), hypers)
    params = jax.tree.map(lambda x: (rng.normal(size=x.shape) / np.sqrt(x.shape[0])).astype(x.dtype), shapes)
    return made._replace(data=jax.device_put(made.data)), hypers, params


def context(made, hypers, key):
    return Context(jnp.int32(0), key, Controls({}, None, {}), hypers, made.data)


def loss_of(made, hypers):
    """params, rows, c -> (total, Loss)"""
    given = context(made, hypers, jax.random.key(0))

    def loss(params, rows, c):
        found = made.loss(params, rows, given._replace(hypers=hypers._replace(model=hypers.model._replace(c=c))))
        return found.total, found

    return loss


@functools.cache
def gradient(**overrides):
    """(params, rows, c -> gradient, Loss; params)"""
    made, hypers, params = setting(losses__radial__weight=0.7, **overrides)
    return jax.jit(jax.grad(loss_of(made, hypers), has_aux=True)), params


# --- the same in numpy, float64 ---------------------------------------------------------------------------------------


def mlp(x, params):
    def dense(x, layer):
        return x @ np.asarray(layer["kernel"], np.float64) + np.asarray(layer["bias"], np.float64)

    for k in range(len(params) - 1):
        x = dense(x, params[f"hidden_{k}"]["dense"])
        x = x / (1 + np.exp(-x))
    return dense(x, params["out"])


def points(params, trits, c):
    u = mlp(trits, params["encoder"])
    length = np.sqrt(c) * np.linalg.norm(u, axis=-1, keepdims=True)
    return np.tanh(length) / length * u


def logits_of(params, z, c):
    s = np.sqrt(c) * np.linalg.norm(z, axis=-1, keepdims=True)
    return mlp(np.arctanh(s) / s * z, params["decoder"]).reshape(len(z), -1, 3)


def radius_of(z, c):
    return 2 / np.sqrt(c) * np.arctanh(np.sqrt(c) * np.linalg.norm(z, axis=-1))


def expected_terms(params, rows, c):
    """(reconstruction, radial)"""
    x = judge.trits(D)[rows]
    z = points(params, x, c)
    logits = logits_of(params, z, c)
    right = np.take_along_axis(logits, x[..., None] + 1, -1)[..., 0]
    nats = np.log(np.exp(logits).sum(-1)) - right
    v = judge.valuation_of_integer(rows, D)
    target = 2 / np.sqrt(c) * np.arctanh(0.90 - (0.90 - 0.08) * v / D)
    return nats.sum(-1).mean(), np.mean((radius_of(z, c) - target) ** 2)


# --- the loss ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("c", [0.5, 1.0, 2.0])
def test_the_loss_is_that_of_numpy(c):
    step, params = gradient()
    for rows in (ROWS, ROWS[::-1], np.full(11, 18, np.int32)):
        _, found = step(params, rows, np.float32(c))
        reconstruction, radial = expected_terms(params, rows, c)
        assert found.terms.keys() == {"reconstruction", "radial"}
        np.testing.assert_allclose(found.terms["reconstruction"], reconstruction, rtol=1e-5)
        np.testing.assert_allclose(found.terms["radial"], radial, rtol=1e-5)
        np.testing.assert_allclose(found.total, reconstruction + 0.7 * radial, rtol=1e-5)


def test_the_gradient_is_the_slope_of_the_loss_of_numpy():
    step, params = gradient()
    slope, _ = step(params, ROWS, np.float32(0.7))
    rng, h = np.random.default_rng(5), 1e-6
    along = jax.tree.map(lambda x: rng.normal(size=x.shape), params)

    def at(by):
        moved = jax.tree.map(lambda x, d: x.astype(np.float64) + by * d, params, along)
        reconstruction, radial = expected_terms(moved, ROWS, 0.7)
        return reconstruction + 0.7 * radial

    found = sum(np.vdot(g, d) for g, d in zip(jax.tree.leaves(slope), jax.tree.leaves(along), strict=True))
    assert found == pytest.approx((at(h) - at(-h)) / (2 * h), rel=1e-4)


def test_an_encoder_that_reaches_the_edge_has_a_finite_loss_and_gradient():
    step, params = gradient()
    out = {name: 1e3 * x for name, x in params["encoder"]["out"].items()}
    far = params | {"encoder": params["encoder"] | {"out": out}}
    for c in (0.5, 2.0):
        assert np.linalg.norm(mlp(judge.trits(D)[ROWS], far["encoder"]), axis=-1).min() * np.sqrt(c) > 9
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(step(far, ROWS, np.float32(c))))


def test_an_untrained_network_knows_nothing():
    start, _, _ = trained_in_bfloat16()
    (one,) = start.stop.rate.shape
    untrained = jax.tree.map(lambda x: x[0], start.params)
    made, hypers, _ = setting(model__hidden=(24,))
    _, found = loss_of(made, hypers)(untrained, np.arange(N), np.float32(0.7))
    assert one == 1
    assert found.terms["reconstruction"] == pytest.approx(D * np.log(3), rel=0.1)


def test_a_batch_is_of_all_operations():
    made, hypers, _ = setting()
    draws = [np.asarray(made.sample(context(made, hypers, jax.random.key(k)))) for k in range(20)]
    assert draws[0].shape == (24,)
    assert set(np.concatenate(draws).tolist()) == set(range(N))


# --- options ----------------------------------------------------------------------------------------------------------


def equations(jaxpr, within=""):
    """(equation, its named scopes), also of inner jaxprs."""
    found = []
    for eqn in jaxpr.eqns:
        scopes = f"{within}/{eqn.source_info.name_stack}"
        found.append((eqn, scopes))
        for inner in jax.tree.leaves(eqn.params, is_leaf=lambda x: hasattr(x, "eqns") or hasattr(x, "jaxpr")):
            inner = getattr(inner, "jaxpr", inner)
            found += equations(inner, scopes) if hasattr(inner, "eqns") else []
    return found


def gradient_equations(loss, params):
    """Those of the gradient of a loss as loss_of has it."""
    step = jax.grad(loss, has_aux=True)
    return equations(jax.make_jaxpr(step)(params, ROWS, np.float32(1)).jaxpr)


def of_option(**overrides):
    made, hypers, params = setting(**overrides)
    return gradient_equations(loss_of(made, hypers), params)


def dtypes(eqn):
    return {str(v.aval.dtype) for v in (*eqn.invars, *eqn.outvars) if hasattr(v.aval, "dtype")}


def names(found):
    return [(eqn.primitive.name, [str(v.aval) for v in eqn.outvars]) for eqn, _ in found]


@functools.cache
def trained_in_bfloat16():
    """(state before, state after, the report of every chunk)"""
    static, hypers = split(config(train__dtype="bfloat16"))
    steps = train.plan(static, N)
    init, chunk = train.make_train(task.make_task(static), static)
    state = init(hypers)
    start, reports = jax.device_get(state), []
    for begin in range(0, steps.total, steps.chunk):
        state, report = chunk(state, jnp.int32(begin), hypers)
        reports.append(jax.device_get(report))
    return start, state, reports


def test_it_trains_in_bfloat16_with_float32_parameters():
    _, state, reports = trained_in_bfloat16()
    assert reports[-1].info.loss[0] < reports[0].info.loss[0] / 10
    assert reports[-1].metrics["coverage"] == 1
    for tree in (state.params, [(group.mu, group.nu) for group in state.opt_state.values()]):
        assert {x.dtype for x in jax.tree.leaves(tree)} == {jnp.float32.dtype}
    made, hypers, params = setting(train__dtype="bfloat16")
    file = jax.eval_shape(made.export, params, hypers, made.data)
    assert file["z_A"].dtype == file["radius_A"].dtype == jnp.float32


def test_bfloat16_is_of_the_networks_alone():
    found = of_option(train__dtype="bfloat16")
    products = [eqn for eqn, _ in found if eqn.primitive.name == "dot_general"]
    assert len(products) == 3 * 6 - 1  # forward, and backward in weights and in inputs, but for the trits
    assert all(dtypes(eqn) == {"bfloat16"} for eqn in products)
    narrow = [(eqn, scopes) for eqn, scopes in found if "bfloat16" in dtypes(eqn)]
    assert all("Mlp" in scopes for _, scopes in narrow)
    geometry = [eqn for eqn, _ in found if eqn.primitive.name in ("tanh", "log1p", "atanh", "asinh", "sqrt", "exp")]
    assert geometry
    assert all("bfloat16" not in dtypes(eqn) for eqn in geometry)
    assert not any("bfloat16" in dtypes(eqn) for eqn, _ in of_option())


def test_bfloat16_has_its_own_precision():
    made, hypers, params = setting(train__dtype="bfloat16")
    _, found = jax.jit(loss_of(made, hypers))(params, ROWS, np.float32(1))
    reconstruction, radial = expected_terms(params, ROWS, 1.0)
    off = abs(found.terms["reconstruction"] / reconstruction - 1), abs(found.terms["radial"] / radial - 1)
    assert 1e-5 < max(off) < 2e-2


def test_what_is_computed_again_are_the_hidden_layers():
    def remat(**overrides):
        return [eqn for eqn, _ in of_option(**overrides) if eqn.primitive.name in ("checkpoint", "remat", "remat2")]

    assert len(remat(train__remat=True)) == 4
    assert not remat()


def test_a_radial_loss_that_is_off_leaves_no_equation_and_no_key():
    made, hypers, params = setting(losses__radial__on=False)

    def without(params, rows, c):
        x = made.data["operations"][rows]
        networks = Mlp((32, 24), DIM, jnp.dtype("float32"), False), Mlp((24, 32), 3 * D, jnp.dtype("float32"), False)
        u = networks[0].apply({"params": params["encoder"]}, x.astype(jnp.float32))
        z = jax.vmap(lambda u: poincare.project(poincare.exp0(u, c), c))(u)
        u = jax.vmap(poincare.log0, (0, None))(z, c)
        logits = jnp.asarray(networks[1].apply({"params": params["decoder"]}, u)).reshape(-1, D, 3)
        nats = optax.softmax_cross_entropy_with_integer_labels(logits, x.astype(jnp.int32) + 1)
        loss = jnp.mean(jnp.sum(nats, -1))
        return loss, Loss(loss, {"reconstruction": loss}, {})

    off = gradient_equations(loss_of(made, hypers), params)
    assert names(off) == names(gradient_equations(without, params))
    assert len(of_option()) > len(off)

    static, hypers = split(config(losses__radial__on=False))
    init, chunk = train.make_train(task.make_task(static), static)
    _, report = jax.eval_shape(chunk, jax.eval_shape(init, hypers), jnp.int32(0), hypers)
    assert report.info.terms.keys() == {"reconstruction"}  # and so in the rows, as two_runs shows


# --- runs of the whole engine -----------------------------------------------------------------------------------------


def files_of(workdir):
    found = []
    for path in sorted((workdir / "embeddings").iterdir()):
        with np.load(path) as file:
            found.append(dict(file))
    return found


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    """(workdir, summary, file of run 0, file of run 1), in microbatches."""
    workdir = tmp_path_factory.mktemp("two")
    summary = train.run(config(runs=2, train__microbatches=4, evaluate__costly_every=90), workdir)
    assert sorted(path.name for path in (workdir / "embeddings").iterdir()) == ["run_000.npz", "run_001.npz"]
    assert summary == json.loads((workdir / "summary.json").read_text())
    return workdir, summary, *files_of(workdir)


def rows_of_trained(workdir, run):
    """The rows of a run, of which it is shown that it trained."""
    rows = [row for row in log.read(workdir) if row["run"] == run]
    assert rows[-1]["loss"] < rows[0]["loss"] / 10
    assert rows[0]["coverage"] < 1
    assert rows[-1]["coverage"] == 1
    assert {key for row in rows for key in row if key.startswith("loss")} == {
        "loss",
        "loss/reconstruction",
        "loss/radial",
    }
    return rows


def test_it_trains_in_microbatches(two_runs):
    for run in range(2):
        rows_of_trained(two_runs[0], run)


def test_the_export_holds_what_it_should(two_runs):
    _, _, *files = two_runs
    for file in files:
        assert {name: (a.dtype.name, a.shape) for name, a in file.items()} == {
            "z_A": ("float32", (N, DIM)),
            "z_B": ("float32", (N, DIM)),
            "c": ("float32", ()),
            "radius_A": ("float32", (N,)),
            "radius_B": ("float32", (N,)),
            "prediction_A": ("int8", (N, D)),
            "prediction_B": ("int8", (N, D)),
            "index": ("int32", (N,)),
            "valuation": ("int32", (N,)),
            "train_mask": ("bool", (N,)),
        }
        assert file["c"] == np.float32(0.7)
        np.testing.assert_array_equal(file["index"], np.arange(N))
        np.testing.assert_array_equal(file["valuation"], judge.valuation_of_integer(np.arange(N), D))
        assert file["train_mask"].all()  # nothing is held out
        for name in ("z", "radius", "prediction"):
            np.testing.assert_array_equal(file[f"{name}_A"], file[f"{name}_B"])


def test_the_export_is_what_numpy_makes_of_the_last_checkpoint(two_runs):
    workdir, _, *files = two_runs
    step, state, _ = checkpoint.load(workdir / "checkpoints")
    assert step == 180
    for k, file in enumerate(files):
        params, c = jax.tree.map(lambda x, k=k: x[k], state["params"]), 0.7
        z = file["z_A"].astype(np.float64)
        assert (c * (z**2).sum(-1) < 1).all()
        np.testing.assert_allclose(z, points(params, judge.trits(D), c), atol=2e-5)
        np.testing.assert_allclose(file["radius_A"], radius_of(z, c), rtol=1e-5)
        np.testing.assert_array_equal(file["prediction_A"], logits_of(params, z, c).argmax(-1) - 1)


def test_the_summary_says_what_the_judge_says_of_the_file(two_runs):
    _, summary, *files = two_runs
    for run, file in zip(summary["runs"], files, strict=True):
        theirs = judge.judge(file["z_A"], file["prediction_A"], file["c"])
        assert set(run["final"]) - set(theirs) == {"hierarchy_rounded"}
        for name, value in theirs.items():
            assert run["final"][name] == pytest.approx(value, abs=1e-6), name
        assert run["final"]["coverage"] == 1


def test_runs_at_once_are_those_of_their_seeds_and_remat_changes_nothing(two_runs, tmp_path):
    _, _, first, second = two_runs
    assert np.abs(first["z_A"] - second["z_A"]).max() > 0.1
    train.run(config(seed=1, train__microbatches=4, train__remat=True), tmp_path)
    kept, again = rows_of_trained(two_runs[0], 1), rows_of_trained(tmp_path, 0)
    for a, b in zip(kept[:3], again, strict=False):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-6)
    (alone,) = files_of(tmp_path)
    for name in second:
        np.testing.assert_allclose(alone[name], second[name], atol=1e-4, err_msg=name)


# --- config and metrics -----------------------------------------------------------------------------------------------


def test_a_batch_larger_than_the_space_is_refused():
    load_config(SMOKE, {"data.n_digits": 3, "train.batch_size": 27})
    with pytest.raises(ConfigError) as e:
        load_config(SMOKE, {"data.n_digits": 3, "train.batch_size": 28})
    assert str(e.value) == (
        "config.train.batch_size=28 is more than the 27 operations of config.data.n_digits=3: 27 or less is allowed"
    )


def test_the_sweep_of_the_smoke_config_is_six_runs():
    swept = load_config(SMOKE, sweep=True)
    _, hypers = split(swept)
    assert swept.runs == 6
    pairs = set(zip(hypers.train.learning_rate.tolist(), hypers.seed.tolist(), strict=True))
    assert pairs == {(float(np.float32(rate)), seed) for rate in (1e-3, 2e-3, 4e-3) for seed in (0, 1)}
    assert len(set(hypers.model.c.tolist())) == 1


def test_the_metrics_are_those_of_evaluate_with_their_references():
    made, _, _ = setting()
    known = references.levels(D, 3, evaluate.draw_samples(D))
    assert [m.name for m in made.metrics] == [*evaluate.Cheap._fields, *evaluate.Costly._fields]
    assert [m.name for m in made.metrics if m.costly] == [*evaluate.Costly._fields]
    lower = {m.name for m in made.metrics if m.better == -1}
    assert lower == {"hierarchy", "hierarchy_rounded", "ultrametric_correlation", "distortion"}
    for m in made.metrics:
        k = known[m.name]
        assert (m.best, m.chance, m.untrained) == pytest.approx((k.best, k.chance, k.untrained), nan_ok=True)
        if np.isfinite(m.best - m.chance):
            assert np.sign(m.best - m.chance) == m.better, m.name
    v = judge.valuation_of_integer(np.arange(N), D)
    hierarchy = judge.spearman(v, -v + np.random.default_rng(0).random(N) / 2)
    assert next(m.best for m in made.metrics if m.name == "hierarchy") == pytest.approx(hierarchy)
