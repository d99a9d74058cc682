"""The emergent cube on 5 x 5 x 4 cells: a face drives one side, and the other side learns to show a map of it.

    --config=configs/cube.py                   a fixed permutation of the 25 pixels
    --config=configs/cube.py:TASK              identity, shift, shift_wrapped, mirror, blur, dense, gate, parity
    --config=configs/cube.py:recall            a face drives three updates, and is shown long after
    --config=configs/cube.py:parity_in_time    each pixel gets a stream of bits, and shows the parity so far
    --config=configs/cube.py:erase             a face goes through a hole of one cell in a wall
    --config=configs/cube.py:document          the sizes and losses of the documents: 15 x 15 x 11 cells, 61 M numbers

Every cell sees its six neighbours alone; see docs/cube.md.
"""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from ternary_jax.config import check_variant, read

TARGETS = ("permutation", "identity", "shift", "shift_wrapped", "mirror", "blur", "dense", "gate", "parity")
VARIANTS = (*TARGETS, "document")
MOVED = (
    "permutation",
    "shift",
    "shift_wrapped",
    "mirror",
)  # values that pass many cells: see ternary_jax/lattice/blur.py
DRIVES = {
    "recall": "pulse",
    "parity_in_time": "stream",
    "erase": "held",
}  # data.drive of the variants with the target identity


def get_config(arg: str = "permutation") -> ConfigDict:
    """`arg` is what follows a colon in --config=FILE:ARG: one of VARIANTS or DRIVES."""
    check_variant(arg, (*VARIANTS, *DRIVES))
    config = read(Path(__file__).with_name("defaults.py"))
    config.task = "ternary_jax.lattice.cube.task"  # the module with make_task

    config.train.epochs = 0  # 0: train.steps sets the length, as every step draws new faces
    config.train.steps = 800  # length of a run; lengths below in epochs are in steps
    config.train.batch_size = 32  # faces per step
    config.train.learning_rate = 1.6e-2  # the best of four, see `experiments/cube.py rates`
    config.train.weight_decay = 0.0
    config.train.warmup_epochs = 20
    config.train.final_rate = 0.1
    config.train.clip_norm = 1.0
    config.train.remat = True  # True: keep only states for the backward pass; on two cores it is faster as well
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
    # The map to learn: see ternary_jax/lattice/targets.py.
    config.data.target = arg if arg in TARGETS else "identity"
    config.data.shift = 2  # cells by which "shift" and "shift_wrapped" move the face along x
    config.data.maps = 8  # number of random permutations or dense matrices that are made; other targets have one
    config.data.map = 0  # the one of this run, below data.maps; a tuple gives one per run
    config.data.amplitude = 1.7  # values of a face are uniform in -amplitude .. amplitude; bits are one of the two
    # "held": a face drives all updates; "pulse": the first data.shown alone, then nothing does; "stream": a new face of
    # bits every data.every updates, and the parity so far is asked for. The last two need model.schedule "all".
    config.data.drive = DRIVES.get(arg, "held")
    config.data.shown = 1  # updates that a "pulse", or each bit of a "stream", drives
    config.data.every = 3  # "stream": updates from a bit to the next
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
        12  # "all": updates before the face is read; at least the depth and the longest way along the face
    )
    config.model.leak = 0.5  # "all": share of the way to its target that a cell goes in an update
    config.model.fire = 1.0  # "all": chance of a cell to be updated, in training
    config.model.noise = 0.0  # deviation of noise on the pixels in training
    config.model.dropout = 0.0  # share of the gated units that are left out in training

    config.losses = ConfigDict()
    config.losses.blur = ConfigDict()
    # Cells; width of the filter over the residual at the first step; 0.0: no filter.
    config.losses.blur.width = 3.0 if arg in (*MOVED, "erase") else 0.0
    config.losses.blur.share = 0.7  # share of the run after which the width is 0; the first step has all of it
    config.losses.blur.padding = 4  # cells around the face into which the residual is blurred
    # "all": when the answer is asked for. "end": after T = model.updates; "mean": after all of T .. 2 T, so that it is
    # held, and of a "stream" after each bit; "random": after one of these, a random one in each step.
    config.losses.window = "end"
    config.losses.fit = ConfigDict()
    config.losses.fit.on = True  # mean square of the blurred residual of the face; "surface" in the documents
    config.losses.fit.weight = 1.0  # of that loss
    config.losses.cosine = ConfigDict()
    config.losses.cosine.on = False  # 1 - cosine of the face and its target; "dialogue" in the documents
    config.losses.cosine.weight = 1.0  # of that loss
    config.losses.layers = ConfigDict()
    config.losses.layers.on = False  # mean square between the states of adjacent layers; "internal" in the documents
    config.losses.layers.weight = 0.1  # of that loss

    config.pool = ConfigDict()
    config.pool.on = False  # "all": True: training goes on with states that earlier steps have left
    config.pool.size = 1024  # states that are kept, each with its face; train.batch_size or more
    config.pool.fresh = 0.125  # share of a batch that starts anew, with a new face
    config.pool.damage = 0.0  # share of a batch that loses the states of a block of cells before the updates
    config.pool.block = 2  # cells along each side of that block

    config.wall = ConfigDict()
    config.wall.on = False  # True: of the middle layer, only the cells of a hole are there
    config.wall.hole = 1  # cells along both sides of the hole, in the middle of the face

    config.start = ConfigDict()
    config.start.workdir = ""  # a workdir of this task: start from its newest checkpoint, run 0; "": from scratch
    config.start.groups = ()  # groups of parameters taken from that checkpoint, such as ("cells", "readout")
    config.start.frozen = ()  # groups of parameters that are not trained, such as ("cells", "start")

    config.targets = ConfigDict()
    config.targets.r2 = 0.99  # r2 from which a run has reached its target
    if arg in DRIVES:
        config.train.learning_rate = 4e-3  # with all cells updated, greater rates were no better for "recall"
        config.model.schedule, config.losses.window = "all", "mean"
        config.model.updates = {"recall": 12, "parity_in_time": 27, "erase": 20}[arg]  # 27: eight bits
        config.pool.on, config.wall.on = arg == "recall", arg == "erase"
    if arg == "erase":
        config.train.steps = 1200  # r2 rises for as long as the width of the blur falls, and after
    if arg == "recall":
        config.train.steps, config.train.learning_rate = 2000, 8e-3  # r2_after_100 rises long after r2 has settled
        config.checkpoint.best_metric = config.stop.watch = "r2_after_100"
        config.data.shown = 3  # updates; after one, less is remembered
        config.model.leak = 0.3  # a cell forgets more slowly than with 0.5
        config.pool.fresh = 0.15
    if arg == "document":
        _document(config)
    return config.lock()


