"""Runs in a workdir: start, interruption, resumption, NaNs, damaged files and full disks."""

import fcntl
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import jax
import numpy as np
import pytest
import shared_programs
import toy

from ternary_jax import main, terminal
from ternary_jax.analysis import data
from ternary_jax.config import ConfigError, load_config
from ternary_jax.engine import assembly, endings, host, longer, session
from ternary_jax.errors import RunError, WorkdirError
from ternary_jax.workdir import checkpoint, files
from ternary_jax.workdir import open as open_workdir
from ternary_jax.workdir import rows as log

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "tests" / "toy_config.py"


@pytest.fixture(autouse=True)
def with_nans():
    """Allow NaNs: these tests poison the loss on purpose."""
    with jax.debug_nans(False):
        yield


def toy_run(workdir, **overrides):
    """Train the toy. overrides: keys with __ for a dot."""
    return shared_programs.run(
        load_config(CONFIG, {key.replace("__", "."): v for key, v in overrides.items()}), workdir
    )


def process(workdir, *overrides, before=(), **variables):
    """Start the run as a separate process. before: a command that runs it; variables: of its environment."""
    command = [*before, sys.executable, "-m", "ternary_jax.main", f"--config={CONFIG}", f"--workdir={workdir}"]
    command += [f"--config.{override}" for override in overrides]
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", **variables}
    del env["TF_CPP_MIN_LOG_LEVEL"]  # set by jax in this process
    if "XDG_CACHE_HOME" in variables:
        del env["JAX_COMPILATION_CACHE_DIR"]  # which would override XDG_CACHE_HOME
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def ended(running):
    """(exit status, stdout, stderr)"""
    out, err = running.communicate(timeout=120)
    return running.returncode, out, err


def final(workdir):
    """The leaves of the newest checkpoint, and all rows without the columns of times."""
    step, state, _ = checkpoint.load(workdir / "checkpoints")
    leaves = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(state)}
    rows = [{k: v for k, v in row.items() if k not in ("wall_s", "samples_per_s")} for row in log.read(workdir)]
    return step, leaves, rows


def assert_same(one, other):
    """Assert that two results of `final` are bit-identical."""
    (step, leaves, rows), (other_step, other_leaves, other_rows) = final(one), final(other)
    assert step == other_step
    assert leaves.keys() == other_leaves.keys()
    for name, leaf in leaves.items():
        assert leaf.tobytes() == other_leaves[name].tobytes(), name
    assert json.dumps(rows) == json.dumps(other_rows)
    for file in (one / "embeddings").iterdir():
        with np.load(file) as a, np.load(other / "embeddings" / file.name) as b:
            assert all(a[name].tobytes() == b[name].tobytes() for name in a.files)


