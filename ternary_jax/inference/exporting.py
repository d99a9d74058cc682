"""The export of a model: its parameters, the table of what it has places for, and a model card, in a new folder."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ternary_jax.errors import QuestionError, RunError
from ternary_jax.inference import card, rows_file, tensors
from ternary_jax.inference.model import Model
from ternary_jax.provenance import provenance
from ternary_jax.workdir import files, safe_files

# Compiler options of a program that runs once: compiling takes longer than running it.
ONCE = {"xla_backend_optimization_level": 0}


def check(folder: Path) -> None:
    """Refuse a folder that exists, before a model is loaded for it."""
    if os.path.lexists(folder):
        raise QuestionError(f"--output={folder} exists, and an export overwrites nothing: delete it, or name another")
    if os.path.lexists(folder.parent) and not folder.parent.is_dir():
        raise QuestionError(f"--output={folder} is below {folder.parent}, which is no folder: name another")


def write(model: Model, folder: Path, form: str | None = None) -> list[str]:
    """Write the files of a model; -> their names. form: of the table, as in `rows_file.to_bytes`.

    They are written beside the folder and renamed at the end, so a folder of that name is complete.
    """
    check(folder)
    contents = _contents(model, form)
    part = folder.with_name(f"{folder.name}.part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        safe_files.remove(part)  # of an export that was killed
        part.mkdir()
        for name, data in contents.items():
            (part / name).write_bytes(data)
        part.rename(folder)
    except OSError as e:
        with suppress(OSError):
            safe_files.remove(part)
        raise RunError(f"--output={folder} cannot be written ({e.strerror}): mend that, or name another folder") from e
    return [*contents]


def measured(model: Model) -> dict[str, float]:
    """The metrics of the loaded parameters, by name."""
    task, params, context = model.trained

    def measure(params, context):
        return {**task.evaluate(params, context), **task.costly(params, context)}

    found = jax.device_get(jax.jit(measure, compiler_options=ONCE)(params, context))
    return {name: float(value) for name, value in found.items()}


def by_name(params: Any) -> dict[str, np.ndarray]:
    """The leaves of a tree of parameters by the names that they have in a checkpoint: "encoder/dense/kernel"."""
    leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(params))
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf) for path, leaf in leaves}


# --- inside -----------------------------------------------------------------------------------------------------------


def _contents(model: Model, form: str | None) -> dict[str, bytes]:
    """The files by name."""
    arrays, metrics, table = by_name(model.trained.params), measured(model), model.table()
    about = {**model.about._asdict(), "path": str(model.about.path)}
    facts = about | {"metrics": metrics, "config": {**model.source.config}, **provenance()}
    facts |= {"tensors": {name: {"dtype": str(x.dtype), "shape": [*x.shape]} for name, x in arrays.items()}}
    texts = {name: str(about[name]) for name in ("task", "run", "step")}
    found = {
        "params.safetensors": tensors.to_bytes(arrays, texts),
        "params.json": f"{files.dumps(facts, indent=1)}\n".encode(),
    }
    if table is not None:
        kind, data = rows_file.to_bytes(table, form)
        found[f"embedding.{kind}"] = data
    return found | {"model_card.md": card.text(model, metrics, arrays, _shapes(table), [*found]).encode()}


def _shapes(table: Mapping[str, np.ndarray] | None) -> dict[str, tuple[int, ...]]:
    return {name: values.shape for name, values in (table or {}).items()}
