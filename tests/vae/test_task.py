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
D, N, DIM = 4, 81, 5
SMALL = {
    "data.n_digits": D,
    "model.hidden": (32, 24),
    "model.dim": DIM,
    "model.c": 0.7,
    "train.epochs": 60,
    "train.batch_size": 32,
    "train.learning_rate": 1e-2,
    "evaluate.cheap_every": 5,
    "evaluate.costly_every": 0,
    "checkpoint.every": 60,
    "log.tensorboard": False,
    "compilation_cache": False,
}


def config(**overrides):
    """Of the smoke config on a small space; keys with __ for a dot."""
    return load_config(SMOKE, SMALL | {key.replace("__", "."): value for key, value in overrides.items()})


def setting(**overrides):
    """(task, hypers of run 0, untrained parameters with biases)"""
    static, hypers = split(config(**overrides))
    made, hypers = task.make_task(static), jax.tree.map(lambda x: x[0], hypers)
    params = made.init(jax.random.key(1), hypers)
    rng = np.random.default_rng(0)
    moved = jax.tree.map(lambda x: np.float32(x + 0.3 * rng.normal(size=x.shape)), params)
    return made, hypers, moved


@functools.cache
def trained(**overrides):
    """(final state, the report of every chunk), in memory."""
    static, hypers = split(config(**overrides))
    steps = train.plan(static, N)
    init, chunk = train.make_train(task.make_task(static), static)
    state, reports = init(hypers), []
    for begin in range(0, steps.total, steps.chunk):
        state, report = chunk(state, jnp.int32(begin), hypers)
        reports.append(jax.device_get(report))
    return state, reports


def loss_of(made, hypers):
    """params, rows, c -> Loss"""

    def loss(params, rows, c):
        at = hypers._replace(model=hypers.model._replace(c=c))
        return made.loss(params, rows, Context(jnp.int32(0), jax.random.key(0), Controls({}, None, {}), at, made.data))

    return loss


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
    """(reconstruction, radial, batch_coverage)"""
    x = judge.trits(D)[rows]
    z = points(params, x, c)
    logits = logits_of(params, z, c)
    right = np.take_along_axis(logits, x[..., None] + 1, -1)[..., 0]
    nats = np.log(np.exp(logits).sum(-1)) - right
    v = judge.valuation_of_integer(rows, D)
    target = 2 / np.sqrt(c) * np.arctanh(0.90 - (0.90 - 0.08) * v / D)
    decoded = (logits.argmax(-1) == x + 1).all(-1)
    return nats.sum(-1).mean(), np.mean((radius_of(z, c) - target) ** 2), decoded.mean()


# --- the loss ---------------------------------------------------------------------------------------------------------


@functools.cache
def jitted_loss(dtype="float32"):
    made, hypers, params = setting(train__dtype=dtype, losses__radial__weight=0.7)
    return jax.jit(loss_of(made, hypers)), params


@pytest.mark.parametrize("c", [0.5, 1.0, 2.0])
def test_the_loss_is_that_of_numpy(c):
    loss, params = jitted_loss()
    rows = np.array([0, 0, 27, 54, 9, 3, 80, 1, 5, 77, 41])
    for batch in (rows, rows[:1]):
        found = loss(params, np.resize(batch, 11).astype(np.int32), np.float32(c))
        reconstruction, radial, coverage = expected_terms(params, np.resize(batch, 11), c)
        assert found.terms.keys() == {"reconstruction", "radial"}
        np.testing.assert_allclose(found.terms["reconstruction"], reconstruction, rtol=1e-5)
        np.testing.assert_allclose(found.terms["radial"], radial, rtol=1e-5)
        np.testing.assert_allclose(found.total, reconstruction + 0.7 * radial, rtol=1e-5)
        assert found.signals["batch_coverage"] == pytest.approx(coverage)


def test_the_operations_that_are_decoded_are_counted():
    """Untrained networks decode none: here a decoder of which the bias alone says operation 41, all trits 1 or 0."""
    loss, params = jitted_loss()
    trits = judge.trits(D)[41]
    out = {
        "kernel": np.zeros_like(params["decoder"]["out"]["kernel"]),
        "bias": np.float32(np.eye(3)[trits + 1].reshape(-1)),
    }
    knows = params | {"decoder": params["decoder"] | {"out": out}}
    rows = np.array([41, 0, 1, 41, 2, 3, 41, 4, 5, 6, 40], np.int32)
    assert loss(knows, rows, np.float32(1)).signals["batch_coverage"] == pytest.approx(3 / 11)


def test_an_untrained_decoder_knows_nothing():
    made, hypers, _ = setting()
    untrained = made.init(jax.random.key(0), hypers)
    found = jitted_loss()[0](untrained, np.arange(11, dtype=np.int32), np.float32(1))
    assert found.terms["reconstruction"] == pytest.approx(D * np.log(3), rel=0.05)


def test_the_batch_is_of_all_operations_and_follows_the_seed():
    made, hypers, _ = setting()
    context = Context(jnp.int32(0), jax.random.key(0), Controls({}, None, {}), hypers, made.data)
    draws = np.concatenate([made.sample(context._replace(key=jax.random.key(k))) for k in range(30)])
    assert draws.shape == (30 * 32,)
    assert set(draws) == set(range(N))


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
    """Those of the gradient of a loss of loss_of."""

    def total(*arguments):
        found = loss(*arguments)
        return found.total, found

    rows = np.zeros(8, np.int32)
    return equations(jax.make_jaxpr(jax.grad(total, has_aux=True))(params, rows, np.float32(1)).jaxpr)


