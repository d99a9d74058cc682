"""The command line, as a person meets it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONFIG = "--config=configs/closed_form.py"


def run(*args):
    command = [sys.executable, "-m", "ternary_jax.main", *args]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)


def test_the_closed_forms_are_scored_beside_their_references():
    done = run(CONFIG)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["metric", "tree", "rich", "chance", "untrained", "best"]
    rows = {line.split()[0]: line.split()[1:] for line in lines[1:] if line and ":" not in line}
    assert rows["coverage"][:2] == ["1.00000", "1.00000"]
    assert rows["hierarchy"] == ["-0.83205", "-0.83205", "0", "0.35", "-0.83205"]
    assert [line.partition(":")[0] for line in lines[-2:]] == ["tree", "rich"]
    assert all("no collapse" in line for line in lines[-2:])
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], ["no --config", "type: python -m ternary_jax.main --config=configs/closed_form.py"]),
        (["--config.c=2"], ["no --config"]),
        (["--config=nowhere.py"], ["--config=nowhere.py", "no such file", "configs/"]),
        ([CONFIG + ":variant"], ["variant", "has no variant"]),
        ([CONFIG, "--config.tree.scal=0.3"], ["config.tree.scal=0.3", "but tree.scale", "it has c, dim, n_digits"]),
        ([CONFIG, "--config.tree=0.3"], ["config.tree=0.3", "tree.ratio, tree.scale"]),
        ([CONFIG, "--config.dim=1.5"], ["--config.dim=1.5", "type int, such as 16"]),
        ([CONFIG, "--config.rich.scale=wide"], ["--config.rich.scale=wide", "type float, such as 0.3"]),
        ([CONFIG, "--config.dim", "8"], ["--config.dim=VALUE", "type int"]),
        ([CONFIG, "--config.task=fly"], ["config.task=fly", "there are closed_form"]),
        ([CONFIG, "--config.c=-1"], ["config.c=-1.0", "1e-6 to 1e6"]),
        ([CONFIG, "--speed=1"], ["speed", "--config.KEY=VALUE"]),
        ([CONFIG, "now"], ["'now'", "--config.KEY=VALUE"]),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(args, words):
    done = run(*args)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    for word in words:
        assert word in done.stderr, done.stderr


def test_an_override_reaches_the_task():
    done = run(CONFIG, "--config.n_digits=2", "-config.dim=4")
    assert done.returncode == 0, done.stderr
    assert "0.11111" in done.stdout  # chance is 3^-2


def test_help_says_what_to_type_and_does_not_wait_for_jax():
    done = run("--help")
    assert done.returncode == 0
    assert "python -m ternary_jax.main --config=configs/closed_form.py" in done.stdout
    assert "--config.KEY=VALUE" in done.stdout
    code = "import sys, ternary_jax.main; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def get_config(:", ["SyntaxError"]),
        ("x = 1", ["get_config"]),
        ("def get_config():\n    raise RuntimeError('no luck')", ["RuntimeError: no luck"]),
        (
            "from ml_collections import ConfigDict\ndef get_config(): return ConfigDict(dict(task='closed_form'))",
            ["no key n_digits"],
        ),
    ],
)
def test_a_config_file_that_is_no_config_is_one_sentence_too(tmp_path, source, words):
    (tmp_path / "broken.py").write_text(source)
    r = run(f"--config={tmp_path / 'broken.py'}")
    assert r.returncode == 2
    assert "Traceback" not in r.stderr
    assert len(r.stderr.strip().splitlines()) == 1
    assert all(word in r.stderr for word in words), r.stderr
