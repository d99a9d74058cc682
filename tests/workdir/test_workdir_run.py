"""workdir.open: workdirs of the toy task, of an earlier version, half-finished and damaged."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from ternary_jax import workdir
from ternary_jax.config import load_config, resolved
from ternary_jax.engine import host
from ternary_jax.errors import ColumnError, WorkdirError
from ternary_jax.workdir import checkpoint, files

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "tests" / "toy_config.py"
NAN = math.nan
CHANGES = {"runs": 2, "toy.noise": 2.0, "train.epochs": 8, "checkpoint.latest": 3}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two runs of the toy. The best checkpoint is not the newest."""
    path = tmp_path_factory.mktemp("trained")
    host.run(load_config(CONFIG, CHANGES), path)
    return path


@pytest.fixture
def copy(trained, tmp_path):
    """A copy of the workdir, for tests that damage it."""
    return shutil.copytree(trained, tmp_path / "copy")


def lines(path):
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def everything(path):
    return {file: (file.stat().st_mtime_ns, file.is_file() and file.read_bytes()) for file in path.rglob("*")}


def test_the_columns_are_those_of_the_rows(copy):
    run, kept = workdir.open(str(copy)), lines(copy)
    assert run.config == resolved(load_config(CONFIG, CHANGES))
    columns = run.rows()
    assert set(columns) == {name for row in kept for name in row}
    for name, column in columns.items():
        np.testing.assert_array_equal(column, [row.get(name, NAN) for row in kept])
    assert np.isnan(columns["distance"]).sum() == len(kept) - 2  # measured only at the end
    assert columns["step"].dtype.kind == "i"
    with (copy / "metrics.jsonl").open("a") as file:
        file.write('{"run": 1, "step"')
    own = run.rows(1)
    assert own["run"].tolist() == [1] * 4
    np.testing.assert_array_equal(own["error"], [row["error"] for row in kept if row["run"] == 1])


def test_rows_of_a_run_are_sorted_by_step(copy):
    rows = lines(copy)
    (copy / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in reversed(rows)))
    run = workdir.open(copy)
    assert run.rows(0)["step"].tolist() == [8, 16, 24, 32]
    assert run.rows()["step"].tolist() == [row["step"] for row in reversed(rows)]


def test_the_metrics_of_the_summary_and_of_the_task_are_the_same(trained, copy):
    with_summary = workdir.open(trained)
    assert with_summary.summary == json.loads((trained / "summary.json").read_text())
    (copy / "summary.json").unlink()
    without = workdir.open(copy, "toy")
    assert without.summary == {}
    assert list(with_summary.metrics) == list(without.metrics) == ["error", "distance"]
    np.testing.assert_equal(list(without.metrics.values()), list(with_summary.metrics.values()))
    assert with_summary.metrics["distance"].costly


def test_checkpoints_by_name_and_by_step(trained):
    run = workdir.open(trained)
    found = checkpoint.metrics_of(trained / "checkpoints")
    best = min((metric, step) for step, metric in found.items() if metric is not None)[1]
    assert best != max(found)
    for at, step in {"latest": 32, "best": best, 32: 32, np.int64(best): best}.items():
        assert run.checkpoint(at).step == step
    read = run.checkpoint()
    assert read.metadata["config"]["format"] == 5
    assert isinstance(read.state["params"]["slope"]["w"], np.ndarray)
    assert read.state["params"]["slope"]["w"].shape == (2, 3)
    with pytest.raises(WorkdirError, match=r"no checkpoint 33: take 'latest', 'best', or one of the steps \[.*, 32\]"):
        run.checkpoint(33)
    with pytest.raises(WorkdirError, match="no checkpoint 'last': take 'latest', 'best', or"):
        run.checkpoint("last")


def test_a_checkpoint_that_the_training_deletes_meanwhile_is_not_missed(copy, monkeypatch):
    real, newest = checkpoint.load, copy / "checkpoints" / "32"

    def load(folder, step):
        shutil.rmtree(newest, ignore_errors=True)
        return real(folder, step)

    monkeypatch.setattr(checkpoint, "load", load)
    assert workdir.open(copy).checkpoint().step == max(checkpoint.steps(copy / "checkpoints")) < 32


