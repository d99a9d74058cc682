"""A config file, read, overridden and checked: `load_config` gives a locked ConfigDict."""

import ast
import inspect
import os
import runpy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from ternary_jax.config import locate, origin, source
from ternary_jax.config.keys import Key, flat, listed, nested, typed
from ternary_jax.config.table import keys_of
from ternary_jax.config.validate import to_train, validated
from ternary_jax.errors import ConfigError


class VariantError(ConfigError):
    """The argument of a get_config(arg) is none of its variants. `read` says it with the name of the config.

    names: of the variants that there are
    """

    def __init__(self, arg: str, names: list[str]):
        self.about = f"no variant {arg!r}: there {'are' if len(names) > 1 else 'is'} {listed(names, more='')}"
        super().__init__(f"there is {self.about}; give one, such as {names[0]}")
        self.names = names


def load_config(path: str | Path, overrides: Mapping | Iterable[str] = ()) -> Any:
    """The config of a file, checked and locked, a ConfigDict.

    The folder of the file comes first in sys.path, so a config can import a task module that is beside it.

    Several values of keys that may differ between runs, such as train.learning_rate=1e-3,2e-3, are one per run. They
    give the number of runs, unless the overrides set `runs`, or the file sets more than 1.

    path: a file with get_config(), or the bare name of a packaged one; with :ARG after it for get_config(ARG)
    overrides: {"a.b": value}, or texts "a.b=value" as they are typed
    """
    file = locate.file_of(locate.cut(path)[0])
    changes = overrides if isinstance(overrides, Mapping) else typed(overrides)
    base = flat(read(path))
    table, module = _table(base, changes, file)
    given = {key: (value, f" in {file}") for key, value in base.items()}
    given |= {key: (value, "") for key, value in changes.items()}
    config = validated(given, table, module, file, infer_runs="runs" not in changes)
    return to_train(config, table, module)


def read(path: str | Path) -> Any:
    """What get_config() of a file returns, unlocked and unchecked: a start for a config that differs from it.

    path: as in load_config; `read("vae")` starts from the packaged configs/vae.py, wherever the calling config is.
    """
    name, arg = locate.cut(path)
    file = locate.file_of(name)
    with _reading(str(path), file, arg):
        get_config = _named(file, "get_config()", CONFIG_FORM)
        locate.check_imports(file)
        if arg and not _call(file, inspect.signature, get_config).parameters:
            raise source.FileError(f"{file}:{arg}", f": {file} has no variant {arg!r}", f"give {file}")
        try:
            config = _call(file, get_config, *[arg] if arg else [])
        except VariantError as e:
            fix = f"give one, such as {name}:{e.names[0]}"
            raise source.FileError(str(path), f": {name} has {e.about}", fix) from None
    if not isinstance(config, ConfigDict):
        fix = 'return one, such as read("vae") with some of its keys changed'
        what = "nothing: end it with `return config`" if config is None else f"{type(config).__name__}: {fix}"
        raise ConfigError(f"get_config() of {file} has to return an ml_collections.ConfigDict, and returns {what}")
    return ConfigDict(nested(_call(file, flat, config)), type_safe=False)  # a tuple may replace one number


def values_and_keys(
    path: str | Path, overrides: Mapping | Iterable[str] = ()
) -> tuple[dict[str, Any], dict[str, Key], ModuleType]:
    """(unchecked values by dotted key, table of all keys, task module) of a file with overrides, as in `load_config`.

    For a sweep, which checks the values that it sets before there is a config that has them.
    """
    file = locate.file_of(locate.cut(path)[0])
    changes = dict(overrides) if isinstance(overrides, Mapping) else typed(overrides)
    base = flat(read(path))
    return base | changes, *_table(base, changes, file)


def listed_runs(path: str | Path) -> list[dict[str, Any]]:
    """The runs that sweep(add) of a config file adds, in order: for each the same keys, with its values."""
    file = locate.file_of(locate.cut(path)[0])
    rows: list[dict] = []
    _call(file, _named(file, "sweep(add)", SWEEP_FORM), lambda row: rows.append(dict(row)))
    if not rows:
        raise ConfigError(f"sweep(add) of {file} adds no run: call add once per run, each time with the same keys")
    for k, row in enumerate(rows):
        if odd := sorted(map(str, row.keys() ^ rows[0].keys())):
            with_it, without = (k, 0) if odd[0] in row else (0, k)
            raise ConfigError(
                f"sweep(add) of {file} sets {odd[0]} in run {with_it} and not in run {without}: call add each time "
                "with the same keys"
            )
    return rows


