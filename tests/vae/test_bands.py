"""The bands against a Python loop in float64, inside them, at their edges, and at a length of 0."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import judge
from reference import losses as reference

from ternary_jax import poincare
from ternary_jax.vae import baselines
from ternary_jax.vae.losses import bands

pytestmark = pytest.mark.usefixtures("strict_dtypes")

D, ROWS = 5, 60
V = (np.arange(ROWS) % (D + 1)).astype(np.int32)
FURTHEST, RATIO, WIDTH = 1.3, 0.6, 0.3
CENTRE = FURTHEST * RATIO ** np.arange(D + 1.0)


@jax.jit
def of_radii(length, v):
    return bands.outside(length, v, bands.centres(FURTHEST, RATIO, D), -WIDTH * math.log(RATIO), True)


@jax.jit
def of_distances(length, v):
    return bands.outside(length, v, bands.centres(FURTHEST, RATIO, D), -WIDTH * math.log(RATIO), False)


def theirs(length, top):
    wide = np.asarray(length, np.float64).tolist()
    return reference.outside(wide, V.tolist(), FURTHEST, RATIO, WIDTH, D, top)


def lengths(name):
    rng = np.random.default_rng(1)
    return {
        "random": rng.uniform(0, 3, ROWS),
        "near": CENTRE[V] * RATIO ** rng.uniform(-0.6, 0.6, ROWS),
        "some are 0": np.where(np.arange(ROWS) % 7 == 0, 0, rng.uniform(0, 1, ROWS)),
        "all are 0": np.zeros(ROWS),
        "tiny and huge": 10 ** rng.uniform(-30, 30, ROWS),
    }[name].astype(np.float32)


@pytest.mark.parametrize(("ours", "top"), [(of_radii, True), (of_distances, False)])
@pytest.mark.parametrize("name", ["random", "near", "some are 0", "all are 0", "tiny and huge"])
def test_the_loss_of_a_length_outside_its_band_is_that_of_the_reference(name, ours, top):
    length = lengths(name)
    value, gradient = jax.value_and_grad(ours)(length, V)
    assert float(value) == pytest.approx(theirs(length, top), rel=1e-5)
    assert value > 0
    assert np.isfinite(gradient).all()
    assert not gradient[length == 0].any()


@pytest.mark.parametrize(("ours", "top"), [(of_radii, True), (of_distances, False)])
def test_its_gradient_is_the_slope_of_the_reference(ours, top):
    length, direction = lengths("near").astype(np.float64), np.random.default_rng(2).normal(size=ROWS)
    gradient = np.asarray(jax.grad(ours)(length.astype(np.float32), V), np.float64)
    h = 1e-6
    slope = (theirs(length + h * direction, top) - theirs(length - h * direction, top)) / (2 * h)
    assert gradient @ direction == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize(("place", "costs"), [(-0.29, False), (0, False), (0.29, False), (-0.35, True), (0.35, True)])
def test_a_band_is_so_many_levels_wide(place, costs):
    """place: number of levels by which every length lies too far inwards."""
    length = (CENTRE[V] * RATIO**place).astype(np.float32)
    for ours, top in ((of_radii, True), (of_distances, False)):
        value, gradient = jax.value_and_grad(ours)(length, V)
        assert bool(value > 0) == bool(np.any(gradient)) == costs
        # Level 0 has no upper edge; level D has no lower one, and of distances no band.
        free = (V == 0) if place < 0 else (V == D)
        assert not gradient[free | (V == D if not top else False)].any()
        counted = ~free & (np.full(ROWS, top) | (V < D))
        assert gradient[counted].all() == costs


def test_bands_do_not_overlap_and_put_the_hierarchy_at_its_ceiling():
    rng, v = np.random.default_rng(3), judge.valuation_of_integer(np.arange(3**D), D)
    half = 0.499 * math.log(1 / RATIO)
    centre = np.asarray(bands.centres(FURTHEST, RATIO, D), np.float64)
    assert (centre[:-1] - half > centre[1:] + half).all()
    r = np.exp(centre[v] + rng.uniform(-half, half, len(v))).astype(np.float32)
    inside = bands.outside(jnp.asarray(r), jnp.asarray(v, "int32"), jnp.asarray(centre, "float32"), half * 1.001, True)
    assert float(inside) == 0
    n, t = 3**D, np.bincount(v)
    assert judge.spearman(v, r) == pytest.approx(-math.sqrt(1 - (t**3 - t).sum() / (n**3 - n)), abs=1e-9)


def test_the_closed_form_of_the_tree_lies_inside_bands():
    """Small, so that distances are nearly twice the flat ones: in [1, 1.94] of the ratio to the valuation."""
    form = baselines.Tree(n_digits=D, scale=0.01)
    z = np.asarray(baselines.tree(form), np.float32)
    i, j = np.triu_indices(3**D, 1)
    d = jax.jit(jax.vmap(poincare.dist, (0, 0, None)))(z[i], z[j], 1.0)
    r = jax.jit(jax.vmap(poincare.dist0, (0, None)))(z, 1.0)
    v = judge.valuation_of_integer(np.arange(3**D), D).astype(np.int32)
    pair_v = judge.valuation_of_integer(j - i, D).astype(np.int32)
    ends = 2 * form.scale * np.array([1, math.sqrt(3 / (1 - form.ratio**2))])
    centres, half = bands.centres(math.sqrt(ends[0] * ends[1]), form.ratio, D), -0.49 * math.log(form.ratio)
    assert float(bands.outside(d, pair_v, centres, half, False)) == 0
    assert float(bands.outside(r, v, centres, half, True)) == 0
    assert float(bands.outside(d[::-1], pair_v, centres, half, False)) > 0.1
    assert float(bands.outside(d, pair_v, centres, half / 2, False)) > 0


@pytest.mark.parametrize("c0", [0.5, 1.0, 3.0])
def test_the_first_digit_sets_the_radius_in_level_0(c0):
    x: Any = judge.trits(3).astype(np.int8)
    r: Any = np.random.default_rng(4).uniform(0, 3, len(x)).astype(np.float32)
    value, gradient = jax.value_and_grad(bands.spread)(r, x, 0.92, 0.45, np.float32(c0))
    assert float(value) == pytest.approx(reference.spread(r.tolist(), x.tolist(), 0.92, 0.45, c0), rel=1e-5)
    np.testing.assert_array_equal(gradient == 0, x[:, 0] == -1)  # the valuation of these is not 0

    def edge(share):
        return float(poincare.dist0(np.array([share, 0], np.float32) / math.sqrt(c0), np.float32(c0)))

    placed = np.array([7.0, edge(0.92), edge(0.45)], np.float32)[x[:, 0] + 1]
    assert float(bands.spread(jnp.asarray(placed), x, 0.92, 0.45, np.float32(c0))) == pytest.approx(0, abs=1e-10)
    assert float(bands.spread(r[:1], x[:1], 0.92, 0.45, np.float32(c0))) == 0
