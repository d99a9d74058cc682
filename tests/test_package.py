"""Rules on the source of the package: its imports, their time, and the size of files and functions."""

import ast
import functools
import os
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ternary_jax"
SOURCES = [str(path.relative_to(PACKAGE)) for path in sorted(PACKAGE.rglob("*.py"))]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Library -> the only files that may import it, so that replacing it changes these files alone.
MAY_IMPORT = {
    "flax": ["*/models.py"],  # the files that define networks
    "orbax": ["workdir/checkpoint.py"],
    "tensorboardX": ["workdir/tensorboard.py"],
    "matplotlib": ["pictures/*.py"],
    "bokeh": ["panels/*.py", "analysis/page/document.py"],
    "pynvml": ["engine/performance.py"],
    "rich": ["progress_bar.py"],
    "safetensors": ["lattice/text/weights.py"],
    "tokenizers": ["lattice/text/weights.py"],
    "huggingface_hub": ["lattice/text/weights.py"],
    "pyarrow": ["lattice/text/pairs.py", "workdir/sweep_table.py", "inference/rows_file.py"],
}
# Libraries that are used where they are installed, and required nowhere.
OPTIONAL = {"bokeh", "pynvml", "safetensors", "tokenizers", "huggingface_hub", "pyarrow"}
# The import graph has no cycles: a room (subpackage) imports itself, FOUNDATION and the rooms listed here. Other files
# are commands, which may import anything, or are listed here.
FOUNDATION = {
    "errors",
    "metric",
    "ternary",
    "poincare",
    "precision",
    "riemannian",
    "initializers",
    "orthogonal",
    "provenance",
}
FOUNDATION |= {"tables", "terminal", "progress_bar"}
ROOMS = {
    "config": set(),
    "pictures": set(),
    "panels": set(),
    "workdir": {"config"},
    "control": {"config"},
    "engine": {"config", "workdir", "control"},
    "grokking": {"config", "workdir", "control", "engine"},
    "analysis": {"config", "workdir", "engine", "grokking", "pictures", "panels"},
    "inference": {"config", "workdir", "engine"},
    "sweeps": {"config", "workdir", "engine"},
    "vae": {"config", "workdir", "control", "engine", "pictures", "panels"},
    "addition": {"config", "workdir", "control", "engine", "pictures", "panels"},
    "lattice": {"config", "workdir", "control", "engine", "pictures", "panels"},
}
COMMANDS = {"__init__", "main", "sweep", "analyze", "profile", "query", "export", "command_line", "workdir_arguments"}
COMMANDS |= {"plot", "report"}
# workdir/ returns a model that is ready for the functions of its task, so it makes their Context; a command is a
# command also where it stands in a room.
UPWARDS = {"workdir/run.py": {"control", "engine"}, "lattice/text/__main__.py": {"command_line"}}
# Libraries that are imported only inside functions: they cost seconds, or may not be installed.
NEVER_AT_IMPORT = {"matplotlib", "orbax", "scipy", "tensorboardX", "torch"} | OPTIONAL
# Libraries of tests and benchmarks.
NEVER_AT_RUN_TIME = {"chex", "gensim", "geoopt", "hypothesis", "mpmath", "pyright", "pytest", "ruff", "scipy", "torch"}
# Module -> distribution, where their names differ.
MODULE_OF = {"orbax_checkpoint": "orbax"}


def module_name(path: str) -> str:
    return ".".join(["ternary_jax", *Path(path).with_suffix("").parts]).removesuffix(".__init__")


