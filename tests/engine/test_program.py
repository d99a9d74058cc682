"""The compiled program of a run: step, chunk, NaNs, rollback and stops; disabled features leave no equation."""

import functools
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
from jaxprs import equations

from ternary_jax.config import load_config, split
from ternary_jax.control import schedules
from ternary_jax.control.chain import Control
from ternary_jax.engine import optimizer, stopping
from ternary_jax.engine.columns import refuse_colliding_metrics
from ternary_jax.engine.plan import plan, schedule_rows
from ternary_jax.engine.program import control_chain, make_train
from ternary_jax.engine.step import make_step, observables, prng_keys
from ternary_jax.errors import ConfigError

CONFIG = Path(__file__).parents[1] / "toy_config.py"


@pytest.fixture(autouse=True)
def with_nans():
    """Allow NaNs: these tests poison the loss on purpose."""
    with jax.debug_nans(False):
        yield


def setting(**overrides):
    """(None, static, hypers) of the toy; None stands for its unchanged task. overrides: keys with __ for a dot."""
    config = load_config(CONFIG, {key.replace("__", "."): value for key, value in overrides.items()})
    static, hypers = split(config)
    return None, static, jax.device_put(hypers)


def variant(**overrides):
    """(task, static, hypers) of the toy task, for tests that change the task."""
    _, static, hypers = setting(**overrides)
    return toy.make_task(static), static, hypers


@functools.cache
def program(static):
    """make_train of the toy task without overrides, shared by all tests because it takes a second to compile."""
    return make_train(toy.make_task(static), static)


def trained(task, static, hypers, chunks=None):
    """Final state, and reports of all chunks or of the first few. task=None: the toy without overrides."""
    steps = plan(static, static.toy.points)
    init, chunk = make_train(task, static) if task else program(static)
    state, reports = init(hypers), []
    for begin in range(0, steps.total, steps.chunk)[:chunks]:
        state, report = chunk(state, jnp.int32(begin), hypers)
        reports.append(jax.device_get(report))
    return state, reports


def one(tree, run=0):
    return jax.tree.map(lambda x: x[run], tree)


def assert_close(a, b, tolerance):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance), a, b)


def assert_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def single_step(task, static):
    """The step of one run as make_train makes it, and its schedule."""
    tx = optimizer.adamw_by_group(static.train.clip_norm)
    step = make_step(task, static, tx, control_chain(task))

    def of_run(state, xs, hypers, data):
        return step(state, xs, prng_keys(hypers)[1], hypers, data)

    return of_run, schedule_rows(task, static)


def test_a_chunk_is_a_python_loop_over_its_steps_and_jit_is_eager():
    task, static, hypers = variant(train__warmup_epochs=1)
    state, reports = trained(None, static, hypers, chunks=2)
    step, rows = single_step(task, static)
    alone, losses = one(program(static)[0](hypers)), []
    jitted = jax.jit(step)
    for n in range(plan(static, 64).chunk * 2):
        xs = (jnp.int32(n), {name: jnp.asarray(row[n]) for name, row in rows.items()})
        if n < 3:
            with jax.disable_jit():
                alone, info = step(alone, xs, one(hypers), task.data)
        else:
            alone, info = jitted(alone, xs, one(hypers), task.data)
        losses.append(float(info.loss))
    assert_close(one(state).params, alone.params, 1e-6)
    assert_close(one(state).opt_state, alone.opt_state, 1e-6)
    np.testing.assert_allclose(reports[0].info.loss[0], np.mean(losses[:8]), rtol=1e-5)
    np.testing.assert_allclose(reports[1].info.loss[0], np.mean(losses[8:]), rtol=1e-5)


def test_ten_runs_at_once_are_ten_runs_alone():
    rates = tuple(np.linspace(0.02, 0.2, 10).tolist())
    common = dict(train__epochs=26, stop__loss_patience=2, stop__loss_share=0.2, stop__watch_threshold=0.2)
    together, reports = trained(*setting(runs=10, seed=3, train__learning_rate=rates, **common))
    stops = {int(reason) for reason in reports[-1].stop.reason}
    assert stops == {stopping.RUNNING, stopping.CONVERGED}, "change the setting: some runs have to stop, some not"
    for k, rate in enumerate(rates):
        alone, _ = trained(*setting(seed=3 + k, train__learning_rate=rate, **common))
        assert_close(one(together, k).params, one(alone).params, 1e-4)
        assert_equal(one(together, k).stop.reason, one(alone).stop.reason)
        assert_equal(one(together, k).stop.at, one(alone).stop.at)


