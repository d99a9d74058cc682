"""python -m ternary_jax.analyze, on workdirs that were made up, as a person meets it."""

import json
import math
from pathlib import Path

import histories
import numpy as np
import pytest
from matplotlib import image

from ternary_jax import analyze, findings
from ternary_jax.config import load_config, resolved
from ternary_jax.engine import train

BEST = {"coverage_B": 1.0, "hierarchy_B": -0.83205, "q_B": 2.1616, "held_out_coverage_B": 1.0}
N = 120


def rows_of(kind, runs, n=N):
    """coverage_B and held_out_coverage_B of these histories, and hierarchy_B of the third metric, turned over."""
    made = getattr(histories, kind)(np.random.default_rng(0), runs=runs, n=n, noise=0.002, **KINDS[kind])
    for e in range(n):
        for k in range(runs):
            figures = made.metrics[k, e].tolist()
            yield {
                **dict(run=k, seed=k, step=10 * (e + 1), epoch=e + 1.0, wall_s=1.0 + e, samples_per_s=5000.0),
                **dict(loss=made.loss[k, e], gradient_norm=1.0 if e < 60 else 3.0),
                **{"rate/a": made.controls[k, e, 0], "coverage_B": figures[0], "hierarchy_B": -figures[2]},
                **dict(held_out_coverage_B=figures[1], coverage_gap_B=1 - figures[1]),
                **({"q_B": 1.7} if e == n - 1 else {}),
            }


KINDS = {"steady": {}, "grokked": dict(at=80, height=0.69, width=0.3), "dropped": dict(at=80)}


def workdir(folder, kind="grokked", runs=2, finished=True, hypers=lambda k: {"rate": 0.1}, change=lambda row: row):
    """As a training leaves it, or as it is under way."""
    folder.mkdir()
    config = {"task": "toy", "train.epochs": N, "evaluate.cheap_every": 1, "log.tensorboard": False}
    config |= {f"grokking.{name}": value for name, value in histories.STANDARD._asdict().items()}
    config |= {"grokking.on": False, "grokking.metrics": []}
    (folder / "config.json").write_text(json.dumps(config))
    lines = [json.dumps(change(row)) + "\n" for row in rows_of(kind, runs)]
    (folder / "metrics.jsonl").write_text("".join(lines) + ("" if finished else lines[0][:20]))
    about = {
        name: {"ceiling": best, "chance": 0.0, "untrained": None, "better": "lower" if best < 0 else "higher"}
        for name, best in BEST.items()
    }
    stop = {"reason": "epochs done", "step": 10 * N, "detail": ""}
    ran = [{"run": k, "seed": k, "hypers": hypers(k), "stop": stop} for k in range(runs)]
    summary = {"task": "made up", "finished": finished, "metrics": about, "runs": ran}
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def answer(capsys, *args):
    """Status, stdout, stderr."""
    try:
        analyze.main([str(arg) for arg in args])
        status = 0
    except SystemExit as e:
        status = e.code
    return status, *capsys.readouterr()


def test_a_grokked_run_is_told_and_written(tmp_path, capsys):
    folder = workdir(tmp_path / "run")
    status, out, err = answer(capsys, folder)
    assert (status, err) == (0, "")
    assert "events: 2 of 2 rises, 2 confirmed" in out
    assert "major event after a plateau" in out
    assert "ruled out: schedule, freeze, spike, precision" in out
    assert "held_out_coverage_B: 2 of 2 runs delayed generalisation (grokking)" in out
    assert "no interval from less than 6 runs" in out
    assert "yes  a confirmed grokking event: 2 of 2 runs" in out
    assert "no   logs and checkpoints: missing: checkpoints, embeddings" in out
    found = json.loads((folder / "analysis.json").read_text())
    for run in found["runs"]:
        (rise,) = run["rises"]
        assert rise["epoch"] == pytest.approx(80, abs=2)
        assert rise["gain"] == pytest.approx(0.69, abs=0.05)
        assert set(rise["checked"].values()) == {"ruled out"}
        assert run["generalisation"]["held_out_coverage_B"]["t_fit"] == 10
        assert any(abs(place["epoch"] - 81) <= 1 for place in run["change_points"]["coverage_B"])
        assert run["gradient_regimes"][0]["epoch"] == pytest.approx(61, abs=2)
    picture = image.imread(folder / "analysis.png")
    assert picture[..., :3].min() < 0.5 < picture[..., :3].max()


