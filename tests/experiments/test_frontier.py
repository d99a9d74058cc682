"""The frontier of hierarchy, Q and richness: its bound against brute force, its layouts against `evaluate`."""

import itertools

import frontier
import lab_frontier
import lab_results
import lab_tree_rows
import numpy as np
import pytest
from scipy import stats

from ternary_jax import ternary
from ternary_jax.vae import baselines, bounds, evaluate, references

OF = bounds.trade()
PRICES = (1e-4, 0.01, 0.3, 5.0, 50.0)
LINES = [bounds.line(price, OF) for price in PRICES]


def plain(s, n_digits):
    """|hierarchy| and richness of radii, by scipy and numpy."""
    v = ternary.valuations(n_digits)
    levels = [s[v == level] for level in range(n_digits + 1)]
    return abs(np.asarray(stats.spearmanr(v, s))[0]), float(np.mean([level.var() for level in levels]))


def test_shares_give_the_hierarchy_and_richness_of_their_radii():
    x = np.rint(np.linspace(0.9, 0.1, 10) * OF.counts) / OF.counts * (OF.counts > 1)
    s = lab_frontier.radii(lab_frontier.by_shares(x))
    assert len(np.unique(s)) == 3**9
    assert (s > 0).all()
    assert (s < 0.95).all()
    h, richness = plain(s, 9)
    assert bounds.hierarchy_of(x, OF) == pytest.approx(h, abs=1e-12)
    assert bounds.richness_of(x, OF) == pytest.approx(richness, abs=1e-5)


@pytest.mark.parametrize("price", [0.01, 0.1, 1.0, 3.0, 30.0])
def test_a_line_is_the_best_of_all_numbers_outside_or_above_it_by_their_rounding(price):
    of = bounds.trade(n_digits=2)
    every = itertools.product(*(np.arange(t + 1) / t for t in of.counts))
    totals = [bounds.hierarchy_of(x, of) + price * bounds.richness_of(x, of) for x in map(np.array, every)]
    found = bounds.line(price, of)
    assert max(totals) <= found.value
    assert found.value < max(totals) + 1e-8 + 0.02 * price
    assert found.value == pytest.approx(
        bounds.hierarchy_of(found.shares, of) + price * bounds.richness_of(found.shares, of), abs=1e-8
    )


def test_no_line_is_below_a_layout_of_two_levels_drawn_at_random():
    of, rng = bounds.trade(n_digits=2), np.random.default_rng(0)
    lines = [bounds.line(price, of) for price in PRICES]
    for _ in range(200):
        s = 0.95 * rng.uniform(size=9) ** rng.uniform(0.2, 5)
        h, richness = plain(np.sort(s)[np.argsort(rng.normal(size=9) - rng.uniform(0, 3) * np.arange(9))], 2)
        assert richness <= bounds.bound_on_richness(np.array([h]), lines)[0]


def test_the_bound_is_not_below_any_model_and_above_known_layouts():
    read = {name: lab_results.read_all(lab_results.ROOT / "results")[name] for name in frontier.READ}
    points = frontier.on_file(read)
    assert len(points["v5_12"]["richness"]) == 16
    points["published"] = dict(
        zip(("hierarchy", "richness"), map(list, zip(*frontier.PUBLISHED, strict=True)), strict=True)
    )
    for metrics in points.values():
        h = np.minimum(np.abs(metrics["hierarchy"]), OF.ceiling)  # float32 rounds the ceiling up
        assert (metrics["richness"] < bounds.bound_on_richness(h, LINES)).all()
    samples = evaluate.draw_samples()
    best = references.levels(samples=samples)
    for name, row in frontier.known_layouts(samples).items():
        assert row["hierarchy"] == pytest.approx(-OF.ceiling, abs=1e-9), name
        assert row["richness"] < bounds.bound_of_bands()
        assert row["q"] < bounds.bound_on_q(np.array([row["richness"]]), LINES, OF, best["dist_corr"].best)[0]
    assert bounds.bound_of_bands() == pytest.approx(0.95**2 / 40)


