"""Flows between texts: from a sentence to the next one, or from a question to the passage that answers it.

    --config=configs/energy_flow_text.py           512 pairs that come with the package: no download, a minute
    --config=configs/energy_flow_text.py:wiki      a first sentence of Wikipedia -> the second one, on 15 x 15
    --config=configs/energy_flow_text.py:boolq     a question -> the passage that answers it, on 15 x 15
    --config=configs/energy_flow_text.py:wiki_20   on 20 x 20; also boolq_20
    --config=configs/energy_flow_text.py:synthetic_linear   drawn pairs with a known ceiling; also synthetic_nonlinear

wiki and boolq need a file of `python -m ternary_jax.lattice.text prepare`, which says how to get the texts; pairs of
your own are given by --config.data.pairs=FILE.npz.
"""

from pathlib import Path

from ml_collections import ConfigDict

from ternary_jax.config import check_variant, read

VARIANTS = ("fixture", "wiki", "boolq", "wiki_20", "boolq_20", "synthetic_linear", "synthetic_nonlinear")


def get_config(arg: str = "fixture") -> ConfigDict:
    """`arg` is what follows a colon in --config=FILE:ARG: one of VARIANTS."""
    check_variant(arg, VARIANTS)
    config = read(f"{Path(__file__).with_name('energy_flow.py')}:dense")
    config.task = "ternary_jax.lattice.energy_flow.text_task"  # the module with make_task
    del config.data, config.losses.blur, config.targets
    config.update(read(f"{Path(__file__).with_name('text.py')}:{arg}"))

    config.train.learning_rate = 3e-3
    config.model.content = False  # False: one way for all texts, and outputs that are linear in the input
    config.model.hidden = 64 if arg == "fixture" else 256
    config.model.frequencies = 4
    config.model.channels = 8
    config.model.cells_scale = 1.0  # 0.0: cells that are near send nearly the same messages
    config.model.reach = 1.0
    config.model.walls = "reflect"
    config.interaction.kind = "pool"
    config.interaction.messages = 32 if arg == "fixture" else 128
    config.losses.occupancy.on = True
    return config.lock()