def test_the_loss_is_traced_once_whatever_the_number_of_runs_and_chunks():
    task, static, hypers = variant(runs=3, train__epochs=9)  # no multiple of the cadence of evaluation
    toy.TRACES.clear()
    trained(task, static, hypers)
    assert len(toy.TRACES) == 1


def test_a_chunk_fits_the_cadence_and_the_run():
    _, static, _ = setting(train__epochs=9)
    steps = plan(static, 64)
    assert (steps.unit, steps.total, steps.chunk, steps.cheap) == (4, 36, 4, 8)
    assert [end for end in range(4, 37, 4) if steps.due(end, steps.cheap)] == [8, 16, 24, 32, 36]
    for epochs, every, most, chunk in ((96, 12, 0, 12), (96, 12, 3, 3), (96, 12, 5, 4), (9, 2, 3, 1), (97, 12, 3, 1)):
        lengths = dict(evaluate__cheap_every=every, evaluate__costly_every=every, checkpoint__every=every)
        _, static, _ = setting(train__epochs=epochs, train__chunk=most, **lengths)
        assert plan(static, 64).chunk == 4 * chunk


@pytest.mark.parametrize(
    ("poison", "name"), [("fit", "loss term fit"), ("pull", "loss term pull"), ("gradient", "the gradient of slope")]
)
def test_a_nan_stops_its_own_run_at_its_last_good_state(poison, name):
    common = dict(runs=3, toy__poison=poison, train__epochs=8)
    clean, _ = trained(*setting(**common))
    before, _ = trained(*setting(**common), chunks=2)
    ill, reports = trained(*setting(toy__poison_step=(-1, 21, -1), **common))
    assert_equal(one(ill, 0), one(clean, 0))
    assert_equal(one(ill, 2), one(clean, 2))
    assert_equal(one(ill, 1).params, one(before, 1).params)
    assert_equal(one(ill, 1).opt_state, one(before, 1).opt_state)
    stop = one(reports[-1].stop, 1)
    assert (int(stop.reason), int(stop.bad_step), int(stop.at)) == (stopping.NOT_FINITE, 21, 16)
    assert [report.counts.tolist() for report in reports] == [[True] * 3] * 2 + [[True, False, True]] * 2
    assert [report.moved[1] for report in reports] == [True, True, True, False]
    assert list(observables(reports[-1].info))[stop.bad_term] == name


def test_a_rollback_goes_back_and_halves_the_rate_at_most_n_times():
    common = dict(toy__poison_step=21, toy__poison_above=0.7, train__on_nan="rollback", train__epochs=8)
    common |= dict(train__schedule="constant")
    before, _ = trained(*setting(**common), chunks=2)
    back, reports = trained(*setting(**common), chunks=3)
    assert_equal(one(back).params, one(before).params)
    stop = one(reports[-1].stop)
    assert (int(stop.reason), int(stop.at), float(stop.rate), int(stop.rollbacks)) == (stopping.RUNNING, 16, 0.5, 1)

    _, static, hypers = setting(**common)
    _, chunk = program(static)
    held, report = chunk(jax.tree.map(jnp.copy, back), jnp.int32(24), hypers)  # not where it is
    assert_equal(held, back)
    assert (bool(report.moved[0]), bool(report.counts[0])) == (False, False)

    fresh = back._replace(stop=jax.vmap(lambda _: stopping.init()._replace(at=jnp.int32(16)))(jnp.zeros(1)))
    after, _ = chunk(jax.tree.map(jnp.copy, back), jnp.int32(16), hypers)
    slower = hypers._replace(train=hypers.train._replace(learning_rate=hypers.train.learning_rate / 2))
    expected, _ = chunk(fresh, jnp.int32(16), slower._replace(toy=slower.toy._replace(poison_step=-jnp.ones(1))))
    assert int(after.stop.at[0]) == 24
    assert_close(after.params, expected.params, 1e-6)

    state = program(static)[0](hypers)
    always = hypers._replace(toy=hypers.toy._replace(poison_step=jnp.zeros(1), poison_above=jnp.zeros(1)))
    seen = []
    for _ in range(5):
        state, report = chunk(state, jnp.int32(0), always)
        seen.append((int(report.stop.reason[0]), float(report.stop.rate[0])))
    running, ended = (stopping.RUNNING, stopping.NOT_FINITE)
    assert seen == [(running, 0.5), (running, 0.25), (running, 0.125), (ended, 0.125), (ended, 0.125)]


