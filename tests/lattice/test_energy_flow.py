"""The energy-flow lattice against a plain float64 loop, and what each of its settings does."""

import contextlib
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_flows
from jaxprs import equations
from small_flows import CONFIG, FACES, SMALL, init, model, plain_loop, run, settings

from ternary_jax import workdir
from ternary_jax.config import load_config, split, stored
from ternary_jax.engine import host
from ternary_jax.engine.assembly import assemble
from ternary_jax.engine.program import make_train
from ternary_jax.engine.task import Context
from ternary_jax.errors import ConfigError
from ternary_jax.lattice.energy_flow import adaptive, counts, flow, task, widths
from ternary_jax.lattice.energy_flow import settings as rules


def slow_model():
    """Flows that arrive after different numbers of steps, and then stay."""
    static = settings(model__freeze=True, model__drift=0.6, model__steps=8)
    return static, init(jax.random.key(4), static)


@pytest.mark.parametrize(
    "changes",
    [
        {"model__layers": 2},
        {"model__content": False, "model__frequencies": 0},
        {"model__planes": 2, "data__target": "route", "model__channels": 3, "interaction__kind": "pool"},
        {"model__channels": 2, "interaction__kind": "pool", "interaction__linear": False, "model__cells_scale": 0.2},
    ],
)
def test_outputs_are_those_of_a_plain_float64_loop(changes):
    static, params = model(**changes)
    flows, _, path = run(params, FACES, static, 3)
    outputs = small_flows.outputs(flows, static)
    given = static.model
    assert path.shape == (3, 2 if given.content else 1, 20, 3)
    for sample, face in enumerate(FACES):
        expected, points = plain_loop(static, params, face)
        np.testing.assert_allclose(outputs[sample], expected, atol=1e-5)
        np.testing.assert_allclose(path[-1, sample if given.content else 0], points, atol=1e-5)


def test_flows_begin_on_one_way_where_the_energy_begins_without_weight():
    static = settings(model__zero_energy=True)
    _, _, path = run(init(jax.random.key(0), static), FACES, static, 3)
    np.testing.assert_array_equal(path[:, 0], path[:, -1])


@pytest.mark.parametrize(
    ("walls", "expected", "slope"),
    [
        ("inward", [0.0, 4.0, 1.5], [0, 1]),
        ("through", [0.0, 4.0, 1.5], [1, 1]),
        ("clip", [0.0, 4.0, 1.5], [0, 0]),
        ("reflect", [1.0, 3.5, 1.5], [-1, -1]),
    ],
)
def test_walls_keep_flows_inside_and_differ_in_their_gradient(walls, expected, slope):
    limits = jnp.float32([4, 4, 2])
    outside = jnp.float32([-1.0, 4.5, 1.5])
    np.testing.assert_allclose(flow.within_walls(outside, limits, walls), expected)
    _, pull = jax.vjp(lambda x: flow.within_walls(x, limits, walls), outside)
    # Descent moves against the slope: where it is positive, out of the wall at 0 and back inside at the other one.
    np.testing.assert_allclose(pull(jnp.ones(3))[0], [*slope, 1])
    there = [1, 0] if walls == "inward" else slope
    np.testing.assert_allclose(pull(-jnp.ones(3))[0], [-there[0], -there[1], -1])


def test_a_still_flow_moves_along_z_alone():
    position, push = jnp.ones((1, 2, 3)), jnp.float32([[[0.5, -1.0, 0.2], [2.0, 0.1, -0.4]]])
    moved, _ = flow.moved(position, push, settings(model__still=True), None)
    np.testing.assert_allclose(moved[0], [[1, 1, 2], [1, 1, 1 + 1 + np.tanh(-0.4)]], rtol=1e-6)
    moved, arrived = flow.moved(position, push, settings(), None)
    np.testing.assert_allclose(moved[0, 1, :2], 1 + 2 * np.tanh([2.0, 0.1]), rtol=1e-6)
    np.testing.assert_array_equal(arrived, [[True, False]])


def test_an_arrived_flow_stays_as_it_is_where_it_is_frozen():
    static, params = slow_model()
    flows, _, path = run(params, FACES, static, 12)
    first = np.argmax(np.asarray(path[..., 2] >= 2), 0)
    assert flows.arrived.all()
    assert (flows.steps == first + 1).all()
    assert len(np.unique(first)) > 1
    last = np.broadcast_to(path[-1], path.shape)
    still = np.arange(12)[:, None, None] >= first
    np.testing.assert_array_equal(path[still], last[still])