def test_a_model_measures_what_the_rows_say(trained):
    run = workdir.open(trained, task="toy")
    for k in range(2):
        for at in ("latest", "best"):
            model = run.model(k, at)
            rows = run.rows(k)
            (here,) = np.flatnonzero(rows["step"] == run.checkpoint(at).step)
            error = jax.jit(model.task.evaluate)(model.params, model.context)["error"]
            np.testing.assert_allclose(error, rows["error"][here], rtol=1e-6)
        assert int(model.context.step) == run.checkpoint("best").step
        exported = model.task.export(run.model(k).params, model.context)
        for name, values in run.embeddings(k).items():
            np.testing.assert_array_equal(values, exported[name])
    assert np.isclose(run.model(1).context.hypers.toy.noise, 2.0)
    assert int(run.model(1).context.hypers.seed) == 1


STATEFUL = """
from typing import Any, NamedTuple
import jax.numpy as jnp
import toy
from ternary_jax.engine.task import TaskState
from toy import KEYS

class Old(NamedTuple):
    values: Any
    count: Any

def make_task(static):
    made = toy.make_task(static)
    def init(key, hypers):
        return {"old": Old(hypers.toy.noise * jnp.ones(3), jnp.zeros((), jnp.int32))}
    def advance(state, batch, aux):
        values, count = state["old"]
        return {"old": Old(values + 1, count + 1)}
    params = lambda key, hypers: made.init(key, hypers) | {"list": {"both": [jnp.zeros(2), (jnp.ones(1),)]}}
    knobs = lambda hypers: {"gain": 1 + hypers.toy.noise}
    return made._replace(init=params, knobs=knobs, state=TaskState(init, advance))
"""


def test_a_model_has_the_trees_of_its_task_its_state_and_its_knobs(tmp_path, monkeypatch):
    (tmp_path / "stateful.py").write_text(STATEFUL)
    monkeypatch.syspath_prepend(tmp_path)
    changes = {"task": "stateful", "runs": 2, "toy.noise": (0.5, 2.0), "train.epochs": 2, "evaluate.costly_every": 0}
    host.run(load_config(CONFIG, changes), tmp_path / "run")
    run = workdir.open(tmp_path / "run", task="stateful")
    model = run.model(1)
    both = model.params["list"]["both"]
    assert (type(both), type(both[1])) == (list, tuple)
    values, count = model.context.state["old"]
    np.testing.assert_array_equal(values, 2.0 + 8 * np.ones(3))
    assert int(count) == 8
    assert {name: float(x) for name, x in model.context.controls.knobs.items()} == {"gain": 3.0}

    (tmp_path / "stateful.py").write_text(STATEFUL.replace("jnp.ones(3)", "jnp.ones(12)"))
    sys.modules.pop("stateful")
    with pytest.raises(WorkdirError, match=r"another model .*\(old/values float32\[3\] there, float32\[12\] here\)"):
        run.model(1)
    (tmp_path / "stateful.py").write_text(STATEFUL + "KEYS = KEYS | {'toy.new': KEYS['toy.noise']}")
    sys.modules.pop("stateful")
    with pytest.raises(WorkdirError, match=r"the task of .* cannot be made: .* \(toy\.new\)"):
        run.model(1)
    (tmp_path / "stateful.py").unlink()
    sys.modules.pop("stateful")
    with pytest.raises(
        WorkdirError, match=r"cannot be made: config\.task=stateful has to be the name of a task module"
    ):
        run.model(1)
    assert run.rows()["step"].tolist() == [8, 8]


def test_reading_changes_nothing(trained):
    before = everything(trained)
    run = workdir.open(trained, "toy")
    assert all([run.rows(0), run.summary, run.metrics, run.checkpoint("best"), run.embeddings(1), run.model(1)])
    assert everything(trained) == before


def test_what_is_not_there_yet_is_empty_or_an_error_that_says_when(copy):
    for folder in ("checkpoints", "embeddings"):
        shutil.rmtree(copy / folder)
    (copy / "metrics.jsonl").write_text('{"run": 0')
    (copy / "summary.json").unlink()
    run = workdir.open(copy, "toy")
    assert run.rows() == run.rows(1) == run.summary == {}
    with pytest.raises(ColumnError, match="has no column 'loss': there are no rows yet"):
        run.rows()["loss"]
    for read in (run.checkpoint, run.model):
        with pytest.raises(WorkdirError, match="has no checkpoint yet: try again when one is written"):
            read()
    with pytest.raises(WorkdirError, match=r"run_001\.npz is not there: it is written when all runs have ended"):
        run.embeddings(1)
    for read in (run.rows, run.embeddings, run.model):
        with pytest.raises(WorkdirError, match="has no run 2: there are 2, numbered from 0"):
            read(2)
        wrong: Any = ("0", 0.0)
        for k in wrong:
            with pytest.raises(WorkdirError, match=f"has no run {k!r}: it has to be an int from 0 to 1"):
                read(k)


