"""A config split for the engine into static and traced values; and its flat form for JSON."""

import collections
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from ternary_jax.config.keys import Key, flat, nested
from ternary_jax.config.table import keys_of


def split(config: ConfigDict) -> tuple[Any, Any]:
    """(Static, Hypers): nested NamedTuples with the names of the config and its groups.

    Static: the values that are the same in all runs, hashable, compiled in
    Hypers: the traced values, arrays (runs,) of float32, or of int32 where the key is an int
    """
    static, hypers = flat(config), {}
    (table, _), runs = keys_of(static["task"]), static["runs"]
    for key in [key for key in static if table[key].traced]:
        value, dtype = static.pop(key), np.int32 if table[key].kind is int else np.float32
        offset = np.arange(runs) if key == "seed" and np.isscalar(value) else 0
        hypers[key] = np.full(runs, np.asarray(value) + offset, dtype)
    return _tuple("Static", nested(static)), _tuple("Hypers", nested(hypers))


def per_run(value: Any, runs: int) -> tuple:
    """The values of a traced key, one per run."""
    return value if isinstance(value, tuple) else (value,) * runs


def resolved(config: ConfigDict) -> dict[str, Any]:
    """All values by dotted key, sorted; tuples become lists, as in JSON."""
    return {key: list(v) if isinstance(v, tuple) else v for key, v in sorted(flat(config).items())}


def differences(old: dict[str, Any], new: dict[str, Any], table: Mapping[str, Key] | None = None) -> list[str]:
    """A text for each key, not `Key.free`, in which two `resolved` configs differ; old is "there", new is "here".

    table: of the keys; None: that of the task, which is imported
    """
    table = keys_of(new["task"])[0] if table is None else table
    bound = [key for key in sorted(old | new) if not (key in table and table[key].free)]
    rows = [(key, old.get(key, "not set"), new.get(key, "not set")) for key in bound]
    return [f"{key} is {_shown(there)} there and {_shown(here)} here" for key, there, here in rows if there != here]


def _shown(value: Any) -> Any:
    return "empty" if value in ("", []) else text if len(text := str(value)) <= 80 else f"{text[:77]}..."


@cache
def _class(name: str, fields: tuple[str, ...]) -> Any:
    """One class for the same names, so that two splits of one config have the same pytree structure."""
    return collections.namedtuple(name, fields)


def _tuple(name: str, tree: dict[str, Any]) -> Any:
    fields = {k: _tuple(k.title(), v) if isinstance(v, dict) else v for k, v in sorted(tree.items())}
    return _class(name, tuple(fields))(**fields)
