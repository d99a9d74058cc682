"""The reader of a sweep's folder, which may be anyone's: what is in index.json is checked before it is used."""

import json

import pytest

from ternary_jax import workdir
from ternary_jax.errors import WorkdirError
from ternary_jax.workdir import sweep, sweep_table

GROUP = {"static": {"model.hidden": [3, 4]}, "config": {"task": "toy", "runs": 2}}
BATCH = {"folder": "group_000", "runs": [0, 1]}
RUNS = [{"run": k, "settings": {"rate": 0.5, "model.hidden": [3, 4]}, "seed": k} for k in range(2)]


def index(batches, runs=RUNS, **more):
    about = {
        "format": 1,
        "name": "x",
        "keys": ["rate", "model.hidden"],
        "seeds": 2,
        "groups": [GROUP | {"batches": batches}],
    }
    return about | {"runs": runs} | more


def test_runs_that_have_not_begun_are_rows_too(tmp_path):
    (tmp_path / "index.json").write_text(json.dumps(index([BATCH])))
    found = workdir.open(tmp_path)
    assert isinstance(found, workdir.Sweep)
    rows = found.table()
    assert [(row.run, row.seed, row.ending, row.step, row.folder, row.place) for row in rows] == [
        (0, 0, "not begun", None, "group_000", 0),
        (1, 1, "not begun", None, "group_000", 1),
    ]
    assert rows[0].settings == {"rate": 0.5, "model.hidden": (3, 4)}
    assert (found.runs(), found.metrics) == ([], {})
    assert sweep_table.columns(rows)["model.hidden"] == ["(3, 4)"] * 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            index([BATCH | {"folder": "../group_000"}]),
            "groups[0].batches[0].folder is not the name of a batch's folder",
        ),
        (index([BATCH | {"folder": "/etc"}]), "is not the name of a batch's folder"),
        (index([BATCH, BATCH]), "its runs are not those of its batches"),
        (index([BATCH | {"runs": [0, 7]}]), "its runs are not those of its batches"),
        (index([BATCH], RUNS[::-1]), "its runs are not those of its batches"),
        (index([BATCH], [RUNS[0] | {"seed": "0"}]), "runs[0].seed is not a seed"),
        (index([BATCH], [RUNS[0] | {"settings": {"rate": {}}}]), "runs[0].settings.rate is not the value of a key"),
        (index([BATCH], [RUNS[0] | {"settings": {"x.y": 1}}, RUNS[1]]), "a run has other keys than the sweep"),
        ({"format": 1}, "it has no name"),
        ([], "it holds no object"),
    ],
)
def test_an_index_that_no_sweep_has_written_is_refused(tmp_path, content, words):
    (tmp_path / "index.json").write_text(json.dumps(content))
    with pytest.raises(WorkdirError) as caught:
        workdir.open(tmp_path)
    assert f"{tmp_path / 'index.json'} is damaged (" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(("rate", "seed"), [(0.5, 5), ([0.5, 0.7], 0), (0.7, 0)])
def test_the_runs_of_another_sweep_in_a_batch_are_refused(tmp_path, rate, seed):
    with pytest.raises(WorkdirError, match="has the runs of another sweep"):
        trained(tmp_path, rate, seed).table()
    assert sweep.has_ended(tmp_path, BATCH)


@pytest.mark.parametrize("rate", [0.5, [0.5, 0.5]])
def test_the_runs_of_a_batch_have_one_value_or_each_its_own(tmp_path, rate):
    assert [row.ending for row in trained(tmp_path, rate, 0).table()] == ["epochs done"] * 2


def trained(folder, rate, seed):
    """A sweep whose only batch has ended, with this rate and seeds from this one on."""
    (folder / "index.json").write_text(json.dumps(index([BATCH])))
    (batch := folder / "group_000").mkdir()
    (batch / "config.json").write_text(json.dumps({"task": "toy", "runs": 2, "rate": rate, "model.hidden": [3, 4]}))
    end = {"hypers": {}, "stop": {"reason": "epochs done", "step": 3, "detail": ""}, "final": {}, "best": {}}
    runs = [{"run": k, "seed": k + seed, **end} for k in range(2)]
    (batch / "summary.json").write_text(json.dumps({"runs": runs, "finished": True}))
    return workdir.open(folder)
