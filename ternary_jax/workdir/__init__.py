"""All that is on disk of a training: rows, checkpoints, summary, config, TensorBoard. `open` reads it."""

from ternary_jax.workdir.run import Checkpoint, Columns, Model, Run, open

__all__ = ["Checkpoint", "Columns", "Model", "Run", "open"]
