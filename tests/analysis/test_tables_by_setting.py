"""Tables with a row for each setting, at the end of a run and in the analysis of one or several workdirs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from few_rows import NAN, describe, finished, row
from test_analyze import N, answer, edit, workdir

from ternary_jax import analyze, tables
from ternary_jax.analysis import settings, summary_table
from ternary_jax.metric import Metric

ROOT = Path(__file__).parents[2]
METRICS = {name: Metric(name, better, best, 0.0, NAN) for name, better, best in (("a", 1, 1.0), ("b", -1, 0.2))}


def run(k, final, stop="epochs done", **hypers):
    return {"run": k, "hypers": hypers, "final": final, "stop": {"reason": stop}}


def test_a_setting_has_the_median_and_the_worst_of_its_runs_and_counts_those_that_diverged():
    runs = [
        run(0, {"a": 0.5, "b": 0.3}, rate=0.1, seed=0),
        run(1, {"a": 0.7, "b": 0.5}, rate=0.1, seed=1),
        run(2, {"a": 0.9}, "diverged", rate=0.2, seed=0),
        run(3, {"a": NAN, "b": 0.4}, rate=0.2, seed=1),
    ]
    found = settings.settings(runs, METRICS)
    assert [one["hypers"] for one in found] == [{"rate": 0.1}, {"rate": 0.2}]
    assert [(one["runs"], one["diverged"]) for one in found] == [([0, 1], []), ([2, 3], [2])]
    assert found[0]["metrics"]["a"] == {"median": pytest.approx(0.6), "worst": 0.5, "measured": 2}
    assert found[0]["metrics"]["b"] == {"median": pytest.approx(0.4), "worst": 0.5, "measured": 2}
    lines = settings.table(found, {"a": METRICS["a"]}).splitlines()
    assert lines[0].split() == ["rate", "runs", "diverged", "a"]
    assert lines[1].split() == ["0.1", "2", "0", "0.60000", "(0.50000)"]
    assert lines[2].split() == ["0.2", "2", "1", "0.90000", "(0.90000)", "of", "1", "runs"]
    assert [line.split() for line in lines[3:5]] == [["ceiling", "1"], ["chance", "0"]]
    assert lines[5].endswith("; 1 more metric is in summary.json")


def test_a_table_has_four_metrics_and_five_keys_at_most_and_names_the_other_keys():
    metrics = {name: Metric(name, 1, NAN, NAN, NAN) for name in "uvwxyz"}
    runs = [run(k, dict.fromkeys("uvwyz", 1.0)) | {"hypers": {f"k{j}": k for j in range(7)}} for k in range(2)]
    found = settings.settings(runs, metrics)
    columns = settings.chosen(found, metrics, ["z", "x"])
    assert [*columns] == ["z", "u", "v", "w"]  # no run has measured x
    lines = settings.table(found, columns).splitlines()
    assert lines[0].split() == ["k0", "k1", "k2", "k3", "k4", "runs", "z", "u", "v", "w"]
    assert lines[1].split()[-4:] == ["1.00000"] * 4  # the one run of a setting is its own median
    assert lines[-1] == "they also differ in k5, k6"


def test_the_end_of_a_run_has_a_row_for_each_setting_and_what_to_do_next():
    rows = [row(300, k, coverage=c, hierarchy=h) for k, (c, h) in enumerate([(0.5, -0.8), (NAN, 0.2), (0.7, -0.6)])]
    summary = finished(rows, 3, {"hierarchy": -0.5}, watch="coverage")
    told = summary_table.text(summary).splitlines()
    assert told[2].split() == ["train.learning_rate", "runs", "diverged", "hierarchy", "coverage"]
    assert [line.split() for line in told[3:6]] == [
        ["0.001", "1", "0", "-0.80000", "0.50000"],
        ["0.002", "1", "1", "0.20000", "-"],
        ["0.003", "1", "0", "-0.60000", "0.70000"],
    ]
    assert [describe(k)["hypers"]["train.learning_rate"] for k in range(3)] == [0.001, 0.002, 0.003]
    for one in summary["runs"]:
        one["hypers"] = {"train.learning_rate": 0.1, "data.split_seed": one["run"]}
    assert summary_table.text(summary).splitlines()[2].split()[:3] == ["metric", "median", "worst"]
    assert summary_table.places("a b").splitlines() == ["in a b", 'in Python: ternary_jax.workdir.open("a b")']
    ended, asks = {"finished": True}, "or ask: this"
    assert summary_table.next_steps(ended, "runs/a b", "") == "next: python -m ternary_jax.analyze 'runs/a b'"
    told = summary_table.next_steps(ended | {"describes": True}, "runs/a b", "", "runs/a b/report.html", "this")
    assert told.splitlines() == ["next: open runs/a b/report.html in a browser", asks]
    assert summary_table.next_steps({"finished": False, "describes": True}, "a", "again") == "to go on: again"


def ends(row):
    return row | ({"score": 0.5 + 0.1 * row["run"]} if row["epoch"] == N else {})


def test_an_analysis_has_a_row_for_each_setting_and_pools_no_medians(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tables, "WIDTH", 1000)
    folder = workdir(tmp_path / "run", "steady", runs=4, change=ends, hypers=lambda k: {"rate": 0.1 + k // 2})
    told = json.loads((folder / "summary.json").read_text())
    told["runs"][3]["stop"]["reason"] = "diverged"
    (folder / "summary.json").write_text(json.dumps(told))
    edit(folder / "config.json", stop__watch="order", targets__held_out_score=0.9)
    status, out, _ = answer(capsys, folder, "--no-figures")
    assert status == 0
    table = out[out.index("\nrate ") + 1 :].splitlines()
    assert table[0].split() == ["rate", "runs", "diverged", "held_out_score", "order", "score", "q"]
    assert [line.split()[:3] for line in table[1:3]] == [["0.1", "2", "0"], ["1.1", "2", "1"]]
    assert "0.55000 (0.50000)" in table[1]
    assert "0.75000 (0.70000)" in table[2]
    assert "score of 0.95 or more, without collapse: 0 of 4 runs: medians of 2 settings from 0.55000 to 0.75000" in out
    assert "\nmedian " not in out
    edit(folder / "summary.json", runs=[one | {"hypers": {"rate": 0.1}} for one in told["runs"]])
    _, out, _ = answer(capsys, folder, "--no-figures")
    assert "\nrate " not in out
    assert "median 0.65000" in out


def test_workdirs_are_compared_by_the_keys_in_which_they_differ(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tables, "WIDTH", 1000)
    one = workdir(tmp_path / "one", "steady", runs=2, change=ends, hypers=lambda k: {"rate": 0.1, "width": 1.0 + k})
    fifth = {
        "change": lambda row: ends(row) | {"seed": 5 + row["run"]},
        "hypers": lambda k: {"rate": 0.2, "width": 1.0},
    }
    two = workdir(tmp_path / "two", "steady", runs=2, **fifth)
    edit(one / "config.json", log__tensorboard=True, model__layers=[3, 4], seed=0)
    edit(two / "config.json", model__layers=[5], model__skip=False, seed=5)
    edit(two / "summary.json", finished=False)
    before = {path: path.read_bytes() for folder in (one, two) for path in folder.iterdir()}
    status, out, err = answer(capsys, one, two, f"{one}/")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "made up, 2 workdirs, 4 runs"
    assert lines[2].split()[:6] == ["workdir", "width", "model.layers", "model.skip", "rate", "runs"]
    assert lines[2].split()[5:] == ["runs", "score", "order", "q", "held_out_score"]
    rows = [line.split() for line in lines[3:6]]
    assert [cells[:7] for cells in rows] == [
        [str(one), "1", "3,4", "-", "0.1", "1", "0.50000"],
        [str(one), "2", "3,4", "-", "0.1", "1", "0.60000"],
        [str(two), "1", "5", "False", "0.2", "2", "0.55000"],
    ]
    assert "they also differ in log.tensorboard" in lines
    assert "mean over seeds [its 95 % interval, by Student's t]" in out
    assert "more metric" not in out
    assert rows[2][6:8] == ["0.55000", "(0.50000)"]
    assert lines[-1] == f"{two} is not finished: epoch {N} of {N}"
    assert "best is" not in out
    assert {path: path.read_bytes() for folder in (one, two) for path in folder.iterdir()} == before
    _, out, _ = answer(capsys, one, two, "--metrics=q,score")
    assert out.splitlines()[2].split()[-3:] == ["runs", "q", "score"]
    assert "; 2 more metrics are shown if --metrics names them, such as order\n" in out


def test_a_table_of_a_training_under_way_names_the_file_that_has_the_other_metrics(tmp_path, capsys):
    folder = workdir(tmp_path / "run", "steady", finished=False, hypers=lambda k: {"rate": 0.1 + k})
    told = json.loads((folder / "summary.json").read_text())
    told["metrics"] |= {"speed": told["metrics"]["q"]}
    (folder / "summary.json").write_text(json.dumps(told))
    _, out, _ = answer(capsys, folder, "--no-figures")
    assert "; 1 more metric is in analysis.json\n" in out
    assert "speed" in json.loads((folder / "analysis.json").read_text())["settings"][0]["metrics"]


def test_what_cannot_be_compared_is_one_sentence(tmp_path, capsys):
    one, two, other = (workdir(tmp_path / name, "steady") for name in ("one", "two", "other"))
    (tmp_path / "no").mkdir()
    edit(other / "config.json", task="else")
    cases = [
        ([one, tmp_path / "no"], "so it is no workdir"),
        ([one, other], f"{one} is of the task toy, {other} of else: only workdirs of one task can be compared"),
        ([one, two, "--metrics=speed"], "--metrics=speed is not a metric of all these workdirs: name some of score, "),
    ]
    for args, words in cases:
        status, out, err = answer(capsys, *args)
        assert (status, out, len(err.splitlines())) == (2, "", 1)
        assert words in err


def test_a_reader_that_has_gone_ends_the_output_quietly(tmp_path, monkeypatch):
    command = [sys.executable, "-m", "ternary_jax.main", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as one:
        assert one.stdout is not None
        one.stdout.close()
        assert one.wait(timeout=30) == 141  # of a tool that SIGPIPE ends, in a shell
        assert one.stderr is not None
        assert one.stderr.read() == b""
    folder = workdir(tmp_path / "run", "steady", runs=1)
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        with pytest.raises(SystemExit) as end:
            analyze.main([str(folder), "--no-figures"])
    assert end.value.code == 141
    assert (folder / "analysis.json").exists()
