"""The state machine of grokking events: against plain Python on random histories, and on histories of known result."""

import functools

import histories
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from histories import STANDARD
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import grokking as reference

from ternary_jax.grokking import definitions
from ternary_jax.grokking.definitions import EXPLANATIONS, Evaluation, Watched
from ternary_jax.metric import Metric

pytestmark = pytest.mark.usefixtures("strict_dtypes")

METRICS = (Watched("a", 1, 1.0), Watched("b", 1, 0.8), Watched("c", -1, 2.0))


LENGTHS = ("memory", "within", "kept", "together")  # static: they decide shapes
# A program here runs for longer than it compiles, and these take no longer to compile than the fast tier's flags.
OPTIMISED = {"xla_backend_optimization_level": 1, "xla_llvm_disable_expensive_passes": False}


@functools.cache
def program(metrics, **lengths):
    """(histories (R, E, ...), thresholds) -> (memory at the end, verdicts)."""

    def one(history, thresholds):
        thresholds = thresholds._replace(**lengths)
        start = definitions.begin(thresholds, len(metrics), history.controls.shape[-1], history.frozen.shape[-1])
        return jax.lax.scan(lambda m, seen: definitions.observe(m, seen, metrics, thresholds), start, history)

    return jax.jit(jax.vmap(one, (0, None)), compiler_options=OPTIMISED)


def run(history, thresholds=STANDARD, metrics=METRICS):
    better = np.array([one.better for one in metrics])
    history = Evaluation(*(jnp.asarray(x, jnp.float32) for x in history._replace(metrics=history.metrics * better)))
    lengths = {name: getattr(thresholds, name) for name in LENGTHS}
    traced = jax.tree.map(jnp.asarray, thresholds)
    return jax.device_get(program(metrics, **lengths)(history, traced))


def expected(history, k, thresholds=STANDARD, metrics=METRICS):
    scales = [one.scale for one in metrics]
    loss, figures, controls, frozen = (x[k].tolist() for x in history)
    return reference.rises(loss, [list(x) for x in zip(*figures, strict=True)], scales, controls, frozen, thresholds)


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1), together=st.sampled_from([1, 2, 3]))
@pytest.mark.slow
def test_it_agrees_with_plain_python(seed, together):
    thresholds = STANDARD._replace(together=together)
    history = histories.anything(np.random.default_rng(seed), 32)
    memory, verdict = run(history, thresholds)
    for k in range(32):
        assert verdict.plateau[k].tolist() == reference.plateaus(history.loss[k].tolist(), thresholds)
        rises = expected(history, k, thresholds)
        events = [rise for rise in rises if rise["event"] is not None]
        assert memory.events[k] == len(events)
        assert memory.confirmed[k] == sum(rise["severity"] >= 2 for rise in events)
        assert memory.excluded[k] == sum(rise["event"] is None and rise["end"] is not None for rise in rises)
        assert memory.severity[k] == (events[-1]["severity"] if events else 0)
        shown = np.zeros(len(verdict.plateau[k]), bool)
        for rise in rises:
            last = len(shown) - 1 if rise["end"] is None else rise["end"]
            shown[rise["begin"] : last + 1] = True
            found = jax.tree.map(lambda x, k=k, last=last: x[k, last], verdict.rise)
            assert found.event == (rise["event"] is not None)
            assert (found.plateau, found.severity) == (rise["plateau"], rise["severity"])
            np.testing.assert_allclose(found.gain, rise["gain"], atol=1e-6)
            if rise["event"] is None:
                assert dict(zip(EXPLANATIONS, found.bars, strict=True)) == {name: rise[name] for name in EXPLANATIONS}
        np.testing.assert_array_equal((verdict.rise.length[k] > 0) & ~verdict.ended[k], shown)


def test_the_random_histories_have_events_of_all_kinds():
    """Check that the random histories cover every kind of event, so that the test above covers them too."""
    found = [histories.anything(np.random.default_rng(seed), 64) for seed in range(4)]
    rises = [rise for history in found for k in range(64) for rise in expected(history, k)]
    assert sum(rise["event"] is not None for rise in rises) > 30
    assert {rise["severity"] for rise in rises} == {0, 1, 2, 3}
    for bar in EXPLANATIONS:
        assert sum(rise["event"] is None and rise[bar] for rise in rises) > 2, bar


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 1e-4, 0.02])
@pytest.mark.parametrize("make", [histories.steady, histories.dropped])
def test_noise_and_schedule_drops_are_no_events(make, noise):
    memory, verdict = run(make(np.random.default_rng(0), noise=noise))
    assert memory.events.sum() == 0
    if make is histories.dropped:
        assert np.all(memory.excluded == 1)
        assert verdict.rise.bars[verdict.ended][:, EXPLANATIONS.index("schedule")].all()


