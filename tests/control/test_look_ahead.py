"""Look-ahead learning: its gradient against finite differences of a loop, and the steps at which it learns."""

import contextlib
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
import traced_keys
from jaxprs import equations

from ternary_jax.config import load_config, split
from ternary_jax.control.chain import Control, Controls
from ternary_jax.control.look_ahead import LEARNER, LookAhead, forward_over_reverse
from ternary_jax.engine import optimizer, stopping
from ternary_jax.engine.plan import plan, schedule_rows
from ternary_jax.engine.program import control_chain, make_train
from ternary_jax.engine.step import make_step, observables, prng_keys
from ternary_jax.engine.task import Context

CONFIG = Path(__file__).parents[1] / "toy_config.py"
RATE = 0.5


def task_of(static, every=0, ahead=1, share=1.0):
    """The toy task with a controller: exp(phi_0) scales the rates, phi_1 weighs the pull to 0. every > 0: it learns."""
    base = toy.make_task(static)

    def update(state, signals, controls):
        phi = state["phi"]
        rates = {group: rate * jnp.exp(phi[0]) for group, rate in controls.rates.items()}
        return state, controls._replace(rates=rates, knobs=controls.knobs | {"pull": phi[1]}), {}

    def loss(params, batch, context):
        found = base.loss(params, batch, context)
        return found._replace(total=found.total + context.controls.knobs["pull"] * found.terms["pull"])

    def reference(params, batch, context):
        x, y = batch
        slope, offset = jnp.mean(params["slope"]["w"]), jnp.mean(params["offset"]["b"])
        return jnp.mean((slope * x + offset - y) ** 2) + 0.3 * context.controls.knobs["pull"] ** 2

    def descend(state, slope):
        return {"phi": state["phi"] - RATE * slope, "slopes": jnp.roll(state["slopes"], 1, 0).at[0].set(slope)}

    def put(state, phi):
        return state | {"phi": phi}

    start = {"phi": jnp.array([-0.2, 0.4]), "slopes": jnp.zeros((8, 2))}
    return base._replace(
        loss=loss,
        knobs=lambda hypers: {"pull": 0.0},
        controllers={"phi": Control(lambda hypers: start, update)},
        look_ahead=LookAhead("phi", lambda s: s["phi"], put, descend, reference, every, ahead, share)
        if every
        else None,
    )


def setting(runs=1, **overrides):
    given = {key.replace("__", "."): value for key, value in overrides.items()}
    static, hypers = split(load_config(CONFIG, {"runs": runs, "train.warmup_epochs": 3, **given}))
    return static, jax.device_put(hypers)


def chunks(task, static, hypers, n):
    """The state after n chunks."""
    init, chunk = make_train(task, static)
    state, size = init(hypers), plan(static, static.toy.points).chunk
    for number in range(n):
        state, _ = chunk(state, jnp.int32(number * size), hypers)
    return state


def loop(task, static, hypers, number, state, ahead, share):
    """phi -> the reference after `ahead` plain steps from step `number` on, by a Python loop."""
    tx = optimizer.adamw_by_group(static.train.clip_norm)
    step = jax.jit(make_step(task._replace(look_ahead=None), static, tx, control_chain(task)))
    rows, key = schedule_rows(task, static), prng_keys(hypers)[1]
    data = jnp.asarray(task.data)
    sample, reference = jax.jit(task.sample), jax.jit(task.look_ahead.reference)

    def of(phi):
        after = state._replace(control=state.control | {"phi": state.control["phi"] | {"phi": jnp.float32(phi)}})
        for k in range(number, number + ahead):
            at = {name: jnp.float32(row[min(k, len(row) - 1)]) for name, row in rows.items()}
            after, _ = step(after, (jnp.int32(k), at), key, hypers, data)
        context = Context(
            jnp.int32(number + ahead),
            jax.random.fold_in(key, number + ahead),
            Controls({}, None, after.knobs),
            hypers,
            data,
        )
        key_batch, key_loss = jax.random.split(context.key)
        batch = [np.asarray(x)[: int(share * len(x))] for x in sample(context._replace(key=key_batch))]
        return float(reference(after.params, batch, context._replace(key=key_loss)))

    return of


@pytest.mark.parametrize(
    ("ahead", "share", "parts"),
    [(1, 0.25, 1), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((1, 1.0, 1), (3, 1.0, 1), (2, 1.0, 2)))],
)
def test_the_gradient_is_that_of_differences(ahead, share, parts):
    static, hypers = setting(train__microbatches=parts)
    task = task_of(static, every=8, ahead=ahead, share=share)
    one = jax.tree.map(lambda x: x[0], jax.device_get((make_train(task, static)[0](hypers), hypers)))
    # The backward pass through microbatches repeats the draws of the loss.
    with traced_keys.used_twice() if parts > 1 else contextlib.nullcontext():
        after = jax.tree.map(lambda x: x[0], jax.device_get(chunks(task, static, hypers, 1)))
    of, phi = loop(task, static, one[1], 0, one[0], ahead, share), np.array([-0.2, 0.4])
    h = 0.02
    expected = [(of(phi + h * e) - of(phi - h * e)) / (2 * h) for e in np.eye(2)]
    np.testing.assert_allclose(after.control["phi"]["slopes"][0], expected, rtol=0.02, atol=2e-4)
    assert (np.abs(expected) > 5e-3).all()
    np.testing.assert_allclose(after.control["phi"]["phi"], phi - RATE * after.control["phi"]["slopes"][0], rtol=1e-5)


