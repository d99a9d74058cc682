"""The keys of a config as text: values, defaults, ranges and meanings; and the values that differ from defaults."""

import difflib
import textwrap
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ternary_jax.config import documentation
from ternary_jax.config.keys import allowed, flat
from ternary_jax.config.table import keys_of
from ternary_jax.errors import ConfigError
from ternary_jax.tables import WIDTH


def keys(path: str | Path, config: Any, pattern: str = "") -> str:
    """Each key of the config that the pattern matches: value, default, range and meaning, in lines of 80 characters.

    path: as in load_config; the comments of its file, and of those that it starts from, are the meanings
    pattern: a part of a name, or with * and ? the whole of it; "": every key
    """
    values, (table, _) = flat(config), keys_of(config.task)
    shown = [key for key in table if _matches(key, pattern)]
    check_match(shown, table, pattern)
    meanings, default = documentation.meanings(path, config.task, shown), documentation.defaults(path)
    lines = []
    for key in shown:
        lines += textwrap.wrap(f"{_assigned(key, values, default)}: {allowed(table[key])}", WIDTH, **_FOLLOWING)
        lines += textwrap.wrap(meanings[key], WIDTH, initial_indent=_INDENT, **_FOLLOWING)
    return "\n".join(lines)


def differences(path: str | Path, config: Any) -> str:
    """The number of values that differ from their defaults, and a line for each, of at most 80 characters."""
    values, default, table = flat(config), documentation.defaults(path), keys_of(config.task)[0]
    changed = [key for key in table if values[key] != default.get(key, values[key])]
    lines = [textwrap.shorten(_assigned(key, values, default), WIDTH - 2, placeholder=" ...") for key in changed]
    count = f"{len(changed)} of {len(table)} values differ from their defaults"
    return "\n".join([count, *(f"  {line}" for line in lines)])


def check_match(shown: list[str], table: dict[str, Any], pattern: str) -> None:
    """Refuse a pattern that matches no key."""
    if not shown:
        near = difflib.get_close_matches(pattern, table, 1)
        nearest = f"; the nearest is {near[0]}" if near else ""
        raise ConfigError(
            f"--keys={pattern} matches none of the {len(table)} keys{nearest}: give a part of a name, such as "
            "learning_rate, or a pattern in quotes, such as 'train.*'"
        )


def as_typed(value: Any) -> str:
    """A value as it is typed on the command line; an empty text, which cannot be typed, is "(empty)"."""
    if isinstance(value, tuple):
        return ",".join(map(as_typed, value)) or "()"
    return str(value).lower() if isinstance(value, bool) else str(value) or "(empty)"


# --- inside -----------------------------------------------------------------------------------------------------------

_INDENT = "    "
_FOLLOWING: dict[str, Any] = {"subsequent_indent": _INDENT, "break_on_hyphens": False}


def _matches(key: str, pattern: str) -> bool:
    return fnmatchcase(key, pattern) if set(pattern) & set("*?") else pattern in key


def _assigned(key: str, values: dict[str, Any], default: dict[str, Any]) -> str:
    """KEY = VALUE, with the default where it is another value."""
    before = default.get(key, values[key])
    note = "" if before == values[key] else f" (default {as_typed(before)})"
    return f"{key} = {as_typed(values[key])}{note}"