@pytest.mark.parametrize("how", ["spread", "round", "average"])
def test_only_a_spread_teaches_flows_where_to_land(how):
    def total(points):
        return jnp.sum(flow.collect(points, jnp.ones((1, 1)), 5, 4, how)[1, 2])

    points = jnp.asarray([[1.7, 1.2]])
    expected = {"spread": 0.56, "round": 1.0, "average": 0.56 / 0.61}[how]
    found, slope = jax.jit(jax.value_and_grad(total))(points)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.any(np.asarray(slope) != 0) == (how != "round")


def test_children_part_from_their_parent_and_share_its_energy():
    static, params = model(model__children=2)
    _, _, path = run(params, FACES, static, 3)
    assert path.shape == (3, 2, 60, 3)
    first = path[0, 0].reshape(20, 3, 3)
    assert (np.ptp(first, 1).max(-1) > 0).all()
    start = jax.jit(flow.place, static_argnums=2)(params, FACES, static)
    shares = np.asarray(params["children"]["share"])
    np.testing.assert_allclose(start.energy.reshape(2, 20, 3), FACES.reshape(2, 20, 1) * shares, rtol=1e-6)


@pytest.mark.parametrize("kind", ["none", "pool", "attention", "field"])
def test_what_one_cell_holds_reaches_the_others_where_flows_interact(kind):
    static, params = model(interaction__kind=kind, model__content=False, model__channels=2)
    changed = FACES.copy()
    changed[0, 0, 0] += 1
    before, after = (small_flows.outputs(run(params, faces, static, 3)[0], static) for faces in (FACES, changed))
    reached = (np.abs(after - before)[0] > 1e-6).sum()
    assert reached > 4 if kind != "none" else 0 < reached <= 4
    np.testing.assert_array_equal(after[1], before[1])


@pytest.mark.parametrize("changes", [{"model__noise": 0.5}, {"model__dropout": 0.3}])
def test_noise_and_dropout_need_a_key(changes):
    (plain, params), noisy = model(), settings(**changes)
    without = run(params, FACES, plain, 3)[2]
    np.testing.assert_array_equal(run(params, FACES, noisy, 3)[2], without)
    ways = [run(params, FACES, noisy, 3, jax.random.key(k))[2] for k in (0, 1)]
    assert min(np.abs(ways[0] - ways[1]).mean(), np.abs(ways[0] - without).mean()) > 0.02


def test_attention_takes_products_in_bfloat16():
    """Its three arguments have to be of one type."""
    static, params = model(interaction__kind="attention", model__channels=2)
    exact = small_flows.outputs(run(params, FACES, static, 3)[0], static)
    rounded = settings(interaction__kind="attention", model__channels=2, train__dtype="bfloat16")
    np.testing.assert_allclose(small_flows.outputs(run(params, FACES, rounded, 3)[0], rounded), exact, atol=0.3)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model__layers": 3, "model__content": False, "model__energy": "tanh", "model__frequencies": 0}
        | {"interaction__kind": "pool"},
        {"model__channels": 3, "interaction__kind": "attention", "model__children": 2},
        {"model__channels": 2, "interaction__kind": "field", "model__cells_scale": 1.0},
    ],
)
def test_parameters_are_counted_by_a_closed_formula(changes):
    static = settings(**changes)
    shapes = jax.eval_shape(lambda key: init(key, static), jax.random.key(0))
    found = {group: sum(leaf.size for leaf in jax.tree.leaves(tree)) for group, tree in shapes.items()}
    assert found == counts.parameters(static.model, static.interaction, 20)


def test_the_original_has_as_many_parameters_as_were_measured():
    assert [counts.of_the_documents(*size) - 3504 for size in ((256, 2), (512, 3), (1024, 3))] == [
        709_254,
        4_239_238,
        16_604_550,
    ]


@pytest.mark.slow
def test_the_size_of_a_gpu_is_lowered_without_its_arrays():
    """100 x 100 x 50 cells and three layers of 1024 units, 64 million floats with Adam: nothing is made or compiled."""
    made, static, hypers = assemble(load_config(f"{CONFIG}:optimized"))
    start, chunk = make_train(made, static)
    state = jax.eval_shape(start, hypers)
    text = chunk.program.lower(*chunk.inputs(state, hypers)).as_text()
    assert "tensor<1024x3072xf32>" in text
    assert sum(leaf.size for leaf in jax.tree.leaves(state.params)) == sum(
        counts.parameters(static.model, static.interaction, 10_000).values()
    )


