"""Where a config file is, and the modules that stand beside it.

Packaged configs are the files of `configs/` in a checkout, which a wheel holds as `ternary_jax/configs/`. Their bare
names, such as v5_12, find them from any folder.
"""

import ast
import functools
import os
import sys
from pathlib import Path

from ternary_jax.config import source
from ternary_jax.errors import ConfigError

_INSIDE = Path(__file__).parents[1] / "configs"
FOLDER = _INSIDE if (_INSIDE / "defaults.py").is_file() else Path(__file__).parents[2] / "configs"


def packaged() -> list[str]:
    """The bare names of the packaged configs."""
    return sorted(file.stem for file in FOLDER.glob("*.py"))


def cut(path: str | Path) -> tuple[str, str]:
    """FILE.py:ARG -> FILE.py, ARG; NAME:ARG -> NAME, ARG. ARG is "" if there is none."""
    file, ending, arg = str(path).partition(".py:")
    if not ending and _is_bare(file):
        file, _, arg = file.partition(":")
    return file + ending[:3], arg


def file_of(name: str) -> str:
    """The config file of a path or of a bare name; a ConfigError if there is none. Packaged configs go first."""
    if _is_bare(name) and name in packaged():
        return str(FOLDER / f"{name}.py")
    if os.path.isfile(name):
        return name
    source.check_kind(name)
    if _is_bare(name):
        wrong = f": there is no packaged config of this name; there are {', '.join(packaged())}"
        raise source.FileError(name, wrong, "a config of your own is given by its path, such as mine.py")
    stem = Path(name).stem if Path(name).stem in packaged() else "vae"
    raise source.FileError(
        name,
        ": there is no such file",
        "those of this repository are in configs/, and a bare name, such as v5_12, finds them from any folder",
        f'read("{stem}") starts from the packaged configs/{stem}.py, from any folder',
    )


def search(folder: str | Path) -> None:
    """Put a folder first in sys.path, so that its modules are imported before others of the same names.

    The folder of the packaged configs goes last: its files are read, not imported, so it must not hide a module.
    """
    path = os.path.abspath(folder)
    if path in sys.path:
        sys.path.remove(path)
    sys.path.insert(len(sys.path) if _same(path, FOLDER) else 0, path)


def check_imports(file: str) -> None:
    """Check that the modules that a config file imports are those beside it, where such files are there."""
    for name in _imported(source.tree(file)):
        check_module(name, os.path.dirname(file), f"{file} imports {name}")


def check_module(name: str, folder: str | Path, what: str) -> None:
    """Raise a ConfigError if a module of this name stands in the folder and another one has been imported.

    Python imports a name once in a process: of two folders with a model.py each, it would silently use the first.
    """
    root = name.partition(".")[0]
    files = [Path(folder, root, "__init__.py"), Path(folder, f"{root}.py")]
    meant, used = next(filter(Path.is_file, files), None), getattr(sys.modules.get(root), "__file__", None)
    if meant and used and root != "ternary_jax" and not _same(meant, used):
        raise ConfigError(
            f"{what}, which is {used} in this process, but {meant} stands beside the config: rename one of the two, "
            "or use this config in a process of its own"
        )


# --- inside -----------------------------------------------------------------------------------------------------------


@functools.lru_cache(64)
def _imported(tree: ast.Module) -> tuple[str, ...]:
    """The modules that a program imports, at its top or inside functions."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    return tuple(names)


def _is_bare(name: str) -> bool:
    """Whether this is a name without a folder and without .py."""
    return os.sep not in name and not name.endswith(".py")


def _same(one: str | Path, other: str | Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
