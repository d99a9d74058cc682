"""`python -m ternary_jax.sweep`: flags, what it prints, and mistakes, which are said before anything is compiled."""

import sys
from pathlib import Path

import pytest

from ternary_jax import sweep
from ternary_jax.engine import compiling
from ternary_jax.sweeps import report, running

TOY = Path(__file__).parents[1] / "toy_config.py"
CONFIG = f"--config={TOY}"
GRID = "--grid=config.train.learning_rate=0.1,0.2"


def answer(capsys, *args):
    """Status, stdout and stderr of the command in this process."""
    try:
        sweep.main(args)
        status = 0
    except SystemExit as e:
        status = e.code
    return status, *capsys.readouterr()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Run in an empty folder, where nothing may be compiled."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compiling, "ahead", lambda config: pytest.fail("a program is compiled"))
    return tmp_path


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "no --config; type: python -m ternary_jax.sweep --config=v5_12"),
        ([CONFIG, "--grid"], "--grid has no value: type --grid=config.KEY=VALUE,VALUE"),
        (
            [CONFIG, "--grid", "train.rate=1"],
            "config.train.rate=1 is not allowed in --grid: there is no such key; the ",
        ),
        ([CONFIG, "--grid", "train.learning_rate=1,x"], "config.train.learning_rate=x is not allowed in --grid: give"),
        ([CONFIG, GRID, "--seeds=0"], "--seeds=0 is not allowed: give an int from 1 to 4096"),
        ([CONFIG, GRID, "--at-once", "many"], "--at-once=many is not allowed: give an int from 1 to 4096"),
        ([CONFIG, GRID, "--config.runs=3"], "config.runs=3 is not allowed in a sweep"),
        ([CONFIG, GRID, "--speed=1"], "'--speed=1' is no flag; what can be given is --config=FILE, --config.KEY=VALUE"),
        ([CONFIG, GRID, "--grid", "microbatches=1,2"], "config.microbatches=1,2 is not allowed in --grid: there is no"),
        (
            [CONFIG, "--grid", "train.microbatches=1,3", "--grid", "train.batch_size=15,14", "--config.toy.points=60"],
            "config.train.microbatches=3 and config.train.batch_size=14 in --grid contradict each other: config.train.",
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(capsys, elsewhere, args, words):
    status, out, err = answer(capsys, *args)
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert words in err
    assert not list(elsewhere.iterdir())


def test_a_dry_run_prints_the_groups_and_writes_nothing(capsys, elsewhere):
    status, out, err = answer(capsys, CONFIG, GRID, "--grid", "train.batch_size=16,32", "--dry-run", "--seeds=3")
    assert (status, err) == (0, "")
    assert out.splitlines()[0].startswith("sweep of toy_config: 12 runs, 2 groups: 4 settings x 3 seeds")
    assert not list(elsewhere.iterdir())


def test_a_large_sweep_asks_for_yes_at_a_terminal_only(capsys, monkeypatch):
    started = []
    monkeypatch.setattr(running, "run", lambda *args, **kwargs: started.append(args) or sys.exit(0))
    large = [CONFIG, GRID, "--seeds=33", "--workdir=there"]
    assert answer(capsys, *large)[0] == 0
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    status, out, err = answer(capsys, *large)
    assert (status, err) == (2, "this sweep has 66 runs, more than 64: to train it, type --yes too\n")
    assert "66 runs, 1 group" in out
    assert answer(capsys, *large, "--yes")[0] == 0
    (_, workdir, again, at_once), _ = started
    assert (workdir, at_once) == ("there", None)
    assert again == f"python -m ternary_jax.sweep {CONFIG} {GRID} --seeds=33 --workdir=there"


def test_a_long_sweep_asks_too(capsys, monkeypatch):
    monkeypatch.setattr(report, "estimate", lambda plan: 8000.0)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    status, _, err = answer(capsys, CONFIG, GRID, "--seeds=2", "--workdir=there")
    said = "this sweep takes about 2.2 h, by the time of one run: to train it, type --yes too"
    assert (status, err.splitlines()[-1]) == (2, said)


def test_without_a_grid_the_settings_are_those_of_the_file(capsys, elsewhere):
    source = f"get_config = __import__('runpy').run_path({str(TOY)!r})['get_config']\n"
    (elsewhere / "alone.py").write_text(source)
    listed = "def sweep(add):\n    for n in (16, 32): add({'train.batch_size': n})\n"
    (elsewhere / "listed.py").write_text(source + listed)
    heads = {
        ("alone", "--seeds=3"): "sweep of alone: 3 runs, 1 group: 1 setting x 3 seeds",
        ("alone", "--config.seed=7,8"): "sweep of alone: 2 runs, 1 group: 1 setting x 2 seeds",
        ("listed", "--config.seed=1"): "sweep of listed: 32 runs, 2 groups: 2 settings x 16 seeds",
        ("listed", "--grid=toy.noise=0,1"): "sweep of listed: 32 runs, 1 group: 2 settings x 16 seeds",
    }
    for (name, more), head in heads.items():
        status, out, _ = answer(capsys, f"--config={name}.py", more, "--dry-run")
        assert (status, out.splitlines()[0]) == (0, f"{head}; a group is one compiled program")
