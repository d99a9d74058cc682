"""The rules that stop a run, at their edges: at a threshold, several at once, a loss below zero."""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ternary_jax.engine import saving, stopping
from ternary_jax.engine.plan import plan
from ternary_jax.engine.rows import ChunkMeans
from ternary_jax.metric import Metric

OFF = dict(watch="error", watch_threshold=0.5, divergence=0.0, on_targets=False)
OFF |= dict(loss_patience=0, loss_share=0.1, watch_patience=0, watch_share=0.1)
METRICS = {name: Metric(name, better, 0.0, 1.0, 1.0) for name, better in (("error", -1), ("accuracy", 1))}


def judged(evaluations, targets=None, **rules):
    """The reason after (loss, watched metric) of each evaluation, of four steps each."""
    static = SimpleNamespace(stop=SimpleNamespace(**OFF | rules))
    if targets:
        static.targets = SimpleNamespace(_asdict=lambda: targets)

    @jax.jit  # jit: inf - inf is NaN in an unused branch, which debug_nans reports in eager mode alone
    def evaluated(stop, value):
        return stopping.evaluated(stop, {static.stop.watch: value}, METRICS, static)

    stop = stopping.init()
    for loss, value in evaluations:
        stop = evaluated(stopping.add(stop, jnp.full(4, loss, jnp.float32), 4), jnp.float32(value))
    return int(stop.reason)


@pytest.mark.parametrize("watch", ["error", "accuracy"])
def test_a_metric_at_its_threshold_has_reached_it(watch):
    # One evaluation without progress is "converged" at the threshold, and a plateau below it.
    found = judged([(1, 0.5), (1, 0.5)], watch=watch, loss_patience=1, watch_patience=1)
    assert found == stopping.CONVERGED


def test_the_first_of_the_rules_that_hold_is_the_reason():
    rules = dict(divergence=2.0, on_targets=True, loss_patience=1)
    assert judged([(1, 0.4), (1, 0.4)], {"error": 0.1}, **rules) == stopping.CONVERGED
    assert judged([(1, 0.4), (1, 0.05)], {"error": 0.1}, **rules) == stopping.TARGETS
    assert judged([(1, 0.4), (3, 0.05)], {"error": 0.1}, **rules) == stopping.GREW


def test_a_loss_below_zero_has_grown_only_above_its_size():
    assert judged([(-1, 1), (-0.5, 1), (1.9, 1)], divergence=2.0) == stopping.RUNNING
    assert judged([(-1, 1), (2.1, 1)], divergence=2.0) == stopping.GREW


def test_costly_metrics_are_measured_on_the_way_where_a_target_asks_for_them():
    static = SimpleNamespace(
        train=SimpleNamespace(epochs=12, steps=0, batch_size=8, chunk=0),
        evaluate=SimpleNamespace(cheap_every=4, costly_every=12),
        checkpoint=SimpleNamespace(every=12),
        stop=SimpleNamespace(on_targets=False),
    )
    assert plan(static, 16).costly == 0
    static.stop.on_targets = True
    assert plan(static, 16).costly == 24


@pytest.mark.parametrize(("best_metric", "best"), [("loss", 0), ("error", 1), ("accuracy", 2)])
def test_the_best_checkpoint_has_the_least_loss_or_the_best_metric(best_metric, best):
    training: Any = SimpleNamespace(
        static=SimpleNamespace(checkpoint=SimpleNamespace(best_metric=best_metric)), metrics=METRICS
    )
    rows = [(1.0, 3.0, 0.2), (2.0, 1.0, 0.3), (3.0, 2.0, 0.9)]  # loss, error, accuracy
    ranks = []
    for row in rows:
        loss, error, accuracy = (np.array([x, np.nan]) for x in row)  # a run that is not finite does not count
        report: Any = SimpleNamespace(metrics=dict(error=error, accuracy=accuracy))
        window = [ChunkMeans(4, np.array([True, True]), {"loss": loss + by}) for by in (-0.5, 0.5)]
        ranks.append(saving._rank(training, report, window))
    assert int(np.argmin(ranks)) == best
