"""What every training starts from. Not a config to run, as it names no task; another one begins with

    config = read(Path(__file__).with_name("defaults.py"))  # read: from ternary_jax.config

sets config.task, adds the groups of its task, and changes what it has to.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0  # of run 0; run k has seed + k, unless there is a tuple of one per run
    config.runs = 1  # trained at once, in one program
    config.compilation_cache = True  # in the cache folder of the user: a second start need not compile

    config.train = ConfigDict()
    config.train.epochs = 100  # length of a run; 0 where train.steps is set
    config.train.steps = 0  # length of a run in optimizer steps; then every length below that says epochs is in steps
    config.train.batch_size = 512  # samples a step, of each run
    config.train.learning_rate = 1e-3  # at its highest; a tuple has one per run
    config.train.weight_decay = 0.0  # per unit of learning rate; a tuple has one per run
    config.train.schedule = "cosine"  # to final_rate at the end; "linear"; "warm_restarts"; "constant"; "phases":
    config.train.phase_shapes = ()  # these, one after the other,
    config.train.phase_epochs = ()  # for so many epochs each, all epochs together,
    config.train.phase_rates = ()  # each with this factor
    config.train.warmup_epochs = 0  # during which the learning rate rises from 0
    config.train.final_rate = 0.0  # share of the learning rate that a cosine ends with
    config.train.cycle_epochs = 20  # of warm_restarts, the first cosine; each of the others is as long,
    config.train.cycle_growth = 2  # times this
    config.train.clip_norm = 1.0  # limit of the norm of all gradients together; 0.0: no clipping
    config.train.dtype = "float32"  # of the networks; "bfloat16" is for accelerators, geometry stays float32
    config.train.remat = False  # True: activations are computed again instead of kept, for memory
    config.train.microbatches = 1  # parts of a batch, one after the other, for memory; divides batch_size
    config.train.on_nan = "stop"  # or "rollback": back to where all was finite, and again at half the learning rate
    config.train.max_rollbacks = 3  # then it stops

    config.evaluate = ConfigDict()
    config.evaluate.cheap_every = 10  # epochs; also the shortest time between two looks of the host
    config.evaluate.costly_every = 50  # epochs, a multiple of cheap_every; 0: never

    # Measured with the cheap metrics where True, see ternary_jax/grokking/emergence.py. That every row has the norm of
    # the gradient before clipping, gradient_norm, needs no flag: it is what is checked to be finite.
    config.emergence = ConfigDict()
    config.emergence.weight_norm = False  # of all parameters
    config.emergence.weight_rank = False  # effective rank of the matrices of each group
    config.emergence.representation_rank = False  # and of what the task represents its inputs by
    config.emergence.local_complexity = False  # units that switch within a radius around an input, see also below
    config.emergence.radius = 0.1  # in units of what the network reads
    config.emergence.points = 64  # of its inputs, drawn once
    config.emergence.directions = 8  # orthonormal ones, each both ways; as many as an input has coordinates, at most

    config.stop = ConfigDict()
    config.stop.watch = "coverage"  # the metric that has to be high before a plateau of the loss is "converged"
    config.stop.watch_threshold = 0.999  # what is high
    config.stop.watch_share = 1e-3  # change of the watched metric that counts as progress
    config.stop.watch_patience = 0  # evaluations without it before the run stops; 0: off
    config.stop.loss_share = 1e-3  # improvement of the loss, as a share of it, that counts as progress
    config.stop.loss_patience = 0  # evaluations without it before the run stops; 0: off
    config.stop.divergence = 100.0  # times the first loss, over which the run stops; 0.0: off
    config.stop.on_targets = False  # True: stops when all of targets.* are met

    config.checkpoint = ConfigDict()
    config.checkpoint.every = 50  # epochs, a multiple of cheap_every; what a killed session loses at most
    config.checkpoint.latest = 2  # newest ones that are kept: one, and one more should it be broken
    config.checkpoint.best = 1  # best ones that are kept
    config.checkpoint.best_metric = "loss"  # or a metric of the task: what best is measured by
    config.checkpoint.keep_every = 0  # every k-th is kept for good; 0: none

    # What a grokking event is, see ternary_jax/grokking/definitions.py; `analyze` goes by it, too. Lengths are in
    # evaluations. The range of 40 normal values, each a median of three, is 3 deviations, but these are measured
    # roughly: 10 leave room for that. 4 deviations of what a metric moves by anyway are four times any steady slope as
    # well, so no straight line rises.
    grokking = config.grokking = ConfigDict()
    grokking.on = False  # True: a detector goes with the run, and reports control/grokking/...
    grokking.metrics = ()  # that it watches, no two of which are one; (): all of a scale that every evaluation measures
    grokking.memory = 40  # that are looked back at, before a rise
    grokking.flat = 10.0  # range of the loss on a plateau, in standard deviations of its noise
    grokking.floor = 1e-3  # the least such deviation, as a share of all the loss has gone through: 1 % is flat
    grokking.plateaus = (5, 15, 26)  # lengths from which a plateau is micro, standard, major
    grokking.gains = (0.01, 0.03, 0.08)  # over which a gain is, as a share of the scale of a metric
    grokking.within = 3  # that a rise takes at most
    grokking.kept = 5  # that it is kept at least
    grokking.together = 2  # metrics that have to rise
    grokking.over = 4.0  # a gain, in deviations of what the metric moves by anyway
    grokking.jump = 0.2  # of a rate or knob, as a share of it, that counts as a change of the schedule
    grokking.steps = 4.0  # a gain, in steps of the finest resolution of a metric

    config.log = ConfigDict()
    config.log.tensorboard = True  # written beside metrics.jsonl, which has everything
    config.log.tensorboard_share = 0.01  # a scalar is written again when it moved by more than this share
    config.log.histograms = False  # of the parameters; large files
    config.log.progress_s = 2.0  # seconds between two lines of progress where there is no terminal
    return config
