"""A dry run says the size of a training, without training it."""

from pathlib import Path

import jax
import pytest

from ternary_jax.config import load_config
from ternary_jax.control import schedules
from ternary_jax.engine import dry_run
from ternary_jax.errors import ConfigError

CONFIG = Path(__file__).parents[1] / "toy_config.py"


def lines(found):
    """The rows of the text, by name."""
    text = dry_run.text(found).splitlines()
    assert max(map(len, text)) <= 100
    return {row.split("  ")[0].strip() or row.strip().split("  ")[0]: row.rpartition("  ")[2] for row in text[1:]}


def test_the_size_of_a_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    compiled = []
    monkeypatch.setattr(dry_run, "figures", compiled.append)
    found = dry_run.measure(load_config(CONFIG, {"runs": 3}))
    assert found.parameters == {"offset": 3, "slope": 3}  # of one run
    assert (found.plan.unit, found.plan.total, found.plan.chunk, found.costly) == (4, 80, 8, ["distance"])
    rows = lines(found)
    assert rows["runs"] == "3"
    assert rows["batch"] == "16 samples of each run"
    assert rows["length"] == "80 steps: 20 epochs of 4 steps"
    assert rows["chunk"] == "8 steps, 10 calls of one program"
    assert rows["evaluations"] == "10, every 8 steps"
    assert rows["costly metrics"] == "2, every 40 steps"
    assert rows["parameters"] == "6 of each run"
    assert not compiled
    assert not list(tmp_path.iterdir())


def test_cadences_that_do_not_divide_the_run_end_with_it():
    changes = {"train.epochs": 0, "train.steps": 25, "evaluate.cheap_every": 10, "checkpoint.every": 30}
    rows = lines(dry_run.measure(load_config(CONFIG, changes | {"evaluate.costly_every": 30})))
    assert rows["length"] == "25 steps"
    assert rows["chunk"] == "5 steps, 5 calls of one program"
    assert rows["evaluations"] == "3, every 10 steps"
    assert rows["costly metrics"] == "1, after the last step"
    assert rows["checkpoints"].startswith("1, after the last step; ")
    never = dry_run.measure(load_config(CONFIG, {"evaluate.costly_every": 0}))
    assert lines(never)["costly metrics"] == "never"


def test_what_a_run_refuses_is_refused():
    with pytest.raises(ConfigError, match="eror"):
        dry_run.measure(load_config(CONFIG, {"stop.watch": "eror"}))


@pytest.mark.parametrize(
    ("changes", "given"),
    [
        ({"train.epochs": 10**7, "train.batch_size": 4}, "epochs=10000000 are 160,000,000 steps"),
        ({"train.epochs": 0, "train.steps": 10**8 + 1}, "steps=100000001 are 100,000,001 steps"),
    ],
)
def test_a_run_with_more_steps_than_its_schedules_can_have_rows_is_refused(monkeypatch, changes, given):
    monkeypatch.setattr(schedules, "in_phases", lambda *_: pytest.fail("the rows are computed"))
    with pytest.raises(ConfigError) as caught:
        dry_run.measure(load_config(CONFIG, changes))
    assert str(caught.value) == (
        f"config.train.{given}, and a run has at most 100,000,000, as its schedules have a row a step: give fewer "
        f"{given.partition('=')[0]}"
    )


def test_the_bytes_of_the_state_are_those_of_its_arrays():
    from ternary_jax.engine.assembly import assemble
    from ternary_jax.engine.program import make_train

    config = load_config(CONFIG, {"toy.pool": True, "runs": 2})
    task, static, hypers = assemble(config)
    state = make_train(task, static)[0](hypers)
    assert dry_run.measure(config).state_bytes == sum(leaf.nbytes for leaf in jax.tree.leaves(state))


@pytest.mark.slow
def test_the_compiled_program_has_its_memory_and_flops():
    found = dry_run.measure(load_config(CONFIG), compiled=True)
    assert found.program is not None
    assert found.program.memory["argument"] > found.state_bytes
    rows = lines(found)
    assert rows["program"].startswith("memory of ")
    assert rows["FLOPs"].endswith("of one step and an evaluation: XLA counts a loop once")
    longer = dry_run.measure(load_config(CONFIG, {"evaluate.cheap_every": 10, "checkpoint.every": 10}), compiled=True)
    assert longer.program is not None
    assert longer.plan.chunk == 5 * found.plan.chunk
    assert found.program.flops
    assert (longer.program.flops or 0) < 2 * found.program.flops  # the loop counts once; the means over its steps count
    wider = dry_run.measure(load_config(CONFIG, {"train.batch_size": 64}), compiled=True)
    assert wider.program is not None
    assert (wider.program.flops or 0) > 1.5 * found.program.flops
