"""The grid of a sweep: keys and the values of each, as `--grid config.KEY=a,b,c` or as a mapping; and its product."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from ternary_jax.config.keys import Key, Typed, as_used, listed, shown, value_of
from ternary_jax.errors import ConfigError

FORM = "type --grid config.KEY=VALUE,VALUE"
CLOSING = {"(": ")", "[": "]", "{": "}"}
ONE_PER_RUN = ", or one per run"  # what the message of a traced key allows, and a grid does not


def parse(texts: Iterable[str]) -> dict[str, tuple[Typed, ...]]:
    """{key: its values} of texts "config.KEY=a,b,c". Values that have commas stand in brackets: [(64,),(64,64)]."""
    grid: dict[str, tuple[Typed, ...]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        key = name.strip().removeprefix("config.")
        if not equals or not values.strip() or not key:
            raise ConfigError(f"--grid {text!r} has no values: {FORM}")
        if key in grid:
            raise ConfigError(f"--grid config.{key} is given twice: give all values of the key in one --grid")
        grid[key] = tuple(Typed(value) for value in split_values(values, f"--grid config.{key}"))
    return grid


def split_values(text: str, what: str) -> list[str]:
    """The texts between the outer commas: a comma inside brackets or quotes separates nothing.

    Brackets around the whole are dropped; a text that begins otherwise, such as (64,),(64,64), is taken as it is.
    what: the flag and its key, for the message
    """
    text = text.strip()
    if _is_bracketed(text):
        text = text[1:-1].rstrip().removesuffix(",")
    parts, waiting = [""], []
    for x in text:
        if waiting and waiting[-1] in "'\"":
            waiting = waiting[:-1] if x == waiting[-1] else waiting
        elif x in "'\"":
            waiting = [*waiting, x]
        elif x in CLOSING:
            waiting = [*waiting, CLOSING[x]]
        elif waiting and x == waiting[-1]:
            waiting = waiting[:-1]
        elif x == "," and not waiting:
            parts.append("")
            continue
        parts[-1] += x
    if waiting:
        raise ConfigError(f"{what}={shown(Typed(text))} has no {waiting[-1]} that closes a value: add it")
    if not all(map(str.strip, parts)):
        raise ConfigError(f"{what}={shown(Typed(text))} has an empty value between two commas: {FORM}")
    return [part.strip() for part in parts]


def checked(rows: Iterable[Mapping[str, Any]], table: Mapping[str, Key], where: str) -> list[dict[str, Any]]:
    """The rows, each {key: value} in the order of the first one, with every value as its key allows; or a ConfigError.

    where: the source of the rows, such as " in --grid", for the message
    """
    rows = [*rows]
    return [{key: _value(key, row[key], table, where) for key in rows[0]} for row in rows]


def check_keys(given: Mapping[str, Any], table: Mapping[str, Key], where: str) -> None:
    """Refuse a key that the task does not have, and the number of runs, which follows from the rest.

    given: the values by key, of which the message shows the beginning
    """
    for key, values in given.items():
        if key == "runs":
            raise ConfigError(
                f"config.runs is not allowed{where}, as the runs of a sweep are its settings times its seeds: leave "
                "it out, and give --seeds"
            )
        if key not in table:
            value_of(key, Typed(_as_typed(values)), where, dict(table))  # raises the error that names the nearest key


def product(grid: Mapping[str, Iterable[Any]], table: Mapping[str, Key]) -> list[dict[str, Any]]:
    """The settings of a grid, each {key: value}; the last key varies fastest. [{}] for an empty grid."""
    check_keys(grid, table, " in --grid")
    values = {key: _values(key, of_key, table) for key, of_key in grid.items()}
    return [dict(zip(values, row, strict=True)) for row in itertools.product(*values.values())]


# --- inside -----------------------------------------------------------------------------------------------------------


def _is_bracketed(text: str) -> bool:
    """Whether one pair of square brackets is around the whole, unlike in [64],[64,64]."""
    if not (text.startswith("[") and text.endswith("]")):
        return False
    depths = itertools.accumulate((x == "[") - (x == "]") for x in text[:-1])
    return min(depths) > 0


def _as_typed(values: Any) -> str:
    return ",".join(map(str, values)) if isinstance(values, list | tuple) else str(values)


def _values(key: str, given: Iterable[Any], table: Mapping[str, Key]) -> list[Any]:
    """The checked values of a key of a grid, all different."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigError(f"config.{key}={shown(given)} in --grid is no list of values: give [{shown(given)}]")
    given = [*given]
    if not given:
        raise ConfigError(f"config.{key} in --grid has no values: give at least one")
    many = table[key].many and any(isinstance(one, Typed) and not one.startswith(("(", "[")) for one in given)
    if many:
        raise ConfigError(
            f"config.{key}={_as_typed(given)} in --grid is not clear, as each value of this key is a tuple: "
            "write the tuples in brackets, such as [(64,),(64,64)]"
        )
    values = [_value(key, one, table, " in --grid") for one in given]
    used = [as_used(table[key], one) for one in values]
    if twice := [k for k, one in enumerate(used) if one in used[:k]]:
        same, again = values[used.index(used[twice[0]])], values[twice[0]]
        note = f", as it is {shown(same)} in float32" if again != same else ""
        raise ConfigError(f"config.{key}={shown(again)} is given twice in --grid{note}: leave one of the two out")
    return values


def _value(key: str, given: Any, table: Mapping[str, Key], where: str) -> Any:
    try:
        value = value_of(key, given, where, dict(table))
    except ConfigError as e:
        raise ConfigError(str(e).replace(ONE_PER_RUN, "")) from None
    if table[key].traced and isinstance(value, tuple):
        what = listed(map(str, value), 5, "")
        raise ConfigError(f"config.{key}={shown(given)} is not allowed{where}: give one number a run, such as {what}")
    return value
