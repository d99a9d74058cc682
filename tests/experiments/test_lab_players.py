"""Players: the rule by loops, shuffled and told inputs, and that all players play worlds in one program."""

from typing import Any

import jax
import jax.numpy as jnp
import lab_players
import lab_statenet as programs
import lab_worlds
import numpy as np
import optax
import pytest

from ternary_jax.control.chain import Controls, Signals

SIZE = lab_worlds.Size(4, 24, 5)  # 20 steps


def test_the_rate_falls_where_the_mean_loss_had_no_progress():
    """Against a loop over floats."""
    control = lab_players.reduce_on_plateau()
    numbers = {"rate": 2.0, "patience": 5.0, "factor": 0.5, "threshold": 0.02, "percentile": 0.9}
    state = control.init(None)._replace(numbers={name: jnp.float32(x) for name, x in numbers.items()})
    losses = [np.inf, *np.concatenate([np.linspace(3, -1, 40), -1 + 0.01 * np.sin(np.arange(60)), [np.nan], [-3] * 30])]
    update, found = jax.jit(control.update), []
    for loss in losses:
        signals = Signals(jnp.int32(0), {}, {"loss": jnp.float32(loss)}, {})
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
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert 1 < len({*expected}) < 20


def test_gradients_are_clipped_at_the_percentile_of_their_norms():
    tx = lab_players.clipped_by_percentile(optax.scale(1.0))
    norms = jnp.exp(jax.random.normal(jax.random.key(0), (3000,)))

    def step(state, norm):
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


def arguments(player, n, vectors=None):
    hypers = programs.hypers_of(player.runs.config, lab_worlds.run_seeds("training", [3] * n))
    return player.arguments(np.repeat(player.start[None], n, 0) if vectors is None else vectors, hypers)


@pytest.mark.slow
def test_worlds_and_shuffled_inputs_are_played_by_one_program(monkeypatch, compiled_soon):
    """A neutral world and a source of one's own change no bit; each shock changes a run from its time on."""
    monkeypatch.setattr(programs, "RENEWALS", 10)
    player, traced, inside = lab_players.network(SIZE, {}), [], lab_worlds.inside
    monkeypatch.setattr(lab_worlds, "inside", lambda *given: traced.append(1) or inside(*given))
    speaks = player.start.copy()
    speaks[:] = np.random.default_rng(0).normal(size=len(speaks)) / 8
    given, play = arguments(player, 4, np.repeat(speaks[None], 4, 0)), lab_players.play(player, 5)
    bare = play(*given)
    assert not traced
    own, worlds = np.arange(4, dtype=np.int32), lab_worlds.neutral(4)
    neutral = play(*given, worlds, own)
    jax.tree.map(np.testing.assert_array_equal, neutral, bare)
    n = len(traced)

    codes = np.array([lab_worlds.CALM, *range(3)], np.int32)
    at, end = (np.full(4, x, np.int32) for x in (8, 12))
    shock = worlds.shock._replace(kind=codes, at=at, end=end, size=np.full(4, 0.5, np.float32))
    shocked = play(*given, worlds._replace(shock=shock), own)
    differ = np.asarray(shocked.R) != np.asarray(bare.R)
    assert not differ[:, :2].any()
    assert (differ[:, 2:].all(1) == [False, True, True, True]).all()
    rates = worlds._replace(rate=np.array([1, 2, 1, 1], np.float32))
    of_others = play(*given, rates, np.array([1, 0, 3, 2], np.int32))
    alone = play(*given, rates, own)
    changed = [(np.asarray(of_others.offsets["tau"]) != np.asarray(x.offsets["tau"]))[:, -1] for x in (alone, bare)]
    assert (changed[0] == [True, True, False, False]).all()  # 2 and 3 are equal runs
    assert changed[1][0]  # run 0, of a calm world, does what run 1 tells it
    assert len(traced) == n


@pytest.mark.slow
@pytest.mark.parametrize("name", ["schedules", "course", "rule"])
def test_every_number_of_a_player_changes_its_run(name, compiled_soon):
    player = lab_players.PLAYERS[name](SIZE, {})
    d = len(player.start)
    vectors = np.concatenate([np.zeros((1, d)), 3 * np.eye(d)])
    if name == "rule":  # patience of few steps, and progress that is never enough
        vectors += np.array([0, -6, 0, 12, 0])
    phi, hypers, rows = arguments(player, d + 1, vectors)
    found = lab_players.play(player, 2)(phi, hypers, rows, lab_worlds.neutral(d + 1))
    r = np.asarray(found.R)[:, -1]
    assert np.isfinite(r).all()
    moved = r[1:] != r[0]
    if name == "course":  # a knot of each output is after the end of these runs
        moved = moved.reshape(-1, len(programs.KNOTS)).any(1)
    if name == "rule":  # threshold: see the test of the loop
        moved = np.delete(moved, 3)
    assert moved.all()
