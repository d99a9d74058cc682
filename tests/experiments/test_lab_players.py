"""Players: the rule by loops, shuffled and told inputs, and that all players play worlds in one program."""

import collections
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import lab
import lab_players
import lab_statenet as programs
import lab_worlds
import numpy as np
import optax
import pytest

from ternary_jax.control.chain import Control, Controls, Signals
from ternary_jax.engine.task import Loss, Task
from ternary_jax.vae.controllers import corrections

SIZE = lab_worlds.Size(4, 24, 5)  # 20 steps


def test_the_rate_falls_where_the_mean_loss_had_no_progress():
    """Against a loop over floats."""
    control = lab_players.reduce_on_plateau()
    numbers = {"rate": 2.0, "patience": 5.0, "factor": 0.5, "threshold": 0.02, "percentile": 0.9}
    state = control.init(None)._replace(numbers={name: jnp.float32(x) for name, x in numbers.items()})
    losses = [
        np.inf,
        *np.concatenate([np.linspace(3, -1, 40), -1 + 0.01 * np.sin(np.arange(160)), [np.nan], [-3] * 30]),
    ]
    update, found = jax.jit(control.update), []
    for loss in losses:
        last: Any = {"loss": np.float32(loss)}
        signals = Signals(jnp.int32(0), {}, last, {})
        state, controls, _ = update(state, signals, Controls({"a": jnp.float32(1)}, None, {}))
        found.append(float(controls.rates["a"]))
    mean = best = np.inf
    since, factor, expected = 0, 1.0, []
    for loss in losses:
        if np.isfinite(loss):
            mean = 0.95 * mean + 0.05 * loss if np.isfinite(mean) else loss
        if mean < (best - 0.02 * abs(best) if np.isfinite(best) else np.inf):
            best, since = mean, 0
        else:
            since += 1
        if since >= 5:
            factor, since = factor / 2, 0
        expected.append(2 * factor)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert 1 < len({*expected}) < 20


def test_gradients_are_clipped_at_the_percentile_of_their_norms():
    tx = lab_players.clipped_by_percentile(optax.scale(1.0))
    norms = jnp.exp(jax.random.normal(jax.random.key(0), (3000,)))

    def step(state, norm):
        updates: Any
        updates, after = tx.update({"a": norm * jnp.array([0.6, 0.8])}, state)
        return after, (jnp.linalg.norm(updates["a"]), state.log_norm)

    state: Any = tx.init({"a": jnp.zeros(2)})
    _, (lengths, limits) = jax.jit(lambda: jax.lax.scan(step, state._replace(percentile=jnp.float32(0.8)), norms))()
    limits = np.exp(limits)
    np.testing.assert_allclose(lengths[1:], np.minimum(norms, limits)[1:], rtol=1e-5)
    assert lengths[0] == pytest.approx(norms[0])  # nothing is known before it
    assert np.mean(norms[500:] <= limits[500:]) == pytest.approx(0.8, abs=0.02)


def test_numbers_of_the_rule():
    rest = lab_players.rule_numbers(np.zeros(5), 400)
    assert rest == pytest.approx({"rate": 1, "patience": 20, "factor": 0.7, "threshold": 0.01, "percentile": 0.9})
    for k, name in enumerate(rest):
        moved = lab_players.rule_numbers(10 * np.eye(5)[k], 400)
        assert [other for other in rest if moved[other] != rest[other]] == [name]
    assert 0.9 < lab_players.rule_numbers(10 * np.eye(5)[4], 400)["percentile"] < 1


