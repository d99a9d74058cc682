"""The arrays that a training exports of a run: of its end, or of its newest checkpoint while it is under way."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ternary_jax.workdir import Run, checkpoint_files, exports, safe_files


def arrays(run: Run, k: int) -> Mapping[str, np.ndarray] | None:
    """The arrays of `Task.export` by name, of run k; None where there is no checkpoint yet."""
    if safe_files.kind(exports.path_of(run.path, k)):
        return run.embeddings(k)
    if not checkpoint_files.steps(run.path / "checkpoints"):
        return None
    task, params, context = run.model(k)
    found: Any = task.export(params, context)
    return {name: np.asarray(x) for name, x in found.items()}