def test_what_is_damaged_is_named(copy):
    run = workdir.open(copy)
    file = copy / "embeddings" / "run_000.npz"
    for data in (b"", b"no zip", file.read_bytes()[:-30]):
        file.write_bytes(data)
        with pytest.raises(WorkdirError, match=r"run_000\.npz is damaged"):
            run.embeddings()
    for data in (copy / "checkpoints" / "32").rglob("*"):
        if data.is_file():
            data.write_bytes(b"")
    with pytest.raises(WorkdirError, match="checkpoint 32 is damaged"):
        run.checkpoint()
    assert run.checkpoint("best").step < 32
    (copy / "summary.json").write_text("{")
    for read in (lambda: run.summary, lambda: run.metrics):
        with pytest.raises(WorkdirError, match=r"summary\.json is damaged"):
            read()


def test_what_is_no_workdir_is_refused(tmp_path):
    with pytest.raises(WorkdirError, match="is no folder: give the --workdir of a training"):
        workdir.open(tmp_path / "nowhere")
    for text in (None, "{}", '{"name": "package"}'):
        if text:
            (tmp_path / "config.json").write_text(text)
        with pytest.raises(WorkdirError, match=r"has no config\.json of a training, so it is no workdir: give"):
            workdir.open(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(WorkdirError, match=r"config\.json is damaged"):
        workdir.open(tmp_path)


def test_a_workdir_begun_before_is_read(copy):
    """Its config has no format and no train.steps, its rows an old name, its summary fewer fields of a metric."""
    config, summary = (json.loads((copy / f"{name}.json").read_text()) for name in ("config", "summary"))
    del config["format"], config["train.steps"]
    for about in summary["metrics"].values():
        for name in ("costly", "tolerance", "held_out_of", "gap"):
            del about[name]
    files.write_json(copy / "config.json", config)
    files.write_json(copy / "summary.json", summary)
    (copy / "metrics.jsonl").write_text(
        "".join(json.dumps(row | {"gradient_ratio": 2.0}) + "\n" for row in lines(copy))
    )
    run = workdir.open(copy)
    assert run.rows(0)["gradient_ratio"].tolist() == [2.0] * 4
    with pytest.raises(ColumnError, match="this workdir was begun when its name was 'gradient_ratio'"):
        run.rows()["control/balance/ratio"]
    assert run.summary == summary
    assert set(run.embeddings(1)) == {"slope", "offset"}
    with pytest.raises(ColumnError, match=r"run_001\.npz has no array 'slop': the nearest is 'slope'"):
        run.embeddings(1)["slop"]
    with pytest.raises(KeyError, match="has no array 'z': there are "):
        run.embeddings(1)["z"]
    assert run.checkpoint().step == 32
    with pytest.raises(WorkdirError, match=r"summary\.json was written by an earlier version"):
        assert run.metrics
    run = workdir.open(copy, "toy")
    with pytest.raises(WorkdirError, match=r"cannot be made: configs have other keys now \(train\.steps\)"):
        run.model()


def test_a_name_that_no_column_has(trained):
    columns = workdir.open(trained).rows()
    with pytest.raises(ColumnError) as missed:
        columns["gradient_ratio"]
    assert isinstance(missed.value, WorkdirError)
    assert isinstance(missed.value, KeyError)
    assert str(missed.value) == (
        f"{trained / 'metrics.jsonl'} has no column 'gradient_ratio': "
        "its name is 'control/balance/ratio' now, where it is reported"
    )
    with pytest.raises(ColumnError, match="has no column 'eror': the nearest is 'error'"):
        columns["eror"]
    with pytest.raises(ColumnError, match="has no column 'xyz': there are run, seed, step, "):
        columns["xyz"]
    assert columns.get("xyz") is None
    assert "xyz" not in columns


def test_to_open_a_workdir_takes_no_jax(trained):
    code = (
        "import sys; from ternary_jax import workdir; run = workdir.open(sys.argv[1])\n"
        "run.rows(), run.summary, run.metrics, run.embeddings(0)\n"
        "assert not {'jax', 'orbax', 'tensorboardX', 'ml_collections'} & set(sys.modules)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code, str(trained)], env=env, check=True)