def _document(config: Any) -> None:
    """The values of the documents, as far as keys have them. Comments say what theirs are where ours differ.

    Their code also has a memory in each cell, a recurrent unit of 16 numbers; noise on the states of the first layer;
    and weights of losses that are learned and begin near those below. Their surface loss asks for the face that went
    in, as this target does; their dialogue loss asks for the face of an answer, for which there is cube_text.py:wiki.
    """
    config.train.steps = 100  # theirs: 15 epochs, without a size; 100 consecutive steps are one of their goals
    config.train.batch_size = 8
    config.train.learning_rate = 1e-3
    config.train.weight_decay = 0.01
    config.train.schedule = "constant"  # theirs: halved after epochs without progress, for which there is no schedule
    config.train.warmup_epochs = 0  # theirs: 3, which delay a printout and leave the rate as it is
    config.evaluate.cheap_every = 10
    config.checkpoint.every = 50

    config.lattice.width = config.lattice.height = 15
    config.lattice.depth = 11
    config.model.channels = 32
    config.model.hidden = 51  # theirs: 32, in cells of more layers; 51 make 24,646 numbers a cell, 61.0 M of all
    config.model.dropout = 0.1
    config.model.repeats = 1  # a sweep updates each cell once, as a pass of theirs does
    config.model.readout = "shared"  # theirs: the mean of the channels

    config.losses.fit.weight = 0.3  # "surface"
    config.losses.layers.on = config.losses.cosine.on = True
    config.losses.layers.weight = 0.3  # "internal"
    config.losses.cosine.weight = 0.4  # "dialogue"