def test_shuffled_inputs_are_those_of_another_world_each_used_once():
    source = lab_players.shuffled(7, 2, 0)
    assert sorted(source) == [*range(14)]
    assert (source // 2 != np.arange(14) // 2).all()
    assert (source % 2 == np.arange(14) % 2).all()
    with pytest.raises(ValueError, match="1 world: shuffled inputs need two worlds"):
        lab_players.shuffled(1, 2, 0)


def test_recorded_inputs_are_held_and_the_oracle_has_the_best_course():
    rows = lab_players.sensed_rows({"sensed_a": np.array([[1.0, 2.0, 4.0]])}, 7)
    np.testing.assert_array_equal(rows["sensed_a"], [[1, 1, 1, 2, 2, 4, 4]])
    np.testing.assert_array_equal(lab_players.oracle([[3.0, np.nan], [1.0, 5.0]]), [1, 5])


# --- a task of a few numbers, with a controller in the place of StateNet ----------------------------------------------


class Data(NamedTuple):
    operations: Any


class Net(NamedTuple):
    """params: how much of the signal it adds to its offset; offsets: of the rate and of the knobs, as StateNet's."""

    params: Any
    offsets: Any


def group(**given):
    return collections.namedtuple("Group", given)(**given)


STATIC = group(train=group(clip_norm=1.0, microbatches=1))
KNOBS = {"lambda_1": 0.7, "lambda_2": 0.7, "lambda_3": 0.3, "ranking": 1.0, "sigma": 1.0, "c": 1.0, "tau": 0.5}
STEPS, POINTS = 20, 5


def distance(params, batch):
    a, b = params["encoder_A"]["w"], params["encoder_B"]["w"]
    return jnp.mean((a[:, 0] - batch) ** 2) + jnp.mean(b**2)


def task_of():
    def init(key, hypers):
        return {
            f"encoder_{b}": {"w": jax.random.normal(k, (6, 2))}
            for b, k in zip("AB", jax.random.split(key), strict=True)
        }

    def loss(params, batch, context):
        read = context.data.operations[jnp.arange(6)] + 0.1 * batch
        x = distance(params, read)
        return Loss(context.hypers.losses.prior.weight * context.controls.knobs["tau"] * x, {"prior": x}, {})

    def update(state, signals, controls):
        x = jnp.where(jnp.isfinite(signals.last["prior"]), signals.last["prior"], 0)
        offsets = state.offsets | {"rate": state.params * jnp.tanh(x)}
        return Net(state.params, offsets), corrections.apply_offsets(controls, offsets), {}

    net = Net(jnp.float32(0), {name: jnp.float32(0) for name in corrections.KNOB_RULES})
    near = {name: jnp.float32(0) for name in programs.NEAR}
    return Task(
        "toy",
        Data(jnp.arange(12, dtype=jnp.float32) / 6),
        (),
        init,
        lambda context: jax.random.normal(context.key, (6,)),
        loss,
        lambda params, context: near,
        costly=lambda params, context: dict.fromkeys(lab_players.PAIRS, jnp.float32(0)),
        knobs=lambda hypers: {name: jnp.float32(x) for name, x in KNOBS.items()},
        controllers={"statenet": Control(lambda hypers: net, update)},
        signals=("prior",),
    )


def put(state, phi):
    return state._replace(control=state.control | {"statenet": state.control["statenet"]._replace(params=phi)})


def toy(n):
    """(player, phi, hypers, rows) of n runs, all of one seed."""
    added = programs.Added({}, (), lambda static: lab.make_optimizer(static), put)
    rows = {"learning_rate": jnp.ones(STEPS)}

    def objective(params, batch, context):
        r = distance(params, batch)
        return r, {"prior": r}

    runs = programs.runs_of(None, task_of(), STATIC, rows, objective, added)
    one = group(
        seed=np.full(n, 3, np.int32),
        train=group(learning_rate=np.full(n, 0.05, np.float32), weight_decay=np.zeros(n, np.float32)),
        losses=group(prior=group(weight=np.full(n, 2, np.float32))),
    )
    return (
        lab_players.Player("toy", runs, None, lambda vectors, hypers: (None, hypers, rows)),
        np.full(n, 0.3, np.float32),
        one,
        rows,
    )


def equal(a, b):
    return [bool(x) for x in (np.asarray(a) == np.asarray(b)).all(1)]


def test_worlds_and_shuffled_inputs_are_played_by_one_program(monkeypatch):
    """A neutral world and a source of one's own change nothing; each shock changes a run from its time on."""
    traced, inside = [], lab_worlds.inside
    monkeypatch.setattr(lab_worlds, "inside", lambda *given: traced.append(1) or inside(*given))
    player, *given = toy(4)
    play, own = lab_players.play(player, POINTS), np.arange(4, dtype=np.int32)
    bare = play(*given)
    assert not traced
    worlds = lab_worlds.neutral(4)._replace(weights={"prior": np.ones(4, np.float32)})
    calm = play(*given, worlds, own)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), calm, bare)  # two programs may round apart
    n = len(traced)

    at, end = (np.full(4, x, np.int32) for x in (8, 12))
    kinds = np.array([lab_worlds.CALM, 0, 1, 2], np.int32)
    shock = worlds.shock._replace(kind=kinds, at=at, end=end, size=np.full(4, 0.5, np.float32))
    shocked = play(*given, worlds._replace(shock=shock), own)
    differ = np.asarray(shocked.R != calm.R)
    assert not differ[:, :2].any()  # the points are after 4, 8, ... steps
    assert differ[:, 2:].all(1).tolist() == [False, True, True, True]

    weighed = worlds._replace(
        weights={"prior": np.array([1, 3, 1, 1], np.float32)}, rate=np.array([1, 2, 1, 1], np.float32)
    )
    alone, of_others = play(*given, weighed, own), play(*given, weighed, np.array([1, 0, 3, 2], np.int32))
    assert equal(alone.R, calm.R) == [True, False, True, True]
    assert equal(of_others.offsets["rate"], alone.offsets["rate"]) == [False, False, True, True]  # 2 and 3 are equal
    assert len(traced) == n