def loss_of(static, params, step=0):
    made = task.make_task(static)
    hypers = split(load_config(CONFIG, SMALL))[1]
    signals = type("S", (), {"schedule": {name: rows[step] for name, rows in made.schedules.items()}})
    nothing: Any = None
    context = Context(
        jnp.int32(0), jax.random.key(0), nothing, jax.tree.map(lambda a: a[0], hypers), made.data, (), signals
    )
    return lambda params: made.loss(params, FACES, context)


def test_the_fit_without_blur_is_the_mean_square():
    static, params = model()
    loss = jax.jit(loss_of(settings(losses__blur__width=0.0), params))(params)
    outputs = small_flows.outputs(run(params, FACES, static, 3)[0], static)[:, 0]
    wanted = np.zeros_like(FACES)
    wanted[..., 2:] = FACES[..., :3]
    np.testing.assert_allclose(loss.terms["fit"], np.mean((outputs - wanted) ** 2), rtol=1e-5)


def test_a_shuffled_face_has_the_target_of_another():
    static, params = model(losses__blur__width=0.0)
    plain, shuffled = (
        jax.jit(loss_of(one, params))(params).terms["fit"]
        for one in (static, settings(data__shuffled=True, losses__blur__width=0.0))
    )
    outputs = small_flows.outputs(run(params, FACES, static, 3)[0], static)[:, 0]
    wanted = np.zeros_like(FACES)
    wanted[..., 2:] = FACES[::-1, :, :3]
    np.testing.assert_allclose(shuffled, np.mean((outputs - wanted) ** 2), rtol=1e-5)
    assert abs(shuffled - plain) > 1e-3


def test_the_blur_narrows_to_nothing_in_its_share_of_the_run():
    fallen = widths.falling(settings(losses__blur__share=0.5))["blur"]
    np.testing.assert_allclose(fallen[[0, 5, 10, 19]], [4, 2, 0, 0])


def test_the_gradient_is_the_same_whatever_is_kept_for_it():
    static, params = model(model__layers=2)
    kept = [jax.jit(jax.grad(lambda p, s=s: loss_of(s, p)(p).total))(params) for s in (static, remat(static))]
    for one, other in zip(*map(jax.tree.leaves, kept), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_no_product_of_the_carrier_is_computed_twice_without_remat():
    def products(static):
        found = equations(jax.make_jaxpr(jax.grad(lambda p: loss_of(static, p)(p).total))(params).jaxpr)
        return [*found].count("dot_general")

    static, params = model(model__layers=2)
    # Three for each layer from below, three from its state before: the sums that are kept instead.
    assert products(remat(static)) - products(static) == 12


def remat(static):
    return static._replace(train=static.train._replace(remat=True))


def test_what_is_off_leaves_no_equation():
    static, params = model()
    plain = equations(jax.make_jaxpr(loss_of(static, params))(params).jaxpr)
    noisy = settings(model__noise=0.1, interaction__kind="field", losses__occupancy__on=True)
    assert not {"random_bits", "random_fold_in"} & {*plain}
    shapes = jax.eval_shape(lambda: flow.init(jax.random.key(0), noisy))
    assert len(plain) < len(equations(jax.make_jaxpr(loss_of(noisy, params))(shapes).jaxpr))


def test_the_loop_ends_when_all_flows_have_arrived_with_the_result_of_the_scan():
    static, params = slow_model()
    flows, taken = jax.jit(adaptive.run, static_argnums=(2, 3, 4))(params, FACES, static, 50)
    fixed, _, _ = run(params, FACES, static, 12)
    assert taken == fixed.steps.max() < 12
    np.testing.assert_allclose(small_flows.outputs(flows, static), small_flows.outputs(fixed, static), atol=1e-6)


def test_the_rule_of_the_documents_counts_arrivals_as_a_loop_does():
    static, params = slow_model()
    rule = adaptive.Rule(0.5, 2, 3)
    _, taken = adaptive.run(params, FACES, static, 50, rule)
    share, number = 0.0, 0
    flows = flow.place(params, FACES, static)
    step = jax.jit(flow.step, static_argnums=2)
    while number < 50 and (number < rule.least or share < rule.share):
        flows, _ = step(params, flows, static)
        share, number = float(flows.arrived.mean()), number + 1
    assert taken == number
    still = static._replace(model=static.model._replace(drift=1e-6))
    stuck, taken = adaptive.run(params, FACES, still, 50, rule)
    assert not stuck.arrived.any()
    assert taken == rule.least + rule.patience - 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data__target": "route"}, "config.data.target=route has 2 output faces, and config.model.planes=1: give "),
        (
            {"data__shift": 5, "data__target": "shift"},
            "config.data.shift=5 shifts everything off a face with config.lattice.width=5: give a sm",
        ),
        ({"data__map": (1, 8), "runs": 2}, "config.data.map=8 has to be less than config.data.maps=8: give a smaller"),
        (
            {"model__reach": 0.5},
            "of config.model.reach=0.5 are 1.5 cells, and shift takes a flow 2 cells across",
        ),
        (
            {"model__drift": 0.2},
            "config.model.steps=3 of config.model.drift=0.2 reach 1.2 cells of the 2 to ",
        ),
        ({"model__children": 64, "train__batch_size": 10**6}, "fewer children, a smaller batch, more config.train.mic"),
        (
            {"data__shuffled": True, "train__batch_size": 4, "train__microbatches": 4},
            "config.train.batch_size=4 with config.train.microbatches=4 has one at a time: give a larger batch",
        ),
        (
            {"model__energy": "tanh", "model__content": False},
            "config.model.energy=tanh and config.model.content=False make outputs that do not depend on the input: gi",
        ),
        ({"model__energy": "tanh", "data__amplitude": 1.5}, "-1 and 1, and config.data.amplitude=1.5: give 1 "),
        ({"model__freeze": True, "interaction__kind": "pool"}, "config.interaction.kind=pool they would go on sending"),
        ({"model__still": True, "model__noise": 0.1}, "config.model.noise=0.1, which moves flows: give config.model.n"),
        ({"start__frozen": ("carier",)}, "config.start.frozen=carier is no group: there are carrier, energy, moveme"),
    ],
)
def test_a_config_that_cannot_work_is_refused_in_one_sentence(changes, words):
    with pytest.raises(ConfigError) as e:
        task.make_task(settings(**changes))
    assert words in str(e.value)
    assert "\n" not in str(e.value)


