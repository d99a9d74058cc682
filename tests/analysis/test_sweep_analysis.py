"""The analysis of sweeps: means and intervals of settings, pairing by seed, and what is called best."""

import json
import shutil

import numpy as np
import pytest
from scipy import stats

from ternary_jax import analyze
from ternary_jax.analysis import intervals, means
from ternary_jax.metric import Metric

SCORE = {"score": Metric("score", 1, 1.0, 0.0, 0.0), "error": Metric("error", -1, 0.0, float("nan"), 1.0)}
SEEDS = range(8)
NOISE = np.random.default_rng(0).normal(0, 1, (3, len(SEEDS)))


def runs(shifts, spread=0.01, shared=5.0, ending=lambda k, seed: "epochs done"):
    """Runs of the settings {rate: k}: score = shift of the setting + noise of the seed, which all settings share."""
    return [
        means.Measured({"rate": k}, seed, ending(k, seed), {"score": score, "error": -score})
        for k, shift in enumerate(shifts)
        for seed in SEEDS
        for score in [float(shift + shared * NOISE[0, seed] + spread * NOISE[1, seed] * (k + 1))]
    ]


def test_a_setting_has_the_mean_over_its_seeds_and_its_interval():
    found = means.analyse(runs([0, 1]), SCORE)
    assert [one["setting"] for one in found["settings"]] == [{"rate": 0}, {"rate": 1}]
    values = np.array([run.final["score"] for run in runs([0, 1])[8:]], float)
    one, by_scipy = found["settings"][1]["metrics"]["score"], stats.ttest_1samp(values, 0).confidence_interval()
    assert (one["mean"], one["low"], one["high"]) == pytest.approx((values.mean(), by_scipy.low, by_scipy.high))


def test_the_best_is_found_by_pairs_where_the_seeds_differ_more_than_the_settings():
    paired = means.analyse(runs([0, 0.2, 0.1]), SCORE)
    for name in SCORE:  # error is minus the score, and lower is better
        verdict = paired["verdicts"][name]
        assert (verdict["lead"], verdict["best"]) == (1, True)
        assert all(one["paired"] for one in verdict["differences"])
    lead, other = (
        {run.seed: run.final["score"] or 0.0 for run in runs([0, 0.2, 0.1]) if run.setting["rate"] == k} for k in (1, 2)
    )
    together = intervals.difference(lead, other, 1 - 0.05 / 2)  # of two differences
    found = paired["verdicts"]["score"]["differences"][1]
    assert (found["setting"], found["low"], found["high"]) == (2, together.low, together.high)
    moved = [run._replace(seed=run.seed + 100 * run.setting["rate"]) for run in runs([0, 0.2, 0.1])]
    verdict = means.analyse(moved, SCORE)["verdicts"]["score"]
    assert (verdict["lead"], verdict["best"]) == (1, False)
    assert not any(one["paired"] for one in verdict["differences"])


def test_one_of_two_equal_settings_is_called_best_in_5_of_100_draws():
    rng, called = np.random.default_rng(3), 0
    for _ in range(400):
        drawn = rng.normal(0, 1, (2, len(SEEDS)))
        equal = [means.Measured({"rate": k}, seed, "", {"score": drawn[k, seed]}) for k in range(2) for seed in SEEDS]
        called += means.analyse(equal, {"score": SCORE["score"]})["verdicts"]["score"]["best"]
    assert 0.02 * 400 < called < 0.08 * 400  # three standard deviations are 0.033


def test_no_setting_is_best_before_all_runs_have_ended_or_beside_one_without_a_value():
    waiting = runs([0, 1], ending=lambda k, seed: "not begun" if (k, seed) == (0, 3) else "epochs done")
    found = means.analyse(waiting, SCORE)
    assert not found["verdicts"]["score"]["best"]
    assert "none is called best: rate 1 has the best mean, and 1 of all runs have not ended" in means.text(found, SCORE)
    without = runs([0, 1]) + [run._replace(setting={"rate": 2}, final={"score": None}) for run in runs([0])]
    assert "rate 1 has the best mean, and rate 2 has no value" in means.text(means.analyse(without, SCORE), SCORE)


