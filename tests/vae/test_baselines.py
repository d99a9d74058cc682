"""The closed forms: their published figures, and their decoders, which use only the points."""

import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ternary_jax import ternary
from ternary_jax.config import ConfigError, load_config
from ternary_jax.vae import baselines, evaluate

CONFIG = Path(__file__).parents[2] / "configs" / "closed_form.py"
TRITS = ternary.operations()
FORMS = {
    "tree": (baselines.Tree, baselines.tree, baselines.decode_tree),
    "rich": (baselines.Rich, baselines.rich, baselines.decode_rich),
}
PUBLISHED = {
    "tree": {
        "hierarchy": (-0.83205, 5),
        "triplet_accuracy": (1.0, 3),
        "ultrametric_correlation": (-0.827, 3),
        "q": (2.14, 2),
    },
    "rich": {
        "hierarchy": (-0.83205, 5),
        "triplet_accuracy": (1.0, 4),
        "ultrametric_correlation": (-0.8305, 4),
        "richness": (0.0116, 4),
        "q": (1.69, 2),
    },
}


@pytest.fixture(scope="module")
def samples():
    return jax.device_put(evaluate.draw_samples())


@pytest.mark.parametrize("name", FORMS)
def test_the_published_figures_and_exact_coverage(name, samples):
    form, encode, decode = FORMS[name]
    z = encode(form())
    metrics = evaluate.measure(z, decode(z, form()), 1.0, samples)
    assert metrics["coverage"] == 1
    for key, (value, places) in PUBLISHED[name].items():
        assert round(metrics[key], places) == pytest.approx(value, abs=1e-9), key


@pytest.mark.parametrize("name", FORMS)
def test_levels_lie_in_bands_that_do_not_overlap(name):
    form, encode, _ = FORMS[name]
    s = np.linalg.norm(np.asarray(encode(form(), 4.0), np.float64), axis=1) * 2
    levels = [s[ternary.valuations() == v] for v in range(10)]
    assert all(inner.max() < outer.min() for outer, inner in itertools.pairwise(levels))
    assert s.max() < 0.97


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(("n_digits", "dim", "c"), [(9, 16, 0.1), (9, 16, 4.0), (5, 3, 1.0), (6, 7, 1.0), (4, 24, 2.5)])
def test_decoding_inverts_every_operation_also_where_digits_share_a_plane(name, n_digits, dim, c):
    kind, encode, decode = FORMS[name]
    form = kind(n_digits=n_digits, dim=dim)
    z = encode(form, c)
    assert z.shape == (3**n_digits, dim)
    assert z.dtype == jnp.float32
    np.testing.assert_array_equal(decode(z, form, c), ternary.operations(n_digits))


@pytest.mark.parametrize("name", FORMS)
def test_the_decoder_reads_the_points_and_nothing_else(name):
    kind, encode, decode = FORMS[name]
    rng, form = np.random.default_rng(0), kind()
    z = encode(form)
    rows = rng.integers(0, 3**9, 500)
    np.testing.assert_array_equal(decode(z[rows], form), TRITS[rows])
    spacing = form.scale * form.ratio**8  # of the last digit
    nudge = jnp.asarray(rng.uniform(-1, 1, z.shape) * spacing / 100, jnp.float32)
    np.testing.assert_array_equal(decode(z + nudge, form), TRITS)
    right = np.asarray(decode(z + 200 * nudge, form)) == TRITS
    assert right[:, 8].mean() < 0.6 < 0.99 < right[:, 1].mean()


def test_the_digits_of_a_shared_plane_are_not_read_one_by_one():
    """Decoding digit 0 first and digit 8 from the remainder fails if the two digits have similar lengths."""
    form = baselines.Tree(n_digits=2, dim=2, scale=0.5, ratio=0.8)
    z = baselines.tree(form)
    np.testing.assert_array_equal(baselines.decode_tree(z, form), ternary.operations(2))
    one_by_one = np.argmin(np.linalg.norm(np.asarray(z)[:, None] - 0.5 * baselines.DIGIT_VECTORS, axis=2), 1) - 1
    assert (one_by_one != ternary.operations(2)[:, 0]).any()


def config(**changes):
    return load_config(CONFIG, {key.replace("__", "."): value for key, value in changes.items()})


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("n_digits", 1, "from 2 to 12"),
        ("dim", 1, "from 2 to 1024"),
        ("c", 0.0, "from 1e-06 to 1000000.0"),
        ("c", float("nan"), "from 1e-06 to 1000000.0"),
        ("seed", -1, "0 or more"),
        ("tree__scale", 0.95, r"give less than 0\.9068"),
        ("tree__ratio", 1.0, "from 0 to 1, 0 and 1 excluded"),
        ("rich__scale", -0.1, "0 or more, 0 excluded"),
        ("rich__centre_1", 1.0, "from -1 to 1, -1 and 1 excluded"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_what_is(key, value, allowed):
    with pytest.raises(ConfigError, match=rf"^config\.{key.replace('__', '.')}={value} is not allowed: .*{allowed}"):
        config(**{key: value})


def test_digits_that_would_share_a_plane_by_the_dozen_are_refused():
    with pytest.raises(
        ConfigError, match=r"^config\.dim=2 is too small for config\.n_digits=12: 12 digits would share"
    ):
        config(n_digits=12, dim=2)
    config(n_digits=9, dim=2)


def test_the_default_config_is_the_default_of_the_forms():
    c = config()
    assert baselines.Tree(c.n_digits, c.dim, **c.tree) == baselines.Tree()
    assert baselines.Rich(c.n_digits, c.dim, **c.rich) == baselines.Rich()


def test_at_the_limit_of_the_scale_the_tree_meets_the_edge():
    limit = 1 / np.linalg.norm(baselines.tree(baselines.Tree(scale=1.0)), axis=1).max()
    config(tree__scale=0.999 * float(limit))
    with pytest.raises(ConfigError, match="at which points meet the edge"):
        config(tree__scale=1.001 * float(limit))


@pytest.mark.slow
def test_every_value_of_the_config_changes_the_report():
    base = {"n_digits": 3, "dim": 6}
    reports = [baselines.report(config(**base))]
    others = {
        "c": 2.0,
        "seed": 1,
        "tree__scale": 0.5,
        "tree__ratio": 0.4,
        "rich__scale": 0.25,
        "rich__ratio": 0.4,
        "rich__centre_0": 0.01,
        "rich__centre_1": 0.9,
        "rich__centre_2": -0.3,
        "dim": 4,
    }
    reports += [baselines.report(config(**(base | {key: value}))) for key, value in others.items()]
    assert len(set(reports)) == len(reports)
