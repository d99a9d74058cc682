"""experiments/lab.py: results with their provenance, and intervals; and the imports of all experiments."""

import argparse
import ast
import functools
import json
import math
import sys
from pathlib import Path

import lab
import numpy as np
import pytest
from scipy import stats

SCRIPTS = [file.stem for file in sorted((lab.ROOT / "experiments").glob("*.py"))]
MADE_BY = {"commit", "versions", "command", "machine"}


@functools.cache
def parsed(name):
    """The syntax tree of a script; not at the top of this module, which every worker imports."""
    return ast.parse((lab.ROOT / "experiments" / f"{name}.py").read_text())


def imported(tree):
    """Full names of all that is imported, `from a import b` as both a and a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_experiment_imports_another_or_a_command(name):
    others = {other for other in SCRIPTS if not other.startswith("lab")}
    commands = {"ternary_jax.main", "ternary_jax.analyze", "ternary_jax.profile"}
    found = {*imported(parsed(name))}
    assert not found & others, "an experiment imports another: move the shared code to lab.py or to a library lab_*.py"
    assert not found & commands
    assert name == "lab" or "matplotlib" not in found


@pytest.mark.parametrize("name", [name for name in SCRIPTS if not name.startswith("lab")])
def test_an_experiment_states_its_question_and_its_command(name):
    text = ast.get_docstring(parsed(name)) or ""
    assert f"python experiments/{name}.py" in text
    assert {"main"} <= {node.name for node in parsed(name).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("name", SCRIPTS)
def test_functions_are_short(name):
    functions = [node for node in ast.walk(parsed(name)) if isinstance(node, ast.FunctionDef)]
    assert {f.name for f in functions if (f.end_lineno or 0) - f.lineno >= 50} == set()


def given(folder, *args):
    return lab.parser("A question?", quick="little", seeds=3).parse_args([f"--out={folder}", *args])


def test_a_result_says_what_made_it(tmp_path, monkeypatch):
    command = [
        f"{lab.ROOT}/experiments/seeds.py",
        "--out=/home/someone/out",
        "--config",
        f"{lab.ROOT}/configs/smoke.py",
    ]
    monkeypatch.setattr(sys, "argv", [*command, "--only=a b"])
    lab.write("answer", {"x": np.float32(0.5), "bad": math.nan}, given(tmp_path), raw={"rows": np.arange(3)})
    found, raw = (json.loads((tmp_path / name).read_text()) for name in ("answer.json", "raw/answer.json"))
    assert found.keys() == {"x", "bad"} | MADE_BY
    assert (found["x"], found["bad"], raw["rows"]) == (0.5, None, [0, 1, 2])
    assert found["command"] == "python experiments/seeds.py --out=out --config configs/smoke.py '--only=a b'"
    assert found["machine"].keys() == {"cores", "cpu", "load_before"}
    assert found["versions"]["jax"]
    assert lab.read("answer", given(tmp_path)) == found
    assert lab.read("other", given(tmp_path)) == {}


@pytest.mark.parametrize("file", sorted(lab.RESULTS.glob("*.json")), ids=lambda file: file.stem)
def test_a_result_file_is_small_and_says_what_made_it(file):
    """Older files, written before `lab.write` existed, have no command."""
    found = json.loads(file.read_text())
    assert not (found.keys() & {"command", "machine"}) or found.keys() >= MADE_BY
    assert file.stat().st_size < 16_000, "rows and curves go to results/raw/, which git ignores"


def test_a_quick_result_does_not_replace_one_in_results():
    parse = lab.parser("", quick="little").parse_args
    assert lab.folder(parse([])) == lab.RESULTS
    assert lab.folder(parse(["--quick"])) == lab.ROOT / "runs" / "quick"
    assert lab.folder(parse(["--quick", "--out=here"])) == Path("here")
    assert lab.folder(argparse.Namespace(out=None)) == lab.RESULTS


def test_json_has_a_line_for_each_row():
    rows = {"rows": [{"a": k, "b": "x" * 30} for k in range(4)], "long": [0.125] * 60}
    text = lab.dumps(rows)
    assert json.loads(text) == rows
    assert len(text.splitlines()) == 9


def test_the_interval_is_that_of_a_paired_t_test():
    d = np.random.default_rng(0).normal(0.3, 1, 16)
    expected = stats.ttest_1samp(d, 0).confidence_interval()
    np.testing.assert_allclose(lab.interval(d), (d.mean(), expected.low, expected.high))


def test_turns_alternate_and_ratios_are_of_one_round():
    order, clock = [], iter(range(1, 100))

    def timed(name):
        return lambda: order.append(name) or float(next(clock))

    seconds = lab.in_turns({"a": timed("a"), "b": timed("b")}, 8)
    assert order == ["a", "b"] * 8
    np.testing.assert_array_equal(seconds["b"], seconds["a"] + 1)
    middle, low, high = lab.paired_ratio(seconds["b"], seconds["a"])
    each = np.sort(seconds["b"] / seconds["a"])
    assert (middle, low, high) == (each[3:5].mean(), each[0], each[-1])  # of 8, 1 - 2/2^8 is over 0.95


def test_a_bar_is_met_or_missed():
    bars = {"fast": lab.Bar("samples/s", ",.0f", ">=", 1000), "small": lab.Bar("MB", ".1f", "<=", 2)}
    lines = lab.show_bars(bars, {"fast": 999, "small": 2.0}).splitlines()
    assert [line.split()[-1] for line in lines[1:]] == ["MISSED", "met"]
