"""A config as the engine takes it: what is compiled in, and what is an argument; and as JSON has it."""

import collections
from functools import cache
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from ternary_jax.config.keys import flat, nested
from ternary_jax.config.table import keys_of


def split(config: ConfigDict) -> tuple[Any, Any]:
    """Static and Hypers: NamedTuples with the names of the config, the groups in them NamedTuples too.

    Static: what is the same in all runs, hashable. Hypers: the rest, (runs,) each, float32 or, the seeds, int32.
    """
    static, hypers = flat(config), {}
    (table, _), runs = keys_of(static["task"]), static["runs"]
    for key in [key for key in static if table[key].traced]:
        value, dtype = static.pop(key), np.int32 if table[key].kind is int else np.float32
        later = np.arange(runs) if key == "seed" and np.isscalar(value) else 0
        hypers[key] = np.full(runs, np.asarray(value) + later, dtype)
    return _tuple("Static", nested(static)), _tuple("Hypers", nested(hypers))


def per_run(value: Any, runs: int) -> tuple:
    """The values of a traced key, one per run."""
    return value if isinstance(value, tuple) else (value,) * runs


def resolved(config: ConfigDict) -> dict[str, Any]:
    """All values by dotted key, sorted, as JSON has them."""
    return {key: list(v) if isinstance(v, tuple) else v for key, v in sorted(flat(config).items())}


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What differs between two `resolved` configs, but for keys that are free to: old is there, new is here."""
    table, _ = keys_of(new["task"])
    bound = [key for key in sorted(old | new) if not (key in table and table[key].free)]
    rows = [(key, old.get(key, "not set"), new.get(key, "not set")) for key in bound]
    return [f"{key} is {there} there and {here} here" for key, there, here in rows if there != here]


@cache
def _class(name: str, fields: tuple[str, ...]) -> Any:
    """One class for the same names, so that what is split from one config twice is one pytree structure."""
    return collections.namedtuple(name, fields)


def _tuple(name: str, tree: dict[str, Any]) -> Any:
    fields = {k: _tuple(k.title(), v) if isinstance(v, dict) else v for k, v in sorted(tree.items())}
    return _class(name, tuple(fields))(**fields)
