"""Anybody's pairs: texts or ready vectors from a file, checked before anything is computed.

A file of texts is JSONL, CSV or Parquet with two named columns and, if it has one, a column of groups: pairs of one
group, such as the questions on one passage, are never on both sides of a split. A file of vectors is npz or
safetensors with the arrays `left` and `right` (n, width) and perhaps `group` (n,), or Parquet with columns of lists.
"""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ternary_jax.errors import ConfigError, one_line
from ternary_jax.lattice.text import weights

ENDINGS = (".jsonl", ".csv", ".parquet", ".npz", ".safetensors")


class Pairs(NamedTuple):
    """n pairs: both sides are texts, or vectors (n, width); group: a name for each pair."""

    left: Any
    right: Any
    group: list[str]


class Columns(NamedTuple):
    """The names of the columns or arrays; group: "" where every left side is a group of its own."""

    left: str
    right: str
    group: str


def read(file: Path, columns: Columns) -> Pairs:
    """The pairs of a file; a ConfigError that names the first row that does not fit."""
    if file.suffix not in ENDINGS:
        raise ConfigError(f"--pairs={file} ends with {file.suffix!r}: give a file that ends with {', '.join(ENDINGS)}")
    if not file.is_file():
        raise ConfigError(f"--pairs={file} is no file: give one that ends with {', '.join(ENDINGS)}")
    try:
        found = _READERS[file.suffix](file, columns)
    except ConfigError as e:
        raise ConfigError(f"--pairs={file}: {e}") from e
    except Exception as e:  # each format has errors of its own library
        raise ConfigError(
            f"--pairs={file} cannot be read as {file.suffix[1:]} ({one_line(e)}): give a whole file of that format"
        ) from e
    return checked(f"--pairs={file}", found)


def checked(name: str, pairs: Pairs) -> Pairs:
    """The pairs, with groups where they have none; or a ConfigError."""
    left, right, group = pairs
    if not len(left) == len(right):
        raise ConfigError(f"{name} has {len(left):,} left sides and {len(right):,} right ones: give as many of both")
    if len(left) < 8:
        raise ConfigError(f"{name} has {len(left)} pairs: give at least 8")
    vectors = isinstance(left, np.ndarray)
    for side, values in (("left", left), ("right", right)):
        bad = _bad_vectors(values) if vectors else [k for k, text in enumerate(values) if not _is_text(text)]
        if len(bad):
            what = "is not finite, or has the length 0" if vectors else "is empty, or is not valid Unicode"
            raise ConfigError(f"{name}: row {bad[0] + 1:,} of the {side} side {what}: mend it or leave the pair out")
    if group and len(group) != len(left):
        raise ConfigError(f"{name} has {len(group):,} groups for {len(left):,} pairs: give one for each pair")
    group = group or ([f"{k}" for k in range(len(left))] if vectors else list(left))
    if len(set(group)) < 4:
        raise ConfigError(
            f"{name} has {len(set(group))} group{'s' * (len(set(group)) > 1)}, and groups are split: give at least 4, "
            "or no column of groups"
        )
    return Pairs(left, right, group)


def _bad_vectors(values: np.ndarray) -> np.ndarray:
    return np.flatnonzero(~np.isfinite(values).all(1) | ~values.any(1))


def _is_text(text: str) -> bool:
    r"""False for white space alone, and for halves of pairs such as \ud83d, which JSON allows and UTF-8 does not."""
    return bool(text.strip()) and not any("\ud800" <= mark <= "\udfff" for mark in text)


# --- formats ----------------------------------------------------------------------------------------------------------


def _rows(rows: Iterable[Any], columns: Columns) -> Pairs:
    """Pairs of rows with a text for each column. Rows are counted from 1, without a header and without empty lines."""
    found: tuple[list[str], list[str], list[str]] = ([], [], [])
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise ConfigError(f"row {number:,} is no object with the columns as its keys: mend it or leave it out")
        for name, texts in zip(columns, found, strict=True):
            if not name:
                continue
            text = row.get(name)
            if not isinstance(text, str):
                there = ", ".join(f"{key}" for key in row if key)
                raise ConfigError(
                    f"row {number:,} has no text in column {name!r}; it has {there}: name the columns by --left, "
                    "--right and --group"
                )
            texts.append(text)
    return Pairs(*found)


def _jsonl(file: Path, columns: Columns) -> Pairs:
    with file.open(encoding="utf-8-sig") as lines:
        return _rows((json.loads(line) for line in lines if line.strip()), columns)


def _csv(file: Path, columns: Columns) -> Pairs:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        return _rows(csv.DictReader(lines), columns)


def _parquet(file: Path, columns: Columns) -> Pairs:
    try:
        from pyarrow import parquet, types
    except ImportError as e:
        raise ConfigError(f"{file.name} is read by the package pyarrow, which is not installed: {weights.EXTRA}") from e
    names = [*dict.fromkeys(name for name in columns if name)]
    there = parquet.read_schema(file).names
    if missing := [name for name in names if name not in there]:
        raise ConfigError(
            f"there is no column {missing[0]!r}, there are {', '.join(there)}: name them by --left, --right and --group"
        )
    table = parquet.read_table(file, columns=names)
    if types.is_nested(table.schema.field(columns.left).type):
        return _vectors(table.to_pydict(), columns)
    return _rows(table.to_pylist(), columns)


def _npz(file: Path, columns: Columns) -> Pairs:
    with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:  # np.load leaves a bad one open
        return _vectors(arrays, columns)


def _safetensors(file: Path, columns: Columns) -> Pairs:
    return _vectors(weights.arrays(file), columns)


def _vectors(arrays: Any, columns: Columns) -> Pairs:
    """Pairs of vectors from a mapping of arrays."""
    for name in (name for name in columns if name):
        if name not in arrays:
            raise ConfigError(
                f"there is no array {name!r}, there are {', '.join(arrays)}: name them by --left, --right and --group"
            )
    left, right = (np.asarray(arrays[name], np.float32) for name in (columns.left, columns.right))
    if left.ndim != 2 or right.ndim != 2:
        raise ConfigError(f"the shapes of the arrays are {left.shape} and {right.shape}: give (n, width) for both")
    return Pairs(left, right, [f"{name}" for name in arrays[columns.group]] if columns.group else [])


_READERS = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet, ".npz": _npz, ".safetensors": _safetensors}


def distinct(values: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """(the values without repetition, in order of their first place; the number of each value among them)."""
    places = {value: k for k, value in enumerate(dict.fromkeys(values))}
    return [*places], np.array([places[value] for value in values], np.int32)
