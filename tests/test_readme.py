"""README: its commands, its length, its figures, and its recipes, which are run in a copy of the repository."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import lab_results
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
GENERATED = ("results.md", "ablations.md")  # whole pages
# A run of 27 operations, by any config of the ternary task.
TINY = {
    "data.n_digits": 3,
    "data.high_from": 2,
    "train.batch_size": 10,
    "train.epochs": 2,
    "evaluate.cheap_every": 1,
    "evaluate.costly_every": 0,
    "checkpoint.every": 1,
    "log.tensorboard": False,
    "report.on": "never",
    "compilation_cache": False,
}
# Overrides of smoke.py that save compiling: branch B with one loss, and the smallest A.
SMALL = {
    "model.A.hidden": (),
    "model.A.decoder_hidden": (),
    "model.A.decoder": "plain",
    "losses.reconstruction.on": "B",
    "losses.radial.on": "none",
    "losses.bands.on": "none",
}
TASK_CONFIG = """
from ternary_jax.config import read


def get_config():
    config = read("defaults")
    config.task = "line"
    config.stop.watch = "error"
    config.train.epochs, config.train.learning_rate, config.train.batch_size = 40, 0.1, 32
    config.evaluate.cheap_every = config.evaluate.costly_every = config.checkpoint.every = 20
    config.log.tensorboard = config.compilation_cache = False
    config.report.on = "never"
    return config.lock()
"""


def block(first):
    """The one python block of the README that begins with this text."""
    (found,) = [text for text in BLOCKS if text.startswith(first)]
    return found


@pytest.fixture
def copy(tmp_path):
    for folder in ("ternary_jax", "configs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def in_the_copy(copy, *args):
    """Stdout of a Python process in the copy, which imports the package of the copy."""
    env = {**os.environ, "PYTHONPATH": str(copy), "JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    done = subprocess.run([sys.executable, *args], capture_output=True, text=True, cwd=copy, env=env, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def add(copy, first):
    """Write a block to the file that its first line names, and the entry above it before the end of configs/vae.py."""
    text = block(first)
    (copy / text.splitlines()[0].removeprefix("# ")).write_text(text)
    above = README[: README.index(text)].splitlines()[-2]
    (entry,) = re.findall(r"`(config\.\w.* = .*)`", above)
    config = copy / "configs" / "vae.py"
    before, end, after = config.read_text().rpartition("    return config")
    config.write_text(f"{before}    {entry}\n{end}{after}")


@pytest.mark.slow
def test_a_loss_and_a_controller_are_added_as_the_readme_says(copy):
    add(copy, "# ternary_jax/vae/losses/")
    add(copy, "# ternary_jax/vae/controllers/")
    typed = [f"--config.{key}={value}" for key, value in TINY.items()]
    in_the_copy(copy, "-m", "ternary_jax.main", "--config=configs/vae.py", "--workdir=run", *typed)
    row = json.loads((copy / "run/metrics.jsonl").read_text().splitlines()[-1])
    assert row["loss/inward_B"] > 0
    assert "loss/inward_A" not in row
    assert 1 < row["control/pulse"] < 3  # the mean of an epoch, of both kinds of steps


def test_a_task_is_added_as_the_readme_says(copy):
    (copy / "line.py").write_text(block("# line.py"))
    assert all(f"`{line.strip()}`" in README for line in TASK_CONFIG.splitlines()[5:8])
    (copy / "line_config.py").write_text(TASK_CONFIG)
    in_the_copy(copy, "-m", "ternary_jax.main", "--config=line_config.py", "--workdir=run")
    assert json.loads((copy / "run/metrics.jsonl").read_text().splitlines()[-1])["error"] < 0.01


@pytest.mark.slow
def test_the_notebook_and_the_replaced_loss_run(copy):
    notebook = block("from ternary_jax import load, plot, workdir")
    overrides = notebook[notebook.index('{"runs"') : notebook.index(")", notebook.index('{"runs"'))]
    notebook = notebook.replace(overrides, repr(TINY | SMALL))
    recipe = block("import jax, jax.numpy as jnp\nfrom ternary_jax.engine import assembly")
    counted = recipe.replace("found = task.loss", "traced.append(params); found = task.loss")
    assert counted != recipe
    check = "assert traced and summary and report.metrics and state.params"
    in_the_copy(copy, "-c", f"{notebook}traced = []\n{counted}{check}")


def test_the_readme_has_two_commands():
    """.ci/run runs the one after the marker as it stands."""
    train, test = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert train.strip().endswith("python -m ternary_jax.main --config=configs/v5_12.py")
    assert test.strip().endswith("pytest")
    assert f"<!-- tests -->\n```sh\n{test}```" in README


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150
    outside = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
    assert not [line for line in outside.splitlines() if len(line) > 120]


def test_generated_pages_are_up_to_date():
    for file, text in lab_results.pages().items():
        assert file.read_text() == text, f"{file.name}: run `python experiments/lab.py results`"


@pytest.mark.parametrize("file", [file for file in PAGES if file.name not in GENERATED], ids=lambda file: file.name)
def test_no_table_of_results_is_typed(file):
    generated = re.escape(lab_results.BEGIN) + ".*" + re.escape(lab_results.END)
    typed = re.sub(generated, "", file.read_text(), flags=re.DOTALL)
    assert not [line for line in typed.splitlines() if re.search(r"^\|.*\| *[-+]?\d+\.\d", line)]


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_links_lead_to_a_file_and_a_heading(file):
    """To a file, and to a heading of it."""
    for target in re.findall(r"\]\(([^)\s]+)\)", file.read_text()):
        path, _, anchor = target.partition("#")
        if path.startswith("http"):
            continue
        there = (file.parent / path) if path else file
        assert there.exists(), f"{file.name} links to {target}"
        headings = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE) if anchor else []
        named = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in named, f"{file.name} links to {target}"


def test_a_result_without_a_declaration_is_refused(tmp_path):
    (tmp_path / "surprise.json").write_text("{}")
    with pytest.raises(lab_results.ResultError, match=r"results/surprise\.json has no declaration: add it"):
        lab_results.read_all(tmp_path)


def test_a_declaration_without_a_result_is_refused(tmp_path):
    with pytest.raises(lab_results.ResultError, match=r"results/.*\.json is missing: run `python experiments/"):
        lab_results.read_all(tmp_path)


def test_a_readme_without_markers_is_refused():
    with pytest.raises(lab_results.ResultError, match=r"README\.md needs one line"):
        lab_results.with_table("# no markers\n", "| a |")
