"""Flows between texts: from a sentence to the next one, or from a question to the passage that answers it.

    --config=configs/energy_flow_text.py           512 pairs that come with the package: no download, a minute
    --config=configs/energy_flow_text.py:wiki      a first sentence of Wikipedia -> the second one, on 15 x 15
    --config=configs/energy_flow_text.py:boolq     a question -> the passage that answers it, on 15 x 15
    --config=configs/energy_flow_text.py:wiki_20   on 20 x 20; also boolq_20

All but the first need a file of `python -m ternary_jax.lattice.text prepare`, which says how to get the texts; pairs of
your own are given by --config.data.pairs=FILE.npz.
"""

from pathlib import Path

from ml_collections import ConfigDict

from ternary_jax.config import check_variant, read

RECALLS = {"fixture": 0.2, "wiki": 0.43, "boolq": 0.87}  # about those of a perceptron with the same loss
VARIANTS = ("fixture", "wiki", "boolq", "wiki_20", "boolq_20")


def get_config(arg: str = "fixture") -> ConfigDict:
    """`arg` is what follows a colon in --config=FILE:ARG: one of VARIANTS."""
    check_variant(arg, VARIANTS)
    config = read(f"{Path(__file__).with_name('energy_flow.py')}:dense")
    config.task = "ternary_jax.lattice.energy_flow.text_task"  # the module with make_task
    del config.data, config.losses.blur, config.targets

    config.train.steps = 400 if arg == "fixture" else 1200
    config.train.batch_size = 128 if arg == "fixture" else 256  # pairs per step
    config.train.learning_rate = 3e-3
    config.train.weight_decay = 1e-2  # of AdamW; 0.0 overfits the training pairs
    config.train.warmup_epochs = 30
    config.train.clip_norm = 1.0
    config.evaluate.cheap_every = 100
    config.checkpoint.every = 400
    config.checkpoint.best_metric = "validation_reciprocal_rank"
    config.stop.watch = "validation_reciprocal_rank"

    side = {"fixture": 8, "wiki_20": 20, "boolq_20": 20}.get(arg, 15)
    config.lattice.width = config.lattice.height = side

    config.data = ConfigDict()
    config.data.pairs = arg if arg == "fixture" else f"{arg}.npz"  # a prepared file; "fixture": those of the package
    config.data.on_device = True  # False: pairs stay with the host, batches move a chunk ahead; all runs share them
    config.data.encoder = "prepared"  # "prepared": vectors of the file; "bytes": an encoder that is trained along
    config.data.longest = 128  # bytes of a text that this encoder reads

    config.encoder = ConfigDict()
    config.encoder.width = 64  # units of the encoder of bytes, a transformer
    config.encoder.heads = 4  # heads of its attention; a divisor of the width
    config.encoder.layers = 2  # layers of the encoder of bytes

    config.model.content = False  # False: one way for all texts, and outputs that are linear in the input
    config.model.hidden = 64 if arg == "fixture" else 256
    config.model.frequencies = 4
    config.model.channels = 8
    config.model.cells_scale = 1.0  # 0.0: cells that are near send nearly the same messages
    config.model.reach = 1.0
    config.model.walls = "reflect"
    config.interaction.kind = "pool"
    config.interaction.messages = 32 if arg == "fixture" else 128

    config.losses.text = ConfigDict()
    config.losses.text.kind = "infonce"  # "infonce": find the target in the microbatch; "cosine": its direction
    config.losses.text.temperature = 0.05  # of infonce, which divides cosines by it
    config.losses.text.adapter = False  # True: a map of raw targets is trained along: a defect, all becomes one vector
    config.losses.occupancy.on = True

    config.targets = ConfigDict()
    config.targets.recall_1 = RECALLS[arg.removesuffix("_20")]  # from which a run has reached its target
    return config.lock()
