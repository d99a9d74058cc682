"""The barrier across the lattice: against a plain float64 loop, step by step, and in its soft form."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_flows
from jax.test_util import check_grads
from jaxprs import equations
from small_flows import CONFIG, FACES, SMALL, init, model, plain_loop, run, settings

from ternary_jax.config import load_config, split
from ternary_jax.engine.task import Context
from ternary_jax.errors import ConfigError
from ternary_jax.lattice.energy_flow import barrier, flow, task, widths

ON = {"barrier__on": True, "barrier__x": 1.5, "barrier__first_row": 1, "barrier__last_row": 2}
RNG = np.random.default_rng(5)
stopped = jax.jit(barrier.stopped, static_argnums=(3, 4))  # one program instead of sixty operations


def given():
    return settings(**ON).barrier


def steps(n) -> Any:
    """n random steps in x and y from both sides of the barrier: (before, after, left)."""
    before, after = RNG.uniform(0, (4, 3, 2), (2, n, 3)).astype(np.float32)
    return before, after, before[:, 0] < 1.5


def test_flows_at_a_barrier_are_those_of_a_plain_float64_loop():
    static, params = settings(**ON), model()[1]
    flows, _, path = run(params, FACES, static, 3)
    outputs = small_flows.outputs(flows, static)
    for sample, face in enumerate(FACES):
        expected, points = plain_loop(static, params, face, barrier=(1.5, 1, 2))
        np.testing.assert_allclose(outputs[sample], expected, atol=1e-5)
        np.testing.assert_allclose(path[-1, sample], points, atol=3e-5)
    at_start = np.asarray(flow.place(params, FACES, static).left)
    assert 0 < (flows.left != at_start).mean() < 1
    assert (path[..., 0] == 1.5).any()


@pytest.mark.parametrize(
    ("before", "after", "left", "x", "then"),
    [
        ((0.5, 0.0), (2.5, 0.0), True, 1.5, True),  # a closed row
        ((0.5, 2.0), (2.5, 2.0), True, 2.5, False),  # an open row
        ((0.5, 0.0), (2.5, 2.0), True, 2.5, False),  # crosses at y = 1
        ((1.3, 0.0), (3.5, 2.0), True, 1.5, True),  # crosses at y = 2 / 11, and ends in an open row
        ((1.5, 2.0), (2.5, 2.9), True, 2.5, False),  # stopped before, and slid in front of the hole
        ((1.5, 0.0), (2.5, 2.0), True, 1.5, True),  # slides until it is there
        ((2.5, 0.0), (0.5, 0.0), False, 1.5, False),  # from the right
        ((1.5, 0.0), (1.0, 0.0), True, 1.0, True),  # back to the own side
        ((2.0, 3.0), (3.0, 3.0), False, 3.0, False),  # away from it
    ],
)
def test_a_step_at_the_hard_barrier(before, after, left, x, then):
    for softness in (None, 0.0):
        found, side = stopped(
            jnp.asarray([*before, 0.0]), jnp.asarray([*after, 1.0]), jnp.asarray(left), given(), "inward", softness
        )
        np.testing.assert_array_equal(found, np.asarray([x, after[1], 1.0], np.float32))
        assert bool(side) == then


def test_a_soft_barrier_keeps_a_share_of_the_way_beyond_it():
    before, after = jnp.asarray([0.5, 0.0, 0.0]), jnp.asarray([2.5, 0.2, 1.0])

    def reached(y, softness=0.8):
        return stopped(before.at[1].set(y), after, jnp.asarray(True), given(), "clip", softness)[0][0]

    y = (0.1 + 0.2) / 2  # where it crosses, half way
    gate = 1 / (1 + np.exp((0.5 - y) / 0.8))
    np.testing.assert_allclose(reached(0.1), 1.5 + gate, rtol=1e-6)
    np.testing.assert_allclose(jax.grad(reached)(0.1), 0.5 * gate * (1 - gate) / 0.8, rtol=1e-5)
    check_grads(reached, (0.1,), 1, modes=["rev"], atol=1e-2, rtol=1e-2)
    assert jax.grad(reached)(0.1, None) == 0  # nothing leads to the hole of a hard one


def test_a_flow_in_a_soft_barrier_goes_on_slowly_and_turns_at_once():
    """It still belongs to the left, so all of a step beyond the plane is multiplied, and none of the way back."""
    start, left = jnp.asarray([2.0, 0.0, 0.0]), jnp.asarray(True)
    gate = 1 / (1 + np.exp(0.5 / 0.8))
    for end, expected in ((3.0, 2.0 + gate), (1.7, 1.7), (0.5, 0.5)):
        found, side = stopped(start, jnp.asarray([end, 0.0, 0.0]), left, given(), "inward", 0.8)
        np.testing.assert_allclose(found[0], expected, rtol=1e-6)
        assert side


def test_the_soft_barrier_becomes_the_hard_one():
    before, after, left = steps(500)
    hard, side = stopped(before, after, left, given(), "inward")
    assert (hard[:, 0] == 1.5).sum() > 20
    assert (side != left).sum() > 20
    for softness, far in ((0.0, 0.0), (1e-3, 1e-2)):
        soft, same = stopped(before, after, left, given(), "inward", jnp.float32(softness))
        np.testing.assert_array_equal(side, same)
        assert (np.abs(soft - hard).max(-1) > 1e-5).mean() <= far  # none, or those at the edge of the hole


@pytest.mark.parametrize(("walls", "slopes"), [("inward", [1, 0]), ("through", [1, -1]), ("clip", [0, 0])])
def test_the_gradient_of_a_stopped_flow_is_that_of_a_wall(walls, slopes):
    def x(end, sign):
        after = jnp.asarray([0.0, 0.0, 0.0]).at[0].set(end)
        return sign * stopped(jnp.zeros(3), after, jnp.asarray(True), given(), walls)[0][0]

    # Descent moves against the slope: 1 leads back to the left side, -1 further beyond.
    assert [float(jax.grad(x)(2.5, sign)) for sign in (1.0, -1.0)] == slopes


def loss_of(static):
    made = task.make_task(static)
    signals = type("S", (), {"schedule": {name: row[0] for name, row in made.schedules.items()}})
    hypers = jax.tree.map(lambda a: a[0], split(load_config(CONFIG, SMALL))[1])
    nothing: Any = None
    context = Context(jnp.int32(0), None, nothing, hypers, made.data, (), signals)
    return made, context, lambda params: made.loss(params, FACES, context).total


def test_a_barrier_that_is_off_leaves_no_equation():
    off, hard, soft = settings(), settings(**ON), settings(**ON, barrier__softness=2.0)
    params = jax.eval_shape(lambda key: init(key, off), jax.random.key(0))
    plain, other, stops, softens = (
        jax.make_jaxpr(loss_of(static)[2])(params)
        for static in (off, settings(barrier__x=2.5, barrier__softness=3.0), hard, soft)
    )
    assert str(plain) == str(other)
    counts = [equations(jaxpr.jaxpr).count("logistic") for jaxpr in (plain, stops, softens)]
    assert counts[0] == counts[1] < counts[2]
    for static in (hard, settings(barrier__x=2.5, barrier__softness=3.0)):
        assert [*loss_of(static)[0].schedules] == ["blur"]


def test_evaluations_have_the_hard_barrier():
    params = jax.eval_shape(lambda key: init(key, settings()), jax.random.key(0))
    made = [loss_of(settings(**ON, barrier__softness=softness)) for softness in (0.0, 2.0)]
    hard, soft = (
        str(jax.make_jaxpr(lambda p, c=context, m=task: m.evaluate(p, c))(params)) for task, context, _ in made
    )
    assert hard == soft


def test_the_softness_ends_in_its_share_of_the_run():
    fallen = widths.falling(settings(**ON, barrier__softness=4.0, barrier__share=0.5))["barrier"]
    np.testing.assert_allclose(fallen[[0, 5, 10, 19]], [4, 2, 0, 0])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"barrier__x": 2.0},
            "config.barrier.x=2.0 has to lie between two columns of config.lattice.width=5: give ",
        ),
        ({"barrier__x": 4.5}, "between 0 and 4 that is not whole, such as 2.5"),
        (
            {"barrier__last_row": 4},
            "config.barrier.first_row=1 and config.barrier.last_row=4 have to be rows of ",
        ),
        (
            {"barrier__first_row": 3},
            "config.barrier.first_row=3 and config.barrier.last_row=2 have to be rows of ",
        ),
        ({"barrier__first_row": 0, "barrier__last_row": 3}, "open all rows of config.lattice.height=4: open fewer, or"),
        (
            {"model__still": True},
            "config.barrier.on=True stops flows that move along x, and with config.model.still=",
        ),
    ],
)
def test_a_barrier_that_makes_no_sense_is_refused_in_one_sentence(changes, words):
    with pytest.raises(ConfigError) as e:
        settings(**ON | changes)
    assert words in str(e.value)
    assert "\n" not in str(e.value)
    off = settings(**ON | changes | {"barrier__on": False})
    assert not off.barrier.on