REASONS = {
    stopping.CONVERGED: dict(stop__loss_patience=2, stop__loss_share=0.3, stop__watch_threshold=1.0),
    stopping.GREW: dict(stop__divergence=3.0, train__weight_decay=10.0, train__learning_rate=0.3),
    stopping.PLATEAU: dict(stop__watch_patience=2, stop__watch_share=0.3, stop__watch_threshold=0.0),
    stopping.TARGETS: dict(stop__on_targets=True),
}


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_stops_a_run_as_a_plain_loop_would(reason):
    _, static, hypers = setting(**REASONS[reason])
    off = {f"stop.{key}": value for key, value in dict(divergence=0.0, on_targets=False).items()}
    off |= {"stop.loss_patience": 0, "stop.watch_patience": 0}
    rest = {key.replace("__", "."): v for key, v in REASONS[reason].items() if not key.startswith("stop__")}
    never = split(load_config(CONFIG, rest | off))[0]
    state, reports = trained(None, static, hypers)
    _, undisturbed = trained(None, never, hypers)
    at = plain_loop(undisturbed, static, reason)
    stop = one(reports[-1].stop)
    assert (int(stop.reason), int(stop.at)) == (reason, 8 * at)
    held, _ = trained(None, never, hypers, chunks=at)
    assert_equal(state.params, held.params)
    assert_equal(state.opt_state, held.opt_state)


def plain_loop(reports, static, reason):
    """The reference: the number of evaluations before the stop, from the history of a run without stops."""
    s, waited, best = static.stop, 0, None
    losses = [float(r.info.loss[0]) for r in reports]
    errors = [float(r.metrics["error"][0]) for r in reports]
    for n, (loss, error) in enumerate(zip(losses, errors, strict=True), 1):
        if reason == stopping.TARGETS and error <= static.targets.error:
            return n
        if reason == stopping.GREW and loss > s.divergence * losses[0]:
            return n
        if reason == stopping.CONVERGED:
            better = best is None or loss < best * (1 - s.loss_share)
            waited, best = (0, loss) if better else (waited + 1, best)
            if waited >= s.loss_patience and error <= s.watch_threshold:
                return n
        if reason == stopping.PLATEAU:
            better = best is None or error < best - s.watch_share
            waited, best = (0, error) if better else (waited + 1, best)
            if waited >= s.watch_patience and error > s.watch_threshold:
                return n
    raise AssertionError("never")


def step_equations(task, static, hypers):
    init, _ = make_train(task, static)
    step, rows = single_step(task, static)
    xs = (jnp.int32(0), {name: jnp.asarray(row[0]) for name, row in rows.items()})
    state = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), jax.eval_shape(init, hypers))
    return equations(jax.make_jaxpr(step)(state, xs, one(hypers), task.data).jaxpr)


def chunk_equations(task, static, hypers):
    init, chunk = make_train(task, static)
    return equations(jax.make_jaxpr(chunk.program)(*chunk.inputs(jax.eval_shape(init, hypers), hypers)).jaxpr)


def test_a_loss_that_is_off_leaves_no_equation():
    task, static, hypers = variant(losses__pull__on=False)
    never = task._replace(loss=lambda params, batch, context: bare_loss(params, batch, context))

    def bare_loss(params, batch, context):
        x, y = batch
        slope, offset = jnp.mean(params["slope"]["w"]), jnp.mean(params["offset"]["b"])
        fit = jnp.mean((slope * x + offset - y) ** 2)
        given = context.hypers.toy
        poisoned = (context.step == given.poison_step) & (context.controls.rates["slope"] > given.poison_above)
        fit = jnp.where(poisoned, jnp.nan, fit)
        return toy.Loss(fit, {"fit": fit}, {"slope": slope})

    assert step_equations(task, static, hypers) == step_equations(never, static, hypers)
    assert len(step_equations(*variant(losses__pull__on=True))) > len(step_equations(task, static, hypers))


