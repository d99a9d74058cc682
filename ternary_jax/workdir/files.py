"""Writing of files, whole or appended, with errors of one sentence; and the JSON that all files of a workdir have."""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ternary_jax.errors import RunError, UnsafeFileError, WorkdirError
from ternary_jax.workdir import safe_files

CONFIG_ENTRIES = ("format", "earlier_lengths")  # entries of config.json that are no keys of the config


def write_whole(path: Path, data: bytes) -> None:
    """Write a file atomically: after a kill at any moment it has its old content or the new."""
    with os_error_as_run_error(path):
        safe_files.replace(path, [data])


def append(path: Path, data: bytes) -> None:
    """Append bytes to a file, which is made if it is missing. A kill may leave only a part of the bytes."""
    with os_error_as_run_error(path):
        safe_files.append(path, data)


def make_folder(path: Path) -> None:
    """Make a folder inside a workdir, unless it is there."""
    with os_error_as_run_error(path):
        safe_files.make_folder(path)


def write_json(path: Path, value: Any, infinite: str | None = None) -> None:
    """Write a file with the JSON of a value, as `plain` makes it, and an end of line."""
    write_whole(path, f"{dumps(value, indent=1, infinite=infinite)}\n".encode())


def dumps(value: Any, indent: int | None = None, infinite: str | None = None) -> str:
    """The JSON of a value, as `plain` makes it."""
    return json.dumps(plain(value, infinite), indent=indent, allow_nan=False)


def plain(value: Any, infinite: str | None = None) -> Any:
    """A value as JSON can hold it: numpy numbers and arrays become Python's, a number that is not finite becomes null.

    infinite: the replacement of +inf, where inf is a result, such as the ratio of a run that never generalises
    """
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, Mapping):
        return {k: plain(v, infinite) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v, infinite) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return infinite if value == math.inf else None
    return value


def read_json(path: Path) -> dict[str, Any] | None:
    """The object that a JSON file holds; None where there is no file. WorkdirError for anything else in it."""
    try:
        return parse_object(safe_files.read(path))
    except FileNotFoundError:
        return None
    except UnsafeFileError:
        raise
    except ValueError as e:
        raise WorkdirError(f"{path} is damaged ({e}): put back a copy, or train again in another workdir") from e


def parse_object(data: bytes) -> dict[str, Any]:
    """The JSON object in the bytes; a ValueError for anything else in them."""
    try:
        found = json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("it holds no object")
    return found


@contextmanager
def os_error_as_run_error(path: Path) -> Iterator[None]:
    """Turn an OSError of a write into a RunError."""
    try:
        yield
    except OSError as e:
        fix = "free some space, or make it writable, and start again with the same workdir"
        raise RunError(f"{path} cannot be written ({e.strerror}): {fix}") from e
