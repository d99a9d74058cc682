"""Triplets, random or the worst of a batch, against a Python loop; and the memory of mining."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from reference import judge
from reference import losses as reference

from ternary_jax.config import split
from ternary_jax.vae.branch import Latent, Points
from ternary_jax.vae.losses import ranking, registry
from ternary_jax.vae.outputs import Batch, BranchOutput

D, DIM, C = 4, 3, 0.7
DISTANCES: dict[str, Any] = {
    "euclidean": (ranking.EUCLIDEAN, lambda x, y: np.linalg.norm(x - y, axis=1)),
    "hyperbolic": (ranking.HYPERBOLIC, lambda x, y: judge.geodesic(x, y, C)),
}


def batch(n, operations=3**D, seed=0):
    """(points, rows) of n operations, where rows of one operation are one point."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, operations, n)
    z = rng.normal(size=(3**D, DIM))
    z *= rng.uniform(0.05, 0.95, (3**D, 1)) / np.linalg.norm(z, axis=1, keepdims=True) / np.sqrt(C)
    return z.astype(np.float32)[rows], rows.astype(np.int32)


def pair_valuation(rows, others):
    return judge.valuation_of_integer(np.abs(np.subtract(rows, others)), D)


def by_loop(z, rows, distance):
    wide = z.astype(np.float64)
    d = [distance(np.broadcast_to(one, wide.shape), wide).tolist() for one in wide]
    return reference.mine(d, [pair_valuation(rows, row).tolist() for row in rows], D)


@functools.cache
def mined(name, anchors=None):
    def mine(z, rows):
        return ranking.mine(z, rows, anchors or len(rows), C, DISTANCES[name][0].order, D)

    return small.jit(mine)


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize(("n", "together"), [(60, 60), (60, 20), (150, 64), (150, 1)])
def test_the_worst_triplets_are_those_of_a_loop(n, together, name, monkeypatch):
    """Some cases mine anchors in groups whose size does not divide their number."""
    monkeypatch.setattr(ranking, "BLOCK", together * n)
    mined.cache_clear()
    z, rows = batch(n)
    found, expected = mined(name)(z, rows), by_loop(z, rows, DISTANCES[name][1])
    assert found.found.tolist() == [one is not None for one in expected]
    assert sum(found.found) > n / 2
    pairs = zip(found.positive.tolist(), found.negative.tolist(), strict=True)
    assert [pair for pair, there in zip(pairs, found.found, strict=True) if there] == [t for t in expected if t]


@pytest.mark.parametrize("rows", [[7] * 6, [0, 1, 2, 0, 1, 2], [5, 5, 14, 5, 14, 23]])
def test_where_there_is_no_other_level_there_is_no_triplet(rows):
    z, _ = batch(len(rows))
    assert not any(mined("euclidean")(z, np.array(rows, np.int32)).found)


@pytest.mark.parametrize("name", DISTANCES)
def test_the_order_is_that_of_the_distances(name):
    z, _ = batch(60)
    measure, wide_distance = DISTANCES[name]
    for x in z[:5]:
        d = wide_distance(np.broadcast_to(x, z.shape).astype(np.float64), z.astype(np.float64))
        order, distances = measure.order(x, z, C), jax.vmap(measure.distance, (None, 0, None))(x, z, C)
        np.testing.assert_allclose(distances, d, rtol=1e-5, atol=1e-6)
        assert np.argsort(order, stable=True).tolist() == np.argsort(d.round(6), kind="stable").tolist()


def test_of_the_first_rows_alone_the_triplets_are_the_same():
    z, rows = batch(60)
    some, all_ = (mined("euclidean", n)(z, rows) for n in (25, 60))
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[:25]), some, all_)


def test_shifts_are_two_rows_other_than_the_anchor_and_each_other_all_as_likely():
    n, draws = 5, 6000
    s, t = small.jit(jax.vmap(lambda key: ranking.shifts(key, n)))(jax.random.split(jax.random.key(0), draws))
    counts = np.zeros((n, n))
    np.add.at(counts, (np.asarray(s), np.asarray(t)), 1)
    allowed = np.ones((n, n)) - np.eye(n)
    allowed[0] = allowed[:, 0] = 0
    np.testing.assert_allclose(counts / draws, allowed / allowed.sum(), atol=0.015)
    assert [int(x) for x in ranking.shifts(jax.random.key(1), 3)] in ([1, 2], [2, 1])


# --- the loss of them -------------------------------------------------------------------------------------------------


def output_of(z, rows, c) -> Any:
    """A BranchOutput in which only the fields that a ranking loss reads have values."""
    lists = Batch(rows, jnp.zeros_like(rows), rows[:, None], None, jax.random.key(0))
    nothing = jnp.zeros(len(rows))
    points = Points(z, z, nothing)
    return BranchOutput(lists, Latent(z, None), points, None, points, z, c, c, None, jnp.zeros(D + 1))


def loss_of(name, part=None):
    """(points, c, rows) -> the loss, or one of its parts."""
    _, hypers = split(small.config())
    h = jax.tree.map(lambda x: x[0], getattr(hypers.losses, name))

    def loss(z, c, rows):
        parts = registry.table()[name].parts(output_of(z, rows, c), h)
        return parts[part][1] if part else sum(weight * value for weight, value in parts.values())

    return loss


@pytest.mark.parametrize("name", ["ranking_v2", "ranking_hyperbolic"])
def test_the_gradient_is_the_slope_of_the_mined_triplets_alone(name):
    z, rows = batch(60, seed=1)
    wide_distance = DISTANCES["hyperbolic" if "hyperbolic" in name else "euclidean"][1]
    there = [(i, *pair) for i, pair in enumerate(by_loop(z, rows, wide_distance)[:30]) if pair]
    anchor, positive, negative = np.array(there).T
    v_p, v_n = (pair_valuation(rows[anchor], rows[other]) for other in (positive, negative))
    margins = reference.triplet_margin(v_p, v_n, 0.05, 0.15)

    def theirs(z):
        d_p, d_n = (wide_distance(z[anchor], z[other]) for other in (positive, negative))
        return reference.violated(d_p, d_n, len(there) * [True], margins)

    value, slope = small.jit(jax.value_and_grad(loss_of(name, f"{name}_mined")))(z, jnp.float32(C), rows)
    wide = z.astype(np.float64)
    assert float(value) == pytest.approx(theirs(wide), rel=1e-5)
    for seed in range(3):
        step = 1e-6 * np.random.default_rng(seed).normal(size=z.shape)
        expected = (theirs(wide + step) - theirs(wide - step)) / 2
        assert np.vdot(slope, step) == pytest.approx(expected, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ranking_v2", "ranking_hyperbolic"])
def test_all_distances_of_a_large_batch_are_never_in_memory_at_once(name):
    """One array of 4,096 x 4,096 numbers takes 64 MB, and a plain version has several."""
    of_points = jax.ShapeDtypeStruct((4096, 16), jnp.float32), jax.ShapeDtypeStruct((), jnp.float32)
    rows = jax.ShapeDtypeStruct((4096,), jnp.int32)
    compiled = small.jit(jax.grad(loss_of(name), (0, 1))).lower(*of_points, rows).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 100e6
