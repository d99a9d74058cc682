"""The energy-flow lattice on 8 x 8 x 8 cells: flows learn to carry the values of a face to where a map wants them.

    --config=configs/energy_flow.py          a fixed permutation of the 64 cells
    --config=configs/energy_flow.py:TASK     identity, shift, shift_wrapped, mirror, blur, dense, route
    --config=configs/energy_flow.py:debug    the sizes of the documents; also experiment, and optimized for a GPU

Every cell of a face starts a flow, which moves and changes by networks that all flows share; see docs/energy_flow.md.
"""

from pathlib import Path

from ml_collections import ConfigDict

from ternary_jax.config import check_variant, read

# Width, height, depth, steps, hidden units, layers, faces of a step, and of them at once.
SIZES = {
    "debug": (20, 20, 10, 5, 256, 2, 8, 4),
    "experiment": (28, 28, 60, 7, 512, 3, 256, 64),
    "optimized": (100, 100, 50, 20, 1024, 3, 32, 2),
}
TARGETS = ("permutation", "identity", "shift", "shift_wrapped", "mirror", "blur", "dense", "route")
VARIANTS = (*TARGETS, *SIZES)


def get_config(arg: str = "permutation") -> ConfigDict:
    """`arg` is what follows a colon in --config=FILE:ARG: one of VARIANTS."""
    check_variant(arg, VARIANTS)
    config = read(Path(__file__).with_name("defaults.py"))
    config.task = "ternary_jax.lattice.energy_flow.task"  # the module with make_task

    config.train.epochs = 0  # 0: train.steps sets the length, as every step draws new faces
    config.train.steps = 1200  # length of a run; lengths below in epochs are in steps
    config.train.batch_size = 16  # faces per step
    config.train.learning_rate = 2e-3  # at 6e-3, flows gathered in a third of the cells
    config.train.weight_decay = 1e-5
    config.train.warmup_epochs = 20
    config.train.final_rate = 0.02
    config.train.clip_norm = 0.1  # with a rate of 3e-3 and 1.0, the loss has spikes
    config.train.remat = False  # True: keep only states for the backward pass; False: also the carrier's sums
    config.evaluate.cheap_every = 50
    config.evaluate.costly_every = 0  # 0: never, as all metrics of this task are cheap
    config.checkpoint.every = 300
    config.checkpoint.best_metric = "r2"
    config.stop.watch = "r2"
    config.stop.watch_threshold = 0.999

    config.lattice = ConfigDict()
    config.lattice.width = 8  # cells along x; width x height flows of a face start at z = 0
    config.lattice.height = 8  # cells along y
    config.lattice.depth = 8  # cells along z; the output face is at depth - 1

    config.data = ConfigDict()
    config.data.target = "permutation" if arg in SIZES else arg  # the map to learn: see ternary_jax/lattice/targets.py
    config.data.shift = 2  # cells by which "shift" and "shift_wrapped" move the face along x
    config.data.maps = 8  # number of random permutations or dense matrices that are made
    config.data.map = 0  # the one of this run, below data.maps; a tuple gives one per run
    config.data.amplitude = 0.8  # values of a face are uniform in -amplitude .. amplitude
    config.data.shuffled = False  # True: a face gets the target of another face, a null that nothing can learn
    config.data.evaluated = 128  # faces that every evaluation measures; never trained on

    config.model = ConfigDict()
    config.model.steps = 4  # steps of a flow; steps x reach is about the width
    config.model.hidden = 64  # units of each layer of the carrier
    config.model.layers = 1  # layers of the carrier
    config.model.neuron_hidden = 32  # units of both hidden layers of the neuron
    config.model.neuron_output = 64  # outputs of the neuron, which the carrier reads
    config.model.movement_hidden = 64  # units of the hidden layer before the movement
    config.model.movement_scale = 0.1  # deviation of the last weights of the movement, times sqrt(movement_hidden)
    config.model.frequencies = 3  # Fourier features of the position, for each axis sin and cos; 0: the position alone
    config.model.channels = 1  # numbers that a flow carries
    config.model.content = True  # True: the way of a flow depends on what it carries; False: one way for all samples
    config.model.zero_energy = True  # True: the way begins independent of what the flow carries
    config.model.energy = "multiply"  # "multiply": energy (1 + factor); "tanh": a new one in each step, as the original
    config.model.reach = 2.0  # cells that a flow moves at most along x and y in a step
    config.model.drift = 0.0  # cells along z in a step without a push; 0.0: as many as arrive a step early
    config.model.planes = 2 if arg == "route" else 1  # output faces: at depth - 1, or at both ends of the lattice
    config.model.walls = "inward"  # gradient at a wall: "inward" alone; "through", "reflect" or "clip"
    config.model.freeze = False  # True: a flow that has arrived stays, and its later steps have no effect
    config.model.still = False  # True: no flow moves along x and y, to show what interaction does alone
    config.model.children = 0  # flows that each cell starts beside its first one
    config.model.children_scale = 0.5  # deviation of the first hidden states of the flows of a cell
    config.model.cells_scale = 0.0  # deviation of a first hidden state for each cell, which is learned; 0.0: zeros
    config.model.noise = 0.0  # deviation of noise on the position in training, in cells
    config.model.dropout = 0.0  # share of the neuron's outputs that are left out in training
    config.model.collect = "spread"  # "spread" over four cells; "round", "average": defects of the original

    config.barrier = ConfigDict()
    config.barrier.on = False  # True: a plane across the lattice stops flows along x, except in a hole of a few rows
    config.barrier.x = 3.5  # cells; where the plane is, between two columns
    config.barrier.first_row = 3  # first open row; a row of cells has half a cell on both sides
    config.barrier.last_row = 4  # last open row
    config.barrier.softness = 0.0  # cells; width of the edge of the hole at the first step of a run; 0.0: hard at once
    config.barrier.share = 0.8  # share of the run after which the barrier is hard; evaluations have the hard one

    config.interaction = ConfigDict()
    config.interaction.kind = "none"  # among the flows of a face: "none", "pool", "attention" or "field"
    config.interaction.messages = 32  # numbers in a message; a pool adds a map of the rank messages x steps at most
    config.interaction.linear = True  # True: energies pass linearly; False: through GELU, to show what that costs
    config.interaction.radius = 1  # "field": cells around a flow that it writes to and reads from
    config.interaction.decay = 0.5  # "field": share of a cell's memory that is left after a step

    config.losses = ConfigDict()
    config.losses.blur = ConfigDict()
    config.losses.blur.width = 4.0  # cells; width of the filter over the residual at the first step; 0.0: no filter
    config.losses.blur.share = 0.8  # share of the run after which the width is 0; the first step has all of it
    config.losses.blur.padding = 4  # cells around the face into which the residual is blurred
    config.losses.push = ConfigDict()
    config.losses.push.on = True  # True: the pushes before tanh stay small, as a saturated one has no gradient
    config.losses.push.weight = 1e-3  # of the mean square of all pushes
    config.losses.occupancy = ConfigDict()
    config.losses.occupancy.on = False  # True: punish cells without one flow each; needed where flows interact
    config.losses.occupancy.weight = 0.3  # of the mean square of the flows on a cell, less 1
    config.losses.distance = ConfigDict()
    config.losses.distance.on = arg != "route"  # True: punish the way along z that is left to the nearest output face
    config.losses.distance.weight = 0.02  # for each cell of that way, in the mean over the flows

    config.start = ConfigDict()
    config.start.workdir = ""  # a workdir of this task: start from its newest checkpoint, run 0; "": from scratch
    config.start.groups = ()  # groups of parameters taken from that checkpoint, such as ("neuron", "carrier")
    config.start.frozen = ()  # groups of parameters that are not trained, such as ("neuron", "carrier")

    config.targets = ConfigDict()
    config.targets.r2 = 0.99  # r2 from which a run has reached its target
    if arg in SIZES:
        lattice, model, train = config.lattice, config.model, config.train
        lattice.width, lattice.height, lattice.depth, model.steps, model.hidden, model.layers, *faces = SIZES[arg]
        train.batch_size, train.microbatches = faces[0], faces[0] // faces[1]
        model.reach = lattice.width / model.steps
        train.remat = arg != "debug"  # True takes half of the memory, and more time
        config.data.evaluated = max(faces[1], 32)  # the mean of few faces is known too well: r2 would be too low
    return config.lock()
