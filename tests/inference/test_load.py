"""ternary_jax.load: which model of which workdir, its list of verbs, and one sentence for what cannot be."""

import copy as copies
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import small
import small_workdir

import ternary_jax
from ternary_jax.config import load_config
from ternary_jax.engine.task import Verbs
from ternary_jax.errors import ConfigError, QuestionError, VerbError, WorkdirError

TOY = Path(__file__).parents[1] / "toy_config.py"


@pytest.fixture
def copy(dual, tmp_path):
    return Path(shutil.copytree(dual.path, tmp_path / "copy"))


@pytest.fixture(scope="module")
def toy_run(tmp_path_factory):
    return small_workdir.write(tmp_path_factory.mktemp("toy") / "run", load_config(TOY)).path


def test_the_model_of_each_run_and_branch_is_the_one_that_its_task_exports(dual):
    export = small.jit(dual.task.export)
    exported = [export(*dual.of_run(run)) for run in range(2)]
    for run, branch in ((0, "B"), (1, "B"), (1, "A")):
        model = ternary_jax.load(dual.path, run=run, branch=branch)
        np.testing.assert_allclose(model.points(), exported[run][f"z_{branch}"], atol=1e-6)
        assert not np.allclose(model.points(), exported[1 - run][f"z_{branch}"], atol=1e-2)
        assert model.about[1:] == ("ternary operations", run, 8, branch, True)


def test_a_checkpoint_is_the_best_the_newest_or_that_of_a_step(dual):
    steps = {at: ternary_jax.load(dual.path, at=at).about.step for at in ("best", "newest", 16)}
    assert steps == {"best": 8, "newest": 16, 16: 16}
    with pytest.raises(WorkdirError, match=r"no checkpoint 9: take 'latest', 'best', or one of the steps \[8, 16\]"):
        ternary_jax.load(dual.path, at=9)


def test_the_main_branch_is_the_default_and_the_model_lists_its_verbs(dual):
    model = ternary_jax.load(dual.path)
    lines = repr(model).splitlines()
    assert lines[0] == f"ternary operations: run 0 of {dual.path}, branch B, step 8"
    assert [line.split()[0] for line in lines[1:]] == [*model.verbs]
    assert dual.task.verbs.describes == ("describe" in model.verbs)
    assert all(len(line.split()) > 3 for line in lines[1:])
    assert {"encode", "nearest", "about"} <= set(dir(model))


def test_a_model_that_is_not_there_is_one_sentence(dual, tmp_path):
    with pytest.raises(QuestionError, match="branch=C is no branch of 'ternary operations': it has B, A: give one"):
        ternary_jax.load(dual.path, branch="C")
    with pytest.raises(WorkdirError, match="has no run 2: there are 2, numbered from 0"):
        ternary_jax.load(dual.path, run=2)
    with pytest.raises(WorkdirError, match="is no folder: give the --workdir of a training"):
        ternary_jax.load(tmp_path / "none")
    with pytest.raises(ConfigError, match=r"task=toy is not the task of .*whose config has ternary_jax\.vae\.task"):
        ternary_jax.load(dual.path, task="toy")


def test_a_workdir_without_checkpoints_is_one_sentence(copy):
    shutil.rmtree(copy / "checkpoints")
    with pytest.raises(WorkdirError, match="has no checkpoint yet: try again when one is written"):
        ternary_jax.load(copy)


def test_a_run_that_is_not_finished_answers_from_its_newest_checkpoint_and_says_so(copy, capsys):
    (copy / "summary.json").unlink()
    model = ternary_jax.load(copy)
    assert model.about[3:] == (16, "B", False)
    said = capsys.readouterr().err
    assert said == f"{copy} is not finished: this is its model of step 16; at=STEP gives that of another\n"
    assert model.notes == (said.strip(),)
    assert ternary_jax.load(copy, at=8).about.step == 8
    assert ternary_jax.load(copy).encode(5).shape == (small.DIM,)


def test_a_damaged_checkpoint_is_one_sentence(copy):
    file = copy / "checkpoints" / "8" / "state" / "bytes" / "c" / "0"
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)
    with pytest.raises(WorkdirError, match=r"checkpoint 8 is damaged \(its arrays .*\): load another of the"):
        ternary_jax.load(copy, at=8)


def test_the_folder_of_a_sweep_is_one_sentence(tmp_path):
    index = {"format": 1, "name": "x", "keys": [], "seeds": 1, "groups": [], "runs": []}
    (tmp_path / "index.json").write_text(json.dumps(index))
    with pytest.raises(WorkdirError, match=r"is the folder of a sweep: give the workdir of one of its groups, .*/gro"):
        ternary_jax.load(tmp_path)


def test_a_task_of_ones_own_is_opened_by_its_name_alone(toy_run):
    with pytest.raises(WorkdirError, match="toy is no task of this package, and code that only a workdir names"):
        ternary_jax.load(toy_run)
    model = ternary_jax.load(toy_run, task="toy")
    assert float(model.trained.task.evaluate(model.trained.params, model.trained.context)["error"]) > 0
    with pytest.raises(VerbError, match="a model of 'a line' has no 'predict', as its task registers no verbs: give"):
        model.predict(1.0)
    with pytest.raises(QuestionError, match="branch=B is no branch of 'a line': it has no branches: leave branch out"):
        ternary_jax.load(toy_run, branch="B", task="toy")


def test_a_task_of_ones_own_may_register_verbs(toy_run, monkeypatch):
    import toy

    def make(params, context, part):
        return {"predict": lambda x: params["slope"]["w"].mean() * x + params["offset"]["b"].mean()}

    made = toy.make_task
    monkeypatch.setattr(toy, "make_task", lambda static: made(static)._replace(verbs=Verbs(make)))
    model = ternary_jax.load(toy_run, task="toy")
    rise = float(model.predict(2.0) - model.predict(1.0))
    assert rise == pytest.approx(float(np.mean(model.trained.params["slope"]["w"])), rel=1e-5)


def test_a_missing_verb_is_one_sentence_that_lists_those_there_are(dual):
    model = ternary_jax.load(dual.path)
    with pytest.raises(VerbError, match=r"has no 'retrieve'; it can encode, .*, describe: ask one of these$"):
        model.retrieve([0])
    with pytest.raises(VerbError, match=r"has no 'neares'.*: did you mean nearest"):
        model.neares(0)
    assert not hasattr(model, "retrieve")
    assert copies.copy(model).radius(5) == model.radius(5)
