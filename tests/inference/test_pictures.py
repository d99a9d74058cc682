"""ternary_jax.plot: the data of the pictures against plain loops, and one sentence for a picture that cannot be."""

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import small
from scipy import stats

import ternary_jax
from ternary_jax import plot, ternary, workdir
from ternary_jax.analysis import curves
from ternary_jax.config import load_config
from ternary_jax.config.split import resolved
from ternary_jax.errors import ViewError, WorkdirError
from ternary_jax.pictures import style
from ternary_jax.vae import baselines
from ternary_jax.vae.losses import bands as loss
from ternary_jax.vae.views import asked, bands, distances, frontier, neighbours
from ternary_jax.workdir import exports

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def run(dual, tmp_path_factory):
    """A copy of two runs with their exported arrays, and three evaluations of each."""
    path = tmp_path_factory.mktemp("pictures") / "run$_x$"  # no formula
    shutil.copytree(dual.path, path)
    export = small.jit(dual.task.export)
    for k in range(2):
        exports.write(path, k, {name: np.asarray(x) for name, x in export(*dual.of_run(k)).items()})
    place = {"wall_s": 1.0, "samples_per_s": 1.0, "gradient_norm": 1.0, "loss": 2.0, "loss/radial_A": 0.5}
    metrics = {"coverage_B": 0.5, "hierarchy_B": -0.5, "richness_B": 1e-3, "hierarchy_A": -0.1, "richness_A": 1e-4}
    rows = [
        {"run": k, "seed": k, "step": 4 * n, "epoch": float(n), "rate/encoder_A": float(n != 2), **place, **metrics}
        for n in (1, 2, 3)
        for k in range(2)
    ]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (path / "summary.json").unlink()  # that of the fixture has no metrics
    return path


def plain_distances(z, c=1.0):
    """arccosh(1 + 2 c |x - y|^2 / ((1 - c|x|^2)(1 - c|y|^2))) / sqrt(c) of all pairs."""
    square, stretch = ((z[:, None] - z[None]) ** 2).sum(-1), 1 - c * (z**2).sum(1)
    return np.arccosh(1 + 2 * c * square / (stretch[:, None] * stretch[None])) / np.sqrt(c)


def test_the_disc_keeps_radii_and_neighbours_and_gives_each_class_a_sector(dual):
    found = plot.data(dual.path, "disc", run=1)  # there are no exported arrays: it reads the checkpoint
    expected = small.jit(dual.task.export)(*dual.of_run(1))
    z, c = np.asarray(expected["z_B"], np.float64), float(expected["c"])
    np.testing.assert_allclose(np.hypot(found.x, found.y), np.linalg.norm(z, axis=1) * np.sqrt(c), rtol=1e-6)
    np.testing.assert_array_equal(ternary.digits(found.decoded, 4) - 1, expected["prediction_B"])
    apart = plain_distances(z, c)
    np.fill_diagonal(apart, np.inf)
    np.testing.assert_allclose(found.apart, np.sort(apart, 1)[:, :5], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(apart, found.nearest, 1), found.apart, rtol=1e-4, atol=1e-6)
    angle = np.unwrap(np.arctan2(found.y, found.x) - np.pi / 2 - 1e-9) % (2 * np.pi)
    for level in range(1, 4):
        sectors = sorted((angle[k :: 3**level].min(), angle[k :: 3**level].max()) for k in range(3**level))
        assert all(end < begin for (_, end), (begin, _) in itertools.pairwise(sectors))


@pytest.mark.parametrize("noise", [0.0, 0.04])
def test_the_nearest_operations_are_those_of_a_plain_loop(noise):
    """With noise, some neighbours are in other residue classes, and some classes are too far to be searched."""
    z = np.asarray(baselines.tree(baselines.Tree(6, 4)), np.float64)
    z += noise * np.random.default_rng(0).normal(size=z.shape)
    index, apart = neighbours.nearest(z, 6)
    expected = plain_distances(z)
    np.fill_diagonal(expected, np.inf)
    np.testing.assert_allclose(apart, np.sort(expected, 1)[:, :5], rtol=1e-4)
    np.testing.assert_allclose(np.take_along_axis(expected, index, 1), apart, rtol=1e-4)


