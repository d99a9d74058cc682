"""The command python -m ternary_jax.analyze, on synthetic workdirs."""

import json

import histories
import numpy as np
import pytest
from matplotlib import image

from ternary_jax import analyze
from ternary_jax.metric import Criteria, Metric
from ternary_jax.workdir import files, summary

NAN = float("nan")
METRICS = (
    Metric("score", 1, 1.0, 0.0, NAN),
    Metric("order", -1, -0.83205, 0.0, NAN),
    Metric("q", 1, 2.1616, 0.0, NAN),
    Metric("held_out_score", 1, 1.0, 0.0, NAN, gap="score_gap"),
)
ASKED = {"score": (0.80, 0.95, 0.99, 1.0), "order": (-0.5, -0.7, -0.8, -0.82), "q": (1.0, 1.5, 2.0, 2.2)}
LEVELS = ("Minimal", "Good", "Excellent", "Exceptional")
CRITERIA = Criteria(
    "this model",
    {level: {name: asked[k] for name, asked in ASKED.items()} for k, level in enumerate(LEVELS)},
    {"score": 0.95, "order": -0.70},
    2000.0,
)
N = 120


def rows_of(kind, runs, n=N):
    """Rows of these histories: score, held_out_score, and order, the negative of the third metric."""
    made = getattr(histories, kind)(np.random.default_rng(0), runs=runs, n=n, noise=0.002, **KINDS[kind])
    for e in range(n):
        for k in range(runs):
            figures = made.metrics[k, e].tolist()
            yield {
                **dict(run=k, seed=k, step=10 * (e + 1), epoch=e + 1.0, wall_s=1.0 + e, samples_per_s=5000.0),
                **dict(loss=made.loss[k, e], gradient_norm=1.0 if e < 60 else 3.0),
                **{"rate/a": made.controls[k, e, 0], "score": figures[0], "order": -figures[2]},
                **dict(held_out_score=figures[1], score_gap=1 - figures[1]),
                **({"q": 1.7} if e == n - 1 else {}),
            }


KINDS = {"steady": {}, "grokked": dict(at=80, height=0.69, width=0.3), "dropped": dict(at=80)}


def workdir(folder, kind="grokked", runs=2, finished=True, hypers=lambda k: {"rate": 0.1}, change=lambda row: row):
    """A synthetic workdir, of a finished training or of one under way."""
    folder.mkdir()
    config = {"task": "toy", "runs": runs, "train.epochs": N, "train.steps": 0, "train.schedule": "constant"}
    config |= {"evaluate.cheap_every": 1, "log.tensorboard": False}
    config |= {f"grokking.{name}": value for name, value in histories.STANDARD._asdict().items()}
    files.write_json(folder / "config.json", config | {"grokking.on": False, "grokking.metrics": []})
    lines = [json.dumps(change(row)) + "\n" for row in rows_of(kind, runs)]
    (folder / "metrics.jsonl").write_text("".join(lines) + ("" if finished else lines[0][:20]))
    stop = {"reason": "epochs done", "step": 10 * N, "detail": ""}
    ran = [{"run": k, "seed": k, "hypers": hypers(k), "stop": stop} for k in range(runs)]
    told = {"finished": finished, "criteria": [CRITERIA._asdict()]}
    files.write_json(folder / "summary.json", summary.summarise([], "made up", METRICS, ran, {}, **told))
    return folder


def edit(file, **changes):
    """Change values of a JSON file; `__` in a key stands for a dot."""
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def answer(capsys, *args) -> tuple[object, str, str]:
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
    assert "held_out_score: 2 of 2 runs delayed generalisation (grokking)" in out
    assert "no interval from less than 6 runs" in out
    assert "yes  a confirmed grokking event: 2 of 2 runs" in out
    assert "no   logs and checkpoints: missing: checkpoints" in out
    found = json.loads((folder / "analysis.json").read_text())
    for run in found["runs"]:
        (rise,) = run["rises"]
        assert rise["epoch"] == pytest.approx(80, abs=2)
        assert rise["gain"] == pytest.approx(0.69, abs=0.05)
        assert set(rise["checked"].values()) == {"ruled out"}
        assert run["generalisation"]["held_out_score"]["t_fit"] == 10
        assert any(abs(place["epoch"] - 81) <= 1 for place in run["change_points"]["score"])
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
        order = {0: -0.83, 1: -0.78, 2: -0.95}[row["run"]]
        return row | (dict(score=0.995, order=order, q=2.05) if good else {})

    folder = workdir(tmp_path / "run", "steady", runs=3, change=ends_well)
    _, out, _ = answer(capsys, folder, "--no-figures")
    assert "success of this model " in out
    lines = {line.split()[0]: line for line in reversed(out.splitlines()) if line}
    assert lines["Minimal"].split("-0.5:")[1].split() == ["2", "of", "3", "1:", "3", "of", "3", "2", "of", "3"]
    assert lines["Good"].endswith("2 of 3")
    assert "-0.8: 1 of 3" in lines["Excellent"]
    assert lines["Excellent"].endswith("1 of 3")
    assert lines["Exceptional"].endswith("not possible")
    assert "Exceptional asks for q 2.2; the best is 2.1616" in out
    assert "order is beyond its best in run 2: a collapse, in which values tie, or an altered log; no level is" in out
    assert "no   order of -0.70 or less, without collapse: 2 of 3 runs" in out
    assert "beyond the best in run 2" in out
    assert "yes  score of 0.95 or more, without collapse: 3 of 3 runs" in out
    assert "yes  more than 2,000 samples/s: median 15,000" in out
    found = json.loads((folder / "analysis.json").read_text())
    assert found["success"]["this model"]["reached"] == ["Excellent", "Good", "none"]


