"""The keys of a config by dotted name: type and range of each, conversion of typed values, and error messages."""

import ast
import difflib
import math
import re
import reprlib
import struct
import unicodedata
import warnings
from collections.abc import Iterable
from contextlib import suppress
from functools import partial, reduce
from numbers import Integral, Real
from typing import Any, NamedTuple

from ml_collections import ConfigDict, FieldReference

from ternary_jax.errors import ConfigError


class Key(NamedTuple):
    """The type and range of a config key.

    kind: int, float, bool or str
    low, high: bounds of a number, inclusive
    excluded: values within the bounds that are not allowed
    choices: the allowed words; (): all
    many: the value is a tuple of such values
    traced: the value may differ between runs: one number, or a tuple of one per run
    free: the value may differ between sessions of one workdir
    at_start: the value is used when a training starts, and by nothing that reads its workdir
    """

    kind: type
    low: float = -math.inf
    high: float = math.inf
    excluded: tuple = ()
    choices: tuple = ()
    many: bool = False
    traced: bool = False
    free: bool = False
    at_start: bool = False


DECIMAL_COMMA = re.compile(r"[+-]?0,0*[0-9]+")

integer, real, flag = (partial(Key, kind) for kind in (int, float, bool))
integers, reals = (partial(Key, kind, many=True) for kind in (int, float))
text = partial(Key, str, excluded=("",))
words = partial(Key, str, excluded=("",), many=True)


def choice(*words: str, free: bool = False) -> Key:
    """The key of a value that is one of the words."""
    return Key(str, choices=words, free=free)


class Typed(str):
    """The text of a value as it was typed on the command line; the key's kind decides how it is read."""


def typed(overrides: Iterable[str]) -> dict[str, Typed]:
    """{"a.b": Typed("value")} from texts "a.b=value"; spaces around a key and a value are no part of them."""
    pairs = (override.partition("=") for override in ([overrides] if isinstance(overrides, str) else overrides))
    return {key.strip(): Typed(value.strip()) for key, _, value in pairs}


def allowed(key: Key) -> str:
    """The values that the key allows, in words."""
    words = {int: "an int", float: "a number", bool: "true or false", str: "some text"}[key.kind]
    words = " or ".join(key.choices) or words
    if key.high < math.inf:
        words += f" from {key.low} to {key.high}"
    elif key.low > -math.inf:
        words += f", {key.low} or more"
    if any(map(str, key.excluded)):
        words += f", {' and '.join(map(str, key.excluded))} excluded"
    return f"a tuple, each {words}" if key.many else f"{words}, or one per run" if key.traced else words


class RoundedError(ValueError):
    """A value that is an excluded one in float32. used: the value in float32."""

    def __init__(self, used: float):
        super().__init__(used)
        self.used = used


def listed(names: Iterable[str], most: int = 15, more: str = ": see --keys") -> str:
    """The names, separated by commas, at most `most` of them. more: follows the number of the others."""
    names = [*names]
    return ", ".join(names[:most]) + f" and {len(names) - most} more{more}" * (len(names) > most)


def shown(value: Any, width: int = 80) -> str:
    """A value for a message, as it was typed or as Python writes it, in at most 80 characters."""
    text = " ".join(value.split()) if isinstance(value, Typed) else reprlib.repr(value)
    return text if len(text) <= width else f"{text[: width - 3]}..."


def value_of(name: str, value: Any, where: str, table: dict[str, Key]) -> Any:
    """The value converted to the kind of its key, or a ConfigError. where: the source of the value, for the message."""
    wrong = f"config.{shown(Typed(name))}={shown(value)} is not allowed{where}"
    if name in table:
        try:
            return _converted(table[name], value)
        except (ValueError, OverflowError) as e:
            note = f", as it is {e.used:g} in float32" if isinstance(e, RoundedError) else _note(table[name], value)
            raise ConfigError(f"{wrong}{note}: give {allowed(table[name])}") from None
    if members := [key for key in table if key.startswith(f"{name}.")]:
        raise ConfigError(f"{wrong}: it is a group; set one of its keys, {listed(members)}")
    raise ConfigError(f"{wrong}: there is no such key{not_ascii(str(name))}; {_known(str(name), table)}")


def not_ascii(name: str) -> str:
    """The first character of the name that no key has, as it may look like another one; "" without one."""
    place = next((k for k, x in enumerate(name) if not x.isascii()), None)
    if place is None:
        return ""
    what = f"{unicodedata.name(name[place], 'a character')} (U+{ord(name[place]):04X})"
    return f", as its character {place + 1}, {name[place]!r}, is {what}"


