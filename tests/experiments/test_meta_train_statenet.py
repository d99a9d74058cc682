"""The training of StateNet: its search on a problem of known solution, and its runs against the engine."""

import json

import compare_statenet
import jax
import jax.numpy as jnp
import lab
import lab_statenet as programs
import meta_train_statenet as meta
import numpy as np
import pytest
import small

from ternary_jax.config import load_config
from ternary_jax.engine import program
from ternary_jax.vae.controllers import statenet_network


def test_the_search_finds_the_least_of_a_bowl():
    goal = jnp.linspace(-0.4, 0.4, 5)
    kept = []
    problem = meta.Problem(jnp.zeros(5), lambda v, generation: jnp.sum(jnp.square(v - goal[None]), 1))
    log = meta.evolve(problem, 60, 16, 0.02, 0.02, kept.append)
    assert [line["generation"] for line in log] == [10, 20, 30, 40, 50, 60]
    assert log[-1]["F"] < 0.01 < log[0]["F"]
    np.testing.assert_allclose(kept[-1], goal, atol=0.1)


def test_a_diverged_run_is_worse_than_one_that_has_not_learned():
    r = np.array([[8.0, 2.0, 0.9, 0.5], [8.0, np.nan, 0.9, 0.5], [8.0, 2.0, 0.9, -3.0]], np.float32)
    with jax.debug_nans(False):
        f = programs.lowered(r)
    assert float(f[0]) == pytest.approx((np.log(8.1) + np.log(2.1) + np.log(1.0) + 3 * np.log(0.6)) / 6)
    assert float(f[1]) == pytest.approx(float(f[0]) + (np.log(100) - np.log(2.1)) / 6)
    assert np.isfinite(f).all()


def test_the_two_runs_of_a_pair_have_one_seed_and_setting():
    config = programs.configured(5, "schedules", {})
    hypers = programs.setting(config, 3, 4)
    compared = compare_statenet.HELD_OUT, compare_statenet.CHOOSING, compare_statenet.RECORDED
    for x in (hypers.seed, hypers.train.learning_rate, hypers.model.c):
        np.testing.assert_array_equal(x[:4], x[4:])
        assert len(np.unique(x)) == 4
    assert max(max(seeds) for seeds in compared) < 1_000 <= min(hypers.seed)
    assert len({seed for seeds in compared for seed in seeds}) == sum(len(seeds) for seeds in compared)
    other = programs.setting(config, 4, 4)
    assert not set(hypers.seed) & set(other.seed)


def test_schedules_of_the_vector_0_are_those_of_the_config_and_each_number_changes_something():
    config = programs.configured(5, "schedules", {})
    none = programs.fixed(config, np.zeros(len(programs.SCHEDULES)))
    assert none["schedules.rho.levels"] == config.schedules.rho.levels
    for key, value in none.items():
        assert value == pytest.approx(programs.value_at(config, key)), key
    runs = programs.make_runs(config)
    for name, row in programs.rows_of(runs, none).items():
        np.testing.assert_allclose(row, runs.rows[name], rtol=1e-6, err_msg=name)
    for k in range(len(programs.SCHEDULES)):
        changed = programs.fixed(config, np.eye(len(programs.SCHEDULES))[k])
        assert sum(changed[key] != none[key] for key in none) == 1
        if any(key.startswith("schedules") and changed[key] != none[key] for key in none):
            rows = programs.rows_of(runs, changed)
            assert any(np.any(rows[name] != runs.rows[name]) for name in rows)


