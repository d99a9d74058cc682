"""Worlds: their draws, and what each part changes, by closed forms on a task of a few numbers."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import lab_worlds
import numpy as np
import pytest
from jaxprs import equations
from lab_intervals import rank_correlation
from lab_worlds import CALM, KINDS, WEIGHED, Shock, World
from scipy import stats

from ternary_jax.control.chain import Controls, Signals
from ternary_jax.engine.task import Context, Loss, Task

N = 9


class Data(NamedTuple):
    operations: Any


class Weight(NamedTuple):
    weight: Any


class Losses(NamedTuple):
    reconstruction: Weight
    prior: Weight


class Hypers(NamedTuple):
    losses: Losses


class State(NamedTuple):
    params: Any


DATA = Data(jnp.arange(N, dtype=jnp.float32))
HYPERS = Hypers(Losses(Weight(jnp.float32(2)), Weight(jnp.float32(5))))


def init(key, hypers):
    return {
        "encoder_A": {"w": jnp.ones((3, 2)), "b": jnp.ones(2)},
        "encoder_B": {"w": 2 * jnp.ones((4, 8)), "b": jnp.ones(8)},
        "decoder_A": {"w": jnp.ones((2, 2)), "c": jnp.float32(1)},
    }


def loss(params, batch, context):
    """2 |w_A|^2 + 5 (operation 3 times c)."""
    read = context.data.operations[batch[0]] * params["decoder_A"]["c"]
    terms = {"reconstruction": jnp.sum(params["encoder_A"]["w"] ** 2), "prior": read}
    weights = context.hypers.losses
    parts = [getattr(weights, name).weight * x for name, x in terms.items()]
    return Loss(jnp.sum(jnp.stack(parts)), terms, {})


TASK = Task("toy", DATA, (), init, lambda context: jnp.array([3]), loss, lambda params, context: {})


def shock(kind, at=4, end=6, size=0.5, encoder=1, seed=7):
    code = CALM if kind == "none" else KINDS.index(kind)
    at, end, encoder, seed = map(jnp.int32, (at, end, encoder, seed))
    return Shock(jnp.int32(code), at, end, jnp.float32(size), encoder, seed)


def context(step=0, key=0):
    return Context(jnp.int32(step), jax.random.key(key), Controls({}, None, {}), HYPERS, DATA)


def slope(task, step=0, key=0):
    """(Loss, gradient as one vector) at the initial parameters."""
    params = init(None, None)

    def total(params):
        found = task.loss(params, jnp.array([3]), context(step, key))
        return found.total, found

    (_, found), gradient = jax.value_and_grad(total, has_aux=True)(params)
    return found, np.concatenate([np.ravel(x) for x in jax.tree.leaves(gradient)])


def test_worlds_are_seeded_in_their_ranges_and_disjoint_by_split():
    worlds = lab_worlds.draw("training", range(120), 400)
    jax.tree.map(
        np.testing.assert_array_equal, lab_worlds.draw("training", [7], 400), jax.tree.map(lambda x: x[7:8], worlds)
    )
    rates = {split: lab_worlds.draw(split, range(120), 400).rate.tolist() for split in lab_worlds.SPLITS}
    assert len({x for one in rates.values() for x in one}) == 360
    for x, (low, high) in ((worlds.rate, (0.25, 8)), (worlds.scale, (0.5, 2)), (worlds.noise, (0.03, 1))):
        assert low <= x.min() < 1.3 * low
        assert high / 1.3 < x.max() <= high
    weights = np.stack([*worlds.weights.values()])
    assert ((weights != 1).sum(0) == 2).all()
    assert 0.3 <= weights.min() < 0.4 < 2.5 < weights.max() <= 3
    found = worlds.shock
    assert set(found.kind) == {0, 1, 2}
    assert (found.at >= 100).all()
    assert ((found.end > found.at) & (found.end <= 300 + 32)).all()
    seeds = {split: lab_worlds.run_seeds(split, [0, 1, 10**6], 2) for split in lab_worlds.SPLITS}
    assert len({int(x) for one in seeds.values() for x in one}) == 18
    assert min(x.min() for x in seeds.values()) > 10**8


def test_a_row_has_every_number_of_its_world():
    worlds = lab_worlds.draw("test", range(3), 400)
    for k, row in enumerate(lab_worlds.rows(worlds)):
        assert row["rate"] == worlds.rate[k]
        assert row["shock"] == KINDS[worlds.shock.kind[k]]
        assert [row[f"weight_{name}"] for name in WEIGHED] == [worlds.weights[name][k] for name in WEIGHED]
        assert row["shock_at"] == worlds.shock.at[k]
    assert lab_worlds.rows(lab_worlds.neutral(1))[0]["shock"] == "none"


def test_the_gradient_with_noise_less_that_without_is_the_noise():
    noisy = lab_worlds.inside(TASK, World(noise=jnp.float32(0.6)), DATA)
    (plain, before), (found, after), (_, other) = slope(TASK), slope(noisy), slope(noisy, key=1)
    noise = after - before
    assert found == plain  # the total and every term
    assert np.linalg.norm(noise) == pytest.approx(0.6, rel=1e-5)
    np.testing.assert_allclose(np.abs(noise), 0.6 / np.sqrt(len(noise)), rtol=1e-4)
    assert 0.2 < np.mean(noise > 0) < 0.8
    assert (noise != other - before).any()


def test_weights_are_those_of_the_loss_and_no_term_has_them():
    factors = {"reconstruction": jnp.float32(0.5), "prior": jnp.float32(3)}
    found, _ = slope(lab_worlds.inside(TASK, World(weights=factors), DATA))
    assert float(found.total) == 0.5 * 2 * 6 + 3 * 5 * 3
    assert found.terms == slope(TASK)[0].terms
    assert float(HYPERS.losses.prior.weight) == 5


def test_the_scale_is_that_of_the_matrices():
    params = lab_worlds.inside(TASK, World(scale=jnp.float32(1.5)), DATA).init(None, None)
    assert float(params["encoder_B"]["w"][0, 0]) == 3
    assert {float(x) for x in (params["encoder_A"]["b"][0], params["decoder_A"]["c"])} == {1}


@pytest.mark.parametrize("kind", KINDS)
def test_rates_are_those_of_the_world_and_jump_in_a_shock_of_the_rate(kind):
    task = lab_worlds.inside(TASK, World(rate=jnp.float32(0.5), shock=shock(kind)), DATA)
    assert [*task.controllers] == ["world"]
    factors = []
    for step in range(8):
        given = Controls({"encoder_A": jnp.float32(0.1)}, None, {})
        _, after, _ = task.controllers["world"].update((), Signals(jnp.int32(step), {}, {}, {}), given)
        factors.append(float(after.rates["encoder_A"] / 0.1))
    jump = 8 if kind == "rate" else 1
    np.testing.assert_allclose(factors, 0.5 * np.array([1, 1, 1, 1, jump, jump, 1, 1]), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_wrong_in_their_shock_and_the_data_is_not(kind):
    own = shock(kind)
    task = lab_worlds.inside(TASK, World(shock=own), DATA)
    wrong = float(jax.random.permutation(jax.random.key(own.seed), N)[3])
    assert wrong != 3
    read = [float(slope(task, step)[0].terms["prior"]) for step in range(3, 8)]
    assert read == ([3, wrong, wrong, 3, 3] if kind == "labels" else [3] * 5)
    assert float(DATA.operations[3]) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_shock_of_the_weights_moves_one_encoder_once(kind):
    begun = State(init(None, None))
    after: Any = lab_worlds.shocked(World(shock=shock(kind)), begun.params)
    norm = np.sqrt(4 * 32 + 8)  # of encoder B
    for step in range(3, 7):
        params = after(begun, jnp.int32(step)).params
        moves = {
            group: np.concatenate(
                [np.ravel(x - y) for x, y in zip(*map(jax.tree.leaves, (own, begun.params[group])), strict=True)]
            )
            for group, own in params.items()
        }
        expected = 0.5 * norm if (kind, step) == ("weights", 4) else 0
        assert np.linalg.norm(moves["encoder_B"]) == pytest.approx(expected, rel=1e-5)
        assert not moves["encoder_A"].any()
        assert not moves["decoder_A"].any()


def test_a_part_that_is_none_leaves_no_equation():
    assert lab_worlds.inside(TASK, World(), DATA) is TASK
    assert lab_worlds.shocked(World(rate=jnp.float32(2)), init(None, None)) is None

    def of(world):
        task = lab_worlds.inside(TASK, world, DATA)
        return equations(
            jax.make_jaxpr(lambda params: task.loss(params, jnp.array([3]), context()).total)(init(None, None)).jaxpr
        )

    bare = of(World())
    assert of(World(rate=jnp.float32(2), scale=jnp.float32(2))) == bare
    assert not {"random_bits", "sort"} & {*of(World(weights={"prior": jnp.float32(2)}))}
    assert "random_bits" in of(World(noise=jnp.float32(1)))
    assert len(of(World(shock=shock("labels")))) > len(bare)


def test_the_rank_correlation_is_that_of_scipy_and_its_interval_covers_it():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 6, 40)
    y = x + rng.integers(0, 6, 40)
    value, low, high = rank_correlation(x, y)
    assert value == pytest.approx(stats.spearmanr(x, y)[0])
    half = 1.96 * np.sqrt((1 + value**2 / 2) / 37)  # of Fisher's z, by Bonett and Wright
    np.testing.assert_allclose((low, high), np.tanh(np.arctanh(value) + np.array([-half, half])), atol=0.08)
    assert rank_correlation(x, -(x**3))[0] == pytest.approx(-1)
    assert np.isnan(rank_correlation(x, np.ones(40))).all()
