"""The emergent cube on 5 x 5 x 4 cells: a face drives one side, and the other side learns to show a map of it.

    --config=configs/cube.py          a fixed permutation of the 25 pixels
    --config=configs/cube.py:TASK     identity, shift, shift_wrapped, mirror, blur, dense, gate, parity

Every cell sees its six neighbours alone; see docs/cube.md.
"""

from pathlib import Path

from ml_collections import ConfigDict

from ternary_jax.config import check_variant, read

VARIANTS = ("permutation", "identity", "shift", "shift_wrapped", "mirror", "blur", "dense", "gate", "parity")


def get_config(arg: str = "permutation") -> ConfigDict:
    """`arg` is what follows a colon in --config=FILE:ARG: one of VARIANTS."""
    check_variant(arg, VARIANTS)
    config = read(Path(__file__).with_name("defaults.py"))
    config.task = "ternary_jax.lattice.cube.task"  # the module with make_task

    config.train.epochs = 0  # 0: train.steps sets the length, as every step draws new faces
    config.train.steps = 400  # length of a run; lengths below in epochs are in steps
    config.train.batch_size = 64  # faces per step
    config.train.learning_rate = 4e-3
    config.train.weight_decay = 0.0
    config.train.warmup_epochs = 20
    config.train.final_rate = 0.1
    config.train.clip_norm = 1.0
    config.train.remat = False  # True: keep only states for the backward pass
    config.evaluate.cheap_every = 50
    config.evaluate.costly_every = 0  # 0: never, as all metrics of this task are cheap
    config.checkpoint.every = 200
    config.checkpoint.best_metric = "r2"
    config.stop.watch = "r2"
    config.stop.watch_threshold = 0.999

    config.lattice = ConfigDict()
    config.lattice.width = 5  # cells along x
    config.lattice.height = 5  # cells along y
    config.lattice.depth = 4  # layers from the face that drives to the face that is read

    config.data = ConfigDict()
    config.data.target = arg  # the map to learn: see ternary_jax/lattice/targets.py
    config.data.shift = 2  # cells by which "shift" and "shift_wrapped" move the face along x
    config.data.maps = 8  # number of random permutations or dense matrices that are made; other targets have one
    config.data.map = 0  # the one of this run, below data.maps; a tuple gives one per run
    config.data.amplitude = 1.7  # values of a face are uniform in -amplitude .. amplitude
    config.data.shuffled = False  # True: a face gets the target of another face, a null that nothing can learn
    config.data.evaluated = 256  # faces that every evaluation measures; never trained on

    config.model = ConfigDict()
    config.model.cell = "concatenated"  # "concatenated": of seven states; "gated": weighs what each neighbour shows
    config.model.weights = "own"  # of cells: "own", "shared", "code", "prototypes" or "rank"; see lattice/cube/cell.py
    config.model.rank = 4  # numbers of a "code", sets of "prototypes", or the "rank" of a cell's own part
    config.model.channels = 16  # numbers of a state
    config.model.private = 0  # of these, the last ones that neighbours do not see: a memory
    config.model.hidden = 24  # gated units of a cell
    config.model.carry = True  # True: the state of the layer before is added, so that values cross before any learning
    config.model.readout = "own"  # of the last layer: weights of each cell, or "shared"
    config.model.schedule = "sweep"  # "sweep": layer after layer, each set to its target; "all": all cells together
    config.model.repeats = 2  # "sweep": updates of a layer
    config.model.updates = (
        12  # "all": updates before the face is read; the depth, and the cells across that a value goes
    )
    config.model.leak = 0.5  # "all": share of the way to its target that a cell goes in an update
    config.model.fire = 1.0  # "all": chance of a cell to be updated, in training
    config.model.noise = 0.0  # deviation of noise on the pixels in training
    config.model.dropout = 0.0  # share of the gated units that are left out in training

    config.losses = ConfigDict()
    config.losses.blur = ConfigDict()
    config.losses.blur.width = 3.0  # cells; width of the filter over the residual at the first step; 0.0: no filter
    config.losses.blur.share = 0.7  # share of the run after which the width is 0; the first step has all of it
    config.losses.blur.padding = 4  # cells around the face into which the residual is blurred
    config.losses.window = False  # "all": True: the loss is the mean over the updates T .. 2 T, so the answer is held

    config.start = ConfigDict()
    config.start.workdir = ""  # a workdir of this task: start from its newest checkpoint, run 0; "": from scratch
    config.start.groups = ()  # groups of parameters taken from that checkpoint, such as ("cells", "readout")
    config.start.frozen = ()  # groups of parameters that are not trained, such as ("cells", "start")

    config.targets = ConfigDict()
    config.targets.r2 = 0.99  # r2 from which a run has reached its target
    return config.lock()
