"""The comparison of StateNet: replayed courses, tables, and the reuse of earlier measurements."""

import functools
import json

import compare_statenet
import jax
import lab
import lab_statenet as programs
import numpy as np
import pytest

from ternary_jax.vae.controllers import corrections, statenet_network


@pytest.mark.slow
def test_a_replayed_course_reproduces_the_run_that_it_was_recorded_from(monkeypatch, compiled_soon):
    """The recorded course of one run, replayed as schedules, gives the R and metrics of the run with StateNet.

    That all knobs of a course change a run is tested in test_meta_train_statenet.py.
    """
    monkeypatch.setitem(programs.SPACES, 5, 2)
    monkeypatch.setattr(programs, "RENEWALS", 6)
    monkeypatch.setattr(compare_statenet, "RECORDED", [1])
    small = functools.partial(programs.configured, 5)
    monkeypatch.setattr(programs, "configured", lambda n, by, changes: small(by, changes))
    net = statenet_network.init(jax.random.key(0))
    net["decoder_1"]["bias"] = net["decoder_1"]["bias"] + 0.4
    by_net = compare_statenet.Arm("schedules+statenet", {"statenet.interval": 2}, net)
    course = compare_statenet.course_of(by_net)
    assert all(len(x) == 6 and len({*x}) > 1 for x in course.values())
    by_course = compare_statenet.Arm("schedules", {}, None, functools.partial(compare_statenet.replayed, course))
    found, after = (compare_statenet.outcomes(arm, [1], points=6) for arm in (by_net, by_course))
    for name, x in found.items():
        np.testing.assert_allclose(after[name], x, rtol=1e-3, err_msg=name)


def test_a_part_of_a_course_is_c_and_sigma_or_the_rest():
    whole = programs.course_rows(np.ones(24), 30)
    for geometry in (True, False):
        part = compare_statenet.part_of(lambda steps: programs.course_rows(np.ones(24), steps), geometry, 30)
        assert part.keys() == whole.keys()
        for name, row in part.items():
            kept = (name in ("course_c", "course_sigma")) == geometry
            np.testing.assert_array_equal(row, whole[name] if kept else np.zeros(30))


def test_the_best_rate_is_that_of_the_least_mean_over_its_seeds(monkeypatch):
    r = {1e-3: [3.0, 1.0], 2e-3: [1.9, 1.9], 4e-3: [0.1, np.nan]}
    monkeypatch.setattr(
        compare_statenet,
        "outcomes",
        lambda arm, seeds, rates: {"R": [r[rate][seed - 90] for seed, rate in zip(seeds, rates, strict=True)]},
    )
    assert compare_statenet.chosen_rates({"a": {}}) == {"a": (2e-3, 1.9)}


def test_a_table_has_the_differences_to_its_base():
    found = {
        "base": {"R": [1.0, 2.0, 3.0], "steps": [100, 200, 300], "met": 2},
        "other": {"R": [0.5, 1.0, 2.5], "steps": [100, 100, 100], "met": 3},
    }
    base, other = compare_statenet.table(found, "base").splitlines()[-2:]
    mean, low, high = lab.interval([-0.5, -1.0, -0.5])
    assert f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]" in other
    assert "3 of 3" in other
    assert "[" not in base


def test_a_course_is_straight_lines_from_no_offset_through_its_knots():
    n = len(programs.KNOTS)
    vector = np.arange(1.0, 8 * n + 1)
    rows = programs.course_rows(vector, 300)
    for k, (name, unit) in enumerate(programs.UNITS.items()):
        at = [programs.UNITS[name] * vector[n * k + j] for j in range(n)]
        row = np.asarray(rows[f"course_{name}"])
        np.testing.assert_allclose(row[[99, 199, 299]], at, rtol=1e-6)
        np.testing.assert_allclose(row[0], unit * vector[n * k] / 100, rtol=1e-5)
    assert {*programs.UNITS} == {*corrections.KNOB_RULES}


