"""The wheel: its files, configs by bare name, and a task of a user beside the installed package."""

import ast
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import ternary_jax
from ternary_jax.config import ConfigError, load_config, locate, read
from ternary_jax.workdir import claim

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
CONFIGS = sorted(path.stem for path in (ROOT / "configs").glob("*.py"))
WITHOUT_TASK = {"defaults", "text"}  # other configs start from them
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "ternary_jax", "configs")


def python(*args, cwd, path: str | Path = ROOT):
    """Run a Python process that imports the package from `path`."""
    env = os.environ | {"PYTHONPATH": str(path), "JAX_PLATFORMS": "cpu"}
    return subprocess.run([sys.executable, *args], cwd=cwd, env=env, capture_output=True, text=True, timeout=120)


# --- the wheel --------------------------------------------------------------------------------------------------------

BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """A folder for sys.path with what the wheel holds. It is built in a copy, by the backend that pip calls."""
    copy, out = (tmp_path_factory.mktemp(name) for name in ("copy", "out"))
    for name in SOURCES:
        source, ignore = ROOT / name, shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, copy / name, ignore=ignore) if source.is_dir() else shutil.copy(source, copy)
    if int(metadata.version("setuptools").partition(".")[0]) < 77:  # an environment older than the `dev` extra
        _copy_as_listed(copy, out)
        return out
    done = python("-c", BUILD, out, cwd=copy, path="")
    assert done.returncode == 0, done.stderr
    wheel = next(out.glob("*.whl"))
    zipfile.ZipFile(wheel).extractall(out)
    wheel.unlink()
    return out


def _copy_as_listed(source, out):
    """Copy what the [tool.setuptools] of pyproject.toml lists, without the metadata of a wheel.

    A setuptools before 77 refuses `license = "Apache-2.0"` in pyproject.toml, so it sees the list alone.
    """
    (source / "pyproject.toml").unlink()
    listed = {key.replace("-", "_"): value for key, value in PYPROJECT["tool"]["setuptools"].items()}
    code = f"from setuptools import setup; setup(name='ternary_jax', script_args=['-q', 'build'], **{listed!r})"
    done = python("-c", code, cwd=source, path="")
    assert done.returncode == 0, done.stderr
    shutil.copytree(source / "build" / "lib", out, dirs_exist_ok=True)


