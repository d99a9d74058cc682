"""The meaning and the default of each key of a config, from the config files that it starts from.

The sources are the documentation: a table of texts beside the keys would be a second one, and would disagree with it.
"""

import ast
import contextlib
import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from ternary_jax.config import comments, locate, source
from ternary_jax.config.keys import flat
from ternary_jax.config.load import read
from ternary_jax.config.split import resolved
from ternary_jax.errors import ConfigError


def meanings(path: str | Path, task: str, keys: list[str]) -> dict[str, str]:
    """The comment of each key, "" for one without.

    Of several files, the first that has a comment decides: a base file says what a key means, and one that starts from
    it says why its value is another. After the files of the config come those of the package for the same task.

    path: as in load_config
    """
    file = locate.file_of(locate.cut(path)[0])
    others = [*_packaged_of(task), _DEFAULTS]
    files = [*started_from(file), *(one for other in others for one in started_from(other))]
    noted = [comments.of_keys(source.read_bytes(one)) for one in dict.fromkeys(files)]
    return {key: next(filter(None, (_meaning(notes, key) for notes in noted)), "") for key in keys}


def defaults(path: str | Path) -> dict[str, Any]:
    """The value of each key in the first file that sets it, of those that a config starts from; by dotted key.

    A base file that cannot be read alone, as get_config(arg) needs its argument, gives no defaults.
    """
    values: dict[str, Any] = {}
    for base in started_from(locate.file_of(locate.cut(path)[0]))[:-1]:
        with contextlib.suppress(ConfigError):
            values = flat(read(base)) | values
    return flat(read(path)) | values


def base_of(task: str) -> str:
    """The packaged config that sets a task, and from which others of it start; of a task of one's own, `defaults`."""
    named = min(_packaged_of(task), key=lambda file: len(started_from(file)), default=_DEFAULTS)
    return Path(named).stem


def differences(config: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """{key: (value, that of the base)} of the values of a `resolved` config that are others in its `base_of`.

    A value that the base lacks is None in it.
    """
    before = resolved(read(base_of(config["task"])))
    return {key: (x, before.get(key)) for key, x in config.items() if key not in _ENTRIES and x != before.get(key)}


def changed(config: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a `resolved` config that differ from its base: number, text or bool by dotted key.

    Keys that name what is trained rather than how are left out: task, runs and seed.
    """
    found = {key: x for key, (x, _) in differences(config).items() if key not in ("task", "runs", "seed")}
    return {key: ",".join(map(str, x)) if isinstance(x, list) else x for key, x in found.items()}


@cache
def started_from(file: str, above: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """The config files that a file reads with `read(...)`, the first one first; at the end, the file itself.

    above: the real paths of the files that start from this one, which it does not start from
    """
    above |= {os.path.realpath(file)}
    calls = [node for node in ast.walk(source.tree(file)) if isinstance(node, ast.Call)]
    reads = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "read"]
    words = [node.value for call in reads for node in ast.walk(call) if isinstance(node, ast.Constant)]
    bases = [_base(word, file) for word in words if isinstance(word, str)]
    below = [base for base in bases if base and os.path.realpath(base) not in above]
    return (*dict.fromkeys(one for base in below for one in started_from(base, above)), file)


# --- inside -----------------------------------------------------------------------------------------------------------

_ENTRIES = ("format", "earlier_lengths")  # of a stored config that are no keys

_DEFAULTS = str(locate.FOLDER / "defaults.py")


def _packaged_of(task: str) -> list[str]:
    """The packaged config files that set this task."""
    files = [str(locate.FOLDER / f"{name}.py") for name in locate.packaged()]
    return [file for file in files if f'"{task}"' in Path(file).read_text()]


def _base(word: str, file: str) -> str:
    """The config file that a text in a call of `read` means: beside the file, from here, or packaged; "" for none."""
    name = locate.cut(word)[0]
    folder, packaged = os.path.dirname(file), str(locate.FOLDER / f"{Path(name).stem}.py")
    tried = [os.path.join(folder, name), name, os.path.join(folder, name.lstrip(os.sep)), packaged]
    return next((os.path.normpath(one) for one in tried if one.endswith(".py") and os.path.isfile(one)), "")


def _meaning(notes: dict[str, str], key: str) -> str:
    """The comment of a key; of one that a loop over names sets without a comment, that of its group."""
    if notes.get(key):
        return notes[key]
    patterns = [pattern for pattern in notes if comments.ANY in pattern and fnmatchcase(key, pattern)]
    own = [notes[pattern] or notes.get(key.rpartition(".")[0], "") for pattern in patterns]
    return next(filter(None, own), "")