def test_a_metric_that_is_off_leaves_no_equation_and_no_key():
    task, static, hypers = variant(evaluate__costly_every=0)
    without = task._replace(metrics=task.metrics[:1])
    assert chunk_equations(task, static, hypers) == chunk_equations(without, static, hypers)
    assert "hypot" not in (off := chunk_equations(task, static, hypers))
    assert len(chunk_equations(*variant())) > len(off)
    assert chunk_equations(*variant(runs=3)).count("cond") == 2  # under vmap too, an evaluation is made when it is due
    _, reports = trained(task, static, hypers, chunks=1)
    assert list(reports[0].metrics) == ["error"]


def test_a_controller_or_a_reason_to_stop_that_is_off_leaves_no_equation():
    task, static, hypers = variant()

    def turn(state, signals, controls):
        return state + 1, controls._replace(rates=jax.tree.map(lambda r: r * 0.5, controls.rates)), {}

    on = task._replace(controllers={"halving": Control(lambda hypers: jnp.int32(0), turn)})
    off = task
    assert len(step_equations(on, static, hypers)) > len(step_equations(off, static, hypers))
    nothing = Control(lambda hypers: (), lambda state, signals, controls: (state, controls, {}))
    idle = task._replace(controllers={"idle": nothing})
    assert step_equations(off, static, hypers) == step_equations(idle, static, hypers)

    off = len(chunk_equations(*variant(stop__divergence=0.0)))
    for key, value in dict(divergence=9.0, loss_patience=1, watch_patience=1, on_targets=True).items():
        assert len(chunk_equations(*variant(**{"stop__divergence": 0.0, f"stop__{key}": value}))) > off, key
    frozen = Control(lambda hypers: (), lambda s, signals, c: (s, c._replace(frozen=dict.fromkeys(c.rates, False)), {}))
    assert step_equations(task, static, hypers).count("select_n") < step_equations(
        task._replace(controllers={"freezing": frozen}), static, hypers
    ).count("select_n")


def test_controllers_see_the_controls_before_them_and_are_carried():
    task, static, hypers = variant(train__schedule="constant")

    def counting(state, signals, controls):
        rates = controls.rates | {"slope": controls.rates["slope"] * jnp.where(state < 3, 0.0, 1.0)}
        return state + 1, controls._replace(rates=rates), {"seen": state}

    def doubling(state, signals, controls):
        return state, controls._replace(rates={name: 2 * rate for name, rate in controls.rates.items()}), {}

    counter = Control(lambda hypers: jnp.int32(0), counting)
    task = task._replace(controllers={"counter": counter, "doubling": Control(lambda hypers: (), doubling)})
    state, reports = trained(task, static, hypers, chunks=1)
    assert int(state.control["counter"][0]) == 8
    assert reports[0].info.control == {"learning_rate": {}, "counter": {"seen": 3.5}, "doubling": {}}  # a mean
    np.testing.assert_allclose(reports[0].info.rates["slope"][0], 2 * 5 / 8)
    np.testing.assert_allclose(reports[0].info.rates["offset"][0], 2.0)


def test_a_controller_sees_the_last_step_and_the_last_evaluation():
    task, static, hypers = variant()

    def remember(state, signals, controls):
        return (signals.last["gradient/slope"], signals.last["fit"], signals.metrics["error"]), controls, {}

    start = (jnp.float32(0),) * 3
    task = task._replace(
        signals=("gradient/slope", "fit"), controllers={"memory": Control(lambda hypers: start, remember)}
    )
    init, chunk = make_train(task, static)
    state, report = chunk(init(hypers), jnp.int32(0), hypers)
    seen = one(jax.tree.leaves(state.control))
    assert np.isinf(seen[2])  # the initial value: no evaluation came before the last step of the chunk
    assert np.all(np.isfinite(seen[:2]))
    after, _ = chunk(state, jnp.int32(8), hypers)
    assert_equal(jax.tree.leaves(after.control)[2], report.metrics["error"])


def test_a_frozen_group_stays_with_its_optimizer_state_outside_the_clip_norm():
    task, static, hypers = variant(train__clip_norm=0.01)

    def freeze(state, signals, controls):
        return state, controls._replace(frozen={"slope": jnp.asarray(True), "offset": jnp.asarray(False)}), {}

    frozen = task._replace(controllers={"freezing": Control(lambda hypers: (), freeze)})
    state, _ = trained(frozen, static, hypers, chunks=1)
    start = program(static)[0](hypers)
    assert_equal(state.params["slope"], start.params["slope"])
    assert_equal(state.opt_state["slope"], start.opt_state["slope"])
    assert np.all(np.asarray(state.params["offset"]["b"]) != np.asarray(start.params["offset"]["b"]))

    def only_offset(params, batch, context):
        held = jax.lax.stop_gradient(params["slope"])
        return task.loss({"slope": held, "offset": params["offset"]}, batch, context)

    alone, _ = trained(task._replace(loss=only_offset), static, hypers, chunks=1)
    assert_close(state.params["offset"], alone.params["offset"], 1e-6)


