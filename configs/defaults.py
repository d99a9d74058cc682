"""The keys and values that all training configs share. It names no task, so it cannot run; another config begins with

    config = read(Path(__file__).with_name("defaults.py"))  # read: from ternary_jax.config

sets config.task, adds the groups of its task, and overrides values.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0  # seed of run 0; run k has seed + k; a tuple gives one seed per run
    config.runs = 1  # number of runs, trained at once in one vmapped program
    config.compilation_cache = True  # True: a second start loads the compiled programs from the user's cache folder

    config.train = ConfigDict()
    config.train.epochs = 100  # length of a run in epochs; 0 where train.steps is set
    config.train.steps = 0  # length of a run in optimizer steps; if set, the lengths below in epochs are in steps
    config.train.batch_size = 512  # samples per step of each run
    config.train.learning_rate = 1e-3  # peak learning rate; a tuple gives one per run
    config.train.weight_decay = 0.0  # decoupled weight decay, per unit of learning rate; a tuple gives one per run
    config.train.schedule = "cosine"  # learning rate: "cosine", "linear", "warm_restarts", "constant" or "phases"
    config.train.phase_shapes = ()  # schedule "phases": the schedule of each phase, such as ("cosine", "constant")
    config.train.phase_epochs = ()  # schedule "phases": the epochs of each phase; their sum is train.epochs
    config.train.phase_rates = ()  # schedule "phases": the factor of each phase on the learning rate
    config.train.warmup_epochs = 0  # epochs in which the learning rate rises from 0
    config.train.final_rate = 0.0  # share of the learning rate at the end of "linear", and of each cosine
    config.train.cycle_epochs = 20  # schedule "warm_restarts": epochs of the first cosine
    config.train.cycle_growth = 2  # schedule "warm_restarts": length of each cosine over that of the one before it
    config.train.clip_norm = 1.0  # upper limit of the norm of all gradients together; 0.0: no clipping
    config.train.dtype = "float32"  # of the networks: "float32", or "bfloat16" on accelerators; geometry is float32
    config.train.remat = False  # True: the backward pass recomputes activations, which saves memory
    config.train.chunk = 0  # most epochs of one call of the program, for which Ctrl-C waits; 0: up to cheap_every
    config.train.microbatches = 1  # parts of a batch that are computed one by one to save memory; divides batch_size
    config.train.on_nan = "stop"  # "stop"; "rollback": go back to the last finite state and halve the learning rate
    config.train.max_rollbacks = 3  # rollbacks of a run; after them a NaN stops the run

    config.evaluate = ConfigDict()
    config.evaluate.cheap_every = 10  # epochs between cheap evaluations; a run is measured at no other time
    config.evaluate.costly_every = 50  # epochs between costly evaluations, a multiple of cheap_every; 0: never

    # Emergence metrics, see ternary_jax/grokking/emergence.py: every cheap evaluation measures those that are True. The
    # norm of the gradient before clipping, gradient_norm, needs no flag: every row has it.
    config.emergence = ConfigDict()
    config.emergence.weight_norm = False  # norm of all parameters together
    config.emergence.weight_rank = False  # effective rank of the weight matrices of each group
    config.emergence.representation_rank = False  # effective rank of the representations of the inputs
    config.emergence.local_complexity = False  # units that switch within a radius around an input
    config.emergence.radius = 0.1  # local_complexity: radius around an input, in units of the network's input
    config.emergence.points = 64  # local_complexity: number of inputs, drawn once
    config.emergence.directions = 8  # local_complexity: orthonormal directions, each both ways; at most the input size

    config.stop = ConfigDict()
    config.stop.watch = "coverage"  # metric that has to be high before a plateau of the loss is "converged"
    config.stop.watch_threshold = 0.999  # value from which the watched metric is high
    config.stop.watch_share = 1e-3  # least change of the watched metric that counts as progress
    config.stop.watch_patience = 0  # evaluations without progress of stop.watch, while below its threshold; 0: off
    config.stop.loss_share = 1e-3  # least improvement of the loss that counts as progress, as a share of the loss
    config.stop.loss_patience = 0  # evaluations without progress of the loss, with stop.watch at its threshold; 0: off
    config.stop.divergence = 100.0  # a run stops where its loss exceeds this multiple of its first loss; 0.0: off
    config.stop.on_targets = False  # True: a run stops when it meets all of targets.*

    config.checkpoint = ConfigDict()
    config.checkpoint.every = 50  # epochs between checkpoints, a multiple of cheap_every; a kill loses what came later
    config.checkpoint.latest = 2  # number of newest checkpoints kept; the second is a spare if the newest is damaged
    config.checkpoint.best = 1  # number of best checkpoints that are kept
    config.checkpoint.best_metric = "loss"  # ranks the best checkpoints: "loss", or a metric of the task
    config.checkpoint.keep_every = 0  # k: every k-th checkpoint is never deleted; 0: none

    # The definition of a grokking event, for the detector and for `analyze`: see ternary_jax/grokking/definitions.py.
    # Lengths are in evaluations. The reason for flat = 10: the range of 40 normal values, each a median of three, is 3
    # deviations, but the deviation is a rough estimate. The reason for over = 4: 4 deviations of the usual movement of
    # a metric are also four times any steady slope, so no straight line counts as a rise.
    grokking = config.grokking = ConfigDict()
    grokking.on = False  # True: a detector runs within the training and reports control/grokking/...
    grokking.metrics = ()  # metrics of the detector, each once; (): all cheap ones with a finite |best - chance|
    grokking.memory = 40  # evaluations before a rise that the detector looks back at
    grokking.flat = 10.0  # greatest range of the loss on a plateau, in standard deviations of its noise
    grokking.floor = 1e-3  # least noise, a share of the loss's range: a move below flat x floor = 1 % is flat
    grokking.plateaus = (5, 15, 26)  # lengths in evaluations from which a plateau is micro, standard, major
    grokking.gains = (0.01, 0.03, 0.08)  # least gains of the three sizes of a rise, as shares of the metric's scale
    grokking.within = 3  # evaluations that a rise takes at most
    grokking.kept = 5  # evaluations for which a metric keeps its rise at least
    grokking.together = 2  # number of metrics that have to rise together
    grokking.over = 4.0  # least gain, in deviations of the usual movement of the metric
    grokking.jump = 0.2  # relative jump of a rate or knob that counts as a change of the schedule
    grokking.steps = 4.0  # least gain, in steps of the finest resolution of the metric

    config.log = ConfigDict()
    # Columns of metrics.jsonl: "performance" adds step_ms, the milliseconds of a step; peak_host_memory_mib; on a GPU
    # or TPU peak_device_memory_mib; and, on an NVIDIA GPU and with `pip install nvidia-ml-py`, gpu_utilisation in
    # percent. A run may go on with another level.
    config.log.level = "normal"
    config.log.tensorboard = True  # True: TensorBoard files too; metrics.jsonl has every value in any case
    config.log.tensorboard_share = 0.01  # TensorBoard gets a scalar again when it has moved by more than this share
    config.log.histograms = False  # True: histograms of the parameters in TensorBoard; large files
    config.log.progress_s = 2.0  # seconds between two progress lines where the output is no terminal

    config.profile = ConfigDict()
    # "START:STOP": these steps, rounded to whole chunks, are traced into trace/ of the workdir, for xprof; "": none.
    config.profile.steps = ""

    config.report = ConfigDict()
    # report.html, written into the workdir when a training has ended: "auto": where bokeh, of the extra `report`, is
    # installed; "always": also say so where it is not; "never". A run may go on with another value.
    config.report.on = "auto"
    return config