def test_a_drop_of_the_rate_explains_a_rise(tmp_path, capsys):
    status, out, _ = answer(capsys, workdir(tmp_path / "run", "dropped"), "--no-figures")
    assert status == 0
    assert "events: 0 of 2 rises" in out
    assert "no event after a plateau" in out
    assert "explained by schedule" in out
    assert not list((tmp_path / "run").glob("*.png"))


def test_levels_count_runs_say_what_is_not_possible_and_what_is_a_collapse(tmp_path, capsys):
    def ends_well(row):
        good = row["step"] == 10 * N
        hierarchy = {0: -0.83, 1: -0.78, 2: -0.95}[row["run"]]
        return row | (dict(coverage_B=0.995, hierarchy_B=hierarchy, q_B=2.05) if good else {})

    folder = workdir(tmp_path / "run", "steady", runs=3, change=ends_well)
    _, out, _ = answer(capsys, folder, "--no-figures")
    lines = {line.split()[0]: line for line in reversed(out.splitlines()) if line}
    assert lines["Minimal"].split("-0.5:")[1].split() == ["3", "of", "3", "1:", "3", "of", "3", "2", "of", "3"]
    assert lines["Good"].endswith("2 of 3")
    assert "-0.8: 2 of 3" in lines["Excellent"]
    assert lines["Excellent"].endswith("1 of 3")
    assert lines["Exceptional"].endswith("not possible")
    assert "Exceptional asks for q 2.2; the best is 2.1616" in out
    assert "run 2: hierarchy beyond its ceiling, a collapse" in out
    assert "no   hierarchy_B of -0.70 or less, without collapse: 2 of 3 runs" in out
    found = json.loads((folder / "analysis.json").read_text())
    assert found["success"]["B"]["reached"] == ["Excellent", "Good", "none"]


def test_an_unfinished_run_is_analysed_without_the_line_that_is_being_written(tmp_path, capsys):
    status, out, _ = answer(capsys, workdir(tmp_path / "run", "steady", finished=False), "--no-figures")
    assert status == 0
    assert f"2 runs, {N} evaluations each; not finished: epoch {N} of {N}" in out
    assert "no   finished" in out


def test_without_a_held_out_set_nothing_is_said_of_generalisation(tmp_path, capsys):
    def trained_on(row):
        return {k: v for k, v in row.items() if k not in ("held_out_coverage_B", "coverage_gap_B")}

    folder = workdir(tmp_path / "run", change=trained_on)
    _, out, _ = answer(capsys, folder, "--no-figures")
    assert "2 of 2 runs not assessable: no held-out set" in out


def test_metrics_are_watched_as_asked_and_one_that_is_another_confirms_nothing(tmp_path, capsys):
    folder = workdir(tmp_path / "run", change=lambda row: row | {"held_out_coverage_B": row["coverage_B"] + 1e-4})
    _, out, _ = answer(capsys, folder, "--no-figures")
    assert "watched: coverage_B, hierarchy_B\n" in out
    _, out, _ = answer(capsys, folder, "--no-figures", "--metrics=coverage_B,held_out_coverage_B")
    assert "events: not looked for, as fewer than 2 metrics have a scale (coverage_B)" in out


