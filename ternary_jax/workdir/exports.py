"""embeddings/run_NNN.npz: the arrays that a task exports of each run, written when all runs have ended."""

import difflib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ternary_jax.errors import ColumnError, WorkdirError
from ternary_jax.workdir import npz, safe_files
from ternary_jax.workdir.files import make_folder, write_whole


class Arrays(dict[str, np.ndarray]):
    """The arrays of a run by name; a name that the file lacks raises a ColumnError."""

    def __init__(self, path: Path, arrays: Mapping[str, np.ndarray]):
        super().__init__(arrays)
        self.path = path

    def __missing__(self, name: str) -> np.ndarray:
        near = difflib.get_close_matches(str(name), self, 1)
        known = f"the nearest is {near[0]!r}" if near else f"there are {', '.join([*self][:50])}"
        raise ColumnError(f"{self.path} has no array {name!r}: {known}")


def path_of(workdir: Path, run: int) -> Path:
    """The path of a run's file."""
    return workdir / "embeddings" / f"run_{run:03d}.npz"


def write(workdir: Path, run: int, arrays: Mapping[str, Any]) -> None:
    """Write the arrays of a run, by name."""
    path, data = path_of(workdir, run), io.BytesIO()
    make_folder(path.parent)
    np.savez(data, **arrays)
    write_whole(path, data.getvalue())


def read(workdir: Path, run: int) -> dict[str, np.ndarray]:
    """The arrays of a run, by name."""
    path = path_of(workdir, run)
    try:
        safe_files.check_folder(path.parent)
        return Arrays(path, npz.read(path))
    except FileNotFoundError as e:
        raise WorkdirError(f"{path} is not there: it is written when all runs have ended, if the task exports") from e
