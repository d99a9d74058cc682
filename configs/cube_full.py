"""The emergent cube at its full size, for a GPU: 15 x 15 x 11 gated cells with weights of their own, 62.5 M numbers.

    --config=cube_full                     a fixed permutation of the 225 pixels
    --config=cube_full --dry-run           its parameters, and the size of its state and checkpoints

No training at this size was run on a GPU. Computed: weights and both moments of AdamW are 62.5 M x 12 bytes = 0.75 GB,
the pool is 0.32 GB, and a step multiplies and adds 61 M times for each of 64 samples in each of 48 updates, four times
with the gradient and what it recomputes: 1.5 TFLOP. A slow test runs three steps on a CPU, with a batch of 8, T = 11
and no window; experiments/bench_cube.py times cubes of 15 x 15 x 11 cells. No value below was tuned.
"""

from pathlib import Path

from ml_collections import ConfigDict

from ternary_jax.config import read


def get_config() -> ConfigDict:
    """The config; it has no variants."""
    config = read(f"{Path(__file__).with_name('cube.py')}:permutation")
    config.train.steps = 10_000  # the documents ask for 100 and more without a fault
    config.train.batch_size = 64
    config.train.learning_rate = 1e-3  # that of the documents; that of smaller cubes is 16 times greater
    # The products of the forward pass have this dtype. Those of its gradient have one operand in float32.
    config.train.dtype = "bfloat16"
    config.evaluate.cheap_every = 100
    config.checkpoint.every = 1000  # a checkpoint has 1.1 GB

    config.lattice.width = config.lattice.height = 15
    config.lattice.depth = 11
    config.model.cell = "gated"
    config.model.channels = 32
    config.model.hidden = 240  # with it, a cell has 25,264 parameters; the documents say 25,000
    config.model.schedule = "all"
    # T: 11 updates cross the layers, and 13 are left for ways along the face. A permutation has ways of up to 28 cells,
    # so r2, measured at T, has a ceiling of 0.78; r2_held, at 2 T = 48, has none.
    config.model.updates = 24
    config.targets.r2 = 0.7
    config.losses.blur.width = 12.0  # in proportion to the ways: of 14 cells, on 8 x 8 x 6, with 6 all values arrive
    config.losses.blur.padding = 18
    config.losses.window = "mean"  # T .. 2 T = 24 .. 48; no key ends the window earlier, such as at 32
    config.checkpoint.best_metric = config.stop.watch = "r2_held"  # as not all values arrive by T
    config.pool.on = True
    return config.lock()
