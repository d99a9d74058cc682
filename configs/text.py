"""What the configs of text share, energy_flow_text.py and cube_text.py: their pairs, losses and evaluations.

It names no task, so it cannot run. Another config takes all of it with

    config.update(read(f"{Path(__file__).with_name('text.py')}:wiki"))
"""

from ml_collections import ConfigDict

PACKAGED = ("fixture", "synthetic_linear", "synthetic_nonlinear")  # pairs without a file of one's own
RECALLS = {  # about those of a perceptron with the same loss
    **{"fixture": 0.2, "wiki": 0.43, "boolq": 0.87},
    **{"synthetic_linear": 0.99, "synthetic_nonlinear": 0.84},
}
SIDES = {"wiki": 15, "boolq": 15, "wiki_20": 20, "boolq_20": 20}  # of the faces of prepared files; of all others 8


def get_config(arg: str = "fixture") -> ConfigDict:
    """`arg`: the pairs, one of PACKAGED or of RECALLS, the latter perhaps with the side of the face after them."""
    config = ConfigDict()
    config.train = ConfigDict()
    config.train.steps = 400 if arg == "fixture" else 1200
    config.train.batch_size = 128 if arg == "fixture" else 256  # pairs per step
    config.train.weight_decay = 1e-2  # of AdamW; 0.0 overfits the training pairs
    config.train.warmup_epochs = 30
    config.train.clip_norm = 1.0

    config.evaluate = ConfigDict()
    config.evaluate.cheap_every = 100
    config.checkpoint = ConfigDict()
    config.checkpoint.every = 400
    config.checkpoint.best_metric = "validation_reciprocal_rank"
    config.stop = ConfigDict()
    config.stop.watch = "validation_reciprocal_rank"

    config.lattice = ConfigDict()
    config.lattice.width = config.lattice.height = SIDES.get(arg, 8)

    config.data = ConfigDict()
    # A prepared file; "fixture": the small corpus of the package; "synthetic_linear", "synthetic_nonlinear": pairs that
    # are drawn for the face of the lattice, with a known ceiling, see ternary_jax/lattice/text/synthetic.py.
    config.data.pairs = arg if arg in PACKAGED else f"{arg}.npz"
    config.data.on_device = True  # False: pairs stay with the host, batches move a chunk ahead; all runs share them
    config.data.encoder = "prepared"  # "prepared": vectors of the file; "bytes": an encoder that is trained along
    config.data.longest = 128  # bytes of a text that this encoder reads

    config.encoder = ConfigDict()
    config.encoder.width = 64  # units of the encoder of bytes, a transformer
    config.encoder.heads = 4  # heads of its attention; a divisor of the width
    config.encoder.layers = 2  # layers of the encoder of bytes

    config.losses = ConfigDict()
    config.losses.text = ConfigDict()
    config.losses.text.kind = "infonce"  # "infonce": find the target in the microbatch; "cosine": its direction
    config.losses.text.temperature = 0.05  # of infonce, which divides cosines by it
    config.losses.text.adapter = False  # True: a map of raw targets is trained along: a defect, all becomes one vector

    config.targets = ConfigDict()
    config.targets.recall_1 = RECALLS[arg.removesuffix("_20")]  # from which a run has reached its target
    return config
