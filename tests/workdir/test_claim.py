"""The claim of a workdir: it belongs to one config, one format and one process."""

import json
from pathlib import Path

import pytest

from ternary_jax.config import ConfigError, load_config, resolved
from ternary_jax.errors import RunError
from ternary_jax.workdir import claim, files

CONFIG = Path(__file__).parents[1] / "toy_config.py"


def begun(workdir, **changes):
    """A workdir whose config.json has this config and format; None: without a format."""
    workdir.mkdir()
    values = {k: v for k, v in (claim.contents(load_config(CONFIG)) | changes).items() if v is not None}
    files.write_json(workdir / "config.json", values)
    return workdir


def test_a_claimed_workdir_has_the_format_and_the_config(tmp_path):
    config = load_config(CONFIG)
    with claim.claim(tmp_path / "run", claim.contents(config)):
        told = json.loads((tmp_path / "run/config.json").read_text())
        assert told == claim.contents(config) == {"format": claim.FORMAT, "earlier_lengths": []} | resolved(config)
        with pytest.raises(RunError, match="another process is at work in"), claim.claim(tmp_path / "run", {}):
            pass
    assert claim.look(tmp_path / "run", config) == claim.Found()


def test_the_format_is_no_difference_between_configs(tmp_path):
    there = begun(tmp_path / "run", **{"train.learning_rate": 0.5})
    with pytest.raises(ConfigError, match=r"is of another config: train\.learning_rate is 0\.5 there"):
        claim.look(there, load_config(CONFIG))


def test_a_workdir_begun_before_is_not_gone_on_with_and_a_finished_one_is_left_alone(tmp_path):
    config = load_config(CONFIG)
    # The old config has no format, one key that no longer exists, and not the newest key.
    old = begun(tmp_path / "old", **{"format": None, "train.steps": None, "train.gone": 1})
    for told in (None, {"finished": False}):
        if told:
            files.write_json(old / "summary.json", told)
        before = {path: path.read_bytes() for path in old.iterdir()}
        with pytest.raises(ConfigError, match=r"by an earlier version.* read with ternary_jax\.workdir\.open"):
            claim.look(old, config)
        assert {path: path.read_bytes() for path in old.iterdir()} == before
    files.write_json(old / "summary.json", {"finished": True, "steps": 80})
    assert claim.look(old, config).finished == {"finished": True, "steps": 80}
    with pytest.raises(ConfigError, match="is of another config: runs is 1 there and 2 here"):
        claim.look(old, load_config(CONFIG, {"runs": 2}))


def test_a_damaged_summary_is_none_and_a_damaged_config_is_refused(tmp_path):
    there = begun(tmp_path / "run")
    (there / "summary.json").write_text('{"finished": true')
    assert claim.look(there, load_config(CONFIG)) == claim.Found(damaged=True)
    (there / "config.json").write_text("{")
    with pytest.raises(
        RunError, match=r"config\.json is damaged, or is not of a training of this program: put back a copy, or"
    ):
        claim.look(there, load_config(CONFIG))


def test_a_shorter_training_is_found_and_its_summary_is_finished_no_longer(tmp_path):
    there, config = begun(tmp_path / "run"), load_config(CONFIG, {"train.epochs": 30})
    files.write_json(there / "summary.json", {"finished": True, "steps": 80})
    found, before = claim.look(there, config), {path: path.read_bytes() for path in there.iterdir()}
    assert found == claim.Found(None, {"train.epochs": 20}, (20,))
    with claim.claim(there, content := claim.contents(config, found.lengths), longer=True):
        assert {path: path.read_bytes() for path in there.iterdir() if path.name != ".lock"} == before
        claim.lengthen(there, content)
    assert files.read_json(there / "summary.json") == {"finished": False, "steps": 80}
    assert claim.look(there, config) == claim.Found(lengths=(20,))
    again = claim.look(there, load_config(CONFIG, {"train.epochs": 40}))
    assert again == claim.Found(None, {"train.epochs": 30}, (20, 30))
    with pytest.raises(ConfigError, match=r"train\.epochs is 30 there and 20 here"):
        claim.look(there, load_config(CONFIG))


@pytest.mark.parametrize(
    ("there", "here", "changed"), [(20, 24, True), (20, 30, True), (20, 10, False), (10, 24, False), (0, 24, False)]
)
def test_the_cadence_of_costly_metrics_grows_only_if_they_waited_for_the_last_step(tmp_path, there, here, changed):
    run = begun(tmp_path / "run", **{"evaluate.costly_every": there})
    config = load_config(CONFIG, {"train.epochs": 24, "evaluate.costly_every": here})
    if changed:
        assert claim.look(run, config).earlier == {"train.epochs": 20, "evaluate.costly_every": there}
    else:
        with pytest.raises(ConfigError, match=rf"evaluate\.costly_every is {there} there and {here} here"):
            claim.look(run, config)


def test_a_checkpoint_is_of_its_config_also_at_an_earlier_length_and_with_other_free_keys():
    here = claim.contents(load_config(CONFIG, {"train.epochs": 40, "evaluate.costly_every": 40}), (20, 30))
    for length, costly, differing in [
        (20, 20, ""),
        (30, 30, ""),
        (40, 40, ""),
        (30, 10, "evaluate.costly_every is 10 there and 40 here"),
        (24, 40, "train.epochs is 24 there and 40 here"),
        (40, 40, "seed is 5 there and 0 here"),
    ]:
        there = here | {"train.epochs": length, "evaluate.costly_every": costly, "train.on_nan": "rollback"}
        there |= {"earlier_lengths": []} | ({"seed": 5} if "seed" in differing else {})
        assert claim.unlike(there, here) == differing
    assert claim.unlike(here | {f"k{k}": "x" * 999 for k in range(9)}, here).endswith(", and 4 more")
    assert len(claim.unlike(here | {"seed": "x" * 999}, here)) < 120


@pytest.mark.parametrize("lengths", [5, "abc", [1.5], ["x"], [-1]])
def test_earlier_lengths_of_another_form_are_damaged(tmp_path, lengths):
    run = begun(tmp_path / "run", earlier_lengths=lengths)
    with pytest.raises(RunError, match=r"config\.json is damaged"):
        claim.look(run, load_config(CONFIG))


def test_a_file_is_no_workdir(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="file is no folder: name another"):
        claim.look(tmp_path / "file", load_config(CONFIG))


def test_of_many_differences_five_are_named_and_of_tasks_the_task(tmp_path):
    changes = {f"grokking.{name}": 0.5 for name in ("flat", "floor", "over", "jump", "steps")}
    there = begun(tmp_path / "run", **changes, **{"train.learning_rate": 0.5, "train.weight_decay": 0.5})
    with pytest.raises(ConfigError, match=r"grokking\.jump is 0\.5 there and 0\.2 here, .*, and 2 more; name another"):
        claim.look(there, load_config(CONFIG))
    other = begun(tmp_path / "other", **changes, task="ternary_jax.addition.task")
    with pytest.raises(
        ConfigError, match=r"config: task is ternary_jax\.addition\.task there and toy here; name another"
    ):
        claim.look(other, load_config(CONFIG))
