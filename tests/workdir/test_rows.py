"""metrics.jsonl, read back with the json module."""

import json
import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from few_rows import NAN, row

from ternary_jax.errors import RunError, WorkdirError
from ternary_jax.workdir import files, rows

ROOT = Path(__file__).parents[2]


def opened(workdir, step=0):
    """(log, rows that were kept)"""
    workdir.mkdir(exist_ok=True)
    return rows.open_log(workdir, step, time.time(), 2)


def lines(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_a_row_is_a_line_of_valid_json(tmp_path):
    to, _ = opened(tmp_path)
    measured = {"coverage": np.float32(0.1), "q": np.nan, "loss": math.inf, "gradient_norm": np.float64(-math.inf)}
    rows.write(to, [row(np.int64(5), **measured), row(5, run=1)])
    rows.write(to, [row(9)])
    text = (tmp_path / "metrics.jsonl").read_text()
    assert text.endswith("\n")
    assert "NaN" not in text
    assert "Infinity" not in text
    kept = lines(tmp_path)
    assert [(r["run"], r["step"]) for r in kept] == [(0, 5), (1, 5), (0, 9)]
    assert kept[0]["coverage"] == float(np.float32(0.1))
    assert kept[0]["q"] is kept[0]["loss"] is kept[0]["gradient_norm"] is None
    again = rows.read(tmp_path)
    assert math.isnan(again[0]["loss"])
    assert again[2] == kept[2]


@pytest.mark.parametrize(
    "cut", ['{"run": 0, "seed": 1, "step": 20', '{"run": 0, "seed": 1, "step": 200, "wall_s": 9.0}', "\0\0\n"]
)
def test_going_on_cuts_back_to_the_step_and_goes_on_with_the_clock(tmp_path, cut):
    to, _ = opened(tmp_path)
    for step in (0, 100, 200, 300):
        rows.write(to, [row(step), row(step, run=1)])
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write(cut)  # by a kill
    before = (tmp_path / "metrics.jsonl").read_text().splitlines(keepends=True)
    to, kept = opened(tmp_path, step=200)
    assert (tmp_path / "metrics.jsonl").read_text() == "".join(before[:6])
    assert [json.dumps(r) + "\n" for r in kept] == before[:6]
    assert time.time() - to.began == pytest.approx(2.0, abs=0.5)
    rows.write(to, [row(250)])
    assert [r["step"] for r in lines(tmp_path)] == [0, 0, 100, 100, 200, 200, 250]
    to, kept = opened(tmp_path, step=0)
    assert (tmp_path / "metrics.jsonl").read_bytes() == b""
    assert kept == []
    assert time.time() - to.began < 0.5
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_lines_are_whole_at_whatever_moment_a_process_is_killed(tmp_path):
    code = (
        "import sys; from pathlib import Path; from ternary_jax.workdir import rows\n"
        "to, _ = rows.open_log(Path(sys.argv[1]), 0, 0.0, 1); print(1, flush=True)\n"
        "more = {f'{k:0150}': 1.0 for k in range(20)}\n"
        "for step in range(1, 10**9): rows.write(to, [{'run': 0, 'seed': 1, 'step': step, 'wall_s': 1.0, **more}])"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
    assert child.stdout
    child.stdout.readline()
    time.sleep(0.2)
    child.kill()
    child.communicate()
    written = (tmp_path / "metrics.jsonl").read_bytes().count(b"\n")
    assert written > 10
    opened(tmp_path, step=10**9)
    assert [r["step"] for r in lines(tmp_path)] == list(range(1, written + 1))


@pytest.mark.parametrize("share", [None, 0.01])
def test_a_full_disk_is_one_sentence_and_a_workdir_that_resumes(tmp_path, share):
    """A limit on the size of files stands for a full disk."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "from pathlib import Path; from ternary_jax.errors import RunError; from ternary_jax.workdir import rows, "
        "tensorboard\n"
        "to, _ = rows.open_log(Path(sys.argv[1]), 0, 0.0, 1)\n"
        "runs = [{'run': 0, 'seed': 0, 'hypers': {}}]\n"
        "shown = {'coverage': 'coverage'}, {'loss': 'loss'}\n"
        f"board = tensorboard.open_board(to, [], runs, *shown, 'coverage', {share})\n"
        "try:\n"
        "  for k in range(10**6):\n"
        "    rows.write(to, row := [{'run': 0, 'seed': 1, 'step': k, 'wall_s': 1.0, 'loss': 2.0 ** (k % 9)}])\n"
        "    tensorboard.show(board, row)\n"
        "except RunError as e: print(e)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    full = max(tmp_path.rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    assert done.stdout == (
        f"{full} cannot be written (File too large): free some space, or make it writable, and start again "
        "with the same workdir\n"
    )
    steps = [r["step"] for r in map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines()[:-1])]
    opened(tmp_path, step=steps[-1])
    assert [r["step"] for r in lines(tmp_path)] == steps


def test_an_error_of_writing_names_its_reason(tmp_path):
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(
        RunError, match=r"metrics\.jsonl cannot be written \(Is a directory\): free some space, or make"
    ):
        files.write_whole(tmp_path / "metrics.jsonl", b"x")


def test_more_metrics_go_into_the_last_row_of_a_run(tmp_path):
    to, _ = opened(tmp_path)
    rows.write(to, [row(5), row(5, run=1), row(9), row(9, run=1)])
    before = lines(tmp_path)
    amended = rows.amend(to, {1: {"hierarchy": -0.5, "q": NAN}, 7: {"hierarchy": 0.0}})
    assert [{k: v for k, v in r.items() if k != "q"} for r in amended] == [
        {"run": 1, "step": 9, "wall_s": 0.09, "hierarchy": -0.5}
    ]
    assert lines(tmp_path) == [*before[:3], before[3] | {"hierarchy": -0.5, "q": None}]


def test_a_line_that_is_being_written_is_no_row_and_a_damaged_one_is_named(tmp_path):
    assert rows.read(tmp_path) == []
    to, _ = opened(tmp_path)
    rows.write(to, [row(5), row(9)])
    with to.path.open("a") as file:
        file.write('{"run": 0')
    assert [r["step"] for r in rows.read(tmp_path)] == [5, 9]
    for damaged in ("12\n", '{"run"\n'):
        to.path.write_text('{"run": 0, "seed": 1, "step": 5, "wall_s": 1.0}\n' + damaged)
        with pytest.raises(WorkdirError, match=r"line 2 of .*metrics\.jsonl is damaged \(.*\): delete line 2 of this"):
            rows.read(tmp_path)
