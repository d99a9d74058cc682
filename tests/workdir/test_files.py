"""Files and their JSON, read back with the json module."""

import json
import math

import jax.numpy as jnp
import numpy as np
import pytest

from ternary_jax.errors import WorkdirError
from ternary_jax.workdir import files


def test_what_is_written_is_plain_json(tmp_path):
    value = {
        "whole": np.int64(3),
        "half": np.float32(0.5),
        "yes": np.bool_(True),
        "array": np.array([[1.0, math.nan], [-math.inf, 2.0]]),
        "device": jnp.arange(2),
        "nested": ({"x": math.inf}, None, "text"),
    }
    files.write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text()
    assert text.endswith("}\n")
    assert json.loads(text) == files.read_json(tmp_path / "a.json")
    assert json.loads(text) == {
        "whole": 3,
        "half": 0.5,
        "yes": True,
        "array": [[1.0, None], [None, 2.0]],
        "device": [0, 1],
        "nested": [{"x": None}, None, "text"],
    }
    assert files.plain(value, infinite="never")["nested"] == [{"x": "never"}, None, "text"]
    assert files.plain(value, infinite="never")["array"] == [[1.0, None], [None, 2.0]]
    assert "\n" not in files.dumps(value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_no_file_is_none_and_a_damaged_one_is_named(tmp_path):
    assert files.read_json(tmp_path / "a.json") is None
    for text in ("", '{"a": 1', "[1]", "\0\xff"):
        (tmp_path / "a.json").write_text(text, "latin-1")
        with pytest.raises(WorkdirError, match=r"a\.json is damaged \(.*\): put back a copy, or train again"):
            files.read_json(tmp_path / "a.json")
