"""The files of a training: rows, checkpoints, summary, config, TensorBoard; and of a sweep. `open(path)` reads both."""

from ternary_jax.workdir.run import Checkpoint, Columns, Model, Run
from ternary_jax.workdir.sweep import Sweep, SweepRun, open

__all__ = ["Checkpoint", "Columns", "Model", "Run", "Sweep", "SweepRun", "open"]