def test_the_wheel_holds_every_module_config_and_asset(unpacked):
    """A package that is missing here is missing in `packages` of pyproject.toml."""
    own = [path for path in (ROOT / "ternary_jax").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    expected = {str(path.relative_to(ROOT)) for path in own} | {f"ternary_jax/configs/{name}.py" for name in CONFIGS}
    assert {"ternary_jax/assets/statenet.npz", "ternary_jax/py.typed"} <= expected
    found = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    assert {name for name in found if ".dist-info/" not in name} == expected


LOAD_ALL = """
import json, sys
import ternary_jax
from ternary_jax.config import ConfigError, load_config, locate
from ternary_jax.vae.controllers import statenet, statenet_network
told = {"package": ternary_jax.__file__, "folder": str(locate.FOLDER), "asset": str(statenet.path_of("statenet.npz"))}
statenet_network.load(told["asset"])
for name in sys.argv[1:]:
    try:
        told[name] = load_config(name).task
    except ConfigError as e:
        told[name] = str(e)
print(json.dumps(told))
"""


def test_every_packaged_config_is_found_by_its_bare_name_where_only_the_wheel_is(unpacked, tmp_path):
    tables = {name: runpy.run_path(str(ROOT / "configs" / f"{name}.py")).get("VARIANTS", {}) for name in CONFIGS}
    names = CONFIGS + [f"{name}:{arg}" for name, variants in tables.items() for arg in variants if arg]
    assert {"v5_12", "v5_10:statenet", "variants:quick"} <= set(names)
    done = python("-c", LOAD_ALL, *names, cwd=tmp_path, path=unpacked)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    for what in ("package", "folder", "asset"):
        assert Path(told.pop(what)).is_relative_to(unpacked)
    for name in WITHOUT_TASK:
        assert f"{name}.py has no config.task" in told.pop(name)
    tasks = ("ternary_jax.vae.task", "ternary_jax.addition.task", "ternary_jax.vae.baselines")
    tasks += ("ternary_jax.lattice.energy_flow.task", "ternary_jax.lattice.energy_flow.text_task")
    tasks += ("ternary_jax.lattice.cube.task", "ternary_jax.lattice.cube.text_task")
    assert {name: task for name, task in told.items() if task not in tasks} == {}
    assert told.keys() == set(names) - WITHOUT_TASK


def test_the_command_is_declared_and_the_version_is_that_of_the_project(unpacked):
    assert PROJECT["scripts"] == {"ternary-jax": "ternary_jax.main:command"}
    for entry in unpacked.glob("*.dist-info/entry_points.txt"):
        assert "ternary-jax = ternary_jax.main:command" in entry.read_text()
    for facts in unpacked.glob("*.dist-info/METADATA"):
        assert f"\nVersion: {PROJECT['version']}\n" in facts.read_text()


# --- names and paths of configs ---------------------------------------------------------------------------------------


def test_a_bare_name_is_a_packaged_config_also_where_a_file_has_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smoke").write_text("1 +")
    (tmp_path / "mine").write_text("from ternary_jax.config import read\ndef get_config(): return read('smoke')")
    assert read("smoke") == read(ROOT / "configs" / "smoke.py") == read("mine")
    assert load_config("v5_10:all").losses.focus.on == "AB"
    with pytest.raises(ConfigError, match=r"=smoke\.py: there is no such file; .* a bare name, such as v5_12, finds"):
        load_config("smoke.py")
    with pytest.raises(ConfigError, match=f"=v5_13: there is no packaged config.* there are {', '.join(CONFIGS)};"):
        load_config("v5_13:all")


# --- files beside a config --------------------------------------------------------------------------------------------


@pytest.fixture
def clean():
    """Remove from sys.path and sys.modules what a test has added."""
    path, modules = list(sys.path), dict(sys.modules)
    yield
    sys.path[:] = path
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]


def experiment(folder, scale=3):
    """A config with a task and a file of values in its folder; it names no folder."""
    folder.mkdir()
    (folder / "own_values.py").write_text(f"SCALE = {scale}\n")
    (folder / "own_task.py").write_text(
        "from ternary_jax.config.keys import real\nKEYS = {'scale': real(), 'shift': real()}\n"
        "def report(config): return f'{config.scale} {config.shift}'\n"
    )
    (folder / "mine.py").write_text(
        "from ml_collections import ConfigDict\nimport own_values\n"
        "def get_config(): return ConfigDict(dict(task='own_task', scale=own_values.SCALE, shift=0.0))\n"
    )
    return folder / "mine.py"


def test_what_stands_beside_a_config_is_found_from_any_folder(tmp_path):
    """Also from a folder that has files of the same names."""
    here, there = experiment(tmp_path / "here", 5).parent, experiment(tmp_path / "there")
    command = ["-m", "ternary_jax.main", "--config", there, "--config.shift", "-0.5"]
    done = python(*command, cwd=here)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3.0 -0.5\n", "")
    (there.parent / "own_task.py").unlink()
    done = python(*command, cwd=tmp_path)
    assert done.returncode == 2
    assert "mine.py has to be the name of a task module" in done.stderr


def test_a_module_of_the_same_name_that_is_not_the_one_beside_is_refused(tmp_path, clean):
    one, other = experiment(tmp_path / "one"), experiment(tmp_path / "other", 5)
    assert load_config(one).scale == 3
    with pytest.raises(ConfigError, match=rf"imports own_values, which is {one.parent}/own_val.* but {other.parent}/"):
        load_config(other)
    other.write_text(other.read_text().replace("import own_values", "").replace("own_values.SCALE", "7"))
    with pytest.raises(ConfigError, match=rf"config.task=own_task, which is {one.parent}/own_task.py in this process"):
        load_config(other)
    del sys.modules["own_task"]
    assert load_config(other).scale == 7