def test_many_runs_are_drawn_by_groups_that_differ_by_seeds(tmp_path, capsys):
    folder = workdir(tmp_path / "run", runs=20, hypers=lambda k: {"rate": 0.1 * (1 + k % 2), "data.split_seed": k})
    status, out, _ = answer(capsys, folder)
    assert status == 0
    assert "and 8 more, in analysis.json" in out
    assert {file.name for file in folder.glob("*.png")} == {"analysis_000.png", "analysis_001.png"}
    told = json.loads((folder / "analysis.json").read_text())["generalisation"]
    assert [(group["runs"][:2], len(group["runs"])) for group in told] == [([0, 2], 10), ([1, 3], 10)]
    assert [group["hypers"] for group in told] == [{"rate": 0.1}, {"rate": 0.2}]
    for group in told:
        ratio = group["metrics"]["held_out_coverage_B"]["ratio"]
        assert ratio["runs"] == 10
        assert 75 < ratio["low"] <= ratio["median"] <= ratio["high"] < 90
    assert " 10 runs of rate 0.2\n" in out


def test_a_run_with_nothing_held_out_takes_no_metric_from_the_others(tmp_path, capsys):
    """And one that only some evaluations have measured is none to watch."""

    def change(row):
        rare = {} if row["epoch"] % 10 else {"q_B": 0.02 * row["epoch"]}
        gone = {"held_out_coverage_B": None, "coverage_gap_B": None} if row["run"] == 1 else {}
        return (
            {name: x for name, x in row.items() if name != "q_B"} | rare | gone | {"coverage_B": row["coverage_B"] / 2}
        )

    folder = workdir(tmp_path / "run", runs=2, change=change)
    _, out, err = answer(capsys, folder, "--no-figures", "--metrics=held_out_coverage_B,hierarchy_B,q_B")
    assert err == ""
    assert "watched: hierarchy_B, held_out_coverage_B\n" in out
    assert "events: 1 of 1 rises" in out
    found = json.loads((folder / "analysis.json").read_text())
    assert found["runs"][0]["change_points"]["held_out_coverage_B"]
    assert not found["runs"][1]["change_points"]["held_out_coverage_B"]
    assert "  held_out_coverage_B: 1 of 2 runs delayed generalisation (grokking)" in out


def test_a_run_without_a_summary_has_the_references_of_its_task(tmp_path, capsys):
    """It is under way, or was killed."""
    folder = tmp_path / "run"
    train.run(load_config(Path(__file__).with_name("toy_config.py")), folder)
    whole = json.loads((folder / "summary.json").read_text())["metrics"]
    (folder / "summary.json").unlink()
    capsys.readouterr()
    status, out, err = answer(capsys, folder, "--no-figures")
    assert (status, err) == (0, "")
    assert "missing: summary.json" in out
    config = json.loads((folder / "config.json").read_text())
    for name, about in analyze.references(config, {}).items():
        told = {"ceiling": about["best"], "chance": about["chance"], "untrained": about["untrained"]}
        assert {k: None if math.isnan(x) else x for k, x in told.items()} == {k: whole[name][k] for k in told}


def test_runs_under_way_are_grouped_by_their_config(tmp_path, capsys):
    folder = workdir(tmp_path / "run", "steady", runs=3)  # as many as there are thresholds of gains
    (folder / "summary.json").unlink()
    config = load_config(Path(__file__).with_name("toy_config.py"), {"runs": 3, "train.weight_decay": (0.0, 2.0, 0.0)})
    (folder / "config.json").write_text(json.dumps(resolved(config)))
    status, _, err = answer(capsys, folder)
    assert (status, err) == (0, "")
    assert {file.name for file in folder.glob("*.png")} == {"analysis_000.png", "analysis_001.png"}
    told = json.loads((folder / "analysis.json").read_text())["generalisation"]
    assert [group["hypers"] for group in told] == [{"train.weight_decay": 0.0}, {"train.weight_decay": 2.0}]


def test_what_cannot_be_found_is_not_said_to_be_missing(tmp_path, capsys):
    folder = workdir(tmp_path / "run", runs=1)
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(lines[: histories.STANDARD.least() - 1]))
    _, out, _ = answer(capsys, folder, "--no-figures")
    assert "?    a confirmed grokking event: not looked for" in out
    assert "1 run, 12 evaluations" in out


