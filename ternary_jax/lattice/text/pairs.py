"""Anybody's pairs: texts or ready vectors from a file, checked before anything is computed.

A file of texts is JSONL, CSV or Parquet with two named columns and, if it has one, a column of groups, which are texts
or whole numbers. All pairs of one group, such as the questions on one passage, go to the same part of a split. A file
of vectors is npz or safetensors with the arrays `left` and `right` (n, width) and perhaps `group` (n,), or Parquet
with columns of lists.
"""

import csv
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ternary_jax.errors import ConfigError, one_line
from ternary_jax.lattice.text import weights

ENDINGS = (".jsonl", ".csv", ".parquet", ".npz", ".safetensors")


class Pairs(NamedTuple):
    """n pairs.

    left, right: both are lists of texts, or both are vectors (n, width)
    group: a name for each pair
    """

    left: Any
    right: Any
    group: list[str]


class Columns(NamedTuple):
    """The names of the columns or arrays.

    left, right: of the inputs and of the targets
    group: of the groups; "": the pairs with the same left side are a group
    """

    left: str
    right: str
    group: str


def read(file: Path, columns: Columns) -> Pairs:
    """The pairs of a file; a ConfigError that names the first row that does not fit."""
    ending = file.suffix.lower()
    if columns.left == columns.right:
        raise ConfigError(f"--left={columns.left} and --right={columns.right} are the same column: give two")
    if ending not in ENDINGS:
        raise ConfigError(f"--pairs={file} ends with {file.suffix!r}: give a file that ends with {', '.join(ENDINGS)}")
    if not file.is_file():
        raise ConfigError(f"--pairs={file} is no file: give one that ends with {', '.join(ENDINGS)}")
    try:
        found = _READERS[ending](file, columns)
    except ConfigError as e:
        raise ConfigError(f"--pairs={file}: {e}") from e
    except Exception as e:  # each format has errors of its own library
        raise ConfigError(
            f"--pairs={file} cannot be read as {ending[1:]} ({one_line(e)}): give a whole file of that format"
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
        bad = _bad_vectors(values) if vectors else _bad_texts(values)
        if len(bad):
            what = "is not finite, or has the length 0" if vectors else "is empty, or is not valid Unicode"
            raise ConfigError(f"{name}: row {bad[0] + 1:,} of the {side} side {what}: mend it or leave the pair out")
    if group and len(group) != len(left):
        raise ConfigError(f"{name} has {len(group):,} groups for {len(left):,} pairs: give one for each pair")
    if bad := _bad_texts(group):
        raise ConfigError(
            f"{name}: row {bad[0] + 1:,} of the groups is empty, or is not valid Unicode: mend it or leave the pair out"
        )
    group = group or ([hashlib.sha256(row.tobytes()).hexdigest() for row in left] if vectors else list(left))
    if len(set(group)) < 4:
        raise ConfigError(
            f"{name} has {len(set(group))} group{'s' * (len(set(group)) > 1)}, and groups are split: give at least 4, "
            "or no column of groups"
        )
    return Pairs(left, right, group)


def _bad_vectors(values: np.ndarray) -> np.ndarray:
    return np.flatnonzero(~np.isfinite(values).all(1) | ~values.any(1))


def _bad_texts(texts: Sequence[str]) -> list[int]:
    r"""Rows of white space alone, or with halves of pairs such as \ud83d, which JSON allows and UTF-8 does not."""
    return [k for k, text in enumerate(texts) if not text.strip() or any("\ud800" <= mark <= "\udfff" for mark in text)]


# --- formats ----------------------------------------------------------------------------------------------------------


def _rows(rows: Iterable[Any], columns: Columns) -> Pairs:
    """Pairs of rows with a text for each column. Rows are counted from 1, without a header and without empty lines."""
    found: tuple[list[str], list[str], list[str]] = ([], [], [])
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise ConfigError(f"row {number:,} is no object with the columns as its keys: mend it or leave it out")
        for name, texts in zip(columns, found, strict=True):
            if name:
                texts.append(_text(row, name, number, numbers=texts is found[2]))
    return Pairs(*found)


def _text(row: dict[Any, Any], name: str, number: int, numbers: bool) -> str:
    """The text in a column of a row; numbers: a whole number is a text as well, as 5 is the group "5"."""
    if name not in row:
        there = ", ".join(f"{key}" for key in row if key)
        raise ConfigError(
            f"row {number:,} has no text in column {name!r}; it has {there}: name the columns by --left, --right and "
            "--group"
        )
    value = row[name]
    if value is _MISSING:
        raise ConfigError(f"row {number:,} is too short: it ends before column {name!r}: mend it or leave the pair out")
    if numbers and isinstance(value, int) and not isinstance(value, bool):
        return f"{value}"
    if not isinstance(value, str):
        raise ConfigError(
            f"row {number:,} has no text in column {name!r}, but {value!r:.40}: mend it or leave the pair out"
        )
    return value


def _jsonl(file: Path, columns: Columns) -> Pairs:
    with file.open(encoding="utf-8-sig") as lines:
        return _rows((json.loads(line) for line in lines if line.strip()), columns)


def _csv(file: Path, columns: Columns) -> Pairs:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        return _rows(csv.DictReader(lines, restval=_MISSING), columns)


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
    if any(types.is_nested(table.schema.field(name).type) for name in (columns.left, columns.right)):
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
    left, right = (_matrix(arrays, name) for name in (columns.left, columns.right))
    if left.ndim != 2 or right.ndim != 2:
        raise ConfigError(f"the shapes of the arrays are {left.shape} and {right.shape}: give (n, width) for both")
    return Pairs(left, right, [f"{name}" for name in arrays[columns.group]] if columns.group else [])


def _matrix(arrays: Any, name: str) -> np.ndarray:
    """An array as float32, where what is too large is infinite; a ConfigError where it holds no numbers."""
    try:
        values = np.asarray(arrays[name])
        if values.dtype.kind in "SU":  # numpy would read a text like "1" as a number
            raise ValueError("it holds texts")
        with np.errstate(over="ignore"):
            return values.astype(np.float32) + np.float32(0)  # -0.0 becomes 0.0, so equal rows have the same bytes
    except (TypeError, ValueError) as e:
        raise ConfigError(
            f"{name!r} does not hold vectors of one width ({one_line(e)}): npz and safetensors files, and Parquet "
            "files with lists, need (n, width) of numbers; texts are read from jsonl, csv and parquet"
        ) from e


_MISSING: Any = object()  # the value of a column that a row of a CSV file does not reach
_READERS = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet, ".npz": _npz, ".safetensors": _safetensors}


def distinct(values: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """(the values without repetition, in order of their first place; the number of each value among them)."""
    places = {value: k for k, value in enumerate(dict.fromkeys(values))}
    return [*places], np.array([places[value] for value in values], np.int32)