def test_only_a_training_needs_the_memory(monkeypatch):
    """A workdir of a larger machine is read on a smaller one."""
    config = load_config(CONFIG, SMALL)
    monkeypatch.setattr(rules.os, "sysconf", lambda name: 1)
    rules.check(config)
    with pytest.raises(ConfigError, match=r"80 flows at once .* need about .* GiB, and this machine has 0: give fewer"):
        rules.check_to_train(config)


@pytest.mark.slow
def test_a_run_learns_a_shift_in_the_engine(tmp_path):
    """Content-free, 5 x 4 cells: 300 steps take a second."""
    changes = {"model.content": False, "train.steps": 300, "evaluate.cheap_every": 100, "checkpoint.every": 300}
    start = {"model.movement_scale": 0.1, "model.walls": "inward", "model.layers": 1, "model.hidden": 24}
    config = load_config(CONFIG, SMALL | changes | start | {"runs": 2, "train.batch_size": 32, "data.evaluated": 64})
    host.run(config, tmp_path / "run")
    found = workdir.open(tmp_path / "run")
    assert found.summary["runs"][0]["final"]["r2"] > 0.95
    exported = found.embeddings(0)
    assert exported["paths"].shape == (3, 1, 20, 3)
    np.testing.assert_allclose(exported["outputs"][:, 0], exported["targets"][:, 0], atol=0.3)


def test_with_two_faces_the_way_that_is_left_is_that_to_the_nearer_one():
    changes = {"model__planes": 2, "data__target": "route", "losses__blur__width": 0.0}
    static, params = model(losses__distance__on=True, **changes)
    z = np.asarray(run(params, FACES, static, 3)[0].position[..., 2])
    found = jax.jit(loss_of(static, params))(params).terms["distance"]
    np.testing.assert_allclose(found, np.minimum(z, 2 - z).mean(), rtol=1e-5)


def test_the_parts_of_a_step_are_named_scopes_that_add_no_equation(monkeypatch):
    static = settings(interaction__kind="pool")
    params = jax.eval_shape(lambda: flow.init(jax.random.key(0), static))

    def whole(params):
        return flow.outputs(flow.run(params, FACES, static, 1)[0], static)

    traced = jax.jit(whole).trace(params)
    program, text = str(traced.jaxpr), traced.lower().as_text(debug_info=True)
    for part in ("neuron", "carrier", "movement", "energy", "exchange", "collect"):
        assert re.search(rf'loc\("([^"]*/)?{part}/', text), part
    monkeypatch.setattr(jax, "named_scope", lambda name: contextlib.nullcontext())
    assert str(jax.jit(lambda params: whole(params)).trace(params).jaxpr) == program


def test_a_workdir_may_name_this_task():
    assert stored.keys_of({"task": load_config(CONFIG).task})[1] is task