def test_packaged_configs_hide_no_module(clean):
    load_config("closed_form")
    assert sys.path[-1] == str(locate.FOLDER)


def test_a_workdir_names_no_folder_to_import_from(clean, tmp_path):
    """A workdir may be untrusted: the caller sets in sys.path where its task is found, not the workdir."""
    shutil.copy(ROOT / "tests" / "toy.py", tmp_path / "own_toy.py")
    config = (ROOT / "tests" / "toy_config.py").read_text()
    for old, new in (('Path(__file__).parents[1] / "configs" / "defaults.py"', '"defaults"'), ('"toy"', '"own_toy"')):
        assert old in config
        config = config.replace(old, new)
    (tmp_path / "mine.py").write_text(config)
    assert str(tmp_path) not in json.dumps(claim.contents(load_config(tmp_path / "mine.py")))


# --- imports ----------------------------------------------------------------------------------------------------------


def test_the_package_alone_imports_neither_jax_nor_numpy(tmp_path):
    code = """
import sys, ternary_jax
heavy = {"jax", "numpy", "ml_collections", "importlib.metadata"}
assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
assert {"__version__", "load_config", "workdir"} <= set(dir(ternary_jax))
assert ternary_jax.workdir.open and ternary_jax.load_config("closed_form").dim == 16
"""
    done = python("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    offered = "__version__, load, load_config, plot, sweep, workdir"
    with pytest.raises(AttributeError, match=f"'lod_config': it offers {offered}"):
        _ = ternary_jax.lod_config  # pyright: ignore[reportAttributeAccessIssue]


def test_a_checkout_that_is_not_installed_says_that_it_has_no_version(monkeypatch):
    assert re.fullmatch(r"\d+\.\d+\.\d+", ternary_jax.__version__)
    monkeypatch.setattr("importlib.metadata.Distribution.discover", lambda **_: iter(()))
    with pytest.raises(AttributeError, match=r"as it is not installed: `pip install -e \.`"):
        _ = ternary_jax.__version__


def test_help_is_there_within_three_tenths_of_a_second(tmp_path):
    def seconds():
        done = python("-X", "importtime", "-m", "ternary_jax.main", "--help", cwd=tmp_path)
        assert done.returncode == 0
        rows = re.findall(r"^import time: +(\d+) \| +\d+ \| +(\S+)", done.stderr, re.MULTILINE)
        assert not {"jax", "numpy", "ml_collections"} & {name for _, name in rows}
        return sum(int(own) for own, _ in rows) / 1e6

    assert min(seconds() for _ in range(3)) <= 0.3


# --- the files of the project -----------------------------------------------------------------------------------------


def names(requirements):
    return {re.split(r"[^\w.-]", one)[0].lower().replace("_", "-") for one in requirements}


def test_the_lock_file_has_exact_versions_of_all_that_is_tested_and_no_places():
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    asked = names(PROJECT["dependencies"]) | names(PROJECT["optional-dependencies"]["dev"])
    assert asked - names(lines) == set()


def test_the_version_is_the_same_wherever_it_is_written():
    assert f"\nversion: {PROJECT['version']}\n" in (ROOT / "CITATION.cff").read_text()
    heading = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heading is not None
    assert heading[1] == PROJECT["version"]


def test_the_workflow_runs_what_is_supported():
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    versions = re.search(r"python: (\[.*\])", text)
    assert versions is not None
    assert ast.literal_eval(versions[1]) == ["3.11", "3.12", "3.13"]
    assert PROJECT["requires-python"] == ">=3.11"
    assert "run: .ci/run" in text


def test_every_extra_gives_its_reasons():
    text = (ROOT / "pyproject.toml").read_text()
    extras = {"bench", "cuda", "dev", "docs", "notebooks", "report", "tensorboard", "text"}
    assert PROJECT["optional-dependencies"].keys() == extras
    for extra in PROJECT["optional-dependencies"]:
        assert re.search(rf"^{extra} = \[\n    # ", text, re.MULTILINE), extra