def test_what_was_frozen_shows_by_its_rate_where_no_detector_has_said_so(tmp_path, capsys):
    folder = workdir(tmp_path / "run", change=lambda row: row | {"rate/b": 0.0 if row["epoch"] > 79 else 1.0})
    answer(capsys, folder, "--no-figures")
    for run in json.loads((folder / "analysis.json").read_text())["runs"]:
        assert not any(rise["event"] for rise in run["rises"])
        assert run["rises"][0]["checked"]["freeze"] == "explains it"


def test_phases_of_the_schedule_are_told_and_drawn(tmp_path, capsys):
    folder = workdir(tmp_path / "run")
    config = json.loads((folder / "config.json").read_text())
    _, out, _ = answer(capsys, folder)
    assert "phases of the schedule" not in out
    before = (folder / "analysis.png").read_bytes()
    phases = {"shapes": ["cosine", "linear"], "epochs": [80, 40], "rates": [1.0, 0.1]}
    config |= {"train.schedule": "phases", **{f"train.phase_{name}": x for name, x in phases.items()}}
    (folder / "config.json").write_text(json.dumps(config))
    _, out, _ = answer(capsys, folder)
    assert "phases of the schedule: cosine x 1 to epoch 80, linear x 0.1 to epoch 120\n" in out
    found = json.loads((folder / "analysis.json").read_text())["phases"]
    assert found[1] == {"shape": "linear", "rate": 0.1, "begin": 80, "end": 120}
    assert (folder / "analysis.png").read_bytes() != before


def test_it_watches_what_the_detector_of_the_run_did(tmp_path, capsys):
    folder = workdir(tmp_path / "run")
    config = json.loads((folder / "config.json").read_text())
    for on, watched in ((True, "hierarchy_B, held_out_coverage_B"), (False, "coverage_B, hierarchy_B")):
        own = {"grokking.on": on, "grokking.metrics": ["held_out_coverage_B", "hierarchy_B"]}
        (folder / "config.json").write_text(json.dumps(config | own))
        _, out, _ = answer(capsys, folder, "--no-figures")
        assert f"watched: {watched}\n" in out
    _, out, _ = answer(capsys, folder, "--no-figures", "--metrics=hierarchy_B,held_out_coverage_B")
    assert "watched: hierarchy_B, held_out_coverage_B\n" in out


def test_a_mistake_is_one_sentence_and_status_2(tmp_path, capsys):
    (tmp_path / "no").mkdir()
    empty = workdir(tmp_path / "empty", "steady")
    (empty / "metrics.jsonl").unlink()
    old = workdir(tmp_path / "old", "steady")
    (old / "config.json").write_text('{"task": "toy"}')
    for name in ("config.json", "summary.json", "metrics.jsonl"):
        (workdir(tmp_path / name, "steady") / name).write_text('{"half\n{}\n')
    cases = [
        *(([tmp_path / name], f"{name} is damaged") for name in ("config.json", "summary.json", "metrics.jsonl")),
        ([], "WORKDIR"),
        ([old], "was trained before there was config.grokking"),
        ([tmp_path / "nowhere"], "is no folder: give the --workdir of a training"),
        ([tmp_path / "no"], "no config.json, so it is no workdir"),
        ([empty], "has no evaluation yet: the first comes after 1 epochs"),
        ([tmp_path / "no", "--colour=red"], "--colour=red"),
        ([workdir(tmp_path / "run", "steady"), "--metrics=speed"], "--metrics=speed has no scale, or is no metric"),
    ]
    for args, words in cases:
        status, out, err = answer(capsys, *args)
        assert (status, out) == (2, "")
        assert len(err.splitlines()) == 1
        assert words in err


def test_infinite_is_said_and_what_is_not_known_is_null():
    given = {"a": math.inf, "b": math.nan, 3: np.array([1.0]), "c": (np.int64(2), True)}
    assert findings.plain(given) == {"a": "inf", "b": None, "3": [1.0], "c": [2, True]}