def test_a_setting_with_diverged_or_missing_runs_is_not_called_best():
    diverged = runs([0, 1], ending=lambda k, seed: "diverged" if (k, seed) == (1, 3) else "epochs done")
    found = means.analyse(diverged, SCORE)
    assert found["settings"][1]["diverged"] == 1
    assert not found["verdicts"]["score"]["best"]
    assert "none is called best: rate 1 has the best mean, and 1 of its runs diverged" in means.text(found, SCORE)
    missing = [run._replace(final={"score": None}) if run.seed == 2 else run for run in runs([0, 1])]
    assert means.analyse(missing, SCORE)["settings"][0]["metrics"]["score"]["n"] == 7
    assert "of 7" in means.text(means.analyse(missing, SCORE), SCORE)


def test_a_missing_value_loses_its_pair_alone_and_the_pairs_are_counted():
    shifts, lost = [0, 0.2, 0.1], {(0, 2), (0, 5), (1, 3)}
    missing = [
        run._replace(final={"score": None}) if (run.setting["rate"], run.seed) in lost else run for run in runs(shifts)
    ]
    found = means.analyse(missing, SCORE)
    values = [{run.seed: run.final["score"] or 0.0 for run in runs(shifts) if run.setting["rate"] == k} for k in (0, 1)]
    both = [0, 1, 4, 6, 7]
    by_scipy = stats.ttest_rel([values[1][k] for k in both], [values[0][k] for k in both]).confidence_interval(0.975)
    first, second = found["verdicts"]["score"]["differences"]
    assert (first["low"], first["high"], first["n"], first["paired"]) == pytest.approx(
        (by_scipy.low, by_scipy.high, 5, True)
    )
    assert (second["n"], second["paired"]) == (7, True)
    text = means.text(found, {"score": SCORE["score"]})
    assert "against rate 2 in 7 pairs of 8 seeds (paired by seed; intervals of all 2 differences together 95 %)" in text
    assert "pairs" not in means.text(means.analyse(runs(shifts), SCORE), SCORE)
    waiting = [run._replace(final={}, ending="not begun") if run.seed > 5 else run for run in runs([0, 1])]
    assert "against rate 0 in 6 pairs of 8 seeds" not in means.text(means.analyse(waiting, SCORE), SCORE)


def test_runs_with_one_seed_are_paired_in_their_order():
    """Two runs of each seed, as where several workdirs are one setting: a missing first one is no second one."""
    twice = []
    for run in runs([0, 0.2]):
        twice += [run, run._replace(final={"score": (run.final["score"] or 0) + 9})]
    missing = [run._replace(final={}) if k == 0 else run for k, run in enumerate(twice)]
    difference = means.analyse(missing, SCORE)["verdicts"]["score"]["differences"][0]
    assert (difference["n"], difference["paired"]) == (15, True)
    assert abs(difference["mean"]) < 1  # a first run that is paired with a second one would differ by 9


def test_a_lead_that_is_worse_in_the_pairs_is_said_to_be():
    """The seeds 6 and 7 are easy, and only the setting 1 has them."""
    easy = [run._replace(final={"score": 50.0}) if run.seed > 5 else run for run in runs([0.2, 0])]
    missing = [run for run in easy if run.seed < 6 or run.setting["rate"] == 1]
    text = means.text(means.analyse(missing, SCORE), {"score": SCORE["score"]})
    assert "none is best: rate 1 has the best mean, but is worse in the seeds of both: -" in text


def test_the_text_says_which_kind_of_interval_it_is():
    text = means.text(means.analyse(runs([0, 1]), SCORE), SCORE)
    assert "a cell: mean over seeds [its 95 % interval, by Student's t]" in text
    assert "score (higher is better): best is rate 1; the least certain difference is +" in text
    assert "error (lower is better): best is rate 1; the least certain difference is -" in text
    assert "against rate 0 (paired by seed; 95 % interval)" in text
    one_seed = means.text(means.analyse([run for run in runs([0, 1]) if run.seed == 0], SCORE), SCORE)
    assert "none is called best, as rate 0 or rate 1 has fewer than two values, so no interval" in one_seed