def of_option(**overrides):
    made, hypers, params = setting(**overrides)
    return gradient_equations(loss_of(made, hypers), params)


def dtypes(eqn):
    return {str(v.aval.dtype) for v in (*eqn.invars, *eqn.outvars) if hasattr(v.aval, "dtype")}


def names(found):
    return [(eqn.primitive.name, [str(v.aval) for v in eqn.outvars]) for eqn, _ in found]


def falls(reports, factor):
    """The loss fell by more than this factor, and all operations are decoded."""
    assert reports[-1].info.loss[0] < reports[0].info.loss[0] / factor
    assert reports[-1].metrics["coverage"] == 1
    assert reports[0].metrics["coverage"] < 0.9


def test_it_trains_in_bfloat16_with_float32_parameters():
    state, reports = trained(train__dtype="bfloat16")
    falls(reports, 20)
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
    loss, params = jitted_loss("bfloat16")
    rows = np.arange(11, dtype=np.int32)
    found, (reconstruction, radial, _) = loss(params, rows, np.float32(1)), expected_terms(params, rows, 1.0)
    off = abs(found.terms["reconstruction"] / reconstruction - 1), abs(found.terms["radial"] / radial - 1)
    assert 1e-5 < max(off) < 2e-2


def test_it_trains_with_activations_computed_again():
    _, kept = trained()
    _, again = trained(train__remat=True)
    falls(kept, 20)
    falls(again, 20)
    for a, b in zip(kept[:2], again[:2], strict=True):
        np.testing.assert_allclose(b.info.loss, a.info.loss, rtol=1e-6)


def test_what_is_computed_again_are_the_hidden_layers():
    layers = 4
    remat = [eqn for eqn, _ in of_option(train__remat=True) if eqn.primitive.name in ("checkpoint", "remat", "remat2")]
    assert len(remat) == layers * 2  # forward and backward
    assert not [eqn for eqn, _ in of_option() if eqn.primitive.name in ("checkpoint", "remat", "remat2")]
    shapes = [jax.tree.map(jnp.shape, setting(train__remat=on)[2]) for on in (True, False)]
    assert shapes[0] == shapes[1]


def test_a_radial_loss_that_is_off_leaves_no_equation():
    made, hypers, params = setting(losses__radial__on=False)

    def without(params, rows, c):
        x = made.data["operations"][rows]
        networks = Mlp((32, 24), DIM, jnp.dtype("float32"), False), Mlp((24, 32), 3 * D, jnp.dtype("float32"), False)
        u = networks[0].apply({"params": params["encoder"]}, x.astype(jnp.float32))
        z = jax.vmap(poincare.exp0, (0, None))(u, c)
        u = jax.vmap(poincare.log0, (0, None))(z, c)
        logits = networks[1].apply({"params": params["decoder"]}, u).reshape(-1, D, 3)
        nats = optax.softmax_cross_entropy_with_integer_labels(logits, x.astype(jnp.int32) + 1)
        loss = jnp.mean(jnp.sum(nats, -1))
        decoded = jnp.all(jnp.argmax(logits, -1) == x.astype(jnp.int32) + 1, -1)
        return Loss(loss, {"reconstruction": loss}, {"batch_coverage": jnp.mean(decoded, dtype=jnp.float32)})

    off = gradient_equations(loss_of(made, hypers), params)
    assert names(off) == names(gradient_equations(without, params))
    assert len(of_option()) > len(off)


# --- runs of the whole engine -----------------------------------------------------------------------------------------


def files_of(workdir):
    found = []
    for path in sorted((workdir / "embeddings").iterdir()):
        with np.load(path) as file:
            found.append(dict(file))
    return found


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    """(workdir, summary, file of run 0, file of run 1)"""
    workdir = tmp_path_factory.mktemp("two")
    summary = train.run(config(runs=2, evaluate__costly_every=60), workdir)
    assert sorted(path.name for path in (workdir / "embeddings").iterdir()) == ["run_000.npz", "run_001.npz"]
    assert summary == json.loads((workdir / "summary.json").read_text())
    return workdir, summary, *files_of(workdir)


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


def test_runs_at_once_are_those_of_their_seeds(two_runs, tmp_path):
    _, _, first, second = two_runs
    assert np.abs(first["z_A"] - second["z_A"]).max() > 0.1
    train.run(config(seed=1, runs=1), tmp_path)
    (alone,) = files_of(tmp_path)
    for name in second:
        np.testing.assert_allclose(alone[name], second[name], atol=1e-4, err_msg=name)


def test_microbatches_without_the_radial_loss_train_and_the_rows_do_not_name_it(two_runs, tmp_path):
    train.run(config(train__microbatches=4, losses__radial__on=False), tmp_path)
    rows = log.read(tmp_path)
    assert rows[-1]["loss"] < rows[0]["loss"] / 50
    assert rows[-1]["coverage"] == 1
    assert {key for row in rows for key in row if key.startswith("loss")} == {"loss", "loss/reconstruction"}
    assert {key for row in log.read(two_runs[0]) for key in row if "radial" in key} == {"loss/radial"}


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
