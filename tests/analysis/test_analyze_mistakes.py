"""Mistakes of the command python -m ternary_jax.analyze: arguments, damaged and missing files, other task modules."""

import json

import pytest
from test_analyze import answer, workdir


def test_a_mistake_is_one_sentence_and_status_2(tmp_path, capsys):
    (tmp_path / "no").mkdir()
    begun = workdir(tmp_path / "begun", "steady", finished=False)
    (begun / "metrics.jsonl").unlink()
    (begun / "summary.json").unlink()
    old = workdir(tmp_path / "old", "steady")
    (old / "config.json").write_text('{"task": "toy", "runs": 2, "train.epochs": 1}')
    for name in ("config.json", "summary.json", "metrics.jsonl"):
        (workdir(tmp_path / name, "steady") / name).write_text('{"half\n{}\n')
    cases = [
        *(([tmp_path / name], f"{name} is damaged") for name in ("config.json", "summary.json", "metrics.jsonl")),
        ([], "WORKDIR"),
        ([old], "was trained before there was config.grokking"),
        ([tmp_path / "nowhere"], "is no folder: give the --workdir of a training"),
        ([tmp_path / "no"], "so it is no workdir"),
        ([begun], "begun has no evaluation yet: the first comes after 1 epochs; try again then, or start the training"),
        ([tmp_path / "no", "--colour=red"], "--colour=red; the flags are --metrics=NAME,NAME, --task=MODULE and --no-"),
        ([""], "WORKDIR is empty (an unset variable?): give the --workdir of a training"),
        ([begun, "--task="], "--task is empty (an unset variable?): name the task module of the training"),
        ([workdir(tmp_path / "run", "steady"), "--metrics=speed"], "--metrics=speed is no metric of this training"),
    ]
    for args, words in cases:
        status, out, err = answer(capsys, *args)
        assert (status, out) == (2, "")
        assert len(err.splitlines()) == 1
        assert words in err


@pytest.mark.parametrize("left", [None, b"", b'{"run": 0, "se'])
def test_a_finished_workdir_without_rows_is_not_said_to_wait_for_one(left, tmp_path, capsys):
    folder, other = workdir(tmp_path / "run", "steady"), workdir(tmp_path / "other", "steady")
    (folder / "metrics.jsonl").unlink()
    if left is not None:
        (folder / "metrics.jsonl").write_bytes(left)
    said = (
        f"{folder / 'metrics.jsonl'} has no rows, and summary.json says that the training is finished: put back a "
        "copy, or train again in another workdir\n"
    )
    assert answer(capsys, folder) == (2, "", said)
    assert answer(capsys, folder, other) == (2, "", said)


@pytest.mark.parametrize(
    ("reason", "detail", "words"),
    [
        ("diverged", "loss was not finite at step 3", "the training ended before: run 0 diverged at step 2 (loss was"),
        ("interrupted", "", "has no evaluation yet: the first comes after 1 epochs; try again then, or start the"),
    ],
)
def test_a_training_that_ended_before_its_first_evaluation_is_told_from_one_under_way(
    reason, detail, words, tmp_path, capsys
):
    folder = workdir(tmp_path / "run", "steady", finished=False)
    (folder / "metrics.jsonl").write_text("")
    told = json.loads((folder / "summary.json").read_text())
    for run in told["runs"]:
        run["stop"] = {"reason": reason, "step": 2, "detail": detail}
    (folder / "summary.json").write_text(json.dumps(told))
    status, out, err = answer(capsys, folder)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert words in err


def test_the_advice_on_a_damaged_line_works_in_a_finished_workdir(tmp_path, capsys):
    folder = workdir(tmp_path / "run", "steady")
    file = folder / "metrics.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([*lines[:10], "junk\n", *lines[10:]]))
    status, _, err = answer(capsys, folder, "--no-figures")
    assert status == 2
    assert err.startswith(f"line 11 of {file} is damaged (")
    assert err.endswith("): delete line 11 of this file; a training that is not finished deletes it when it goes on\n")
    file.write_text("".join(lines))
    assert answer(capsys, folder, "--no-figures")[0] == 0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "nosuch",
            "--task=nosuch has to be the name of a task module, such as ternary_jax.addition.task: there is no mod",
        ),
        (
            "os",
            "--task=os has to be the name of a task module, such as ternary_jax.addition.task: this one has no KEYS",
        ),
        ("./toy.py", "--task=./toy.py has to be the name of a task module"),
        (
            "badly_typed",
            "--task=badly_typed has to be the name of a task module, such as ternary_jax.addition.task: Syn",
        ),
        ("other_task", "--task=other_task is not the task of "),
    ],
)
def test_the_task_that_the_user_names_is_checked_also_where_it_is_not_needed(
    name, words, tmp_path, capsys, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "badly_typed.py").write_text("KEYS = {")
    (tmp_path / "other_task.py").write_text("KEYS = {}")
    folder = workdir(tmp_path / "run", "steady")
    status, out, err = answer(capsys, folder, f"--task={name}")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(words)
    assert ("its config has toy: give --task=toy" in err) == (name == "other_task")
    assert answer(capsys, folder, "--task=toy", "--no-figures")[0] == 0


def test_metrics_may_be_typed_with_spaces(tmp_path, capsys):
    folder = workdir(tmp_path / "run", "steady")
    _, out, err = answer(capsys, folder, "--no-figures", "--metrics= order, score ,")
    assert err == ""
    assert "watched: score, order\n" in out


def test_one_workdir_given_twice_is_no_comparison(tmp_path, capsys):
    folder = workdir(tmp_path / "run", "steady")
    before = sorted(folder.iterdir())
    status, out, err = answer(capsys, folder, f"{folder}/")
    assert (status, out) == (2, "")
    assert err.startswith(f"{folder} and {folder}/ are the same workdir: give it once to have it analysed, or another")
    assert sorted(folder.iterdir()) == before


def test_a_deleted_current_folder_is_one_sentence(tmp_path, capsys, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    said = "the current folder is deleted, and WORKDIR=runs/first is relative to it: go to another folder by cd\n"
    assert answer(capsys, "runs/first") == (2, "", said)
    assert answer(capsys, workdir(tmp_path / "run", "steady"), "--no-figures")[0] == 0