def imports(tree: ast.Module) -> set[str]:
    """The top-level names of all absolute imports, at the top of the file or inside functions."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@functools.cache
def parsed(path: str) -> ast.Module:
    """The syntax tree of a file; not at the top of this module, which every worker imports."""
    return ast.parse((PACKAGE / path).read_text())


def modules_required(requirements: list[str]) -> set[str]:
    names = {re.split(r"[^\w.-]", r)[0].replace("-", "_") for r in requirements}
    return {MODULE_OF.get(name, name) for name in names}


def in_a_fresh_process(code: str) -> str:
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True).stdout


def own_imports(path: str) -> set[str]:
    """The rooms and files of this package that a file imports, at the top or inside functions."""
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("ternary_jax."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.ImportFrom) and node.module == "ternary_jax":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("ternary_jax.")}
    return found


@pytest.mark.parametrize("path", [path for path in SOURCES if Path(path).stem not in COMMANDS or "/" in path])
def test_rooms_import_only_the_rooms_below_them(path):
    room = Path(path).parts[0].removesuffix(".py")
    below = (ROOMS[room] | {room} if room in ROOMS else set()) | UPWARDS.get(path, set())
    assert room in ROOMS.keys() | FOUNDATION
    assert own_imports(path) <= below | FOUNDATION, f"{path} imports a room that ROOMS does not list below its own"


def test_the_engine_names_nothing_of_a_model_family():
    """Metrics, groups and files of one family may not occur in engine/."""
    words = re.compile(r"coverage|hierarchy|embedding|gradient_ratio|\btau\b|\btrit|statenet|_[AB]\b")
    found = {path: words.findall((PACKAGE / path).read_text()) for path in SOURCES if path.startswith("engine/")}
    assert not {path: found for path, found in found.items() if found}


def test_files_have_400_lines_and_functions_50_at_most():
    long = {path: len((PACKAGE / path).read_text().splitlines()) for path in SOURCES}
    assert not {path: n for path, n in long.items() if n > 400}
    functions = {
        f"{path}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in SOURCES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef)
    }
    assert not {name: n for name, n in functions.items() if n > 50}


IMPORT_PACKAGE = f"import {', '.join(map(module_name, SOURCES))}"


def imported_in_a_fresh_process(statement: str) -> tuple[float, set[str]]:
    """Seconds of the statement, of the processor, as other processes slow the clock on a wall; all modules then."""
    clock = "import time, sys; start = time.process_time()"
    printed = in_a_fresh_process(f"{clock}; {statement}; print(time.process_time() - start, *sys.modules)").split()
    return float(printed[0]), {*printed[1:]}


@pytest.fixture(scope="module")
def package_imported():
    return imported_in_a_fresh_process(IMPORT_PACKAGE)


def test_the_package_imports_in_the_time_of_its_libraries(package_imported):
    # One round of five is enough: a heavy import is in every round, what else the machine does is not.
    package, libraries = package_imported[0], imported_in_a_fresh_process("import jax, flax, optax")[0]
    for _ in range(4):
        if package >= 1.75 * libraries:
            package, libraries = (
                imported_in_a_fresh_process(statement)[0] for statement in (IMPORT_PACKAGE, "import jax, flax, optax")
            )
    assert package < 1.75 * libraries, (
        f"importing ternary_jax takes {package:.2f} s, jax, flax and optax alone {libraries:.2f} s: "
        "see `python -X importtime -c 'import ternary_jax.main'` for what is heavy, and import it where it is used"
    )


def test_slow_libraries_are_not_imported_with_the_package(package_imported):
    loaded = package_imported[1]
    assert {"ternary_jax.ternary", "jax"} <= loaded
    assert not loaded & NEVER_AT_IMPORT


@pytest.mark.parametrize("library", MAY_IMPORT)
def test_a_library_is_imported_only_where_it_may_be(library):
    importing = {path for path in SOURCES if library in imports(parsed(path))}
    strangers = {path for path in importing if not any(fnmatch(path, pattern) for pattern in MAY_IMPORT[library])}
    assert not strangers, f"{library} belongs in {MAY_IMPORT[library]}; a new such file is added to MAY_IMPORT"


@pytest.mark.parametrize("path", SOURCES)
def test_what_is_imported_is_installed_with_the_package(path):
    installed = modules_required(PROJECT["dependencies"])
    assert imports(parsed(path)) <= installed | sys.stdlib_module_names | OPTIONAL | {"ternary_jax"}


def test_tests_and_experiments_bring_their_own_dependencies():
    runtime = modules_required(PROJECT["dependencies"])
    assert {"jax", "ml_collections", "orbax"} <= runtime
    assert not runtime & NEVER_AT_RUN_TIME
    for extra in PROJECT["optional-dependencies"].keys() - {"cuda"}:
        assert not runtime & modules_required(PROJECT["optional-dependencies"][extra])


@pytest.mark.parametrize("path", SOURCES)
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(parsed(path))


def test_every_folder_is_a_package():
    """A folder without __init__.py is importable in a checkout, and left out of what is installed."""
    assert {str(Path(path).parent) for path in SOURCES} == {
        str(Path(path).parent) for path in SOURCES if path.endswith("__init__.py")
    }
