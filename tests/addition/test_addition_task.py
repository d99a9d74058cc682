"""The addition task: networks and metrics against plain Python, and short runs of the whole engine."""

import functools
import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from jaxprs import equations

from ternary_jax.addition import data, evaluate, task
from ternary_jax.config import load_config, split
from ternary_jax.control.chain import Controls
from ternary_jax.engine import host
from ternary_jax.engine.program import make_train
from ternary_jax.engine.task import Context
from ternary_jax.workdir import rows as log

pytestmark = pytest.mark.usefixtures("compiled_soon")

CONFIG = Path(__file__).parents[2] / "configs" / "grok_addition.py"
P, K, M = 3, 2, 9
SMALL = {
    "data.p": P,
    "data.n_digits": K,
    "data.train_share": 0.6,
    "data.splits": 4,
    "model.width": 12,
    "model.hidden": 20,
    "model.heads": 3,
    "train.batch_size": 49,
    "train.steps": 100,
    "train.learning_rate": 2e-2,
    "train.weight_decay": 0.0,
    "evaluate.cheap_every": 50,
    "checkpoint.every": 100,
    "log.tensorboard": False,
    "compilation_cache": False,
    "grokking.on": False,
}


def config(**overrides):
    return load_config(CONFIG, SMALL | {key.replace("__", "."): value for key, value in overrides.items()})


def setting(**overrides) -> Any:
    """(task, static, hypers of run 0, random parameters)."""
    static, hypers = split(config(**overrides))
    made, hypers = task.make_task(static), jax.tree.map(lambda x: jnp.asarray(x[0]), hypers)
    made = made._replace(data=jax.device_put(made.data))
    return made, static, hypers, small.drawn(jax.eval_shape(made.init, jax.random.key(1), hypers), 1)


def context(made, hypers, seed=0):
    return Context(jnp.int32(0), jax.random.key(seed), Controls({}, None, {}), hypers, made.data)


def loss_of(**overrides):
    """Loss of the first batch, and the gradient by a flat vector."""
    made, _, hypers, params = setting(**overrides)
    given = context(made, hypers)

    @small.jit
    def both(params):
        return jax.value_and_grad(lambda params: made.loss(params, made.sample(given), given).total)(params)

    value, slope = both(params)
    return float(value), np.concatenate([np.ravel(x) for x in jax.tree.leaves(slope)])


# --- networks ---------------------------------------------------------------------------------------------------------


def dense(params, x):
    return x @ params["kernel"] + params.get("bias", 0.0)


def perceptron(params, a, b):
    """The reference perceptron: embed, concatenate, layer, relu, layer. Returns logits and preactivations."""
    e = params["embedding"]["embedding"]
    both = np.concatenate([e[a], e[b]], -1)
    kernel = np.concatenate([params["left"]["kernel"], params["right"]["kernel"]])
    read = both @ kernel + params["left"]["bias"]
    return dense(params["out"], np.maximum(read, 0)), read


def transformer(params, a, b, heads=3):
    """The reference transformer, one pair at a time, a loop over heads. Returns logits and preactivations."""
    e, positions = params["embedding"]["embedding"], params["positions"]["embedding"]
    out, units = [], []
    for pair in zip(a, b, strict=True):
        x = np.stack([e[token] + positions[place] for place, token in enumerate((*pair, M))])
        q, k, v = (dense(params[name], x) for name in ("query", "key", "value"))
        size, read = x.shape[1] // heads, []
        for h in range(heads):
            of = slice(h * size, (h + 1) * size)
            weights = np.exp(k[:, of] @ q[-1, of] / np.sqrt(size))
            read.append(weights @ v[:, of] / weights.sum())
        y = x[-1] + dense(params["attended"], np.concatenate(read))
        units.append(dense(params["up"], y))
        out.append(dense(params["out"], y + dense(params["down"], np.maximum(units[-1], 0))))
    return np.array(out), np.array(units)


PLAIN = {"perceptron": perceptron, "transformer": transformer}


@pytest.mark.parametrize("kind", PLAIN)
def test_networks_agree_with_plain_numpy(kind):
    _, static, _, params = setting(model__kind=kind)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32) / np.sqrt(len(x)), params)
    a, b = np.divmod(np.arange(M * M, dtype=np.int32), M)
    found = small.jit(task.make_model(static, M).apply)({"params": params}, a, b)
    expected, _ = PLAIN[kind](jax.tree.map(lambda x: x.astype(np.float64), params), a, b)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)
    assert np.abs(found - np.asarray(found).reshape(M, M, M).swapaxes(0, 1).reshape(M * M, M)).max() > 0.1


@pytest.mark.parametrize("kind", ["perceptron", "transformer"])
def test_remat_and_padding_of_a_batch_change_no_gradient(kind):
    value, slope = loss_of(model__kind=kind)
    same, of_more = loss_of(model__kind=kind, train__remat=True, train__batch_size=81)
    assert same == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(of_more, slope, rtol=1e-4, atol=1e-7)


def test_bfloat16_is_used_and_is_near():
    (exact, _), (rounded, _) = loss_of(), loss_of(train__dtype="bfloat16")
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=1e-2)


