"""What every config of the ternary task starts from: the dual model, and all losses, of which one is on.

Not a config to run. Another one begins with

    config = read(Path(__file__).with_name("vae.py"))  # read: from ternary_jax.config

Lengths are geodesic, for c = 1, where radii of 0.08 and 0.90 of the ball are 0.16 and 2.94.
"""

from pathlib import Path

from ml_collections import ConfigDict

from ternary_jax.config import read


def get_config() -> ConfigDict:
    config = read(Path(__file__).with_name("defaults.py"))
    config.task = "ternary_jax.vae.task"  # the module with make_task
    config.stop.watch = "coverage_B"

    config.data = ConfigDict()
    config.data.n_digits = 9  # 3^9 = 19,683 operations
    config.data.split = "none"  # of operations held out: or "random", "residue_balls", "digit_box"
    config.data.split_seed = 0  # which ones
    config.data.train_share = 0.05  # random: share of the operations that are trained on
    config.data.residue_level = 3  # residue_balls: classes i mod 3^level
    config.data.residue_held_out = 5  # of them, held out
    config.data.box_digits = 2  # digit_box: digits that have a certain value each in what is held out
    config.data.budget = 0.0  # share of the draws that go to levels v >= high_from, in equal parts; 0.0: uniform draws
    config.data.high_from = 4  # these are 243 of the 19,683 operations
    config.data.partners = False  # True: half of a batch are partners of the other half, at each pair valuation in turn
    config.data.shifts = 4  # pairs of a batch for losses of pairs, in batches: 2,048 of 512 rows

    config.model = ConfigDict()
    config.model.dim = 16  # coordinates of the ball
    config.model.inputs = "one_hot"  # digits as an encoder reads them; "trits": as numbers -1, 0, 1
    config.model.c = 1.0  # sectional curvature is -c; where c is learned, at the start
    # "learned": c = softplus(theta), in every loss and metric, with a gradient; "controlled": by the prior's homeostat,
    # or by StateNet.
    config.model.curvature = "fixed"
    config.model.max_radius = 0.95  # greatest sqrt(c)|z| of a direction-radius projection
    config.model.direction_hidden = (64, 64)  # its network of directions
    config.model.radius_hidden = (32, 32)  # and of radii
    config.model.projection_dropout = 0.0
    config.model.cross_injection = False  # True: (1 - rho) y + rho sg(y of the other branch) is decoded in training
    config.model.rho = 0.0  # its permeability; a schedule takes its place, but for the reference objective of StateNet

    branch = ConfigDict()
    branch.encoder = "improved"  # layer norm, silu, dropout after each layer; "plain": relu
    branch.hidden = (256, 128, 64)
    branch.dropout = 0.0  # of the improved parts
    # "gaussian", "wrapped": variational; a draw is decoded in training, geometry is the mean's. A Gaussian is drawn
    # before the projection, a wrapped normal in the ball, around the point of the mean.
    branch.posterior = "point"
    branch.projection = "direction_radius"  # or "exp_map": exp_0 of the latent vector
    # "plain": relu; "improved"; "residual", "relu_residual": a block per width; of B also "shared", that of A.
    branch.decoder = "plain"
    branch.decoder_hidden = (32, 64)
    branch.decoder_gain = 1.0  # on what the decoder reads
    config.model.A = branch
    config.model.B = ConfigDict(branch.to_dict())

    config.radii = ConfigDict()  # the radial targets, linear in v between these shares of the ball's radius
    config.radii.outer = 0.90  # of valuation 0
    config.radii.inner = 0.08  # of the highest

    # Each loss is on for "A", "B", "AB" or "none"; weights are beside one nat per operation.
    losses = config.losses = ConfigDict()
    losses.reconstruction = ConfigDict(dict(on="AB", weight=1.0))
    losses.kl = ConfigDict(dict(on="none", weight=0.1))
    losses.kl.free_bits = 0.3  # nats of each latent coordinate that cost no more than these
    # The KL of a wrapped posterior to a wrapped normal at the origin.
    losses.prior = ConfigDict(dict(on="none", weight=0.1))
    losses.radial = ConfigDict(dict(on="none", weight=1.0))  # radii to their targets, by the square
    losses.radial.growth = 0.4  # of the weight of a row with its valuation, 1 + exp(growth v)
    losses.radial.margin = 0.5  # weight of the hinge between pairs
    losses.radial.share = 0.5  # of the distance of two targets, that a pair has to keep
    losses.stratification = ConfigDict(dict(on="none", weight=1.0))
    losses.monotonic = ConfigDict(dict(on="none", weight=1.0))
    losses.monotonic.share = 1.0  # of the distance of two targets, that the means of two levels have to keep
    losses.monotonic.softness = 0.17
    losses.monotonic.pull = 0.5  # of the means to their targets
    losses.rank = ConfigDict(dict(on="none", weight=0.5))
    losses.rank.temperature = 0.34  # 0.1 of the originals, whose radii spanned 0.82, at a span of 2.78
    losses.rich = ConfigDict(dict(on="none", weight=1.0))  # means of levels in order, spread inside them
    losses.rich.means = 5.0
    losses.rich.floor = 2.0
    losses.rich.separation = 3.0
    losses.rich.kappa = 0.5  # of the variance of a level that fills its band, that there is to be
    losses.rich.gap = 0.034  # between means, 0.01 at the span of the originals
    losses.geodesic = ConfigDict(dict(on="none", weight=0.3))  # distances of pairs to furthest exp(-v / scale)
    losses.geodesic.furthest = 2.94  # the distance of the outer level from the origin
    losses.geodesic.scale = 3.0
    losses.zero = ConfigDict(dict(on="none", weight=0.5))  # a defect of the originals, for the ablation of its cost
    losses.zero.pull = 0.5
    losses.zero.correlation = 0.3
    losses.zero.aim = -0.3
    losses.bands = ConfigDict(dict(on="none", weight=1.0))  # radii and distances each to the band of its valuation
    losses.bands.furthest = 1.0  # the distance of valuation 0, over sqrt(c); each level is nearer
    losses.bands.ratio = 0.55  # by this factor
    losses.bands.width = 0.35  # half a band, in levels; at 0.5 bands touch
    losses.bands.radius = 1.0
    losses.bands.distance = 1.0
    losses.bands.spread = 1.0
    losses.bands.outer = 0.92  # share of the ball's radius where the operations of level 0 lie whose first digit is 1
    losses.bands.between = 0.45  # and where those lie whose first digit is 2
    # Those below see tangent vectors u = log_0(z) but where they say otherwise; the outer level has |u| = 1.47.
    losses.metric = ConfigDict(dict(on="none", weight=0.1))  # lengths |u_i - u_j| of pairs to scale 3^-v
    losses.metric.scale = 1.47  # of a pair that differs in its first digit: as far apart as the outer level from 0
    losses.norm = ConfigDict(dict(on="none", weight=0.05))  # radii to scale 3^-v
    losses.norm.scale = 2.94  # the radius of the outer level
    losses.ranking = ConfigDict(dict(on="none", weight=0.5))  # random triplets in order
    losses.ranking.margin = 0.1  # as in the originals; a fifteenth of the outer |u|
    losses.ranking_v2 = ConfigDict(dict(on="none", weight=0.5))  # half of them the worst triplets of the batch
    losses.ranking_v2.margin = 0.05  # as in the originals, which add
    losses.ranking_v2.slope = 0.15  # for each level between the two valuations
    losses.ranking_v2.hard_share = 0.5  # of the weight, that the worst have beside the random ones
    losses.ranking_hyperbolic = ConfigDict(dict(on="none", weight=0.5))  # the same of d(z_i, z_j)
    losses.ranking_hyperbolic.margin = 0.05  # lengths are twice those of u, so an order is kept by half as much
    losses.ranking_hyperbolic.slope = 0.15
    losses.ranking_hyperbolic.hard_share = 0.5
    losses.repulsion = ConfigDict(dict(on="none", weight=0.01))  # exp(-|u_i - u_j|^2 / width^2), whatever the pair
    losses.repulsion.width = 0.5  # a third of the outer |u|: neighbours are pushed, and no others
    losses.centroid = ConfigDict(dict(on="none", weight=0.2))  # d(z, m)^2 to the Frechet mean of a ball i mod 3^level
    losses.centroid.decay = 0.5  # of the weight from level 1 to 2, ..., 4, whose balls have ever fewer rows of a batch
    losses.entropy = ConfigDict(dict(on="none", weight=0.05))  # each digit decoded to its three values equally often
    losses.focus = ConfigDict(dict(on="none", weight=0.5))  # reconstruction once more, weighted by the place of a point
    losses.focus.power = 2.0  # of (1 - sqrt(c)|z|): 1 at the origin, 0.01 at the outer level
    losses.focus.least = 0.5  # a row has this weight wherever it lies, 1.5 at most
    losses.alignment = ConfigDict(dict(on="none", weight=0.3))  # |H_A - H_B| of what is decoded; "AB" or "none"

    config.phases = ConfigDict()  # by epochs; 0 and 0: all losses from the start
    config.phases.structure_from = 0  # before it, reconstruction and KL alone
    config.phases.geometry_from = 0  # from here on the geodesic loss too
    config.phases.radial_after = 0.5  # factor on the radial loss from then on

    config.prior = ConfigDict()
    config.prior.sigma = 1.0  # its scale: a Riemannian length, of each coordinate
    config.prior.homeostat = False  # True: sigma follows the radii of draws, and c brings the KL to its target
    config.prior.decay = 0.99  # of the running means that it goes by, per step
    config.prior.kl = 2.0  # this target, nats of each coordinate
    config.prior.sigma_rate = 1e-2  # of log sigma, per step, where the radii are off by a factor e
    config.prior.c_rate = 1e-4  # of log c; 3,000 steps of it are a factor of 1.35; 0.0: c stays
    config.prior.least = 0.1  # bounds of sigma, and of c
    config.prior.most = 10.0

    # What turns rho, temperatures, the weights of the KL, and the knobs: "schedules", "statenet", "schedules+statenet".
    config.control = "none"
    config.knobs = ConfigDict()  # with control, or where balance.weights moves the first two: factors on weights
    config.knobs.lambda_1 = 0.7  # of the reconstruction of A, its KL, entropy and repulsion
    config.knobs.lambda_2 = 0.7  # and of B
    config.knobs.lambda_3 = 0.3  # of losses.alignment; a schedule takes its place
    config.knobs.ranking = 1.0  # of the losses that rank distances
    config.knobs.tau = 0.5  # these times 2 tau, and radial ones times 2 (1 - tau)

    # Open loop, where control has "schedules". Times are shares of the run; the values of the documents, of 300 epochs.
    config.schedules = ConfigDict()
    config.schedules.rho = ConfigDict(dict(at=(0.133, 0.4, 0.833), levels=(0.1, 0.3, 0.7)))
    temperature = ConfigDict(dict(first=1.0, last=0.3, lag=0.0, period=0.1, amplitude=0.1))
    config.schedules.temperature_A = temperature
    config.schedules.temperature_B = ConfigDict(
        temperature.to_dict() | dict(first=0.9, last=0.2, lag=0.1, amplitude=0.0)
    )
    config.schedules.beta = ConfigDict(dict(warmup=0.167, level=0.3, final=0.8))  # of the KL of A,
    config.schedules.beta.share_B = 0.707  # and this share of it of B,
    config.schedules.beta.lag_B = 0.167  # from here on,
    config.schedules.beta.ramp_B = 0.1  # by a ramp; a jump tore up what B had learned
    config.schedules.alignment = ConfigDict(dict(mean=0.3, amplitude=0.15, period=0.1))  # lambda_3

    config.curriculum = ConfigDict()
    config.curriculum.on = False  # True: tau rises where the radial loss is under its aim, and falls where it is over
    config.curriculum.rate = 2e-3  # per step, at most
    config.curriculum.aim = 0.05

    config.statenet = ConfigDict()
    config.statenet.interval = 10  # steps between two of its corrections
    config.statenet.decay = 0.98  # of the running coverage and ranking that it sees, per step
    config.statenet.params = ""  # a path, or a name in ternary_jax/assets; "": a network that turns nothing yet
    # "lookahead": from the reference objective some steps after a correction. That is a short view, and what is best
    # for the next steps was not for a run, even with twenty of them: see experiments/meta_train_statenet.py, unroll.
    config.statenet.learn = "none"
    config.statenet.ahead = 1  # these
    config.statenet.share = 0.25  # of the rows of a batch, that it is taken over: all of them cost another step
    config.statenet.learning_rate = 1e-3  # of its own Adam

    config.balance = ConfigDict()
    config.balance.gradients = False  # True: what lambda_1 and lambda_2 weigh counts more where gradients are smaller,
    config.balance.decay = 0.99  # by running means per step,
    config.balance.most = 2.0  # up to this factor
    config.balance.weights = False  # True: lambda_1 and lambda_2 move, once an epoch,
    config.balance.rate = 0.02  # by this,
    config.balance.band = 1.25  # where the ratio of the norms is over this, or under its inverse,
    config.balance.least = 0.5  # within
    config.balance.greatest = 0.95

    # Not all of them: hierarchy_rounded is hierarchy where nothing has collapsed, and would confirm it.
    config.grokking.metrics = tuple(f"{metric}_{b}" for metric in ("coverage", "hierarchy") for b in "AB")

    # Gates that freeze groups and open again, see ternary_jax/control/gates.py; decided after every evaluation.
    homeostasis = config.homeostasis = ConfigDict()
    homeostasis.on = False
    homeostasis.coverage_groups = ("encoder_A",)  # rest while A decodes less than it did; () for no such gate
    homeostasis.plateau_groups = ("encoder_B",)  # rest once the hierarchy of B has settled
    homeostasis.quiet_groups = ()  # ("controller",): rest once their gradient has faded
    homeostasis.begins_frozen = False  # the coverage gate; True where its groups come from another run
    homeostasis.warmup = 5  # epochs in which nothing changes
    homeostasis.hysteresis = 2  # epochs between two changes of a gate
    homeostasis.ramp = 0  # epochs in which the rate rises from 0 after a gate has opened
    homeostasis.window = 5  # evaluations, over which a hierarchy has to gain
    homeostasis.progress = 0.001  # this much
    homeostasis.freeze_below = 0.995  # coverage of A
    homeostasis.unfreeze_at = 1.0
    homeostasis.stall = 5  # evaluations without progress, after which A may learn again
    homeostasis.patience = 5  # evaluations without progress, after which B rests
    homeostasis.patience_most = 15
    homeostasis.relapse = 0.01  # of the hierarchy of B from one evaluation to the next, that has it learn again
    homeostasis.quiet = 0.01  # norm of a gradient
    homeostasis.quiet_patience = 3  # evaluations under it
    homeostasis.quiet_most = 10
    homeostasis.anneal = False  # True: thresholds move by what q has done since a gate opened; costly metrics have q
    homeostasis.step = 0.003  # by which the thresholds of A do
    homeostasis.floor = 0.95  # of freeze_below

    config.controller = ConfigDict()
    config.controller.on = False  # True: weights, rho and the mix of radial and geodesic are learned by looking ahead
    config.controller.hidden = (32, 32)

    config.rates = ConfigDict()  # factors on the learning rate, by group
    for group in ("encoder_A", "encoder_B", "projection_A", "projection_B", "decoder_A", "decoder_B"):
        config.rates[group] = 1.0
    config.rates.curvature = 1.0
    config.rates.controller = 1.0

    config.start = ConfigDict()
    config.start.workdir = ""  # of ours, whose newest checkpoint has the groups to start from; "": from scratch
    config.start.groups = ()  # such as ("encoder_A", "decoder_A")
    config.start.frozen = ()  # groups that stay as they are

    # What counts as the ceiling; summary.json says when it was reached.
    config.targets = ConfigDict()
    config.targets.coverage_B = 1.0
    config.targets.hierarchy_B = -0.8320  # 5e-5 short of the ceiling without ties
    return config
