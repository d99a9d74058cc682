"""The config of a workdir as it is read again. A workdir may be anyone's.

Of what it names, only the task modules of this package are imported, and no path is opened.
`load_config` trusts its file, which is a program that the user runs. A config.json is data.
"""

import copy
import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from ternary_jax.config.keys import Key, value_of
from ternary_jax.config.table import KEYS, extensions
from ternary_jax.config.table import keys_of as keys_of_module
from ternary_jax.config.validate import validated
from ternary_jax.errors import ConfigError

PACKAGED = re.compile(r"ternary_jax(\.[a-z_]+)+\.([a-z]+_)?task")  # the task modules of this package, at any depth


def keys_of(config: Mapping[str, Any], task: str = "") -> tuple[dict[str, Key], ModuleType]:
    """(table of all keys, task module) of a stored config. task: the name of the module, as the user gave it.

    Without it only a task of this package is imported: importing a module runs its code.
    """
    if not task and not PACKAGED.fullmatch(config["task"]):
        raise ConfigError(
            f"config.task={config['task']} is no task of this package, and code that only a workdir names is not run: "
            f"name it yourself if you trust it, by --task={config['task']} or workdir.open(path, task=...)"
        )
    return keys_of_module(task or config["task"])


def config_of(config: Mapping[str, Any], table: dict[str, Key], module: ModuleType) -> Any:
    """The ConfigDict of a stored config, checked as `load_config` checks it.

    Keys that only the start of a training uses are empty in it: a path in them is not opened.
    """
    empty = {key: () if table[key].many else "" for key in table if table[key].at_start}
    values = values_of(config, table) | empty | {"task": module.__name__}
    given = {key: (value, " in config.json") for key, value in values.items()}
    return validated(given, table, module, "config.json", infer_runs=False)


def values_of(config: Mapping[str, Any], table: dict[str, Key]) -> dict[str, Any]:
    """The values of the keys of a table that the stored config has, each as its key allows; or a ConfigError."""
    where = " in config.json"
    return {key: value_of(key, _tuples(config[key]), where, table) for key in table if key in config}


def of_engine(config: Any) -> Any:
    """The stored config with the values of the keys that every task has as these allow; or a ConfigError.

    For readers that import no task. A key of several values has a tuple then, where the file may have one value.
    """
    found = copy.copy(config)
    found.update(values_of(config, {**KEYS, **{key: kind for one in extensions() for key, kind in one.KEYS.items()}}))
    return found


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