def everything(workdir):
    return {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The workdir of a finished run without faults."""
    workdir = tmp_path_factory.mktemp("undisturbed")
    with jax.debug_nans(False):
        host.run(load_config(CONFIG), workdir)
    return workdir


def test_a_workdir_says_what_happened(undisturbed):
    config = load_config(CONFIG)
    assert json.loads((undisturbed / "config.json").read_text())["toy.points"] == 64
    rows = log.read(undisturbed)
    assert [row["step"] for row in rows] == list(range(8, 81, 8))
    assert [("distance" in row) for row in rows] == [row["step"] in (40, 80) for row in rows]
    for row in rows:
        assert (row["run"], row["seed"], row["epoch"]) == (0, 0, row["step"] / 4)
        assert row["loss"] == pytest.approx(row["loss/fit"] + config.losses.pull.weight * row["loss/pull"])
        assert row["gradient_norm"] == pytest.approx(np.hypot(row["gradient/slope"], row["gradient/offset"]), rel=0.2)
        assert row["samples_per_s"] > 0
    assert all(a["wall_s"] < b["wall_s"] for a, b in itertools.pairwise(rows))
    summary = json.loads((undisturbed / "summary.json").read_text())
    assert (summary["finished"], summary["stop"]) == (True, "epochs done")
    met = [row for row in rows if row["error"] <= 0.12]
    assert summary["time_to_ceiling_s"] == met[0]["wall_s"] >= summary["first_step_s"] > summary["compile_s"] > 0
    assert summary["metrics"]["error"]["ceiling"] == 0.0
    assert summary["runs"][0]["final"]["error"] == rows[-1]["error"]
    assert summary["runs"][0]["best"]["error"]["value"] == min(row["error"] for row in rows)
    _, _, metadata = checkpoint.load(undisturbed / "checkpoints")
    assert metadata["config"] == json.loads((undisturbed / "config.json").read_text())
    assert metadata["metrics"]["error"] == [rows[-1]["error"]]
    assert metadata["versions"]["jax"] == jax.__version__


def test_a_finished_workdir_is_left_alone(undisturbed, capfd):
    before = everything(undisturbed)
    summary = toy_run(undisturbed)
    assert summary == json.loads((undisturbed / "summary.json").read_text())
    assert everything(undisturbed) == before
    assert "is finished: nothing was changed" in capfd.readouterr().err


def test_a_workdir_of_another_config_is_refused(undisturbed):
    before = everything(undisturbed)
    with pytest.raises(ConfigError, match=r"train\.epochs is 20 there and 16 here") as e:
        toy_run(undisturbed, train__epochs=16, toy__noise=0.2)
    assert "toy.noise is 0.1 there and 0.2 here" in str(e.value)
    assert everything(undisturbed) == before
    toy_run(undisturbed, train__on_nan="rollback")  # this key may differ


def test_a_finished_workdir_is_trained_longer_as_if_it_had_been_begun_so(tmp_path, capfd):
    constant = dict(train__schedule="constant", train__warmup_epochs=2)
    whole, more = tmp_path / "whole", tmp_path / "more"
    toy_run(whole, train__epochs=28, **constant)
    toy_run(more, **constant)
    assert toy_run(more, train__epochs=28, **constant)["finished"]
    assert "going on from step 80 of 112" in capfd.readouterr().err
    assert_same(more, whole)
    there = json.loads((more / "config.json").read_text())
    assert (there["train.epochs"], there["earlier_lengths"]) == (28, [20])
    assert open_workdir(more).config == open_workdir(whole).config


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {},
            "learning_rate depends on the length of the run, as a cosine does, so its .* different; train in another",
        ),
        (
            {"train.schedule": "constant", "evaluate.cheap_every": 6},
            "ended with an evaluation that is not due there now",
        ),
        (
            {"train.schedule": "constant", "evaluate.costly_every": 6},
            "ended with an evaluation that is not due there now",
        ),
        ({"train.schedule": "constant", "evaluate.costly_every": 20}, "set config.evaluate.costly_every=24 too"),
    ],
)
def test_a_longer_training_that_would_have_begun_otherwise_is_one_sentence(changes, words):
    lengths = {"evaluate.costly_every": 0, "checkpoint.every": changes.get("evaluate.cheap_every", 2)}
    config = load_config(CONFIG, {"train.epochs": 24} | lengths | changes)
    task, static, _ = assembly.assemble(config)
    with pytest.raises(
        ConfigError, match=rf"config.train.epochs=24 cannot go on from there, which has 20 epochs.*{words}"
    ):
        longer.check(task, static, config, {"train.epochs": 20}, Path("there"))


def test_a_longer_training_that_cannot_be_leaves_the_finished_one_as_it_was(tmp_path):
    constant = dict(train__schedule="constant", train__epochs=4, evaluate__costly_every=4)
    toy_run(tmp_path, **constant)
    before = everything(tmp_path)
    longer_run = constant | dict(train__epochs=8)
    for other, words in ((4, "set config.evaluate.costly_every=8 too"), (2, "evaluate.costly_every is 4 there")):
        with pytest.raises(ConfigError, match=words):
            toy_run(tmp_path, **longer_run | dict(evaluate__costly_every=other))
    shutil.rmtree(tmp_path / "checkpoints")  # so that this one fails later, where its checkpoint is read
    (tmp_path / "checkpoints").write_text("")
    with pytest.raises(RunError, match="checkpoints"):
        toy_run(tmp_path, **longer_run | dict(evaluate__costly_every=8))
    assert {path: text for path, text in everything(tmp_path).items() if "checkpoints" not in str(path)} == {
        path: text for path, text in before.items() if "checkpoints" not in str(path)
    }


def test_a_directory_that_is_no_workdir_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match=r"thesis\.tex"):
        toy_run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_partial_config_of_an_earlier_start_is_replaced(tmp_path):
    (tmp_path / "config.json.part").write_text('{"see')
    assert toy_run(tmp_path, train__epochs=2)["finished"]


def test_a_workdir_that_is_in_use_is_refused(tmp_path):
    with (tmp_path / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="another process"):
            toy_run(tmp_path)


@pytest.mark.parametrize(
    "override", [{"stop__watch": "coverage"}, {"checkpoint__best_metric": "beauty"}, {"evaluate__costly_every": 0}]
)
def test_a_metric_that_is_not_measured_is_one_sentence_before_anything_is_written(tmp_path, override):
    if "evaluate__costly_every" in override:
        override["stop__watch"] = "distance"
    with pytest.raises(ConfigError, match=r"is not measured: set it to one of error"):
        toy_run(tmp_path / "new", **override)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_saves_says_how_to_go_on_and_does(tmp_path, undisturbed, number, monkeypatch, capfd):
    """The test raises the signal in its own process, at the third progress line."""
    seen = []

    def line(*args):
        seen.append(args)
        if len(seen) == 3:
            signal.raise_signal(number)
        return "..."

    monkeypatch.setattr(terminal, "progress_line", line)
    first = toy_run(tmp_path)
    assert (first["finished"], first["stop"], first["runs"][0]["stop"]["reason"]) == (False, *["interrupted"] * 2)
    told = capfd.readouterr().err
    assert "another signal ends it at once" in told
    assert "to go on: the same command with the same --workdir" in told
    assert 24 <= final(tmp_path)[0] < 80
    with (tmp_path / "metrics.jsonl").open("a") as f:  # as a kill would leave it
        f.write('{"run": 0, "seed": 0, "step": 72, "wall_s": 9.0}\n{"run": 0, "se')
    assert toy_run(tmp_path)["finished"]
    assert "metrics.jsonl has a line that is cut short" in capfd.readouterr().err
    assert_same(tmp_path, undisturbed)


def test_an_interruption_between_two_evaluations_ends_after_the_chunks_under_way_and_changes_no_row(
    tmp_path, monkeypatch, capfd
):
    """At the fourth of 10 chunks of 8 steps, of which 3 make an evaluation: the fifth is under way by then."""
    long = dict(evaluate__cheap_every=6, evaluate__costly_every=0, checkpoint__every=6, train__chunk=2)
    whole, cut, chunks, warn = tmp_path / "whole", tmp_path / "cut", [], endings.warn
    toy_run(whole, **long)

    def fourth(*args):
        warn(*args)
        chunks.append(args)
        if len(chunks) == 4:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(endings, "warn", fourth)
        assert toy_run(cut, **long)["stop"] == "interrupted"
    assert "it ends after the chunks under way" in capfd.readouterr().err
    assert [row["step"] for row in log.read(cut)] == [24]
    step, _, metadata = checkpoint.load(cut / "checkpoints")
    assert (step, [end for end, _, _ in metadata["window"]]) == (40, [32, 40])
    loss = log.read(cut)[0]["loss"]
    assert checkpoint.metrics_of(cut / "checkpoints") == {24: pytest.approx(loss, rel=1e-6), 40: np.inf}
    assert toy_run(cut, **long)["finished"]
    assert_same(cut, whole)


@pytest.fixture
def cut(tmp_path, undisturbed):
    """The workdir of a run that was interrupted at its end, for tests that damage it."""
    workdir = shutil.copytree(undisturbed, tmp_path / "cut")
    edit(workdir / "summary.json", finished=False)
    return workdir


def edit(file, **changes):
    files.write_json(file, json.loads(file.read_text()) | changes)


def refused_run(workdir, **overrides):
    """The sentence with which a run is refused, after which the workdir is as it was."""
    before = everything(workdir)
    with pytest.raises(RunError) as caught:
        toy_run(workdir, **overrides)
    assert {path: text for path, text in everything(workdir).items() if path.name != ".lock"} == {
        path: text for path, text in before.items() if path.name != ".lock"
    }
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "here", "words"),
    [
        ("seed", 5, "seed is 0 there and 5 here"),
        ("train__batch_size", 32, "train.batch_size is 16 there and 32 here"),
        ("train__epochs", 16, "train.epochs is 20 there and 16 here"),
    ],
)
def test_a_checkpoint_of_another_config_is_refused(cut, name, here, words):
    edit(cut / "config.json", **{name.replace("__", "."): here})
    log_of_here = (cut / "metrics.jsonl").read_text().replace('"seed": 0', f'"seed": {here if name == "seed" else 0}')
    (cut / "metrics.jsonl").write_text(log_of_here)
    assert refused_run(cut, **{name: here}) == (
        f"checkpoint 80 in {cut} is of another config ({words}): put back the checkpoints and the config.json of this "
        "run, or name another --workdir"
    )
    run = open_workdir(cut, "toy")
    with pytest.raises(
        WorkdirError, match=rf"checkpoint 80 in .* is of another config \({words}\): put back the check"
    ):
        run.checkpoint()
    because = data.analyse(run)["checklist"][-1]["because"]
    assert f"the newest checkpoint is of another config: {words}" in because


def test_rows_of_another_run_are_refused(cut):
    log_of_another = (cut / "metrics.jsonl").read_text().replace('"seed": 0', '"seed": 5')
    (cut / "metrics.jsonl").write_text(log_of_another)
    said = f"line 1 of {cut / 'metrics.jsonl'} is of another run (its seed is 5, and in config.json run 0 has 0): put "
    assert refused_run(cut).startswith(said)
    with pytest.raises(WorkdirError) as caught:
        data.analyse(open_workdir(cut, "toy"))
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("lost", ["folder", "content", "log"])
def test_a_run_whose_checkpoints_are_gone_does_not_begin_again(cut, lost):
    shutil.rmtree(cut / "checkpoints")
    if lost == "content":
        (cut / "checkpoints").mkdir()
    if lost == "log":
        (cut / "metrics.jsonl").unlink()
        edit(cut / "summary.json", finished=True)
    has = "summary.json says that it has trained" if lost == "log" else "metrics.jsonl has rows up to step 80"
    longer_run = dict(train__epochs=24) if lost == "log" else {}
    if lost == "log":  # a workdir that says finished is left alone, unless it is to be trained longer
        edit(cut / "config.json", **{"train.schedule": "constant", "evaluate.costly_every": 0})
        longer_run |= dict(train__schedule="constant", evaluate__costly_every=0)
    assert refused_run(cut, **longer_run) == (
        f"{cut} has no checkpoint to go on from, and its {has}: put back a copy of checkpoints/, or name another "
        "--workdir"
    )


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again_and_says_so(cut, undisturbed, capfd):
    shutil.rmtree(cut / "checkpoints")
    (cut / "checkpoints").mkdir()
    (cut / "summary.json").unlink()
    lines = (cut / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (cut / "metrics.jsonl").write_bytes(b"".join(lines[:2]))  # the first save was waited for, as the second was due
    assert toy_run(cut)["finished"]
    said = f"{cut} has no checkpoint yet: the run begins again at step 0, and replaces 2 rows\n"
    assert said in capfd.readouterr().err
    assert_same(cut, undisturbed)


def test_what_is_wrong_with_a_finished_workdir_is_said(cut, capfd):
    (cut / "summary.json").write_text('{"finished": true')
    assert toy_run(cut)["finished"]
    said = f"{cut / 'summary.json'} was damaged: it is written again at the end of the training\n"
    assert capfd.readouterr().err.startswith(said)
    (cut / "metrics.jsonl").write_text("")
    toy_run(cut)
    assert capfd.readouterr().err.splitlines()[1] == (
        f"{cut / 'metrics.jsonl'} has no rows, and summary.json says that the training is finished: put back a copy, "
        "or train again in another workdir"
    )
    (cut / "metrics.jsonl").unlink()
    (cut / "metrics.jsonl").symlink_to("config.json")
    toy_run(cut)
    assert "metrics.jsonl is a link" in capfd.readouterr().err


def test_rows_that_a_log_has_lost_are_said(tmp_path, capfd):
    constant = dict(train__schedule="constant", evaluate__costly_every=0)
    toy_run(tmp_path, **constant)
    lines = (tmp_path / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "metrics.jsonl").write_bytes(b"".join(lines[:1] + lines[2:-1]))
    toy_run(tmp_path, train__epochs=24, **constant)
    assert "metrics.jsonl has no rows of step 16, 80: they are lost; the run goes on" in capfd.readouterr().err
    checked = data.analyse(open_workdir(tmp_path, "toy"))["checklist"][-1]
    assert (checked["met"], checked["because"]) == (False, "missing: rows of step 16, rows of step 80")


def test_a_signal_while_xla_compiles_ends_the_process_at_once(tmp_path):
    running = process(tmp_path, before=("setsid",), XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert running.stderr is not None
    assert "compiling" in running.stderr.readline()
    running.send_signal(signal.SIGINT)
    status, out, err = ended(running)
    assert (status, out, len(err.splitlines())) == (130, "", 1), err
    assert err.startswith(
        "interrupted before it trained: there is nothing new to save; to go on: python -m ternary_jax"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "checkpoints", "config.json"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_compiles_is_a_keyboard_interrupt_in_a_notebook(number):
    before = signal.getsignal(number)
    with session.interruptible("again", exit_at_once=False) as interrupts:
        interrupts.at_once.set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert interrupts.asked.is_set()
    assert signal.getsignal(number) == before


def test_a_run_that_diverged_between_two_evaluations_goes_on_as_if_it_had_rolled_back_at_once(tmp_path):
    """The NaN is in the chunk of an evaluation, at which no checkpoint is due."""
    ill = dict(toy__poison_step=30, toy__poison_above=0.3, evaluate__costly_every=0, evaluate__cheap_every=8)
    ill |= dict(train__chunk=1, checkpoint__every=16)
    toy_run(tmp_path / "whole", train__on_nan="rollback", **ill)
    with pytest.raises(RunError, match="not finite at step 30"):
        toy_run(tmp_path / "cut", **ill)
    toy_run(tmp_path / "cut", train__on_nan="rollback", **ill)
    assert_same(tmp_path / "cut", tmp_path / "whole")


@pytest.mark.slow
def test_three_kills_leave_no_trace(tmp_path):
    """SIGKILL before the first step, in a save, and between saves; experiments/kill.py does twenty kills.

    The toy task carries a pool of rows, from which batches come, so that the task state is tested too.
    """
    long = ("train.epochs=800", "checkpoint.every=20", "toy.pool=true")
    toy_run(tmp_path / "undisturbed", train__epochs=800, checkpoint__every=20, toy__pool=True)
    workdir = tmp_path / "killed"
    moments = (
        lambda: (workdir / ".lock").exists(),
        lambda: any((workdir / "checkpoints").glob("*tmp*")),
        lambda: (workdir / "metrics.jsonl").stat().st_size > 80_000,
    )
    for moment in moments:
        running = process(workdir, *long)
        while not moment() and running.poll() is None:
            time.sleep(0.001)
        running.kill()
        assert ended(running)[0] == -signal.SIGKILL, "the run ended before the kill"
    status, out, err = ended(process(workdir, *long))
    assert status == 0, err
    assert "going on from step" in err
    assert "cpu_aot_loader" not in err  # a warning of XLA about cached programs
    assert "error" in out
    assert_same(workdir, tmp_path / "undisturbed")
    assert final(workdir)[1]["['task']['steps']"].tolist() == [3200]


def test_sigterm_to_a_process_is_status_0_and_the_command_to_go_on(tmp_path):
    running = process(tmp_path, "log.progress_s=0", "train.epochs=2000000", "checkpoint.every=200000")
    while not (tmp_path / "metrics.jsonl").exists() or not (tmp_path / "metrics.jsonl").read_bytes():
        time.sleep(0.01)
    running.terminate()
    status, _, err = ended(running)
    assert status == 0, err
    assert "Traceback" not in err
    assert f"to go on: python -m ternary_jax.main --config={CONFIG} --config." in err.splitlines()[-1]
    assert f"--workdir={tmp_path}" in err.splitlines()[-1]
    assert checkpoint.load(tmp_path / "checkpoints")[0] > 0


def test_a_nan_stops_with_a_sentence_and_a_workdir_that_goes_on_by_other_rules(tmp_path, capfd):
    with pytest.raises(RunError) as e:
        toy_run(tmp_path, toy__poison_step=37, toy__poison_above=0.3)
    for words in ("loss term fit was not finite at step 37", "last good checkpoint is step 32", "on_nan=rollback"):
        assert words in str(e.value)
    assert "run 0 (seed 0)" in capfd.readouterr().err
    assert final(tmp_path)[0] == 32
    assert json.loads((tmp_path / "summary.json").read_text())["stop"] == "diverged"
    with pytest.raises(RunError, match="not finite at step 37"):
        toy_run(tmp_path, toy__poison_step=37, toy__poison_above=0.3)
    summary = toy_run(tmp_path, toy__poison_step=37, toy__poison_above=0.3, train__on_nan="rollback")
    assert summary["stop"] == "epochs done"
    assert summary["runs"][0]["stop"]["detail"].startswith("rolled back 1 times, last because loss term fit was not")
    assert "back to step 32, at 0.5 of the learning rate" in capfd.readouterr().err
    assert [row["step"] for row in log.read(tmp_path)] == list(range(8, 81, 8))


@pytest.mark.slow
def test_rollbacks_beside_other_runs_are_those_of_a_run_alone(tmp_path):
    """One of three runs is rolled back while the others wait; then all run to the end."""
    common = dict(evaluate__cheap_every=6, evaluate__costly_every=0, checkpoint__every=6, train__on_nan="rollback")
    common |= dict(toy__poison_above=0.3)
    summary = toy_run(tmp_path / "three", runs=3, toy__poison_step=(-1.0, 37.0, -1.0), **common)
    assert summary["stop"] == ["epochs done"] * 3
    assert [run["stop"]["step"] for run in summary["runs"]] == [80] * 3
    alone = toy_run(tmp_path / "one", seed=1, toy__poison_step=37.0, **common)
    healthy = toy_run(tmp_path / "two", seed=2, **common)
    rows = log.read(tmp_path / "three")
    for run, workdir in ((1, "one"), (2, "two")):
        own = [row for row in rows if row["run"] == run]
        assert [row["step"] for row in own] == [24, 48, 72, 80]
        for row, other in zip(own, log.read(tmp_path / workdir), strict=True):
            assert {k: v for k, v in row.items() if k not in ("run", "wall_s", "samples_per_s")} == pytest.approx(
                {k: v for k, v in other.items() if k not in ("run", "wall_s", "samples_per_s")}, rel=1e-4
            )
    assert rows[-1]["rate/slope"] > 0
    assert alone["runs"][0]["final"]["error"] != healthy["runs"][0]["final"]["error"]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (dict(toy__poison_step=13, train__on_nan="rollback", train__max_rollbacks=2), "max_rollbacks=4"),
        (dict(toy__poison_step=0), "at the first step no learning rate helps: look at the data"),
        (dict(toy__poison_step=3), "there is no checkpoint yet in"),
        (dict(stop__divergence=3.0, train__weight_decay=10.0, train__learning_rate=0.3), "lower train.learning_rate"),
        (dict(runs=2, toy__poison_step=(13.0, 21.0)), "step 13; loss term fit was not finite at step 21"),
    ],
)
def test_the_message_of_a_divergence_fits_what_happened(tmp_path, overrides, words):
    with pytest.raises(RunError) as e:
        toy_run(tmp_path, **overrides)
    assert words in str(e.value)
    if "stop__divergence" in overrides:
        assert "rollback" not in str(e.value)
        for step in (tmp_path / "checkpoints").iterdir():  # no checkpoint holds the diverged state
            assert (
                np.abs(checkpoint.load(tmp_path / "checkpoints", int(step.name))[1]["params"]["slope"]["w"]).max() < 1e3
            )


def test_a_rare_metric_is_not_watched(tmp_path):
    with pytest.raises(ConfigError, match="is measured every 10 epochs only"):
        toy_run(tmp_path / "new", stop__watch="distance")


def test_times_count_from_the_call(tmp_path):
    begun = time.time()
    summary = host.run(load_config(CONFIG, {"train.epochs": 2}), tmp_path)
    assert summary["first_step_s"] <= summary["wall_s"] <= time.time() - begun


def test_a_run_that_diverges_is_told_from_those_beside_it(tmp_path, capfd):
    summary = toy_run(tmp_path, runs=3, toy__poison_step=(-1.0, 37.0, -1.0), train__learning_rate=(0.1, 0.1, 0.05))
    assert summary["stop"] == ["epochs done", "diverged", "epochs done"]
    assert summary["runs"][1]["stop"] == {
        "reason": "diverged", "step": 32, "detail": "loss term fit was not finite at step 37"
    }  # fmt: skip
    assert "run 1 (seed 1): loss term fit" in capfd.readouterr().err
    assert summary["runs"][2]["hypers"]["train.learning_rate"] == pytest.approx(0.05)
    assert [len([r for r in log.read(tmp_path) if r["run"] == k]) for k in range(3)] == [10, 4, 10]
    assert sorted(path.name for path in (tmp_path / "embeddings").iterdir()) == [
        "run_000.npz", "run_001.npz", "run_002.npz"
    ]  # fmt: skip
    assert isinstance(summary["time_to_ceiling_s"], list)


def test_a_run_that_stops_early_is_measured_in_full(tmp_path):
    summary = toy_run(tmp_path, stop__on_targets=True)
    assert (summary["stop"], summary["runs"][0]["stop"]["step"]) == ("targets reached", 32)
    rows = log.read(tmp_path)
    assert [row["step"] for row in rows] == [8, 16, 24, 32]
    assert {"distance", "loss", "samples_per_s"} <= rows[-1].keys()
    (tmp_path / "summary.json").unlink()  # as if killed in the export
    toy_run(tmp_path, stop__on_targets=True)
    assert log.read(tmp_path) == rows
    with np.load(tmp_path / "embeddings" / "run_000.npz") as exported:
        expected = np.hypot(exported["slope"].mean() - 2, exported["offset"].mean() + 1)
    assert rows[-1]["distance"] == pytest.approx(expected, rel=1e-5)


def test_a_truncated_newest_checkpoint_falls_back_loudly(tmp_path, undisturbed, monkeypatch, capfd):
    def line(*args):
        if args[0][0]["step"] == 56:
            signal.raise_signal(signal.SIGINT)
        return "..."

    monkeypatch.setattr(terminal, "progress_line", line)
    toy_run(tmp_path)
    newest = max((tmp_path / "checkpoints").glob("[0-9]*"), key=lambda path: int(path.name))
    biggest = max((path for path in newest.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    biggest.write_bytes(biggest.read_bytes()[: biggest.stat().st_size // 2])
    monkeypatch.undo()
    toy_run(tmp_path)
    err = capfd.readouterr().err
    assert f"step {newest.name}" in err
    assert f"checkpoint {newest.name} is damaged (" in err
    assert (tmp_path / "damaged" / newest.name).is_dir()
    assert_same(tmp_path, undisturbed)


def test_a_full_disk_is_one_sentence_and_a_workdir_that_goes_on(tmp_path, undisturbed):
    """A limit on the size of files stands for a full disk; experiments/faults.py mounts small disks."""
    status, _, err = ended(process(tmp_path, before=("bash", "-c", 'ulimit -f 2; exec "$@"', "bash")))
    assert status == 1, err
    assert "Traceback" not in err
    assert "free some space" in err.splitlines()[-1]
    assert "File too large" in err.splitlines()[-1]
    assert toy_run(tmp_path)["finished"]
    assert_same(tmp_path, undisturbed)


@pytest.mark.slow
def test_a_second_start_compiles_nothing(tmp_path):
    def start(name):
        told = dict(XDG_CACHE_HOME=str(tmp_path), JAX_LOGGING_LEVEL="DEBUG")
        running = process(tmp_path / name, "compilation_cache=true", **told)
        status, _, err = ended(running)
        assert status == 0, err
        return err

    first, second = start("one"), start("two")
    assert "PERSISTENT COMPILATION CACHE MISS for 'jit_train_chunk'" in first
    assert "PERSISTENT COMPILATION CACHE MISS" not in second


def test_six_frames_lie_between_main_and_the_gradient(tmp_path, monkeypatch):
    """In four files: main, host, program, step."""
    frames, plain = [], toy.make_task

    def watched(static):
        task = plain(static)

        def loss(params, batch, context):
            frames.append([frame for frame in traceback.extract_stack() if "/ternary_jax/" in frame.filename])
            return task.loss(params, batch, context)

        return task._replace(loss=loss)

    monkeypatch.setattr(toy, "make_task", watched)
    main.main([f"--config={CONFIG}", f"--workdir={tmp_path}", "--config.train.epochs=2"])
    (found,) = frames
    *ours, differentiated = [frame.name for frame in found]
    assert ours == ["main", "run", "_train", "train_chunk", "step", "train_step"]
    assert differentiated == "total"
    assert [Path(frame.filename).stem for frame in found[:-1]] == ["main", "host", "host", "program", "program", "step"]


def test_traced_once_in_a_whole_run(tmp_path):
    toy.TRACES.clear()
    host.run(load_config(CONFIG, {"train.epochs": 6}), tmp_path)
    assert len(toy.TRACES) == 1