def test_the_intervals_are_those_that_the_loss_does_not_punish():
    config = load_config("v5_12", {"model.c": 0.7})
    given: Any = resolved(config)
    opened = workdir.Run(Path("none"), given)
    found, given = asked.radii(opened, 0, "B"), config.losses.bands
    centres = loss.centres(given.furthest / np.sqrt(0.7), given.ratio, 9)
    half = -given.width * np.log(given.ratio)
    assert (found.losses, asked.radii(opened, 0, "A").losses) == (("bands",), ("radial",))
    for level in (1, 5, 9):
        for end, beyond in ((found.low[level], 0.98), (found.high[level], 1.02)):
            v = jnp.array([level])
            assert float(loss.outside(jnp.array([end * (2 - beyond)]), v, centres, half, True)) == 0
            punished = float(loss.outside(jnp.array([end * beyond]), v, centres, half, True))
            assert punished > 0 or (level == 9 and beyond < 1)  # the highest level has no lower end


def test_pairs_share_the_digits_of_their_level_and_ranks_are_those_of_scipy():
    i, j = distances.pairs(9)
    assert (ternary.pair_valuation(i, j) == np.arange(9)[:, None]).all()
    z = 0.1 * np.random.default_rng(0).normal(size=(6, 4))
    np.testing.assert_allclose(distances.distance(z[:, None], z[None], 0.8), plain_distances(z, 0.8), atol=1e-7)
    x, y = np.random.default_rng(1).integers(0, 5, (2, 300))
    expected: Any = stats.spearmanr(x, y)
    assert bands.spearman(x, y) == pytest.approx(expected.statistic, abs=1e-12)


def test_the_closed_forms_lie_where_their_metrics_say():
    points = json.loads((RESULTS / "frontier.json").read_text())["points"]
    for one in frontier.closed_forms(9):
        assert one.hierarchy == pytest.approx(points[one.name]["hierarchy"][0], abs=1e-6)
        assert one.richness == pytest.approx(points[one.name]["richness"][0], rel=1e-5)


def test_a_freeze_lasts_from_one_evaluation_to_another(run):
    rows = {"rate/a": np.array([1.0, 0, 0, 1]), "rate/b": np.array([0.0, 1, 1, 0]), "loss": np.zeros(4)}
    found = curves.freezes(rows, np.array([10.0, 20, 30, 40]))
    assert {tuple(one) for one in found} == {("a", 10, 30), ("b", 0, 10), ("b", 30, 40)}
    assert [tuple(one) for one in plot.data(run, "curves").freezes] == [("encoder_A", 1, 2)]


def test_every_picture_is_drawn_in_one_style(run):
    import matplotlib

    with matplotlib.rc_context({"axes.facecolor": "black", "text.parse_math": True}):
        for name in ("curves", "controllers", "disc", "bands", "distances", "frontier"):
            made = getattr(plot, name)(run, run=1)
            assert made._repr_png_().startswith(b"\x89PNG")
            assert name == "disc" or made.axes[0].get_facecolor() == (1, 1, 1, 1)
        with style.applied():
            made, (ax,) = style.grid(1, 1, "$\\frac{")  # no formula
            ax.plot(-0.83205 + 1e-7 * np.arange(5))
        ax.set_xticks([0], ["$\\frac{"])
        assert made._repr_png_()
        assert ax.yaxis.get_major_formatter().get_offset() == ""


def test_a_picture_that_cannot_be_is_one_sentence(run, dual, tmp_path):
    assert {"curves", "controllers", "generalisation", "disc", "statenet"} <= plot.names(run).keys()
    with pytest.raises(ViewError, match=r"has no picture 'dics'; there are curves, .*: did you mean plot.disc\?"):
        plot.dics(run)
    with pytest.raises(ViewError, match=r"run 1 of .* has no data for plot.statenet, which needs a StateNet"):
        plot.statenet(run, run=1)
    with pytest.raises(ViewError, match=r"no data for plot.curves, which needs an evaluation"):
        plot.curves(dual.path)
    with pytest.raises(WorkdirError, match="has no run 2: there are 2, numbered from 0"):
        plot.disc(run, run=2)
    with pytest.raises(ViewError, match="5 is no run: give the --workdir of a training"):
        plot.disc(5)
    assert plot.data(ternary_jax.load(dual.path, run=1), "bands").bands[0].branch == "B"
    assert not hasattr(plot, "_disc")