def test_uniform_bands_have_the_richness_of_their_widths():
    edges = np.linspace(0.95, 0, 11)
    h, richness = plain(lab_frontier.uniform(edges), 9)
    assert h == pytest.approx(OF.ceiling, abs=1e-12)
    pairs = 0.095**2 * np.array([1 / 12] * 8 + [1 / 16, 0])
    assert richness == pytest.approx(pairs.mean(), rel=0.01)


def test_scores_are_those_of_evaluate():
    rng, level = np.random.default_rng(1), lab_frontier.two_places()
    first = rng.uniform(size=9)
    share = np.concatenate([[1], np.stack([first, 1 - first], 1).ravel()])
    layout = lab_frontier.Layout(level, rng.uniform(size=19), share)
    got = lab_frontier.scores(level, layout.place[None], layout.share[None], OF)
    measured = frontier.of_radii(lab_frontier.radii(layout), evaluate.draw_samples())
    assert got.hierarchy[0] == pytest.approx(abs(measured["hierarchy"]), abs=2e-3)
    assert got.richness[0] == pytest.approx(measured["richness"], abs=2e-3)
    assert got.dist_corr[0] + 1.5 * got.hierarchy[0] == pytest.approx(measured["q"], abs=0.05)


@pytest.mark.parametrize("family", lab_frontier.FAMILIES)
def test_a_search_finds_its_richness_and_stays_in_its_family(family):
    found = lab_frontier.search(0.005, OF, [lab_frontier.evenly()], family, 150)
    got = lab_frontier.scores(found.level, found.place[None], found.share[None], OF)
    assert got.richness[0] >= 0.0045
    if family != "free":
        assert (np.diff(found.place) >= 0).all()
        assert got.hierarchy[0] == pytest.approx(OF.ceiling, abs=1e-9)
    if family == "level 0 spread":
        assert (found.place[1:-2:2] == found.place[2:-2:2]).all()


def test_closed_forms_are_measured_as_numpy_does():
    samples = evaluate.draw_samples()
    points = {"tree": baselines.tree(baselines.Tree()), "rich": baselines.rich(baselines.Rich())}
    measured = frontier.closed_forms(samples)
    for name, float32 in points.items():
        found, z = measured[f"closed form {name}"], np.asarray(float32, float)
        h, richness = plain(np.linalg.norm(z, axis=1), 9)
        assert found["hierarchy"][0] == pytest.approx(-h, abs=1e-6)
        assert found["richness"][0] == pytest.approx(richness, rel=1e-4)
        gap = 1 - (z**2).sum(-1)
        near, far = (
            ((z[samples.anchor] - z[other]) ** 2).sum(-1) / gap[other] for other in (samples.near, samples.far)
        )
        assert found["triplet_accuracy"][0] == pytest.approx((near < far).mean(), abs=1e-4)


BOUND = {"lines": [[0.1, 0.85], [10.0, 3.0]], "hierarchy_ceiling": -0.832, "richness_of_bands": 0.0225}


def test_the_table_has_a_line_for_each_model_and_layout():
    row = {"hierarchy": -0.8, "richness": 1e-5, "q": 2.0}
    points = {"m": {key: [x, x] for key, x in row.items()}, "published": {"hierarchy": [-0.832], "richness": [0.01]}}
    found = {"points": points, "bound": BOUND, "known_layouts": {"bands": row}, "searched": {"free": [row]}}
    head, *lines = lab_tree_rows.frontier(found)
    assert [len(line) for line in lines] == [len(head)] * 4
    assert lines[0] == ["m", "2", "-0.80000", "1.00e-05", "2.00000", "-", "0.2200"]
    assert lines[1] == ["published", "1", "-0.83200", "0.01000", "-", "-", "0.0225"]


def test_a_family_holds_the_layouts_of_narrower_ones_and_none_that_another_exceeds():
    a, b, c, d = ({"richness": r, "q": q} for r, q in ((0.1, 2.0), (0.2, 1.0), (0.15, 0.5), (0.05, 2.1)))
    assert lab_tree_rows.undominated({"one": [b, c], "two": [a, d]}) == {"one": [b], "two": [d, a, b]}