@pytest.mark.slow
@pytest.mark.parametrize(("memory", "events"), [(0.0, (0, 0)), (0.8, (0, 2)), (0.95, (3, 12)), (1.0, (5, 18))])
def test_noise_that_all_metrics_share_is_no_event_unless_it_wanders(memory, events):
    """64 histories x_t+1 = memory x_t + noise. Some random walks rise as a learned metric does, and count as events."""
    rng, x = np.random.default_rng(0), np.zeros((64, 150))
    history, steps = histories.steady(rng, runs=64), rng.normal(size=x.shape)
    for t in range(150):
        x[:, t] = steps[:, t] + (memory * x[:, t - 1] if t else 0)
    x = 0.02 * x * np.sqrt(1 - memory**2 if memory < 1 else 1)
    found = run(history._replace(metrics=0.3 + np.repeat(x[..., None], 3, -1)))[0]
    assert events[0] <= found.events.sum() <= events[1]


@pytest.mark.parametrize("noise", [1e-4, 0.005, 0.02])
@pytest.mark.parametrize("width", [0.2, 1.0, 2.0])
def test_a_rise_out_of_a_plateau_is_one_event_and_a_major_one(noise, width):
    memory, verdict = run(histories.grokked(np.random.default_rng(0), width=width, noise=noise))
    assert np.all(memory.events == 1)
    assert np.sum(memory.confirmed) >= 31
    assert np.sum(memory.severity == 3) >= 31  # noise may cut a plateau of 70 evaluations short
    first = np.argmax(verdict.rise.event, 1)
    assert np.all(np.abs(first - 84) <= 4 + 3 * width)  # a rise at 80 is known at 84


def grok(**changes):
    """Four runs that grok after a plateau of about 70 evaluations; the gain is a little over a tenth of the scale."""
    return histories.grokked(np.random.default_rng(1), runs=4, width=0.2, noise=0.002, **changes)


def test_a_slope_and_a_slow_rise_are_no_events():
    slope = grok(height=0.0)
    slope = slope._replace(metrics=slope.metrics + 0.006 * np.arange(150)[None, :, None])
    assert run(slope)[0].events.sum() == 0
    assert run(histories.grokked(np.random.default_rng(1), width=20.0, noise=0.002))[0].events.sum() == 0


def test_one_metric_alone_is_no_event_and_the_smaller_gain_of_two_counts():
    history = grok()
    alone = history.metrics.copy()
    alone[..., 1:] = 0.3 + 0.002 * np.random.default_rng(2).normal(size=alone[..., 1:].shape)
    assert run(history._replace(metrics=alone))[0].events.sum() == 0
    assert np.all(run(history._replace(metrics=alone), STANDARD._replace(together=1))[0].events == 1)
    alone[..., 1] += 0.05 * 0.8 * (np.arange(150) >= 80)
    assert np.all(run(history._replace(metrics=alone))[0].severity == 2)


def spike(length):
    history = grok(height=0.0)
    e = np.arange(150)
    return history._replace(metrics=history.metrics + 0.3 * ((e >= 80) & (e < 80 + length))[None, :, None])


def frozen():
    history = grok()
    history.frozen[:, 79:] = [0, 1]
    return history


def coarse():
    history = grok(height=0.09)
    return history._replace(metrics=np.round(history.metrics / 0.03) * 0.03 + 0.03 * (np.arange(150) % 7 == 0)[:, None])


def at_rest():
    history = grok()
    return history._replace(loss=np.where(np.arange(150) > 20, 0.25, history.loss))


@pytest.mark.parametrize(
    ("history", "bar"),
    [
        (spike(1), "spike"),
        (spike(4), "spike"),
        (frozen(), "freeze"),
        (coarse(), "precision"),
        (at_rest(), "precision"),
        (histories.dropped(np.random.default_rng(1), runs=4, noise=0.002), "schedule"),
    ],
    ids=["one", "four", "freeze", "coarse", "at rest", "drop"],
)
def test_a_rise_with_another_explanation_is_excluded(history, bar):
    memory, verdict = run(history)
    assert memory.events.sum() == 0
    assert np.all(memory.excluded > 0)
    bars = verdict.rise.bars[verdict.ended]
    assert bars[:, EXPLANATIONS.index(bar)].all()


