"""The files of a training: rows, checkpoints, summary, config, TensorBoard. `open(path)` reads a workdir."""

from ternary_jax.workdir.run import Checkpoint, Columns, Model, Run, open

__all__ = ["Checkpoint", "Columns", "Model", "Run", "open"]