@pytest.mark.parametrize("remat", [False, True])
def test_activations_are_computed_again_only_if_asked(remat):
    made, _, hypers, params = setting(train__remat=remat)
    given = context(made, hypers)
    found = jax.make_jaxpr(lambda params: made.loss(params, made.sample(given), given).total)(params)
    assert ("remat2" in equations(found.jaxpr) or "checkpoint" in equations(found.jaxpr)) == remat


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("seed", [0, 3])
def test_a_run_trains_on_the_first_pairs_of_its_own_split(full, seed):
    made, _, hypers, params = setting(data__full_batch=full, data__split_seed=seed, train__batch_size=81)
    batch = small.jit(made.sample)(context(made, hypers))
    seen = {M * a + b for a, b, weight in zip(*map(np.ndarray.tolist, map(np.asarray, batch)), strict=True) if weight}
    allowed = data.orders(4, 81)[seed][:49].tolist()
    assert seen == set(allowed) if full else len(seen) > 20 and seen <= set(allowed)
    mask = small.jit(made.export)(params, context(made, hypers))["train_mask"]
    assert np.flatnonzero(mask).tolist() == sorted(allowed)


def test_the_loss_is_the_mean_over_what_is_trained_on():
    made, static, _, params = setting(train__batch_size=81)
    a, b = np.divmod(np.asarray(made.data[0][:49]), M)
    z = np.asarray(task.make_model(static, M).apply({"params": params}, a, b), np.float64)
    wrong = np.log(np.exp(z).sum(-1)) - z[np.arange(49), (a + b) % M]
    assert loss_of(train__batch_size=81)[0] == pytest.approx(wrong.mean(), rel=1e-5)


# --- metrics ----------------------------------------------------------------------------------------------------------


def leading_digits(x, y):
    """How many digits of two numbers agree before the first that does not, at most K."""
    n = 0
    while n < K and x % P == y % P:
        n, x, y = n + 1, x // P, y // P
    return n


def test_every_prediction_is_judged_as_a_loop_does():
    prediction, answer = np.divmod(np.arange(M * M), M)
    logits = jnp.asarray(5.0 * np.eye(M)[prediction], jnp.float32)
    found = evaluate.judge(logits, jnp.asarray(answer, jnp.int32), K, P)
    v = [leading_digits(x, y) for x, y in zip(prediction.tolist(), answer.tolist(), strict=True)]
    assert found["valuation"].tolist() == v
    assert found["accuracy"].tolist() == (prediction == answer).tolist()
    np.testing.assert_allclose(found["distance"], [0 if n == K else P**-n for n in v], rtol=1e-6)


def test_metrics_are_means_over_their_own_pairs():
    _, static, _, _ = setting()
    rng = np.random.default_rng(0)
    figures = {name: rng.normal(size=81) for name in ("accuracy", "loss", "valuation", "distance")}
    trained = rng.random(81) < 0.4
    found = evaluate.means(jax.tree.map(jnp.asarray, figures), jnp.asarray(trained), static)
    for part, mask in {"train_": trained, "held_out_": ~trained}.items():
        for name in [name for name in found if name.startswith(part)]:
            assert float(found[name]) == pytest.approx(figures[name.removeprefix(part)][mask].mean(), rel=1e-4), name
    assert float(found["accuracy"]) == pytest.approx(figures["accuracy"].mean(), rel=1e-4)
    assert len(found) == 7


@pytest.mark.parametrize(
    ("changes", "absent"),
    [
        ({}, set()),
        (
            {"data__n_digits": 1, "data__p": 7, "train__batch_size": 29},
            {"held_out_valuation", "held_out_distance"},
        ),
        (
            {"data__split": "none", "train__batch_size": 81},
            {f"held_out_{name}" for name in ("accuracy", "loss", "valuation", "distance")},
        ),
    ],
)
def test_metrics_that_are_undefined_for_the_config_are_absent(changes, absent):
    made, static, hypers, params = setting(**changes)
    whole = {m.name for m in setting()[0].metrics}
    assert {m.name for m in made.metrics} == whole - absent
    assert jax.eval_shape(made.evaluate, params, context(made, hypers)).keys() == whole - absent
    (note,) = made.notes
    assert note.startswith(f"split {static.data.split}")


def test_chance_is_that_of_all_answers_alike():
    made, *_ = setting()
    prediction, answer = np.divmod(np.arange(M * M), M)
    v = np.array([leading_digits(x, y) for x, y in zip(prediction.tolist(), answer.tolist(), strict=True)])
    expected = {
        "accuracy": np.mean(v == K),
        "valuation": v.mean(),
        "distance": np.where(v == K, 0, float(P) ** -v).mean(),
        "loss": math.log(M),
    }
    for m in made.metrics:
        figure = m.name.removeprefix("held_out_").removeprefix("train_")
        assert m.chance == pytest.approx(expected[figure]), m.name
        assert m.untrained is None if figure == "loss" else m.untrained == pytest.approx(m.chance), m.name
        twin = f"train_{figure}" if m.name.startswith("held_out_") and figure in ("accuracy", "loss") else ""
        assert m.held_out_of == twin
        assert m.better * m.best > m.better * m.chance, m.name