def test_the_steps_of_an_arm_are_those_until_everything_is_met_at_once(monkeypatch):
    """Of 20 points, one run meets all at the 5th; one never does, as its coverage falls before its hierarchy rises."""
    metrics = {name: np.full((2, 20), 0.0 if x < 0 else 1.0) for name, x in programs.NEAR.items()}
    metrics["hierarchy_B"][0, 4:] = metrics["hierarchy_B"][1, 10:] = -0.81
    metrics["coverage_A"][1, 10:] = 0.98
    r = np.arange(40.0).reshape(2, 20)
    monkeypatch.setattr(compare_statenet, "played", lambda *_: (r, metrics, {}, {}))
    small = functools.partial(programs.configured, 5)
    monkeypatch.setattr(programs, "configured", lambda n, by, changes: small(by, changes))
    found = compare_statenet.outcomes(compare_statenet.Arm("schedules", {}), [1, 2])
    assert found["R"] == [19.0, 39.0]
    assert found["met"] == 1
    assert found["steps"] == [5 * (480 // 20), 480]


def test_without_trained_networks_it_names_the_command_to_run_first(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["compare_statenet.py", "--out", str(tmp_path)])
    with pytest.raises(SystemExit):
        compare_statenet.main()
    assert "meta_train_statenet.py tune" in capsys.readouterr().err


def test_what_was_measured_is_not_measured_again(tmp_path, monkeypatch, capsys):
    """After a stop in the third arm and a restart each arm is measured once; with --again all are measured again."""
    base = {"changes": {"a": 1}}
    parts = {"tune": base, "course": {"base": base["changes"], "vector": [0.0] * 24}, "train": {"base": {"a": 1}}}
    (tmp_path / "meta_train_statenet.json").write_text(json.dumps(parts))
    measured = []

    def outcomes(arm, seeds):
        if len(measured) == 2 and stopping:
            raise KeyboardInterrupt
        measured.append(arm)
        return {"R": [1.0, 2.0], "steps": [5, 6], "met": 2, "curve": [], "c": [1.0, 3.0]}

    small = {compare_statenet.TUNED: [1.0, 2.0], "statenet.npz": [0.5, 0.5]}
    (tmp_path / "statenet.npz").touch()
    both = (compare_statenet.TUNED, compare_statenet.OF_CONFIG)
    monkeypatch.setattr(compare_statenet, "outcomes", outcomes)
    monkeypatch.setattr(compare_statenet, "chosen_rates", lambda kinds: dict.fromkeys(both, (0.001, 0.5)))
    monkeypatch.setattr(compare_statenet, "on_small", lambda *_: small)
    monkeypatch.setattr(compare_statenet, "course_of", lambda arm: {name: [0.0] * 50 for name in programs.UNITS})
    monkeypatch.setattr(compare_statenet.statenet_network, "load", lambda path: path.name)
    monkeypatch.setattr(lab, "keep_compiled_programs", lambda: None)
    monkeypatch.setattr("sys.argv", ["compare_statenet.py", "--out", str(tmp_path)])
    stopping = True
    with pytest.raises(KeyboardInterrupt):
        compare_statenet.main()
    stopping = False
    compare_statenet.main()
    assert len(measured) == 9
    compare_statenet.main()
    assert len(measured) == 9
    assert capsys.readouterr().out.count("tuned course of c, sigma alone") == 6
    kept = json.loads((tmp_path / "compare_statenet.json").read_text())
    assert kept["network"] == "statenet.npz"
    assert kept["small"]["statenet.npz"]["difference"][0] == -1.0
    gaps = {"R_difference": [0, 0, 0], "steps_difference": [0, 0, 0]}
    one = {"R": [1.0, 2.0], "steps": [5, 6], "met": 2, "means": {"c": 2.0}}
    assert kept["arms"]["StateNet"] == one | gaps
    assert kept["arms"][compare_statenet.TUNED] == one
    monkeypatch.setattr("sys.argv", ["compare_statenet.py", "--out", str(tmp_path), "--again"])
    compare_statenet.main()
    assert len(measured) == 18


def test_results_on_top_of_other_schedules_are_refused(tmp_path, monkeypatch, capsys):
    parts = {"tune": {"changes": {"a": 1}}, "course": {"base": {"a": 1}}, "train": {"base": {"a": 2}}}
    (tmp_path / "meta_train_statenet.json").write_text(json.dumps(parts))
    monkeypatch.setattr("sys.argv", ["compare_statenet.py", "--out", str(tmp_path)])
    with pytest.raises(SystemExit):
        compare_statenet.main()
    assert "train in" in capsys.readouterr().err
