"""The keys of a config: dotted names, what each may hold, and what to say where it does not."""

import ast
import difflib
import math
import reprlib
import struct
import warnings
from collections.abc import Iterable
from functools import partial, reduce
from numbers import Integral, Real
from typing import Any, NamedTuple

from ml_collections import ConfigDict, FieldReference

from ternary_jax.errors import ConfigError


class Key(NamedTuple):
    """A value of `kind`, which is int, float, bool or str.

    low, high: bounds of a number, both allowed
    excluded: what is not allowed all the same
    choices: the words that are allowed; (): all
    many: a tuple of such values
    traced: may differ between runs: one number, or a tuple of one per run
    free: may differ between sessions of one workdir
    """

    kind: type
    low: float = -math.inf
    high: float = math.inf
    excluded: tuple = ()
    choices: tuple = ()
    many: bool = False
    traced: bool = False
    free: bool = False


integer, real, flag = (partial(Key, kind) for kind in (int, float, bool))
integers, reals = (partial(Key, kind, many=True) for kind in (int, float))
text = partial(Key, str, excluded=("",))
words = partial(Key, str, excluded=("",), many=True)


def choice(*words: str, free: bool = False) -> Key:
    """One of the words."""
    return Key(str, choices=words, free=free)


class Typed(str):
    """A value as it was typed; how it is read depends on the key."""


def typed(overrides: Iterable[str]) -> dict[str, Typed]:
    """Texts "a.b=value" by their keys."""
    pairs = (override.partition("=") for override in ([overrides] if isinstance(overrides, str) else overrides))
    return {key: Typed(value) for key, _, value in pairs}


def allowed(key: Key) -> str:
    """What the key may hold, in words."""
    one = {int: "an int", float: "a number", bool: "true or false", str: "some text"}[key.kind]
    one = " or ".join(key.choices) or one
    if key.high < math.inf:
        one += f" from {key.low} to {key.high}"
    elif key.low > -math.inf:
        one += f", {key.low} or more"
    if any(map(str, key.excluded)):
        one += f", {' and '.join(map(str, key.excluded))} excluded"
    return f"a tuple, each {one}" if key.many else f"{one}, or one per run" if key.traced else one


def value_of(name: str, value: Any, where: str, table: dict[str, Key]) -> Any:
    """The value as a config holds it, or a ConfigError; `where` it was given is for its text."""
    shown = " ".join(value.split()) if isinstance(value, Typed) else reprlib.repr(value)
    wrong = f"config.{name}={shown} is not allowed{where}"
    if name in table:
        try:
            return _held(table[name], value)
        except (ValueError, OverflowError):
            raise ConfigError(f"{wrong}: give {allowed(table[name])}") from None
    if members := [key for key in table if key.startswith(f"{name}.")]:
        raise ConfigError(f"{wrong}: it is a group; set one of its keys, {', '.join(members)}")
    near = difflib.get_close_matches(str(name), table, 1)
    known = f"the nearest is {near[0]}" if near else f"there are {', '.join(table)}"
    raise ConfigError(f"{wrong}: there is no such key; {known}")


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """The values of a config by dotted key."""
    out = {}
    for name, value in config.items(preserve_field_references=True):
        if isinstance(value, FieldReference):
            raise ConfigError(f"config.{prefix}{name} is a reference: give it a value of its own")
        out |= flat(value, f"{prefix}{name}.") if isinstance(value, ConfigDict) else {prefix + name: value}
    return out


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """Dicts in dicts, from values by dotted key."""
    out = {}
    for key, value in values.items():
        *groups, name = key.split(".")
        reduce(lambda group, name: group.setdefault(name, {}), groups, out)[name] = value
    return out


# --- inside -----------------------------------------------------------------------------------------------------------


def _held(key: Key, value: Any) -> Any:
    """The value as a config holds it; a ValueError or OverflowError if the key may not hold it."""
    if isinstance(value, Typed):
        value = _read(str(value), key.kind) if key.kind is not str else _words(value) if key.many else str(value)
    if key.many and not isinstance(value, tuple | list):
        value = (value,)
    if isinstance(value, tuple | list) and (key.many or key.traced):
        return tuple(_one(key, each) for each in value)
    return _one(key, value)


def _one(key: Key, value: Any) -> Any:
    kinds = {int: Integral, float: Real}.get(key.kind, key.kind)
    if not isinstance(value, kinds) or (isinstance(value, bool) and key.kind is not bool):
        raise ValueError(value)
    value = key.kind(value)
    used = struct.unpack("<f", struct.pack("<f", value))[0] if key.traced and key.kind is float else value
    fits = key.low <= value <= key.high and math.isfinite(value) if key.kind in (int, float) else True
    if not fits or {value, used} & set(key.excluded) or (key.choices and value not in key.choices):
        raise ValueError(value)
    return value


def _words(value: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in value.split(",")) if value.strip() not in ("", "()") else ()


def _read(value: str, kind: type) -> Any:
    """The literal of Python that was typed, or the text itself where it is none."""
    if kind is bool:
        return {"true": True, "false": False}.get(value.strip().lower(), value)
    try:
        with warnings.catch_warnings(action="error"):
            return ast.literal_eval(value.strip())
    except Exception:
        return value