def has_sweep(path: str | Path) -> bool:
    """Whether a config file has a function sweep(add)."""
    found = source.tree(locate.file_of(locate.cut(path)[0]))
    return any(isinstance(node, ast.FunctionDef) and node.name == "sweep" for node in found.body)


def config_name(path: str | Path) -> str:
    """The name of the file, without folder and ending, and ARG after it: v5_10_all of configs/v5_10.py:all."""
    file, arg = locate.cut(path)
    return "_".join(filter(None, (Path(file).stem, arg)))


def check_variant(arg: str, names: Iterable[str]) -> None:
    """Refuse an argument of get_config(arg) that is none of these names. The empty one, of no argument, is allowed."""
    if arg and arg not in (names := [*names]):
        raise VariantError(arg, names)


def check_task_fits(table: Mapping[str, Key], in_file: Mapping[str, Any], task: str, file: str) -> None:
    """Another task for a config file: the task has every key that the file sets."""
    if unknown := [key for key in in_file if key not in table]:
        raise ConfigError(
            f"config.task={task} has no {listed(unknown, 5, '')}, and {file} sets them: "
            "leave config.task out, or give a --config for this task"
        )


# --- inside -----------------------------------------------------------------------------------------------------------

CONFIG_FORM = 'define it, so that it returns a config, such as one from read("vae"), or name another file'
SWEEP_FORM = "define it, so that it calls add({KEY: VALUE, ...}) once per run, or leave --sweep out"
_UNDER_WAY: list[tuple[str, str]] = []  # (real path, ARG) of the files that `read` is reading, the first one first


@contextmanager
def _reading(path: str, file: str, arg: str) -> Iterator[None]:
    """Refuse a config file that reads itself, also through others: it would go on until Python's stack is full."""
    if (here := (os.path.realpath(file), arg)) in _UNDER_WAY:
        wrong = ": this file is being read, so the config would start from itself"
        raise source.FileError(path, wrong, 'start from another file, such as read("vae")')
    _UNDER_WAY.append(here)
    try:
        yield
    finally:
        _UNDER_WAY.pop()


def _call(file: str, function: Callable, *args: Any) -> Any:
    """A config is a program: whatever it raises is a ConfigError, which names the line of the file."""
    try:
        return function(*args)
    except source.FileError as e:  # of a base file: the user has not typed its path after --config
        raise ConfigError(f"{origin.line(file, e)}: {e.about_read}") from e
    except ConfigError:
        raise
    except (Exception, SystemExit) as e:
        raise ConfigError(f"{origin.line(file, e)}: {origin.about(file, e)}") from e


def _named(file: str, form: str, fix: str) -> Any:
    """The function of a config file with the name in `form`, such as "get_config()". fix: where there is none."""
    source.tree(file)  # a file that is no program is refused before it runs
    locate.search(os.path.dirname(file))
    names = _call(file, runpy.run_path, os.path.abspath(file))
    name = form.partition("(")[0]
    if name not in names:
        raise ConfigError(f"{file} has no {form}: {fix}")
    return names[name]


def _task_of(task: Any, file: str, stated_here: bool) -> tuple[dict[str, Key], ModuleType]:
    """The keys and the module of a task; a module beside `file` goes before others. stated_here: `file` names it."""
    folder = os.path.dirname(file)
    locate.search(folder)  # again: reading a base config of another folder may have put that folder first in sys.path
    if isinstance(task, str):  # before keys_of: a cached module of the same name may lack the submodule of this one
        locate.check_module(task, folder, f"config.task={task}")
    return keys_of(task, f" in {file}" * stated_here, folder)


def _table(base: Mapping[str, Any], changes: Mapping[str, Any], file: str) -> tuple[dict[str, Key], ModuleType]:
    """The keys and the module of the task of a file with these values and changes."""
    if "task" not in {**base, **changes}:
        raise ConfigError(f"{file} has no config.task{_without_task(file)}")
    table, module = _task_of({**base, **changes}["task"], file, stated_here="task" not in changes)
    if "task" in changes:
        check_task_fits(table, base, module.__name__, file)
    return table, module


def _without_task(file: str) -> str:
    """What is wrong with a config without a task, and the fix."""
    if os.path.dirname(file) == str(locate.FOLDER):
        return ", as it is a base of other configs: give one of these, such as --config=v5_12"
    return ': set it to the name of a task module, or start from a config that has one, such as read("vae")'