@pytest.mark.slow
def test_a_run_is_that_of_the_engine(monkeypatch):
    """A run by the engine in one chunk and the run by `make_runs` differ by less than a hundredth of the movement.

    Adam amplifies rounding where a gradient is small, so they are not equal.
    """
    monkeypatch.setitem(programs.SPACES, 5, 2)
    runs = programs.make_runs(programs.configured(5, "schedules", {}))
    task, static, hypers = lab.assemble(runs.config)
    init, chunk = program.make_train(task, static)
    state, _ = chunk(init(hypers), jnp.int32(0), hypers)
    one = jax.tree.map(lambda x: x[0], hypers)
    xs = jnp.arange(runs.steps, dtype=jnp.int32), runs.rows
    begun = runs.begin(None, one)
    mine = jax.jit(runs.ahead)(begun, xs, one, runs.data)
    for name, knob in mine.knobs.items():
        np.testing.assert_allclose(state.knobs[name][0], knob, rtol=1e-4, err_msg=name)
    theirs, ours, first = (small.flat(params) for params in (state.params, mine.params, begun.params))
    assert np.linalg.norm(theirs - ours) < 0.01 * np.linalg.norm(theirs - first)


@pytest.mark.slow
def test_each_run_uses_its_own_network(monkeypatch):
    monkeypatch.setitem(programs.SPACES, 5, 2)
    runs = programs.make_runs(programs.configured(5, "schedules+statenet", {"statenet.interval": 2}))
    player = programs.play(runs, 2)
    still = jax.vmap(statenet_network.init)(jax.random.split(jax.random.key(0), 2))
    hypers = programs.hypers_of(runs.config, np.array([1, 1]), train__learning_rate=np.array([8e-3, 8e-3]))
    drives = jax.tree.map(jnp.array, still)
    drives["decoder_1"]["bias"] = drives["decoder_1"]["bias"].at[1].set(0.9)
    (r, metrics, *_), (_, _, knobs, _) = player(still, hypers, runs.rows), player(drives, hypers, runs.rows)
    np.testing.assert_array_equal(r[0], r[1])
    assert r[0, 0] > r[0, 1]
    assert set(metrics) == set(programs.NEAR)
    assert knobs["ranking"][1, -1] != knobs["ranking"][0, -1]


@pytest.mark.slow
def test_all_numbers_of_a_schedule_and_all_knobs_of_a_course_change_f(monkeypatch, compiled_soon):
    monkeypatch.setattr(programs, "SPACES", {5: 3})
    for problem, of_one in ((meta.of_schedules(), 1), (meta.of_course({}), len(programs.KNOTS))):
        n = problem.vector.size
        values = np.asarray(problem.value(np.concatenate([np.zeros((n, n)), 3 * np.eye(n)]), 0))
        assert np.isfinite(values).all()
        assert (values[:n] != values[n:]).reshape(-1, of_one).any(1).all()


@pytest.mark.slow
def test_the_reference_objective_does_not_depend_on_the_schedules():
    """R of one state is the same for all fixed schedules."""
    config = programs.configured(5, "schedules", {})
    runs, r = programs.make_runs(config), []
    measure = jax.jit(runs.reference, static_argnums=4, compiler_options={"xla_backend_optimization_level": 0})
    state = runs.begin(None, jax.tree.map(lambda a: a[0], programs.hypers_of(config, np.array([1]))))
    for x in np.concatenate([np.zeros((1, len(programs.SCHEDULES))), np.eye(len(programs.SCHEDULES))]):
        other = programs.configured(5, "schedules", programs.fixed(config, x))
        hypers = jax.tree.map(lambda a: a[0], programs.hypers_of(other, np.array([1])))
        r.append(float(measure(state, hypers, runs.data, jax.random.key(0), 1)))
    np.testing.assert_allclose(r, r[0], rtol=1e-6)


def test_the_variant_of_the_config_has_the_schedules_that_were_tuned():
    """The variant has the rounded schedules of its training, except the learning rate, which was for small networks."""
    tuned = json.loads((lab.RESULTS / "meta_train_statenet.json").read_text())["tune"]["changes"]
    config = load_config(f"{programs.CONFIG}:statenet")
    for key, value in tuned.items():
        if key != "train.learning_rate":
            assert programs.value_at(config, key) == pytest.approx(value, abs=6e-4), key
