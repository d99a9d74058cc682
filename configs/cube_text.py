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
    if arg == "fixture":
        config.train.steps = 200  # 370 training pairs are fitted soon
        config.evaluate.cheap_every = 50
        config.checkpoint.every = 200
    config.lattice.depth = 4
    # A sweep goes depth x repeats cells along the face: of the 14 between opposite corners of 8 x 8, 8 with 2, and all
    # with 4; of the 28 of 15 x 15, 16. Time grows in proportion.
    config.model.repeats = 2 if arg == "fixture" else 4
    if not arg.startswith("synthetic"):  # there are few pairs of texts
        config.model.channels = 8
        config.model.dropout = 0.2
    return config.lock()