def test_forward_over_reverse_agrees_with_jax_and_with_differences():
    """Derivatives by the differentiated argument, by the other and by both, with and without the auxiliary output."""

    def f(x, knobs, rows, key):
        h = jnp.tanh(x["w"] * knobs["a"] + jax.random.normal(jax.random.fold_in(key, 2), x["w"].shape))
        total = jnp.sum(h[rows] ** 2) * knobs["b"] + jnp.sum(x["v"] ** 3)
        return total, {"half": total * knobs["a"] / 2, "rows": rows[0], "h": h}

    def outer(gradient):
        def of(x, knobs, said):
            found, beside = gradient(x, knobs, np.array([0, 2, 2]), jax.random.key(1))
            return jnp.sum(jnp.sin(found["w"])) * found["v"] + said * (beside["half"] + jnp.sum(beside["h"] ** 2))

        return of

    with jax.enable_x64(True):
        x = {"w": jnp.array([0.3, -0.8, 1.1]), "v": jnp.array(0.7)}
        knobs = {"a": jnp.array(1.3), "b": jnp.array(-0.4), "unused": jnp.array(2.0)}
        ours, theirs = outer(forward_over_reverse(f)), outer(jax.grad(f, has_aux=True))
        for said in (0.0, 1.0):
            for of in (0, 1, (0, 1)):
                found, expected = (jax.jit(jax.grad(g, of))(x, knobs, said) for g in (ours, theirs))
                for a, b in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
                    np.testing.assert_allclose(a, b, rtol=1e-12)
        alone = jax.grad(
            lambda knobs: jnp.sum(forward_over_reverse(f)(x, knobs, np.array([1]), jax.random.key(1))[0]["w"])
        )
        h = 1e-6
        ends = [
            jnp.sum(
                jax.grad(f, has_aux=True)(x, knobs | {"a": knobs["a"] + e}, np.array([1]), jax.random.key(1))[0]["w"]
            )
            for e in (h, -h)
        ]
        assert float(alone(knobs)["a"]) == pytest.approx(float(ends[0] - ends[1]) / (2 * h), rel=1e-7)


@pytest.mark.parametrize(("every", "learned"), [(1, 8), (4, 2)])
def test_it_learns_every_so_many_steps(every, learned):
    static, hypers = setting()
    state = chunks(task_of(static, every=every, ahead=1), static, hypers, 1)
    assert (np.abs(state.control["phi"]["slopes"][0]).sum(-1) > 0).sum() == learned


@pytest.mark.slow
def test_a_look_ahead_that_changes_nothing_leaves_the_training_as_it_is():
    """A controller whose `descend` does nothing trains the same parameters as one without look-ahead."""
    static, hypers = setting(evaluate__cheap_every=1, evaluate__costly_every=1, checkpoint__every=1)
    learning = chunks(task_of(static, every=4, ahead=2), static, hypers, 1)
    plain = chunks(task_of(static), static, hypers, 1)
    for a, b in zip(jax.tree.leaves(learning.params), jax.tree.leaves(plain.params), strict=True):
        assert not np.allclose(a, b, atol=1e-7)  # learning changes phi
    still = task_of(static, every=4, ahead=2)
    learns = cast(Any, still.look_ahead)
    still = still._replace(look_ahead=learns._replace(descend=lambda state, slope: state))
    for a, b in zip(*map(jax.tree.leaves, (chunks(still, static, hypers, 1).params, plain.params)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.slow
def test_runs_at_once_are_runs_alone_and_the_end_of_the_schedules_is_held():
    static, hypers = setting(runs=3, train__epochs=4)
    together = chunks(task_of(static, every=2, ahead=3), static, hypers, 2)
    assert np.isfinite(together.control["phi"]["phi"]).all()
    for k in range(3):
        alone_static, alone_hypers = setting(seed=k, train__epochs=4)
        alone = chunks(task_of(alone_static, every=2, ahead=3), alone_static, alone_hypers, 2)
        np.testing.assert_allclose(together.control["phi"]["phi"][k], alone.control["phi"]["phi"][0], rtol=1e-4)


def test_without_a_look_ahead_nothing_of_it_is_in_the_program():
    static, hypers = setting()

    def program(task):
        init, chunk = make_train(task, static)
        state = jax.eval_shape(init, hypers)
        return equations(jax.make_jaxpr(chunk.program)(state, jnp.int32(0), hypers, *chunk.shared).jaxpr)

    bare = task_of(static)
    assert "custom_vjp_call" not in program(bare)
    assert len(program(task_of(static, every=1))) > len(program(bare))


def test_the_norm_of_the_gradient_is_reported_and_one_that_is_not_finite_stops_the_run():
    static, hypers = setting()
    task = task_of(static, every=8, ahead=1)
    init, chunk = make_train(task, static)
    state, report = chunk(init(hypers), jnp.int32(0), hypers)
    norm = np.linalg.norm(state.control["phi"]["slopes"][0, 0])
    assert float(report.info.gradient[LEARNER][0]) == pytest.approx(norm / 8, rel=1e-5)  # the mean over 8 steps
    undefined = cast(Any, task.look_ahead)._replace(
        reference=lambda params, batch, context: context.controls.knobs["pull"] * jnp.nan
    )
    broken = task._replace(look_ahead=undefined)
    with jax.debug_nans(False):
        init, chunk = make_train(broken, static)
        state, report = chunk(init(hypers), jnp.int32(0), hypers)
    assert int(state.stop.reason[0]) == stopping.NOT_FINITE
    names = list(observables(report.info))
    assert names[int(state.stop.bad_term[0])] == f"the gradient of {LEARNER}"
