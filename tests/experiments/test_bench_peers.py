# pyright: reportMissingImports=false
"""The peers of the residue tree: their tree, their loss against ours, and the table."""

import importlib.util

import jax
import jax.numpy as jnp
import lab_peers
import lab_table
import lab_tree_rows
import numpy as np
import pytest

from ternary_jax import ternary
from ternary_jax.riemannian import riemannian_adam
from ternary_jax.vae import evaluate


def needs(package):
    absent = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(absent, reason=f"{package} of the bench extra is not installed")


def test_relations_are_those_of_the_residue_tree():
    names = lab_peers.nodes(3)
    assert len(names) == 1 + 3 + 9 + 27
    assert names[-27:] == [f"3/{i}" for i in range(27)]
    closure, edges = (lab_peers.relations(3, closure) for closure in (True, False))
    assert len(edges) == len(names) - 1
    assert {("3/14", "2/5"), ("2/5", "1/2"), ("1/2", "0/0")} <= {*edges}
    assert {*closure} == {*edges} | {("3/14", "1/2"), ("3/14", "0/0"), ("2/5", "0/0")} | {*closure}
    assert len(closure) == 27 * 3 + 9 * 2 + 3


def test_ancestors_come_first_in_a_tree_of_rays():
    """On a line, with the root at 0 and each node nearer to its ancestors than to others, precision is 1."""
    z = np.array([[0.0], [0.5], [-0.5], [0.0]])  # the last leaf shares the point of the root
    assert lab_peers.precision_of_ancestors(z, 1) == pytest.approx((1 + 1 + 1) / 3, abs=0.35)
    worst = np.array([[0.9], [-0.1], [0.0], [0.1]])  # the root is the farthest of three
    assert lab_peers.precision_of_ancestors(worst, 1) == pytest.approx(1 / 3)


def test_metrics_are_those_of_evaluate_and_ignore_a_factor():
    samples = evaluate.draw_samples(3)
    z = np.random.default_rng(0).normal(size=(27, 6)) / 8  # without ties, which rounding would break
    found = lab_peers.measurer(samples, 3)(z)
    expected = evaluate.measure(z, ternary.operations(3), 1.0, samples)
    for name in found.keys() - {"path_stress"}:
        assert found[name] == pytest.approx(expected[name], abs=1e-9)
    i, j = samples.level_i, samples.level_j
    gap = 1 - (z**2).sum(-1)
    d = 2 * np.arcsinh(np.sqrt(((z[i] - z[j]) ** 2).sum(-1) / (gap[i] * gap[j])))
    t = 2.0 * (3 - samples.level)
    scales = np.linspace(0.01, 8, 4000)[:, None]
    assert found["path_stress"] == pytest.approx(((d / t * scales - 1) ** 2).mean(1).min(), rel=1e-3)


def test_fits_are_those_of_the_plain_loop():
    of = lab_table.Setting(2, 3, 1.0, 1.0, 40, 16, 2)
    fits, key = lab_table.Fits(lambda rate: riemannian_adam(rate, 1.0, mask=True), 2, of), jax.random.key(5)
    steps: list[int] = []
    points, losses = fits(jnp.array([0.1, 0.5]), jnp.stack([key, key]), steps.append)
    assert (steps, losses.shape) == ([20, 40], (2, 40))
    tx = riemannian_adam(lambda n: 0.5 * 0.5 * (1 + jnp.cos(jnp.pi * n / 40)), 1.0, mask=True)
    start = lab_table.init(jax.random.fold_in(key, 0), 3, 1.0, 2)
    state, alone = lab_table.fit(
        lab_table.State(start, tx.init(start)), jnp.arange(40), jax.random.fold_in(key, 1), tx,
        lab_table.targets_of_tree(1.0, 2), 1.0, 16, 2,
    )  # fmt: skip
    np.testing.assert_allclose(points[1], state.points, atol=1e-5)
    np.testing.assert_allclose(losses[1], alone, atol=1e-5)


@needs("geoopt")
def test_the_loss_of_geoopt_is_ours_and_its_pairs_too():
    import geoopt
    import torch

    generator, n_digits = torch.Generator().manual_seed(0), 4
    i, j, v = (x.numpy() for x in lab_peers.torch_pairs(generator, 20_000, n_digits))
    assert (ternary.pair_valuation(i, j, n_digits) == v).all()
    np.testing.assert_allclose(np.bincount(v, minlength=n_digits), 5000, rtol=0.1)
    np.testing.assert_allclose(np.bincount(j % 9), 20_000 / 9, rtol=0.1)
    z = lab_table.init(jax.random.key(0), 5, 1.0, n_digits, scale=1.5)
    targets = lab_table.targets_of_tree(1.0, n_digits)
    ours = lab_table.sampled_stress(z, jnp.asarray(i), jnp.asarray(j), targets, 1.0, n_digits)
    theirs = lab_peers.torch_stress(
        geoopt.PoincareBallExact(), torch.tensor(np.asarray(z)), i, j, torch.tensor(np.asarray(targets))[v]
    )
    assert float(theirs) == pytest.approx(float(ours), rel=1e-4)


@needs("geoopt")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what torch imports here
def test_geoopt_descends():
    of = lab_table.Setting(2, 3, 1.0, 1.0, 60, 16, 1)
    found = lab_peers.measurer(evaluate.draw_samples(2), 2)(lab_peers.geoopt_fit(1.0, 0, of))
    assert found["triplet_accuracy"] > 0.6


@needs("gensim")
def test_gensim_gives_a_point_of_the_ball_to_each_node():
    z = lab_peers.gensim_fit(lab_peers.GENSIM | {"epochs": 20, "negative": 5}, 0, 2, 4)
    assert z.shape == (13, 4)
    assert (np.linalg.norm(z, axis=1) < 1).all()
    assert lab_peers.precision_of_ancestors(z, 2) > 0.5


def test_what_is_missing_is_a_sentence():
    assert lab_peers.missing({"us": "numpy"}) == {}
    sentence = lab_peers.missing({"them": "no_such_package"})["them"]
    assert "pip install -e '.[bench]'" in sentence


def test_the_table_has_peers_differences_and_settings():
    metrics = {"triplet_accuracy": [0.9, 0.8], "hierarchy": [0.0, 0.1]}
    row = {"trained_for": "x", "setting": "rate 8", "metrics": metrics, "wall_s": [2.0, 4.0], "cpu_s": [1.0, 2.0]}
    rows = {
        "gensim": row | {"metrics": metrics | {"ancestors": [0.5, 0.5]}},
        "ternary_jax": row | {"compiling": {"wall_s": 1.0, "cpu_s": 2.0}},
        "closed form tree": {"trained_for": "nothing", "metrics": {"triplet_accuracy": [1.0]}},
    }
    head, *lines = lab_tree_rows.peers({"rows": rows, "tried": {"ternary_jax": {"rate 8": 0.9, "rate 4": 0.5}}})
    assert {len(line) for line in lines} == {len(head)}
    assert [line[0] for line in lines] == [
        "gensim, rate 8", "ternary_jax, rate 8", "closed form tree", "ternary_jax less gensim",
        "triplets of seed 0: ternary_jax",
    ]  # fmt: skip
    assert lines[0][2].startswith("0.8500 [")
    assert lines[1][-3:] == ["3.0", "1.5", "3.5"]
    assert lines[2][2] == "1.0000"
    assert lines[3][2] == "+0.0000 [+0.0000, +0.0000]"
    assert lines[-1][1] == "rate 8 0.9000, rate 4 0.5000"