@pytest.mark.parametrize("parts", [1, 4])
def test_a_task_state_is_read_by_sample_and_advanced_once_a_step_over_the_whole_batch(parts):
    task, static, hypers = variant(runs=2, train__microbatches=parts, train__clip_norm=0.0, toy__pool=True)
    state, _ = trained(None, static, hypers, chunks=1)
    step, rows = single_step(task._replace(state=None), static)  # a Python loop that carries the pool itself
    step = jax.jit(step)
    for run in range(2):
        alone = one(program(static)[0](hypers), run)
        pool = jax.device_get(alone.task)
        for n in range(8):
            xs = (jnp.int32(n), {name: jnp.asarray(row[n]) for name, row in rows.items()})
            x, params = pool["x"][:16], jax.device_get(alone.params)
            wrong = np.abs(params["slope"]["w"].mean() * x + params["offset"]["b"].mean() - (2 * x - 1))
            alone, _ = step(alone._replace(task=pool), xs, one(hypers, run), task.data)
            moved = np.concatenate([pool["x"][16:], np.clip(x + 0.1 * wrong, -1, 1)])
            pool = {"x": moved, "steps": pool["steps"] + 1}
        assert_close(one(state, run).task, pool, 1e-5)
        assert_close(one(state, run).params, alone.params, 1e-5)


def test_a_task_state_is_rolled_back_with_the_run():
    common = dict(toy__poison_step=21, toy__poison_above=0.7, train__on_nan="rollback", train__schedule="constant")
    before, _ = trained(*setting(**common, toy__pool=True), chunks=2)
    back, _ = trained(*setting(**common, toy__pool=True), chunks=3)
    assert int(back.stop.rollbacks[0]) == 1
    assert_equal(back.task, before.task)


def test_a_run_that_is_counted_in_steps_is_that_of_as_many_epochs():
    epochs, _ = trained(*setting(train__epochs=4, evaluate__costly_every=4))
    counted = dict(evaluate__cheap_every=8, evaluate__costly_every=16, checkpoint__every=8)
    _, static, hypers = setting(train__epochs=0, train__steps=16, **counted)
    assert (
        plan(static, 64)
        == plan(static, None)
        == plan(setting(train__epochs=4, evaluate__costly_every=4)[1], 64)._replace(unit=1)
    )
    steps, _ = trained(None, static, hypers)
    assert_equal(epochs.params, steps.params)
    with pytest.raises(ConfigError, match="epochs=4: runs of this task are counted in steps; set config"):
        plan(setting(train__epochs=4)[1], None)


def test_columns_do_not_collide():
    task, static, hypers = variant()

    def with_loss(**changed):
        def loss(params, batch, context):
            found = task.loss(params, batch, context)
            return found._replace(**{name: change(getattr(found, name)) for name, change in changed.items()})

        return task._replace(loss=loss)

    wrong = {
        "called slope, a loss term and a signal": with_loss(terms=lambda x: x | {"slope": x["fit"]}),
        "called loss, the total loss and a loss term": with_loss(terms=lambda x: x | {"loss": x["fit"]}),
        "called error, a metric and a signal": with_loss(signals=lambda x: x | {"error": x["slope"]}),
        "called step, a column of every row and a signal": with_loss(signals=lambda x: x | {"step": x["slope"]}),
    }
    for words, bad in wrong.items():
        with pytest.raises(ValueError, match=f"two values {words}: rename one"):
            trained(bad, static, hypers, chunks=1)
    for name in ("loss", "wall_s", "step_ms", "distance"):
        metric = task.metrics[0]._replace(name=name)
        with pytest.raises(ValueError, match=f"two values called {name}, "):
            refuse_colliding_metrics(task._replace(metrics=(metric, *task.metrics)))