def test_a_run_beyond_the_best_reaches_no_level_also_one_that_does_not_ask_for_that_metric(tmp_path, capsys):
    folder = workdir(tmp_path / "run", "steady", runs=1, change=lambda row: row | dict(score=0.9, order=-0.95))
    levels = {"Low": {"score": 0.8}, "High": {"score": 0.85, "order": -0.7}}
    edit(folder / "summary.json", criteria=[CRITERIA._replace(levels=levels)._asdict()])
    _, out, _ = answer(capsys, folder, "--no-figures")
    assert json.loads((folder / "analysis.json").read_text())["success"]["this model"]["reached"] == ["none"]
    assert "order is beyond its best in run 0: a collapse" in out


def test_an_unfinished_run_is_analysed_without_the_line_that_is_being_written(tmp_path, capsys):
    status, out, _ = answer(capsys, workdir(tmp_path / "run", "steady", finished=False), "--no-figures")
    assert status == 0
    assert f"2 runs, {N} evaluations each; not finished: epoch {N} of {N}" in out
    assert "no   finished" in out


def test_without_a_held_out_set_generalisation_is_not_assessed(tmp_path, capsys):
    def trained_on(row):
        return {k: v for k, v in row.items() if k not in ("held_out_score", "score_gap")}

    folder = workdir(tmp_path / "run", change=trained_on)
    _, out, _ = answer(capsys, folder, "--no-figures")
    assert "2 of 2 runs not assessable: no held-out set" in out


def test_metrics_are_watched_as_asked_and_one_that_is_another_confirms_nothing(tmp_path, capsys):
    folder = workdir(tmp_path / "run", change=lambda row: row | {"held_out_score": row["score"] + 1e-4})
    _, out, _ = answer(capsys, folder, "--no-figures")
    assert "watched: score, order\n" in out
    _, out, _ = answer(capsys, folder, "--no-figures", "--metrics=score,held_out_score")
    assert "events: not looked for, as fewer than 2 metrics have a scale (score)" in out


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
        ratio = group["metrics"]["held_out_score"]["ratio"]
        assert ratio["runs"] == 10
        assert 75 < ratio["low"] <= ratio["median"] <= ratio["high"] < 90
    assert " 10 runs of rate 0.2\n" in out


def test_a_run_with_nothing_held_out_takes_no_metric_from_the_others(tmp_path, capsys):
    """A metric that only some evaluations measure is not watched."""

    def change(row):
        rare = {} if row["epoch"] % 10 else {"q": 0.02 * row["epoch"]}
        gone = {"held_out_score": None, "score_gap": None} if row["run"] == 1 else {}
        return {name: x for name, x in row.items() if name != "q"} | rare | gone | {"score": row["score"] / 2}

    folder = workdir(tmp_path / "run", runs=2, change=change)
    _, out, err = answer(capsys, folder, "--no-figures", "--metrics=held_out_score,order,q")
    assert err == ""
    assert "watched: order, held_out_score\n" in out
    assert "events: 1 of 1 rises" in out
    found = json.loads((folder / "analysis.json").read_text())
    assert found["runs"][0]["change_points"]["held_out_score"]
    assert not found["runs"][1]["change_points"]["held_out_score"]
    assert "  held_out_score: 1 of 2 runs delayed generalisation (grokking)" in out