def as_used(key: Key, value: Any) -> Any:
    """A scalar as the compiled program has it: in float32 where it may differ between runs."""
    return struct.unpack("<f", struct.pack("<f", value))[0] if key.traced and key.kind is float else value


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """The values of a config by dotted key."""
    values = {}
    for name, value in config.items(preserve_field_references=True):
        if isinstance(value, FieldReference):
            raise ConfigError(f"config.{prefix}{name} is a reference: give it a value of its own")
        values |= flat(value, f"{prefix}{name}.") if isinstance(value, ConfigDict) else {prefix + name: value}
    return values


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """Nested dicts from values by dotted key."""
    tree = {}
    for key, value in values.items():
        *groups, name = key.split(".")
        reduce(lambda group, name: group.setdefault(name, {}), groups, tree)[name] = value
    return tree


# --- inside -----------------------------------------------------------------------------------------------------------


def _known(name: str, table: dict[str, Key]) -> str:
    """The nearest key, if one is near enough to be meant; else the keys of the group that the name begins with."""
    group, _, last = name.rpartition(".")
    inside = [key.removeprefix(f"{group}.") for key in table if group and key.startswith(f"{group}.")]
    near = [f"{group}.{key}" for key in difflib.get_close_matches(last, inside, 1, 0.75)]
    same = [key for key in table if key.rpartition(".")[2] == last]
    cutoff = 0.85 if group else 0.75  # train.sed is seed, and taks is task
    alone = difflib.get_close_matches(last, [key for key in table if "." not in key], 1, cutoff)
    near = alone or near or (same if len(same) == 1 else [])
    near = near or difflib.get_close_matches(name, table, 1, 0.8)
    if near:
        return f"the nearest is {near[0]}"
    groups = dict.fromkeys(key.partition(".")[0] for key in table if "." in key)
    if group and groups and not inside:
        return f"there is no group {group}, but {listed(groups)}"
    return f"there are {listed([f'{group}.{key}' for key in inside] or table)}"


def _note(key: Key, value: Any) -> str:
    """A note on a value whose mistake is not seen at once: what it looks like, and what it is; else ""."""
    if isinstance(value, Typed):
        if key.kind is not str and (odd := not_ascii(str(value))):
            return odd
        if key.kind is float and DECIMAL_COMMA.fullmatch(value):
            return f", as a comma separates the values of runs: the decimal sign is a point, {value.replace(',', '.')}"
    elif isinstance(value, str) and key.kind is not str:
        return ", as it is text: write it without the quotes"
    elif isinstance(value, str) and value != value.strip():
        return ", as it begins or ends with a space, which a command line would lose"
    return _several(key, value)


def _several(key: Key, value: Any) -> str:
    """A note on several values of a key that has one, or that are in no tuple, such as an array; else ""."""
    if key.kind is not str and not (key.many or key.traced):
        given = _read(str(value), key.kind) if isinstance(value, Typed) else value
        return ", as it is the same for all runs" if isinstance(given, tuple | list) else ""
    if not (key.many or key.traced) or isinstance(value, str | tuple | list) or not isinstance(value, Iterable):
        return ""
    return f", as several values have to be a tuple, and this is of type {type(value).__name__}"


def _converted(key: Key, value: Any) -> Any:
    """The value converted to the kind of the key; a ValueError or OverflowError if the key does not allow it."""
    if isinstance(value, Typed):
        value = _read(str(value), key.kind) if key.kind is not str else _words(value) if key.many else str(value)
    if key.many and not isinstance(value, tuple | list):
        value = (value,)
    if isinstance(value, tuple | list) and (key.many or key.traced):
        return tuple(_scalar(key, each) for each in value)
    return _scalar(key, value)


def _scalar(key: Key, value: Any) -> Any:
    kinds = {int: Integral, float: Real}.get(key.kind, key.kind)
    if not isinstance(value, kinds) or (isinstance(value, bool) and key.kind is not bool):
        raise ValueError(value)
    value = key.kind(value)
    used = as_used(key, value)
    fits = key.low <= value <= key.high and math.isfinite(value) if key.kind in (int, float) else True
    if fits and used in key.excluded and value not in key.excluded:
        raise RoundedError(used)
    if key.kind is str and value != value.strip():  # a typed value has none: see `_note`
        raise ValueError(value)
    if not fits or value in key.excluded or (key.choices and value not in key.choices):
        raise ValueError(value)
    return value


def _words(value: str) -> tuple[str, ...]:
    """Words between commas, or a Python tuple or list of them, as a config file has it."""
    if value.strip()[:1] in ("(", "["):
        with suppress(ValueError, SyntaxError):
            return tuple(ast.literal_eval(value.strip()))
    return tuple(word.strip() for word in value.split(",")) if value.strip() not in ("", "()") else ()


def _read(value: str, kind: type) -> Any:
    """The Python literal in the text, or the text itself where it is no literal."""
    if kind is bool:
        return {"true": True, "false": False}.get(value.strip().lower(), value)
    try:
        with warnings.catch_warnings(action="error"):
            return ast.literal_eval(value.strip())
    except Exception:
        return value
