"""The analysis is independent of the model family: the same for the toy task, addition and any other."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from ternary_jax import analysis, workdir
from ternary_jax.analysis import data, figures, text
from ternary_jax.config import load_config, resolved
from ternary_jax.metric import Criteria
from ternary_jax.workdir import files

ROOT = Path(__file__).parents[2]
TOY, ADDITION = ROOT / "tests" / "toy_config.py", ROOT / "configs" / "grok_addition.py"
EVALUATIONS = 60
OF_A_FAMILY = re.compile(
    r"branch|coverage|hierarch|embedding|radius|radial|radii|encoder|decoder|\bvaluation|curvature|_[AB]\b|\bvae\b|digit"
)


def under_way(folder, file, changes, metrics):
    """The workdir of a training without a summary, with these metrics: run, evaluation -> figures."""
    config = load_config(file, changes)
    folder.mkdir()
    files.write_json(folder / "config.json", resolved(config))
    rng, lines = np.random.default_rng(0), []
    for e in range(EVALUATIONS):
        for k in range(config.runs):
            place = dict(run=k, seed=k, step=10 * (e + 1), wall_s=1.0 + e, samples_per_s=500.0)
            place |= {"epoch": e + 1.0} if config.train.epochs else {}
            loss = 0.3 + 4 * np.exp(-e / 3) + 0.002 * rng.normal()
            lines.append(json.dumps(place | {"loss": loss, "gradient_norm": 1.0, "rate/a": 1.0} | metrics(k, e, rng)))
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    return workdir.open(folder, config.task)


def test_the_analysis_names_nothing_of_a_model_family():
    sources = [*Path(analysis.__file__).parent.glob("*.py"), ROOT / "ternary_jax" / "analyze.py"]
    assert len(sources) > 4
    for file in sources:
        assert not OF_A_FAMILY.findall(file.read_text()), file


def test_the_toy_task_under_way_has_the_metrics_and_criteria_of_its_task(tmp_path, monkeypatch):
    import toy

    make, asked = toy.make_task, Criteria("the line", {"Good": {"error": 0.1}}, {"error": 0.5})
    monkeypatch.setattr(toy, "make_task", lambda static: make(static)._replace(criteria=(asked,)))
    given = {"runs": 3, "train.weight_decay": (0.0, 2.0, 0.0)}
    run = under_way(tmp_path / "run", TOY, given, lambda k, e, rng: {"error": (1 + k) / (e + 1)})
    found = data.analyse(run)
    assert found["generalisation"][1]["hypers"] == {"train.weight_decay": 2.0}
    assert [one["runs"] for one in found["generalisation"]] == [[0, 2], [1]]
    assert found["success"]["the line"]["reached"] == ["Good", "Good", "Good"]
    told = text.text(found)
    assert "yes  error of 0.50 or less" in told
    assert "not finished: epoch 60 of 20" in told
    assert "not assessable: no held-out set" in told
    assert len([*figures.draw(found, run.rows(), tmp_path)]) == 2


def test_addition_under_way_generalises_by_the_metrics_that_its_task_pairs(tmp_path):
    def learned(k, e, rng):
        late = 0.9 * (e >= 40) + 0.002 * rng.normal()
        trained = {"train_accuracy": min(1.0, e / 3), "train_loss": 0.1}
        partial = {"held_out_valuation": 3.8 * late, "held_out_distance": 0.9 - late, "held_out_loss": 5 - 4 * late}
        return trained | partial | {"held_out_accuracy": 0.05 + late, "accuracy": 0.5 + late / 2}

    run = under_way(tmp_path / "run", ADDITION, {}, learned)
    found = data.analyse(run)
    assert {one["name"] for one in found["metrics"]} == set(run.config["grokking.metrics"])
    assert found["runs"][0]["generalisation"].keys() == {"held_out_accuracy"}
    told = text.text(found)
    assert "held_out_accuracy: 1 of 1 runs delayed generalisation (grokking)" in told
    assert "not finished: step 600 of 3000" in told
    assert "run 0, step 4" in told
    assert "success of" not in told
    assert [*figures.draw(found, run.rows(), tmp_path)]


@pytest.mark.usefixtures("compiled_soon")
def test_a_finished_training_is_analysed(tmp_path):
    from ternary_jax.engine import host

    host.run(load_config(TOY), tmp_path / "run")
    found = data.analyse(workdir.open(tmp_path / "run"))
    assert {one["item"]: one["met"] for one in found["checklist"]}["finished"]
    assert "a line, 1 run, 10 evaluations each; finished" in text.text(found)