def short_plateau(length):
    """A loss that falls until `length` evaluations before the rise."""
    history = grok()
    falling = np.maximum(80 - length - np.arange(150), 0)
    return history._replace(loss=0.3 + 0.1 * falling + 1e-4 * np.random.default_rng(3).normal(size=(4, 150)))


@pytest.mark.parametrize(("length", "severity"), [(2, 0), (9, 1), (20, 2), (40, 3)])
def test_a_short_plateau_makes_a_small_event(length, severity):
    assert np.all(run(short_plateau(length))[0].severity == severity)


@pytest.mark.parametrize(("height", "severity"), [(0.008, 0), (0.02, 1), (0.06, 2), (0.3, 3)])
def test_a_small_gain_makes_a_small_event(height, severity):
    history = histories.grokked(np.random.default_rng(1), runs=4, width=0.2, noise=1e-4, height=1.0)
    scale = np.array([one.scale for one in METRICS]) * height
    assert np.all(run(history._replace(metrics=scale * history.metrics))[0].severity == severity)


def test_severity_follows_its_table():
    plateaus, gains = np.arange(40), np.arange(0, 0.12, 0.0005)
    grid = np.meshgrid(plateaus, gains, indexing="ij")
    found = definitions.severity(jnp.asarray(grid[0]), jnp.asarray(grid[1]), STANDARD)
    wanted = [[reference.severity(p, np.float32(g), STANDARD) for g in gains] for p in plateaus]
    np.testing.assert_array_equal(found, wanted)


@functools.cache
def varied(runs):
    """Noise, drops, and small and large rises after plateaus of all lengths: enough for every threshold to matter."""
    history = histories.anything(np.random.default_rng(5), runs)
    return history, run(history)[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"memory": 16},
        {"flat": 2.0},
        {"floor": 0.1},
        {"plateaus": (10, 15, 26)},
        {"plateaus": (5, 8, 26)},
        {"plateaus": (5, 15, 18)},
        {"gains": (0.05, 0.05, 0.08)},
        {"gains": (0.01, 0.08, 0.09)},
        {"gains": (0.01, 0.03, 0.3)},
        {"within": 6},
        {"kept": 2},
        {"together": 1},
        {"over": 40.0},
        {"jump": 0.05},
        {"steps": 30.0},
    ],
    ids=str,
)
def test_each_threshold_changes_what_is_found(changes):
    rare = changes in ({"plateaus": (5, 8, 26)}, {"memory": 16}, {"jump": 0.05})
    history, usual = varied(256 if rare else 64)
    other = run(history, STANDARD._replace(**changes))[0]
    names = ("events", "confirmed", "excluded", "severity")
    assert any(np.any(getattr(usual, name) != getattr(other, name)) for name in names)


def test_the_first_evaluation_that_can_know_does():
    """The history has a rise after a loss that is flat from the start."""
    least = STANDARD.least()
    history = grok()
    short = jax.tree.map(lambda x: x[:, 80 - (least - STANDARD.kept) : 80 + STANDARD.kept], history)
    assert short.loss.shape[1] == least
    assert np.all(run(short)[0].events == 1)
    assert np.all(run(jax.tree.map(lambda x: x[:, 1:], short))[0].events == 0)


def test_too_few_metrics_are_refused():
    with pytest.raises(ValueError, match="needs 2 metrics that rise together, and 1 are watched"):
        definitions.begin(STANDARD, 1, 0, 0)


def test_the_scale_of_a_metric_lies_between_chance_and_the_best():
    assert definitions.scaled(Metric("hierarchy", -1, -0.832, 0.0, 0.35)) == Watched("hierarchy", -1, 0.832)
    assert definitions.scaled(Metric("richness", 1, 0.025, np.nan, 0.0)) == Watched("richness", 1, 0.025)
    for best, chance, untrained in ((1.0, np.nan, np.nan), (1.0, np.nan, None), (np.nan, 0.0, 1.0), (0.5, 0.5, 1.0)):
        assert definitions.scaled(Metric("x", 1, best, chance, untrained)) is None
