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
    with claim.claim(tmp_path / "run", config):
        told = json.loads((tmp_path / "run/config.json").read_text())
        assert told == claim.contents(config) == {"format": 3, "earlier_lengths": []} | resolved(config)
        with pytest.raises(RunError, match="another process is at work in"), claim.claim(tmp_path / "run", config):
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
    assert claim.look(there, load_config(CONFIG)) == claim.Found()
    (there / "config.json").write_text("{")
    with pytest.raises(RunError, match=r"config\.json is damaged: put back a copy \(every checkpoint holds one\)"):
        claim.look(there, load_config(CONFIG))


def test_a_shorter_training_is_found_and_its_summary_is_finished_no_longer(tmp_path):
    there, config = begun(tmp_path / "run"), load_config(CONFIG, {"train.epochs": 30})
    files.write_json(there / "summary.json", {"finished": True, "steps": 80})
    found = claim.look(there, config)
    assert found == claim.Found(None, 20, (20,))
    with claim.claim(there, config, found.lengths):
        assert files.read_json(there / "summary.json") == {"finished": False, "steps": 80}
    assert claim.look(there, config) == claim.Found(None, 0, (20,))
    assert claim.look(there, load_config(CONFIG, {"train.epochs": 40})) == claim.Found(None, 30, (20, 30))
    with pytest.raises(ConfigError, match=r"train\.epochs is 30 there and 20 here"):
        claim.look(there, load_config(CONFIG))