@pytest.mark.slow
def test_inputs_that_are_told_are_those_that_are_read():
    """A run that is told its own record at every step is that run; told something else, it is another."""
    player, *given = toy(2)
    phi, hypers, rows = cast(Any, given)
    recorded = lab_players.play(player, STEPS)(*given)
    before = {name: np.concatenate([np.full((2, 1), np.inf), x[:, :-1]], 1) for name, x in recorded.sensed.items()}
    told = lab_players.sensed_rows(before, STEPS)
    rows = {name: jnp.repeat(x[None], 2, 0) for name, x in rows.items()}
    play = lab_players.play(player, STEPS, told=True)
    np.testing.assert_array_equal(play(phi, hypers, rows | told).R, recorded.R)
    mean = told | {"sensed_prior": jnp.full((2, STEPS), 0.1)}
    assert (play(phi, hypers, rows | mean).R[:, -1] != recorded.R[:, -1]).all()


# --- the players of the ternary task ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["schedules", "course", "rule"])
def test_each_number_changes_what_a_run_is_given(name):
    player = lab_players.PLAYERS[name](SIZE, {})
    d = len(player.start)
    hypers = programs.hypers_of(player.runs.config, lab_worlds.run_seeds("training", [3] * (d + 1)))
    given = player.arguments(np.concatenate([np.zeros((1, d)), np.eye(d)]), hypers)
    leaves = [np.asarray(x) for x in jax.tree.leaves(given) if np.shape(x)[:1] == (d + 1,)]
    for k in range(1, d + 1):
        assert sum((x[k] != x[0]).any() for x in leaves) >= 1


@pytest.mark.slow
def test_a_world_and_the_rule_fit_the_ternary_task():
    """The names of losses, groups and data in lab_worlds are those of the task. Traced, and not compiled."""
    player = lab_players.rule(SIZE, {})
    hypers = programs.hypers_of(player.runs.config, lab_worlds.run_seeds("training", [0]))
    phi, hypers, rows = player.arguments(player.start[None], hypers)

    def one(phi, hypers, world, data):
        def within(task):
            return lab_worlds.inside(task, world, data)

        begun = player.runs.begin(phi, hypers, within)
        xs = jnp.arange(2, dtype=jnp.int32), {name: row[:2] for name, row in rows.items()}
        return begun, player.runs.ahead(begun, xs, hypers, data, within, lab_worlds.shocked(world, begun.params))

    worlds = lab_worlds.draw("training", [0], player.runs.steps)
    begun, after = jax.eval_shape(jax.vmap(one, (0, 0, 0, None)), phi, hypers, worlds, player.runs.data)
    assert jax.tree.structure(begun) == jax.tree.structure(after)
    assert {"rule", "world"} <= after.control.keys()
