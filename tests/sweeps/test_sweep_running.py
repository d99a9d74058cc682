"""Sweeps that train: their workdirs and table, kills between and within batches, batches, and folders of others."""

import csv
import json
import os
import shutil
import threading
import types
from pathlib import Path
from typing import NamedTuple

import jax
import pytest

from ternary_jax import sweep, workdir
from ternary_jax.config import load_config
from ternary_jax.engine import compiling, host, performance
from ternary_jax.errors import ConfigError, RunError, WorkdirError
from ternary_jax.sweeps import plan as plans
from ternary_jax.sweeps import report
from ternary_jax.workdir import claim

pytestmark = pytest.mark.usefixtures("compiled_soon")
TOY = Path(__file__).parents[1] / "toy_config.py"
SHORT = {"train.epochs": 4, "evaluate.costly_every": 0}
GRID = {"train.batch_size": (16, 32), "train.learning_rate": (0.1, 0.2)}


class Trained(NamedTuple):
    """A sweep that was killed before its second batch, and started again.

    cut: its table after the kill; opened: its runs then; begun: (folder, runs) of every training
    labels: how the progress line of every training begins
    """

    folder: Path
    cut: list[workdir.SweepRun]
    opened: list[tuple[workdir.SweepRun, workdir.Run]]
    begun: list[tuple[str, int]]
    labels: list[str]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A sweep of 2 batch sizes x 2 rates x 2 seeds."""
    folder, begun, labels, run = tmp_path_factory.mktemp("sweeps") / "one", [], [], host.run

    def killed(config, into, *args):
        begun.append((Path(into).name, config.runs))
        labels.append(args[-1].label)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return run(config, into, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host, "run", killed)
        with pytest.raises(KeyboardInterrupt):
            sweep.run(TOY, GRID, 2, folder, SHORT)
        cut, opened = workdir.open(folder).table(), workdir.open(folder).runs()
        sweep.run(TOY, GRID, 2, folder, SHORT)
    return Trained(folder, cut, opened, begun, labels)


@pytest.fixture
def batches(monkeypatch):
    """[(folder, runs)] of the trainings that a sweep starts."""
    started, run = [], host.run

    def watched(config, folder, *args):
        started.append((Path(folder).name, config.runs))
        return run(config, folder, *args)

    monkeypatch.setattr(host, "run", watched)
    return started


def test_a_sweep_goes_on_where_it_was_killed_and_trains_nothing_twice(trained):
    assert [row.ending for row in trained.cut] == ["epochs done"] * 4 + ["not begun"] * 4
    assert [row for row, _ in trained.opened] == trained.cut[:4]
    assert [len(run.rows(row.place)["error"]) for row, run in trained.opened] == [2] * 4
    assert trained.begun == [("group_000", 4), ("group_001", 4), ("group_001", 4)]
    assert trained.labels == ["group_000, 0/2 groups done", *["group_001, 1/2 groups done"] * 2]
    assert workdir.open(trained.folder).table()[:4] == trained.cut[:4]


def test_a_run_of_a_sweep_is_the_run_alone(trained, tmp_path):
    rows = workdir.open(trained.folder).table()
    assert [(*row.settings.values(), row.seed) for row in rows] == [
        (size, rate, seed) for size in (16, 32) for rate in (0.1, 0.2) for seed in (0, 1)
    ]
    assert {row.ending for row in rows} == {"epochs done"}
    row = rows[6]
    alone = host.run(load_config(TOY, {**SHORT, **row.settings, "seed": row.seed}), tmp_path)
    assert row.metrics == pytest.approx(alone["runs"][0]["final"], rel=1e-5)
    assert row.step == alone["runs"][0]["stop"]["step"]


def test_the_table_on_disk_has_a_row_for_each_run(trained):
    rows, folder = workdir.open(trained.folder).table(), trained.folder
    with (folder / "runs.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [int(line["run"]) for line in table] == list(range(8))
    for line, row in zip(table, rows, strict=True):
        assert float(line["train.learning_rate"]) == row.settings["train.learning_rate"]
        assert float(line["error"]) == row.metrics["error"]
        assert (line["ending"], line["folder"], int(line["place"])) == (row.ending, row.folder, row.place)
    in_index = json.loads((folder / "index.json").read_text())["runs"]
    assert [(one["ending"], one["metrics"]) for one in in_index] == [(row.ending, row.metrics) for row in rows]
    parquet = pytest.importorskip("pyarrow.parquet").read_table(folder / "runs.parquet").to_pydict()
    assert parquet["error"] == [row.metrics["error"] for row in rows]


def test_the_index_is_completed_from_the_workdirs_after_a_kill_before_it_was_written(trained, tmp_path, monkeypatch):
    for module, name in ((compiling, "ahead"), (host, "run")):
        monkeypatch.setattr(module, name, lambda *args: pytest.fail("a run that has ended is trained again"))
    shutil.copytree(trained.folder, folder := tmp_path / "copy")
    index = json.loads((folder / "index.json").read_text())
    before = [{key: one[key] for key in ("run", "settings", "seed")} for one in index["runs"]]
    (folder / "index.json").write_text(json.dumps(index | {"runs": before}))
    (folder / "runs.csv").unlink()
    sweep.run(TOY, GRID, 2, folder, SHORT)
    assert json.loads((folder / "index.json").read_text()) == index
    assert (folder / "runs.csv").read_text() == (trained.folder / "runs.csv").read_text()


def test_a_group_is_trained_in_batches_and_one_that_diverges_is_an_end(tmp_path, batches):
    poisoned = {"toy.poison_step": (3.0, -1.0)}
    short = {"train.epochs": 2, "evaluate.costly_every": 0}
    with jax.debug_nans(False):
        found = sweep.run(TOY, poisoned, 2, tmp_path / "one", short, at_once=2)
        assert batches == [("group_000_part_00", 2), ("group_000_part_01", 2)]
        assert [row.ending for row in found.table()] == ["diverged"] * 2 + ["epochs done"] * 2
        assert [(row.seed, row.place) for row in found.table()] == [(0, 0), (1, 1)] * 2
        del batches[:]
        sweep.run(TOY, poisoned, 2, tmp_path / "one", short, at_once=1)
    assert not batches


@pytest.mark.parametrize(
    ("grid", "seeds", "more", "words"),
    [
        (
            {"train.batch_size": (16, 32)},
            2,
            {},
            "it sweeps train.batch_size, train.learning_rate there and train.batch_",
        ),
        (GRID | {"train.batch_size": (16, 8)}, 2, {}, "config.train.batch_size is 16,32 there and 16,8 here; name ano"),
        (GRID, 3, {}, "config.seed is 0,1 there and 0,1,2 here; name another, or give that sweep"),
        (GRID, 2, {"toy.noise": 0.3}, "toy.noise is 0.1 there and 0.3 here; name another, or give that sweep"),
    ],
)
def test_the_folder_of_another_sweep_is_refused(trained, grid, seeds, more, words):
    with pytest.raises(ConfigError) as caught:
        sweep.run(TOY, grid, seeds, trained.folder, SHORT | more)
    assert str(caught.value).startswith(f"--workdir={trained.folder} is of another sweep: {words}")


@pytest.mark.parametrize("finished", [True, False])
def test_the_workdir_of_another_setting_with_the_same_seeds_is_not_believed(trained, tmp_path, monkeypatch, finished):
    """Both groups have the seeds 0, 1, 0, 1, so only their configs tell them apart."""
    monkeypatch.setattr(compiling, "ahead", lambda *args: pytest.fail("a program is compiled"))
    shutil.copytree(trained.folder, folder := tmp_path / "copy")
    shutil.rmtree(folder / "group_000")
    shutil.copytree(folder / "group_001", folder / "group_000")
    if not finished:
        (folder / "group_000" / "summary.json").unlink()
    with pytest.raises(ConfigError) as caught:
        sweep.run(TOY, GRID, 2, folder, SHORT)
    assert str(caught.value) == (
        f"{folder / 'group_000'} has other settings than this sweep's group_000: train.batch_size is 32 there and 16 "
        f"here; delete {folder / 'group_000'}, and its runs are trained again"
    )


def test_batches_that_lack_a_run_of_their_group_are_refused(trained, tmp_path):
    shutil.copytree(trained.folder, folder := tmp_path / "copy")
    index = json.loads((folder / "index.json").read_text())
    index["groups"][1]["batches"][0]["runs"] = [4, 5, 6]
    (folder / "index.json").write_text(json.dumps(index))
    with pytest.raises(WorkdirError) as caught:
        sweep.run(TOY, GRID, 2, folder, SHORT)
    damage = "is damaged (the batches of group_001 do not have its runs, 4 to 7): put back a copy"
    assert str(caught.value) == f"{folder / 'index.json'} {damage}"


def test_a_damaged_config_in_a_finished_batch_is_not_believed(trained, tmp_path):
    shutil.copytree(trained.folder, folder := tmp_path / "copy")
    (file := folder / "group_001" / "config.json").write_text("{")
    with pytest.raises(WorkdirError) as caught:
        sweep.run(TOY, GRID, 2, folder, SHORT)
    assert f"{file} is damaged" in str(caught.value)
    assert f"or delete {folder / 'group_001'}, and its runs are trained again" in str(caught.value)


def test_a_folder_that_is_no_sweep_is_refused(trained, tmp_path):
    (tmp_path / "letter.txt").touch()
    (tmp_path / "file").touch()
    cases = (
        (trained.folder / "group_000", "is that of a single training, and no sweep: name another"),
        (tmp_path, "holds 'file' and no index.json, so it is no sweep: name another"),
        (tmp_path / "file", "is no folder: name another"),
    )
    for folder, words in cases:
        with pytest.raises(ConfigError) as caught:
            sweep.run(TOY, GRID, 2, folder, SHORT)
        assert str(caught.value) == f"--workdir={folder} {words}"


def test_a_sweep_is_trained_by_one_process_at_a_time(tmp_path):
    with claim.lock(tmp_path / "one"), pytest.raises(RunError, match="another process is at work"):
        sweep.run(TOY, GRID, 2, tmp_path / "one", SHORT)


class Fake(NamedTuple):
    """Programs and trainings that do nothing. events: "compile N runs" and "train FOLDER", in order"""

    events: list[str]
    compiling: threading.Event


@pytest.fixture
def fake(monkeypatch):
    found = Fake([], threading.Event())

    def ahead(config):
        found.events.append(f"compile {config.runs} of {config.train.batch_size}")
        if len(found.events) > 1:
            found.compiling.set()
        of_state = dict(argument_size_in_bytes=60 * config.runs, alias_size_in_bytes=60 * config.runs)
        other = dict(output_size_in_bytes=60 * config.runs, temp_size_in_bytes=0, generated_code_size_in_bytes=7)
        sizes = types.SimpleNamespace(**of_state, **other)
        program = types.SimpleNamespace(memory_analysis=lambda: sizes, cost_analysis=dict)
        return types.SimpleNamespace(chunk=types.SimpleNamespace(program=program))

    def train(config, folder, *args):
        assert found.compiling.wait(20)  # before the first training ends
        found.events.append(f"train {folder.name}")
        return {"finished": True}

    monkeypatch.setattr(compiling, "ahead", ahead)
    monkeypatch.setattr(host, "run", train)
    monkeypatch.setattr(performance, "free_bytes", lambda device: 1000)
    return found


def test_the_next_group_is_compiled_while_one_trains(tmp_path, fake, capsys):
    sweep.run(TOY, GRID, 1, tmp_path / "one", SHORT)
    assert fake.events == ["compile 2 of 16", "compile 2 of 32", "train group_000", "train group_001"]
    said = [line.partition(", config.")[0] for line in capsys.readouterr().err.splitlines() if "compiling" not in line]
    assert said == ["group_000, 0/2 groups done", "group_001, 0/2 groups done"]  # a fake training leaves no workdir


def test_a_group_that_does_not_fit_is_trained_in_batches_that_do(tmp_path, fake, capsys):
    """60 % of 1000 bytes are 10 runs of 60; of 16 runs, 8 are half."""
    sweep.run(TOY, {"train.learning_rate": (0.1, 0.2)}, 8, tmp_path / "one", SHORT)
    assert fake.events[:2] == ["compile 16 of 16", "compile 8 of 16"]
    assert fake.events[2:] == ["train group_000_part_00", "train group_000_part_01"]
    assert "16 runs at once need 960 B, and 1 kB are free: 10 at once" in capsys.readouterr().err


def test_the_free_memory_is_known_on_this_machine_and_less_than_all():
    free = performance.free_bytes(jax.devices()[0])
    assert free is not None
    assert 0 < free < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.slow
def test_the_time_of_a_sweep_is_estimated_by_one_run():
    assert 0 < report.estimate(plans.plan(TOY, {"toy.noise": (0.1, 0.2)}, SHORT, 3)) < 60
