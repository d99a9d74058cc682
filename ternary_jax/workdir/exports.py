"""embeddings/run_NNN.npz: the arrays that a task exports of each run, written when all runs have ended."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ternary_jax.errors import WorkdirError
from ternary_jax.workdir.files import write_whole


def path_of(workdir: Path, run: int) -> Path:
    """The path of a run's file."""
    return workdir / "embeddings" / f"run_{run:03d}.npz"


def write(workdir: Path, run: int, arrays: Mapping[str, Any]) -> None:
    """Write the arrays of a run, by name."""
    path, data = path_of(workdir, run), io.BytesIO()
    path.parent.mkdir(exist_ok=True)
    np.savez(data, **arrays)
    write_whole(path, data.getvalue())


def read(workdir: Path, run: int) -> dict[str, np.ndarray]:
    """The arrays of a run, by name."""
    path = path_of(workdir, run)
    try:
        with path.open("rb") as opened, np.load(opened) as arrays:
            return dict(arrays)
    except FileNotFoundError as e:
        raise WorkdirError(f"{path} is not there: it is written when all runs have ended, if the task exports") from e
    except (ValueError, EOFError, zipfile.BadZipFile) as e:
        raise WorkdirError(f"{path} is damaged ({e}): put back a copy, or train again in another workdir") from e
