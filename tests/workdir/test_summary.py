"""summary.json, against a plain loop over the rows."""

import json
import math

import numpy as np
import pytest
from few_rows import METRICS, NAN, describe, finished, row

from ternary_jax.metric import Metric
from ternary_jax.workdir import summary


def test_a_summary_says_what_a_loop_over_the_rows_says():
    rng = np.random.default_rng(1)
    rows = [
        row(step, run, coverage=rng.random(), **({"hierarchy": rng.normal(), "q": NAN} if step % 200 == 0 else {}))
        for step in range(100, 1100, 100)
        for run in range(3)
    ]
    rows[-1]["coverage"] = NAN
    targets = {"coverage": 0.5, "hierarchy": 0.4}
    out = json.loads(json.dumps(finished(rows, 3, targets, compile_s=1.5, richness=math.inf), allow_nan=False))
    assert (out["task"], out["compile_s"], out["richness"]) == ("ternary", 1.5, None)
    assert (out["steps"], out["wall_s"]) == (1000, 10.0)
    assert out["stop"] == ["converged", "diverged", "converged"]
    told = {"costly": False, "tolerance": 1e-4, "held_out_of": "", "gap": ""}
    figures = {"ceiling": -0.832, "chance": 0.0, "untrained": 0.35}
    assert out["metrics"]["hierarchy"] == {**figures, "better": "lower", **told}
    assert out["metrics"]["q"] == {"ceiling": None, "chance": None, "untrained": None, "better": "higher", **told}
    for run in range(3):
        own, told = [r for r in rows if r["run"] == run], out["runs"][run]
        assert told["seed"] == 7 + run
        assert told["hypers"] == {"train.learning_rate": 1e-3 * (run + 1)}
        assert told["stop"]["step"] == 300 + run
        highest = max((r for r in own if r["coverage"] <= 1.0001), key=lambda r: r["coverage"])
        lowest = min((r for r in own if r.get("hierarchy", -9) > -0.8321), key=lambda r: r["hierarchy"])  # no collapse
        assert told["best"] == {
            "coverage": {"value": highest["coverage"], "step": highest["step"]},
            "hierarchy": {"value": lowest["hierarchy"], "step": lowest["step"]},
        }
        coverage = None if run == 2 else own[-1]["coverage"]
        assert told["final"] == {"coverage": coverage, "hierarchy": own[-1]["hierarchy"], "q": None}
        met = [r["wall_s"] for r in own if r["coverage"] >= 0.5 and -0.8321 < r.get("hierarchy", 1) <= 0.4]
        assert out["time_to_ceiling_s"][run] == (met[0] if met else None)
    assert [t is None for t in out["time_to_ceiling_s"]] != [True] * 3
    alone = finished([r for r in rows if r["run"] == 0], 1, targets)
    assert (alone["stop"], alone["time_to_ceiling_s"]) == ("converged", out["time_to_ceiling_s"][0])
    assert finished(rows, 3, {})["time_to_ceiling_s"] == [None] * 3
    assert finished([], 1, targets)["runs"][0]["final"] == {}


def test_the_metrics_of_a_summary_are_those_that_it_was_made_of():
    given = (
        *METRICS,
        Metric("held_out_coverage", 1, 1.0, 5e-5, 0.0, True, 0.02, held_out_of="coverage"),
        Metric("other", -1, 0.0, 0.5, NAN, gap="other_gap"),
    )
    out = json.loads(
        json.dumps(summary.summarise([], "ternary", given, [describe(0, stop={"reason": ""})], {}), allow_nan=False)
    )
    found = summary.metrics_of(out)
    assert list(found) == [metric.name for metric in given]
    np.testing.assert_equal(list(found.values()), list(given))
    for name in ("costly", "tolerance", "held_out_of", "gap"):
        without = {"metrics": {"q": {k: v for k, v in out["metrics"]["q"].items() if k != name}}}
        with pytest.raises(KeyError, match=name):
            summary.metrics_of(without)


def test_the_best_value_may_exceed_the_ceiling_by_the_tolerance():
    wide = METRICS[0]._replace(tolerance=0.1)
    for metric, best in ((METRICS[0], 0.9), (wide, 1.05)):
        rows = [row(100, coverage=0.9), row(200, coverage=1.05)]
        runs = [describe(0, stop={"reason": "", "step": 200})]
        told = summary.summarise(rows, "t", [metric], runs, {}, criteria=["c"])
        assert told["runs"][0]["best"]["coverage"]["value"] == best
        assert told["criteria"] == ["c"]