def test_what_was_not_measured_is_said_and_reaches_no_level(tmp_path, capsys):
    folder = workdir(tmp_path / "run", runs=1, change=lambda row: {k: x for k, x in row.items() if k != "order"})
    told = json.loads((folder / "summary.json").read_text())
    del told["metrics"]["order"]
    (folder / "summary.json").write_text(json.dumps(told))
    status, out, err = answer(capsys, folder, "--no-figures")
    assert (status, err) == (0, "")
    assert "order was not measured, so no level is reached" in out
    assert "?    order of -0.7: not measured" in out
    lines = {line.split()[0]: line for line in reversed(out.splitlines()) if line}
    assert " ".join(lines["Minimal"].split()).endswith("-0.5: 0 of 1 1: 1 of 1 0 of 1")


def test_without_criteria_no_success_is_reported(tmp_path, capsys):
    folder = workdir(tmp_path / "run")
    edit(folder / "summary.json", criteria=[])
    status, out, _ = answer(capsys, folder, "--no-figures")
    assert status == 0
    assert "success of" not in out
    assert "samples/s" not in out


def test_a_run_that_is_counted_in_steps_is_told_in_steps(tmp_path, capsys):
    """The report uses steps even if the rows have epochs."""
    folder = workdir(tmp_path / "run", finished=False)
    edit(folder / "config.json", train__epochs=0, train__steps=10 * N)
    status, out, _ = answer(capsys, folder)
    assert status == 0
    assert f"not finished: step {10 * N} of {10 * N}" in out
    assert "run 0, step 8" in out
    assert "phases, by steps" in out
    known = workdir(tmp_path / "epochs", change=lambda row: {k: x for k, x in row.items() if k != "epoch"})
    edit(known / "config.json", train__epochs=0, train__steps=10 * N)
    _, other, _ = answer(capsys, known)
    assert other.partition("phases")[2].split("\n\n")[:2] == out.partition("phases")[2].split("\n\n")[:2]


def test_a_run_too_short_for_an_event_is_not_reported_as_without_one(tmp_path, capsys):
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


@pytest.mark.parametrize(("column", "bar"), [("control/x", "explains it"), ("control/one/x", "ruled out")])
def test_a_knob_explains_a_rise_and_what_a_controller_reports_does_not(column, bar, tmp_path, capsys):
    folder = workdir(tmp_path / "run", runs=1, change=lambda row: row | {column: 1.0 if row["epoch"] < 79 else 2.0})
    answer(capsys, folder, "--no-figures")
    (rise,) = json.loads((folder / "analysis.json").read_text())["runs"][0]["rises"]
    assert rise["checked"]["schedule"] == bar


def test_runs_keep_their_hyperparameters_where_one_of_them_has_no_rows(tmp_path, capsys):
    folder = workdir(tmp_path / "run", runs=3, hypers=lambda k: {"rate": float(k)})
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(line for line in lines if json.loads(line)["run"] != 0))
    answer(capsys, folder, "--no-figures")
    runs = json.loads((folder / "analysis.json").read_text())["runs"]
    assert [(run["run"], run["hypers"]) for run in runs] == [(1, {"rate": 1.0}), (2, {"rate": 2.0})]


def test_phases_of_the_schedule_are_told_and_drawn(tmp_path, capsys):
    folder = workdir(tmp_path / "run")
    _, out, _ = answer(capsys, folder)
    assert "phases of the schedule" not in out
    before = (folder / "analysis.png").read_bytes()
    phases = {"shapes": ["cosine", "linear"], "epochs": [80, 40], "rates": [1.0, 0.1]}
    changes = {f"train.phase_{name}": x for name, x in phases.items()}
    edit(folder / "config.json", train__schedule="phases", **changes)
    _, out, _ = answer(capsys, folder)
    assert "phases of the schedule: cosine x 1 to epoch 80, linear x 0.1 to epoch 120\n" in out
    found = json.loads((folder / "analysis.json").read_text())["phases"]
    assert found[1] == {"shape": "linear", "rate": 0.1, "begin": 80, "end": 120}
    assert (folder / "analysis.png").read_bytes() != before


def test_it_watches_what_the_detector_of_the_run_did(tmp_path, capsys):
    folder = workdir(tmp_path / "run")
    for on, watched in ((True, "order, held_out_score"), (False, "score, order")):
        edit(folder / "config.json", grokking__on=on, grokking__metrics=["held_out_score", "order"])
        _, out, _ = answer(capsys, folder, "--no-figures")
        assert f"watched: {watched}\n" in out
    _, out, _ = answer(capsys, folder, "--no-figures", "--metrics=order,held_out_score")
    assert "watched: order, held_out_score\n" in out