@pytest.fixture
def sweep(tmp_path):
    """The folder of a sweep that has ended, of 2 settings x 2 seeds in one workdir."""
    (folder := tmp_path / "sweep" / "group_000").mkdir(parents=True)
    settings = [{"rate": rate} for rate in (0.1, 0.2) for _ in range(2)]
    config = {"task": "made_up", "runs": 4, "seed": [0, 1, 0, 1], "rate": [0.1, 0.1, 0.2, 0.2], "stop.watch": "score"}
    about = {"costly": False, "tolerance": 1e-4, "held_out_of": "", "gap": "", "chance": None, "untrained": None}
    ends = {"stop": {"reason": "epochs done", "step": 3, "detail": ""}, "best": {}, "hypers": {}}
    each = [{"run": k, "seed": k % 2, "final": {"score": 0.5 + 0.1 * k}, **ends} for k in range(4)]
    summary = {"finished": True, "metrics": {"score": about | {"better": "higher", "ceiling": 1.0}}, "runs": each}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "summary.json").write_text(json.dumps(summary))
    index = {
        "groups": [{"static": {}, "config": config, "batches": [{"folder": "group_000", "runs": [0, 1, 2, 3]}]}],
        "runs": [{"run": k, "settings": settings[k], "seed": k % 2} for k in range(4)],
    }
    about = {"format": 1, "name": "made_up", "keys": ["rate"], "seeds": 2}
    (tmp_path / "sweep" / "index.json").write_text(json.dumps(about | index))
    return tmp_path / "sweep"


def test_the_command_prints_a_sweep_and_draws_it(sweep, capsys, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    analyze.main([str(sweep)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{sweep}: 4 runs: 4 epochs done"
    assert [line.split()[:3] for line in lines[3:5]] == [["0.1", "2", "0.55000"], ["0.2", "2", "0.75000"]]
    assert lines[-1] == f"in {sweep}: analysis.json, analysis.png"
    assert json.loads((sweep / "analysis.json").read_text())["settings"][1]["seeds"] == [0, 1]
    assert (sweep / "analysis.png").read_bytes().startswith(b"\x89PNG")


def test_runs_that_differ_in_seeds_of_any_name_are_one_setting(sweep, capsys):
    """As in configs/grok_addition.py, whose sweep(add) gives each seed a split of its own."""
    index = json.loads((sweep / "index.json").read_text())
    index["keys"].append("data.split_seed")
    for run in index["runs"]:
        run["settings"]["data.split_seed"] = run["seed"]
    (sweep / "index.json").write_text(json.dumps(index))
    config = json.loads((file := sweep / "group_000" / "config.json").read_text())
    file.write_text(json.dumps(config | {"data.split_seed": [run["seed"] for run in index["runs"]]}))
    analyze.main([str(sweep), "--no-figures"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines[2:5]] == [
        ["rate", "seeds", "score"],
        ["0.1", "2", "0.55000"],
        ["0.2", "2", "0.75000"],
    ]


def test_several_sweeps_are_compared_by_folder_and_other_things_are_refused(sweep, capsys, tmp_path):
    shutil.copytree(sweep, other := tmp_path / "other")
    analyze.main([str(sweep), str(other)])
    out = capsys.readouterr().out
    assert out.splitlines()[2].split() == ["sweep", "rate", "seeds", "score"]
    assert not (sweep / "analysis.json").exists()
    for args, words in (
        ([sweep, "--metrics=speed"], "--metrics=speed is no metric of this sweep: name some of score"),
        ([sweep, other / "group_000"], "is the workdir of a single training, and others are sweeps: give sweeps alone"),
    ):
        with pytest.raises(SystemExit):
            analyze.main([*map(str, args)])
        assert words in capsys.readouterr().err
