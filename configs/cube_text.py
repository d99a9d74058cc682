"""The cube between texts: from a sentence to the next one, or from a question to the passage that answers it.

    --config=configs/cube_text.py                       512 pairs that come with the package: no download
    --config=configs/cube_text.py:wiki                  a first sentence of Wikipedia -> the second one, on 15 x 15
    --config=configs/cube_text.py:boolq                 a question -> the passage that answers it, on 15 x 15
    --config=configs/cube_text.py:synthetic_linear      drawn pairs with a known ceiling; also synthetic_nonlinear

wiki and boolq need a file of `python -m ternary_jax.lattice.text prepare`, which says how to get the texts; pairs of
your own are given by --config.data.pairs=FILE.npz.
"""

from pathlib import Path

from ml_collections import ConfigDict

from ternary_jax.config import check_variant, read

VARIANTS = ("fixture", "wiki", "boolq", "synthetic_linear", "synthetic_nonlinear")


def get_config(arg: str = "fixture") -> ConfigDict:
    """`arg` is what follows a colon in --config=FILE:ARG: one of VARIANTS."""
    check_variant(arg, VARIANTS)
    config = read(f"{Path(__file__).with_name('cube.py')}:dense")
    config.task = "ternary_jax.lattice.cube.text_task"  # the module with make_task
    del config.data, config.losses, config.pool, config.targets
    config.update(read(f"{Path(__file__).with_name('text.py')}:{arg}"))

    config.train.learning_rate = 4e-3
    config.train.batch_size = 128  # pairs per step: of 256, a step takes nearly twice as long
    config.lattice.depth = 4
    config.model.channels = 8
    # A sweep goes depth x repeats cells along the face: of the 14 between opposite corners of 8 x 8, 8 with 2, and 12
    # with 3, which leaves out the last corner; of the 28 of 15 x 15, 16 with 4. Time grows in proportion.
    config.model.repeats = 2 if arg == "fixture" else 4
    if arg == "fixture":
        config.train.steps = 200  # 370 training pairs are fitted soon
        config.evaluate.cheap_every = 50
        config.checkpoint.every = 200
    elif arg.startswith("synthetic"):
        # Validation cosine of one seed, with 16 channels and 4 updates of a layer, after 600 steps at 8e-3 and at
        # 1.6e-2: .817, .820. With 8 channels and 3 updates, 1,000 steps take less time: .828.
        config.train.learning_rate = 1.6e-2
        config.train.steps = 1000
        config.evaluate.cheap_every = 250  # among 35,328 targets an evaluation takes as long as dozens of steps
        config.checkpoint.every = 500
        config.model.repeats = 3
    else:
        config.train.steps = 600  # about five CPU minutes of a seed
        config.checkpoint.every = 200
    if not arg.startswith("synthetic"):  # there are few pairs of texts
        config.model.dropout = 0.2
    return config.lock()
