"""Files that are written whole or appended to, and the JSON that all of them have."""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ternary_jax.errors import RunError, WorkdirError


def write_whole(path: Path, data: bytes) -> None:
    """The file has its old contents or the new, whenever the process is killed."""
    part = path.with_name(path.name + ".part")
    with full_disk_is_one_sentence(path):
        part.write_bytes(data)
        part.replace(path)


def append(path: Path, data: bytes) -> None:
    """More bytes at the end of the file, which is made if need be. A kill may cut them short."""
    with full_disk_is_one_sentence(path), path.open("ab") as file:
        file.write(data)


def write_json(path: Path, value: Any, infinite: str | None = None) -> None:
    """`dumps(value)` and an end of line, written whole."""
    write_whole(path, f"{dumps(value, indent=1, infinite=infinite)}\n".encode())


def dumps(value: Any, indent: int | None = None, infinite: str | None = None) -> str:
    """The JSON of a value, made plain."""
    return json.dumps(plain(value, infinite), indent=indent, allow_nan=False)


def plain(value: Any, infinite: str | None = None) -> Any:
    """As JSON has it: numbers and arrays of numpy are those of Python, and what is not finite is null.

    infinite: what +inf is instead, where it is a result, such as the ratio of a run that never generalises
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
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError("it holds no object")
    except FileNotFoundError:
        return None
    except ValueError as e:
        raise WorkdirError(f"{path} is damaged ({e}): put back a copy, or train again in another workdir") from e
    return found


@contextmanager
def full_disk_is_one_sentence(path: Path) -> Iterator[None]:
    """A RunError for whatever the operating system refuses."""
    try:
        yield
    except OSError as e:
        fix = "free some space, or make it writable, and start again with the same workdir"
        raise RunError(f"{path} cannot be written ({e.strerror}): {fix}") from e
