"""experiments/kill_sweep.py: a sweep that is killed for real, and the comparison that finds what is lost."""

import json
import shutil
import time

import kill_sweep
import pytest
from lab_process import ended


@pytest.mark.slow
def test_a_sweep_that_is_killed_is_complete_after_a_second_start(tmp_path):
    begun = time.monotonic()
    status, err = ended(kill_sweep.start(tmp_path / "whole", tmp_path / "cache"))
    assert status == 0, err
    length, wanted = time.monotonic() - begun, kill_sweep.left_behind(tmp_path / "whole")
    moments = [(f"killed_{part}", length / part) for part in (2, 3, 4, 5)]  # later starts find compiled programs
    found = (kill_sweep.trial(tmp_path / name, tmp_path / "cache", moment, wanted) for name, moment in moments)
    assert next(filter(None, found))["differing"] == []
    lost = tmp_path / "lost"
    shutil.copytree(tmp_path / "whole", lost)
    lines = (lost / "group_001" / "metrics.jsonl").read_text().splitlines(keepends=True)
    (lost / "group_001" / "metrics.jsonl").write_text("".join(lines[:-1]))
    index = json.loads((lost / "index.json").read_text())
    index["runs"][3]["ending"] = "not finished"
    (lost / "index.json").write_text(json.dumps(index))
    differing = [name for name, value in kill_sweep.left_behind(lost).items() if value != wanted[name]]
    assert differing == ["index", "log"]