def test_the_parts_of_a_step_are_named_scopes():
    task, static, hypers = variant()
    init, chunk = make_train(task, static)
    text = chunk.program.lower(*chunk.inputs(jax.eval_shape(init, hypers), hypers)).as_text(debug_info=True)
    for part in ("sample", "controllers", r"jvp\(loss\)", r"transpose\(jvp\(loss\)\)", "optimizer"):
        assert re.search(f'[/"]{part}/', text), part
    assert "vmap(evaluate)/" in text


def test_a_controller_has_a_name_of_its_own():
    task, static, hypers = variant()
    named = task._replace(controllers={"learning_rate": Control(lambda hypers: (), lambda s, signals, c: (s, c, {}))})
    with pytest.raises(ConfigError, match="has a controller called learning_rate, as the engine has: rename it"):
        trained(named, static, hypers, chunks=1)


@pytest.mark.parametrize("parts", [1, 4])
def test_no_random_number_is_used_twice(parts):
    """Steps, runs, sampling, loss and microbatches all have different keys."""
    task, static, hypers = variant(runs=3, train__microbatches=parts)
    drawn = []

    def see(bits):
        drawn.extend(np.asarray(bits).ravel().tolist())

    def sample(context):
        bits = jax.random.bits(context.key, (static.train.batch_size,))
        jax.debug.callback(see, bits)
        return bits

    def loss(params, batch, context):
        jax.debug.callback(see, jax.random.bits(context.key, (2,)))
        fit = jnp.mean(params["slope"]["w"] ** 2) + jnp.mean(params["offset"]["b"] ** 2)
        return toy.Loss(fit, {"fit": fit}, {})

    trained(task._replace(sample=sample, loss=loss), static, hypers, chunks=1)
    jax.effects_barrier()
    assert len(drawn) == 3 * 8 * (16 + parts * 2)
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize("parts", [2, 16])
def test_microbatches_are_the_batch_in_parts(parts):
    whole, reports = trained(*setting(losses__pull__weight=0.3), chunks=2)
    split_up, parted = trained(*setting(losses__pull__weight=0.3, train__microbatches=parts), chunks=2)
    assert_close(whole.params, split_up.params, 1e-5)
    np.testing.assert_allclose(reports[1].info.loss, parted[1].info.loss, rtol=1e-5)


def test_microbatches_take_the_memory_of_one():
    """Sixteen microbatches may not store sixteen gradients."""

    def temporary(parts):
        task, static, hypers = variant(train__microbatches=parts)
        large = task._replace(init=lambda key, hypers: {k: {k[:1]: 1.0 + jnp.zeros(10**5)} for k in ("w", "b")})

        def loss(params, batch, context):
            w, b = params["w"]["w"], params["b"]["b"]
            fit = jnp.mean((jnp.mean(w) * batch[0] + jnp.mean(b) - batch[1]) ** 2) + jnp.mean(w * w)
            return toy.Loss(fit, {"fit": fit}, {})

        step, rows = single_step(large._replace(loss=loss), static)
        init, _ = make_train(large._replace(loss=loss), static)
        xs = (jnp.int32(0), {name: jnp.asarray(row[0]) for name, row in rows.items()})
        used = jax.jit(step).lower(one(init(hypers)), xs, one(hypers), task.data).compile().memory_analysis()
        assert used is not None
        return used.temp_size_in_bytes

    assert temporary(16) < temporary(2) + 100_000


def test_a_schedule_has_a_row_for_every_step_and_a_name_of_its_own():
    task, static, _ = variant()
    short, taken = {"tau": np.zeros(10, np.float32)}, {"learning_rate": np.ones(80, np.float32)}
    for wrong, words in ((short, "has 10 rows for 80 steps"), (taken, "schedule called learning_rate")):
        with pytest.raises(ConfigError, match=words):
            make_train(task._replace(schedules=wrong), static)


@pytest.mark.parametrize("shape", ["constant", "cosine"])
def test_the_learning_rate_schedule_is_its_formula(shape):
    rate = schedules.learning_rate(shape, 50, 5, 0.1)
    for n in range(50):
        rise = min(1.0, (n + 1) / 6)
        t = min(max((n - 5) / 44, 0.0), 1.0)
        level = 1.0 if shape == "constant" else 0.1 + 0.9 * (1 + np.cos(np.pi * t)) / 2
        assert rate[n] == pytest.approx(rise * level, rel=1e-6)
    assert rate.dtype == np.float32
