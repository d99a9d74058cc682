"""python -m ternary_jax.query: what it prints of one and of two operations, and its mistakes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ternary_jax
from ternary_jax import query

ROOT = Path(__file__).parents[2]


def asked(capsys, *args):
    query.main([str(arg) for arg in args])
    return capsys.readouterr().out


def refused(capsys, *args):
    """The one sentence of a command that is refused."""
    with pytest.raises(SystemExit) as ended:
        query.main([str(arg) for arg in args])
    out, said = capsys.readouterr()
    assert (ended.value.code, out, said.count("\n")) == (2, "", 1)
    return said


def test_an_operation_of_nine_digits_has_its_truth_table(nine, capsys):
    out = asked(capsys, nine.path, "--operation", "-0++--0+-")
    digits = {"-": 0, "0": 1, "+": 2}
    index = sum(digits[sign] * 3**k for k, sign in enumerate("-0++--0+-"))
    assert out.startswith(f"ternary operations: run 0 of {nine.path}, branch B, step 8\n\noperation -0++--0+-\n")
    assert re.search(rf"^index +{index}$", out, re.MULTILINE)
    assert re.search(r"^valuation +1 of 9$", out, re.MULTILINE)
    rows = [line.split()[-3:] for line in out.splitlines() if re.match(r"x = ", line)]
    assert rows == [["-1", "0", "1"], ["1", "-1", "-1"], ["0", "1", "-1"]]
    assert len(re.findall(r"^[-0+]{9} +\d+ +\d", out, re.MULTILINE)) == 8


def test_with_another_operation_there_are_the_distance_and_the_midpoint(nine, capsys):
    out = asked(capsys, nine.path, "--operation=-0++--0+-", "--with", 5)
    model = ternary_jax.load(nine.path)
    middle = model.interpolate("-0++--0+-", 5)
    assert f"from -0++--0+- to {model.text(5)}" in out
    assert f"distance   {float(model.distance('-0++--0+-', 5)):.4f}" in out
    assert f"midpoint   decoded {model.text(middle)}, index {int(model.decode(middle))}" in out
    first, second = model.compose("-0++--0+-", 5)
    assert (first.shape, second.shape) == ((), ())


def test_the_run_the_branch_and_the_checkpoint_are_chosen(dual, capsys):
    out = asked(capsys, dual.path, "--operation=5", "--run=1", "--branch", "A", "--at=newest")
    assert out.startswith(f"ternary operations: run 1 of {dual.path}, branch A, step 16\n")
    radius = float(ternary_jax.load(dual.path, 1, "A").radius(5))
    assert f"radius     {radius:.4f}\n" in out


def test_mistakes_are_one_sentence(dual, tmp_path, capsys):
    one = ["--operation", "5"]
    assert refused(capsys, dual.path).startswith("the following arguments are required: --operation; the flags are --o")
    assert "'+0-' is no operation: write 4 of the signs" in refused(capsys, dual.path, "--operation", "+0-")
    assert "index 81 is outside [0, 80]" in refused(capsys, dual.path, "--operation=81")
    assert "'+0-' is no operation" in refused(capsys, dual.path, *one, "--with=+0-")
    assert "is no folder" in refused(capsys, tmp_path / "none", *one)
    assert "WORKDIR is empty" in refused(capsys, "", *one)
    assert "--run=x is not allowed: give an int from 0 on" in refused(capsys, dual.path, *one, "--run=x")
    assert "--at=last is not allowed: give best, newest, an int" in refused(capsys, dual.path, *one, "--at=last")
    assert "has no checkpoint 9" in refused(capsys, dual.path, *one, "--at=9")
    assert "branch=C is no branch" in refused(capsys, dual.path, *one, "--branch=C")
    assert "task=toy is not the task" in refused(capsys, dual.path, *one, "--task=toy")


HELP = """
import runpy, sys
sys.argv = ["x", "--help"]
try:
    runpy.run_module("ternary_jax.NAME", None, "__main__")
except SystemExit as e:
    assert not e.code
assert not {"jax", "numpy"} & sys.modules.keys()
"""


@pytest.mark.parametrize("name", ["query", "export"])
def test_help_waits_for_no_library(name, tmp_path):
    command = [sys.executable, "-c", HELP.replace("NAME", name)]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"python -m ternary_jax.{name} runs/first" in done.stdout


def test_the_code_of_the_page_on_models_runs_as_it_stands(nine, capsys):
    """Its neighbours are those of a sort by the closed form of the distance."""
    (block,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/model.md").read_text(), re.MULTILINE | re.DOTALL)
    assert '"runs/first"' in block
    exec(block.replace('"runs/first"', repr(str(nine.path))), found := {})
    _, *listed, last = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in listed} >= {"encode", "nearest", "text"}

    index = sum({"-": 0, "0": 1, "+": 2}[sign] * 3**k for k, sign in enumerate("+0-0+0-0+"))
    z = np.asarray(found["model"].points(), np.float64)
    np.testing.assert_array_equal(found["z"], found["model"].points()[index])
    c = found["model"].source.config["model.c"]
    gap = 1 - c * np.sum(z * z, 1)
    apart = np.arccosh(1 + 2 * c * np.sum((z - z[index]) ** 2, 1) / (gap * gap[index])) / c**0.5
    nearest = np.argsort(apart)[1:6]
    np.testing.assert_allclose(found["near"].distances, apart[nearest], rtol=1e-3)
    assert last.startswith(f"{found['model'].text(found['near'].indices)} ")