@pytest.mark.parametrize("kind", PLAIN)
def test_inner_activations_are_those_behind_the_logits(kind):
    made, _, hypers, params = setting(model__kind=kind, data__split_seed=2)
    a, b = np.divmod(np.arange(M * M, dtype=np.int32), M)

    @small.jit
    def inside(params):
        network = made.inner.networks(params, context(made, hypers))[kind]
        shown = made.inner.representations(params, context(made, hypers))
        return network.inputs, network.preactivations(network.inputs)["hidden"], shown

    inputs, read, shown = jax.device_get(inside(params))
    _, expected = PLAIN[kind](jax.tree.map(lambda x: np.asarray(x, np.float64), params), a, b)
    np.testing.assert_allclose(read, expected, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(shown["hidden"], np.maximum(expected, 0)[made.data[2]], rtol=2e-4, atol=2e-5)
    table = np.asarray(params["embedding"]["embedding"][:M])
    np.testing.assert_array_equal(inputs, np.concatenate([table[a], table[b]], -1))
    np.testing.assert_array_equal(shown["embedding"], table)


# --- runs of the engine -----------------------------------------------------------------------------------------------


VARIED = {
    "runs": 3,
    "seed": (3, 1, 3),
    "data__train_share": (0.2, 0.6, 1.0),
    "data__split_seed": (2, 0, 1),
    "train__weight_decay": (0.0, 2.0, 1.0),
    "train__batch_size": 81,
}


@functools.cache
def program(full):
    static, hypers = split(config(**VARIED, data__full_batch=full))
    return make_train(task.make_task(static), static), hypers


def trained(full, runs):
    """State and last report of some of the three runs, after 100 steps."""
    (init, chunk), hypers = program(full)
    hypers = jax.tree.map(lambda x: x[runs], hypers)
    with jax.debug_nans(False):  # of the held-out figures of the third
        state, report = init(hypers), None
        for first in (0, 50):
            state, report = chunk(state, jnp.int32(first), hypers)
        return jax.device_get((state.params, report.metrics))


@functools.cache
def all_trained(full):
    return trained(full, slice(0, 3))


@pytest.mark.slow
@pytest.mark.parametrize("full", [True, False])
def test_a_run_alone_is_that_run_among_others(full):
    params, metrics = all_trained(full)
    for k in range(3):
        alone, its = trained(full, slice(k, k + 1))
        for mine, ours in zip(jax.tree.leaves(alone), jax.tree.leaves(params), strict=True):
            np.testing.assert_allclose(mine[0], ours[k], rtol=1e-3, atol=1e-4)
        for name, value in its.items():
            np.testing.assert_allclose(value[0], metrics[name][k], rtol=1e-3, atol=1e-3, err_msg=name)


def test_runs_differ_in_what_they_train_on_and_each_learns_that():
    params, found = all_trained(True)
    assert found["train_accuracy"][[0, 2]].tolist() == [1, 1]
    for k, share in enumerate(VARIED["data__train_share"][:2]):
        n = int(data.n_train(share, 81, np))
        whole = (found["train_accuracy"][k] * n + found["held_out_accuracy"][k] * (81 - n)) / 81
        assert found["accuracy"][k] == pytest.approx(whole, rel=1e-5)
    assert all(np.abs(x[0] - x[2]).max() > 1e-3 for x in jax.tree.leaves(params))  # of one seed


def test_a_run_that_trains_on_all_has_no_held_out_figures_and_harms_no_other():
    params, found = all_trained(True)
    for name, value in found.items():
        assert np.all(np.isfinite(value[:2])), name
        assert np.isnan(value[2]) == name.startswith("held_out_"), name
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(params))


def test_a_short_run_memorises_and_its_files_show_it(tmp_path):
    summary = host.run(config(train__steps=150), tmp_path / "run")
    assert summary["finished"]
    assert summary["task"] == "a + b mod 9"
    final = summary["runs"][0]["final"]
    assert final["train_accuracy"] == 1
    assert final["held_out_accuracy"] < 0.7
    rows = log.read(tmp_path / "run")
    assert [row["step"] for row in rows] == [50, 100, 150]
    assert rows[-1]["loss"] < 0.2 * rows[0]["loss"]
    assert "epoch" not in rows[0]
    assert summary["metrics"]["train_loss"]["untrained"] == pytest.approx(math.log(M), rel=0.05)
    with np.load(tmp_path / "run" / "embeddings" / "run_000.npz") as file:
        arrays = dict(file)
    a, b = np.mgrid[:M, :M]
    np.testing.assert_array_equal(arrays["answer"], (a + b) % M)
    assert arrays["embedding"].shape == (M, 12)
    right, mask = arrays["prediction"] == arrays["answer"], arrays["train_mask"]
    assert mask.sum() == 49
    np.testing.assert_array_equal(np.flatnonzero(mask), np.sort(data.orders(1, 81)[0][:49]))
    assert right[mask].mean() == final["train_accuracy"]
    assert right[~mask].mean() == pytest.approx(final["held_out_accuracy"])
