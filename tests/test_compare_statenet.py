"""What StateNet is compared with: its own course, replayed, and the interval of a difference."""

import compare_statenet
import jax
import numpy as np
import pytest
import statenet_runs as programs
from scipy import stats

from ternary_jax.control import statenet


def test_replayed_by_itself_a_course_is_the_run_that_it_is_from(monkeypatch):
    """StateNet that sees nothing new: the course of one run, as schedules, takes the same parameters the same way."""
    monkeypatch.setitem(programs.SPACES, 5, 2)
    monkeypatch.setattr(compare_statenet, "RENEWALS", 6)
    runs = programs.make_runs(programs.configured(5, "schedules+statenet", {"statenet.interval": 2}))
    course_runs = programs.make_runs(programs.configured(5, "schedules", {}), course=True)
    hypers = programs.hypers_of(runs.config, np.array([1]), train__learning_rate=np.array([8e-3]))
    net = statenet.init(jax.random.key(0))
    net["decoder_1"]["bias"] = net["decoder_1"]["bias"] + 0.4
    r, _, knobs, offsets = programs.play(runs, 6)(jax.tree.map(lambda x: x[None], net), hypers, runs.rows)
    course = {name: np.asarray(x[0]) for name, x in offsets.items()}
    assert all(np.unique(x).size > 1 for x in course.values())
    player = programs.play(course_runs, 6)
    assert course_runs.steps == 12
    after, _, turned, none = player(None, hypers, course_runs.rows | compare_statenet.replayed(course, 12))
    np.testing.assert_allclose(after, r, rtol=1e-3)
    for name, x in turned.items():
        np.testing.assert_allclose(x, knobs[name], rtol=1e-3, err_msg=name)
    without = player(None, hypers, course_runs.rows)[0]
    assert none == {}
    assert abs(without[0, -1] - r[0, -1]) > 10 * abs(after[0, -1] - r[0, -1])


def test_a_course_is_straight_lines_from_no_offset_through_its_knots():
    n = len(programs.KNOTS)
    vector = np.arange(1.0, 8 * n + 1)
    rows = programs.course_rows(vector, 300)
    for k, (name, unit) in enumerate(programs.UNITS.items()):
        at = [programs.UNITS[name] * vector[n * k + j] for j in range(n)]
        row = np.asarray(rows[f"course_{name}"])
        np.testing.assert_allclose(row[[99, 199, 299]], at, rtol=1e-6)
        np.testing.assert_allclose(row[0], unit * vector[n * k] / 100, rtol=1e-5)
    assert {*programs.UNITS} == {*statenet.TURNS}


def test_the_steps_of_an_arm_are_those_until_everything_is_met_at_once(monkeypatch):
    """Of 20 points: one run meets all at the 5th, one never, as its hierarchy comes when a branch is lost again."""
    metrics = {name: np.full((2, 20), 0.0 if x < 0 else 1.0) for name, x in programs.NEAR.items()}
    metrics["hierarchy_B"][0, 4:] = metrics["hierarchy_B"][1, 10:] = -0.81
    metrics["coverage_A"][1, 10:] = 0.98
    r = np.arange(40.0).reshape(2, 20)
    monkeypatch.setattr(compare_statenet, "played", lambda *_: (r, metrics, {}, {}))
    monkeypatch.setattr(compare_statenet, "configured", lambda n, by, changes: programs.configured(5, by, changes))
    found = compare_statenet.outcomes(compare_statenet.Arm("schedules", {}), [1, 2])
    assert found["R"] == [19.0, 39.0]
    assert found["met"] == 1
    assert found["steps"] == [5 * (480 // 20), 480]


def test_the_interval_is_that_of_a_paired_t_test():
    d = np.random.default_rng(0).normal(0.3, 1, 16)
    expected = stats.ttest_1samp(d, 0).confidence_interval()
    np.testing.assert_allclose(compare_statenet.interval(d), (d.mean(), expected.low, expected.high))


def test_it_says_what_to_run_first(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["compare_statenet.py", "--out", str(tmp_path)])
    with pytest.raises(SystemExit):
        compare_statenet.main()
    assert "meta_train_statenet.py tune" in capsys.readouterr().err
