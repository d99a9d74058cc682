"""The keys and defaults of the ternary task: the dual model with all losses, of which only reconstruction is on.

Another config begins with

    config = read(Path(__file__).with_name("vae.py"))  # read: from ternary_jax.config

Lengths are geodesic, for c = 1: radii of 0.08 and 0.90 of the ball are 0.16 and 2.94. The widths, margins and scales of
the losses suit this span of 2.78. A weight is relative to one nat per operation.
"""

from pathlib import Path

from ml_collections import ConfigDict

from ternary_jax.config import read


def get_config() -> ConfigDict:
    config = read(Path(__file__).with_name("defaults.py"))
    config.task = "ternary_jax.vae.task"  # the module with make_task
    config.stop.watch = "coverage_B"  # metric that has to be high before a plateau of the loss is "converged"

    config.data = ConfigDict()
    config.data.n_digits = 9  # D, digits of an operation; there are 3^D operations, 3^9 = 19,683
    config.data.split = "none"  # which operations are held out: "none", "random", "residue_balls" or "digit_box"
    config.data.split_seed = 0  # seed of the split
    config.data.train_share = 0.05  # split "random": share of the operations that are trained on
    config.data.residue_level = 3  # split "residue_balls": a ball is a class i mod 3^level
    config.data.residue_held_out = 5  # split "residue_balls": number of balls that are held out
    config.data.box_digits = 2  # split "digit_box": number of digits that are fixed in the operations held out
    config.data.budget = 0.0  # share of a batch that goes to levels v >= high_from, in equal parts; 0.0: uniform draws
    config.data.high_from = 4  # first level of the budget; levels from 4 on hold 243 of the 19,683 operations
    config.data.partners = False  # True: half of a batch are partners of the other half, each pair valuation in turn
    config.data.shifts = 4  # number of pairs of each row in losses of pairs; 4 x 512 rows are 2,048 pairs

    config.model = ConfigDict()
    config.model.dim = 16  # coordinates of the ball
    config.model.inputs = "one_hot"  # encoder input: "one_hot" digits, or "trits", the numbers -1, 0, 1
    config.model.geometry = "poincare"  # the latent space: the ball; "euclidean": R^n, with d(x, y) = 2|x - y|
    config.model.c = 1.0  # the sectional curvature is -c; the initial value if `curvature` is not "fixed"
    # How c changes. "fixed": never; "learned": c = softplus(theta), theta a parameter; "controlled": by the prior's
    # homeostat or by StateNet.
    config.model.curvature = "fixed"
    config.model.max_radius = 0.95  # projection "direction_radius": greatest sqrt(c)|z|
    config.model.direction_hidden = (64, 64)  # projection "direction_radius": widths of the network of directions
    config.model.radius_hidden = (32, 32)  # projection "direction_radius": widths of the network of radii
    config.model.projection_dropout = 0.0  # projection "direction_radius": dropout of the network of directions
    config.model.cross_injection = False  # True: training decodes (1 - rho) u + rho sg(u of the other branch)
    config.model.rho = 0.0  # rho of the cross-injection; schedules replace it, except in StateNet's reference

    branch = ConfigDict()
    branch.encoder = "improved"  # "improved": layer norm, silu, dropout after each layer; "plain": relu
    branch.hidden = (256, 128, 64)  # widths of the encoder
    branch.dropout = 0.0  # dropout of an "improved" encoder or decoder
    # The latent vector that training decodes. "point": the encoder's; "gaussian": a draw before the projection;
    # "wrapped": a draw from a wrapped normal in the ball, around the point of the mean.
    branch.posterior = "point"
    branch.projection = "direction_radius"  # "direction_radius": two networks; "exp_map": exp_0 of the latent vector
    # "plain": relu; "improved": as the encoder; "residual" or "relu_residual": a block per width; "shared", of B only:
    # the decoder of A.
    branch.decoder = "plain"
    branch.decoder_hidden = (32, 64)  # widths of the decoder
    branch.decoder_gain = 1.0  # factor on the input of the decoder
    config.model.A = branch
    config.model.B = ConfigDict(branch.to_dict())

    config.radii = ConfigDict()  # the radial targets: shares of the ball's radius, linear in the valuation
    config.radii.outer = 0.90  # target of the radius at valuation 0, a share of the radius of the ball
    config.radii.inner = 0.08  # target of the radius at valuation D, a share of the radius of the ball

    # Each loss is on for "A", "B", "AB" or "none".
    losses = config.losses = ConfigDict()
    losses.reconstruction = ConfigDict(dict(on="AB", weight=1.0))  # cross-entropy of the decoded digits
    losses.kl = ConfigDict(dict(on="none", weight=0.1))  # KL of a Gaussian posterior to N(0, 1)
    losses.kl.free_bits = 0.3  # least cost of a latent coordinate in nats: a smaller KL has no gradient
    losses.prior = ConfigDict(dict(on="none", weight=0.1))  # KL of a wrapped posterior to a wrapped normal at 0
    losses.radial = ConfigDict(dict(on="none", weight=1.0))  # squared distance of the radii from the radial targets
    losses.radial.growth = 0.4  # a row of valuation v weighs 1 + exp(growth v)
    losses.radial.margin = 0.5  # weight of the hinge between the radii of a pair
    losses.radial.share = 0.5  # share of the difference of two targets that a pair has to keep
    losses.stratification = ConfigDict(dict(on="none", weight=1.0))  # smooth L1 of the radii to the radial targets
    losses.monotonic = ConfigDict(dict(on="none", weight=1.0))  # mean radii of adjacent levels in order
    losses.monotonic.share = 1.0  # share of the difference of two targets that the mean radii have to keep
    losses.monotonic.softness = 0.17  # width of the softplus, a geodesic length
    losses.monotonic.pull = 0.5  # weight of the mean radii's squared distance from the radial targets
    losses.rank = ConfigDict(dict(on="none", weight=0.5))  # radii of pairs in the order of their valuations
    losses.rank.temperature = 0.34  # width of the sigmoid; the originals: 0.1, at a span of 0.82
    losses.rich = ConfigDict(dict(on="none", weight=1.0))  # RichHierarchy: mean radii in order, spread inside levels
    losses.rich.means = 5.0  # weight of the mean radii's squared distance from the radial targets
    losses.rich.floor = 2.0  # weight of the floor under the variance inside a level
    losses.rich.separation = 3.0  # weight of the hinge between adjacent levels
    losses.rich.kappa = 0.5  # the floor, as a share of the variance of a level that fills its band
    losses.rich.gap = 0.034  # least difference of adjacent mean radii; the originals: 0.01, at a span of 0.82
    losses.geodesic = ConfigDict(dict(on="none", weight=0.3))  # distances of pairs to furthest exp(-v / scale)
    losses.geodesic.furthest = 2.94  # target at pair valuation 0: the radius of the outer level
    losses.geodesic.scale = 3.0  # levels over which the target falls by a factor e
    losses.zero = ConfigDict(dict(on="none", weight=0.5))  # the originals' zero-structure loss, a defect, for ablations
    losses.zero.pull = 0.5  # weight of the radii to the targets of their number of leading zero trits
    losses.zero.correlation = 0.3  # weight of the correlation of the radii with the number of zero trits
    losses.zero.aim = -0.3  # target of this correlation
    losses.bands = ConfigDict(dict(on="none", weight=1.0))  # radii and distances, each to the band of its valuation
    losses.bands.furthest = 1.0  # centre of the band of valuation 0, in units of 1/sqrt(c)
    losses.bands.ratio = 0.55  # centre of each band over that of the band before it
    losses.bands.width = 0.35  # half a band, in levels; at 0.5 bands touch
    losses.bands.radius = 1.0  # weight of the radii
    losses.bands.distance = 1.0  # weight of the distances
    losses.bands.spread = 1.0  # weight of the radii of level 0, which follow the first digit
    losses.bands.outer = 0.92  # target of `spread`, a share of the ball's radius, for the first digit 1
    losses.bands.between = 0.45  # target of `spread`, a share of the ball's radius, for the first digit 2
    # metric, ranking, ranking_v2 and repulsion see tangent vectors u = log_0(z); |u| is 1.47 at the outer level.
    losses.metric = ConfigDict(dict(on="none", weight=0.1))  # lengths |u_i - u_j| of pairs to scale 3^-v
    losses.metric.scale = 1.47  # target of a pair that differs in its first digit: |u| of the outer level
    losses.norm = ConfigDict(dict(on="none", weight=0.05))  # radii to scale 3^-v
    losses.norm.scale = 2.94  # target of a radius at valuation 0: that of the outer level
    losses.ranking = ConfigDict(dict(on="none", weight=0.5))  # random triplets in order
    losses.ranking.margin = 0.1  # margin in |u| of the originals, a fifteenth of the outer |u|
    losses.ranking_v2 = ConfigDict(dict(on="none", weight=0.5))  # random triplets, and the worst of the batch, in order
    losses.ranking_v2.margin = 0.05  # margin in |u| of the originals; the slope adds to it
    losses.ranking_v2.slope = 0.15  # margin in |u| for each level between the two valuations
    losses.ranking_v2.hard_share = 0.5  # share of the weight for the worst triplets of the batch
    losses.ranking_hyperbolic = ConfigDict(dict(on="none", weight=0.5))  # ranking_v2 by the distances d(z_i, z_j)
    losses.ranking_hyperbolic.margin = 0.05  # margin in d: distances are twice those of u, so it is half as strict
    losses.ranking_hyperbolic.slope = 0.15  # margin in d for each level between the two valuations
    losses.ranking_hyperbolic.hard_share = 0.5  # share of the weight for the worst triplets of the batch
    losses.repulsion = ConfigDict(dict(on="none", weight=0.01))  # exp(-|u_i - u_j|^2 / width^2), pairs of any v
    losses.repulsion.width = 0.5  # reach in |u|: a third of the outer |u|, so only neighbours repel
    losses.centroid = ConfigDict(dict(on="none", weight=0.2))  # d(z, m)^2 to the Frechet mean m of a ball i mod 3^level
    losses.centroid.decay = 0.5  # weight of a level, 1 to 4, over the one before: deep balls have few rows
    losses.entropy = ConfigDict(dict(on="none", weight=0.05))  # each digit decoded to its three values equally often
    losses.focus = ConfigDict(dict(on="none", weight=0.5))  # a second reconstruction loss, weighted by the radius
    losses.focus.power = 2.0  # a row weighs (1 - sqrt(c)|z|)^power + least: 1 + least at the origin
    losses.focus.least = 0.5  # least weight of a row, reached at the edge
    losses.alignment = ConfigDict(dict(on="none", weight=0.3))  # |H_A - H_B| of the decoded digits; on "AB" or "none"

    config.phases = ConfigDict()  # phases of the losses, in epochs; 0 and 0: all losses from the start
    config.phases.structure_from = 0  # epoch before which only reconstruction and KL are on
    config.phases.geometry_from = 0  # epoch from which the geodesic loss is on
    config.phases.radial_after = 0.5  # factor on the radial loss from geometry_from on

    config.prior = ConfigDict()
    config.prior.sigma = 1.0  # scale of the prior in each coordinate, a Riemannian length
    config.prior.homeostat = False  # True: sigma follows the radii of the draws, and c brings the KL to prior.kl
    config.prior.decay = 0.99  # homeostat: decay of its running means, per step
    config.prior.kl = 2.0  # homeostat: target of the KL, in nats per coordinate
    config.prior.sigma_rate = 1e-2  # homeostat: step of log sigma where the radii are off by a factor e
    # homeostat: step of log c where the KL is off by a factor e; 3,000 steps are a factor of 1.35 on c. 0.0: c stays.
    config.prior.c_rate = 1e-4
    config.prior.least = 0.1  # homeostat: lower bound of sigma and of c
    config.prior.most = 10.0  # homeostat: upper bound of sigma and of c

    # Controllers of rho, the temperatures, the weights of the KL and the knobs: "none", "schedules", "statenet" or
    # "schedules+statenet".
    config.control = "none"
    config.knobs = ConfigDict()  # factors on loss weights, if `control` is not "none"; balance.weights adds the lambdas
    config.knobs.lambda_1 = 0.7  # factor on the autoencoder losses of A: reconstruction, focus, KL, entropy, repulsion
    config.knobs.lambda_2 = 0.7  # factor on the autoencoder losses of B
    config.knobs.lambda_3 = 0.3  # factor on losses.alignment; with "schedules", schedules.alignment replaces it
    config.knobs.ranking = 1.0  # factor on the losses that rank distances
    config.knobs.tau = 0.5  # ranking losses count 2 tau, radial losses 2 (1 - tau)

    # Open-loop schedules, with "schedules" in `control`. Times are shares of the run. The values are those of the
    # documents, of 300 epochs.
    config.schedules = ConfigDict()
    # rho is levels[k] at time at[k] and linear between; levels[0] before, levels[-1] after.
    config.schedules.rho = ConfigDict(dict(at=(0.133, 0.4, 0.833), levels=(0.1, 0.3, 0.7)))
    # (first + (last - first) s) (1 + amplitude cos(2 pi s / period)) at s = max(0, time - lag).
    temperature = ConfigDict(dict(first=1.0, last=0.3, lag=0.0, period=0.1, amplitude=0.1))
    config.schedules.temperature_A = temperature
    config.schedules.temperature_B = ConfigDict(
        temperature.to_dict() | dict(first=0.9, last=0.2, lag=0.1, amplitude=0.0)
    )
    # beta, the factor on the KL of A: from 0 to level at time warmup, then to final at the end.
    config.schedules.beta = ConfigDict(dict(warmup=0.167, level=0.3, final=0.8))
    config.schedules.beta.share_B = 0.707  # beta of B over that of A
    config.schedules.beta.lag_B = 0.167  # time at which beta of B starts
    config.schedules.beta.ramp_B = 0.1  # time over which beta of B rises; a jump destroys what B has learned
    config.schedules.alignment = ConfigDict(dict(mean=0.3, amplitude=0.15, period=0.1))  # lambda_3, a sine

    config.curriculum = ConfigDict()
    config.curriculum.on = False  # True: tau rises while the radial loss is below `aim`, and falls while it is above
    config.curriculum.rate = 2e-3  # greatest change of tau per step
    config.curriculum.aim = 0.05  # radial loss at which tau does not change

    config.statenet = ConfigDict()
    config.statenet.interval = 10  # steps between two corrections
    config.statenet.decay = 0.98  # decay per step of its inputs coverage and ranking, which are running means
    config.statenet.params = ""  # a path, or a name in ternary_jax/assets; "": a new network, whose output is 0
    config.statenet.scale = 1.0  # factor on its outputs, which are in (-1, 1) before it
    config.statenet.memory = 0  # units of a GRU between its layers, 0: none, as in the documents
    config.statenet.trends = False  # True: it also reads how the loss and the coverages have moved of late
    # "none"; "lookahead": learn from the reference objective, `ahead` steps after a correction. A network that
    # experiments/meta_train_statenet.py (part unroll) trained through 20 steps at a time did worse over whole runs than
    # the tuned schedules without StateNet.
    config.statenet.learn = "none"
    config.statenet.ahead = 1  # learn "lookahead": steps from a correction to the reference objective
    config.statenet.share = 0.25  # learn "lookahead": share of a batch for the reference; 1.0 costs as much as a step
    config.statenet.learning_rate = 1e-3  # learn "lookahead": learning rate of StateNet's Adam

    config.balance = ConfigDict()
    config.balance.gradients = False  # True: the autoencoder losses of the branch with smaller gradients weigh more
    config.balance.decay = 0.99  # decay of the running means of the gradient norms, per step
    config.balance.most = 2.0  # with balance.gradients: greatest factor on the losses of a branch
    config.balance.weights = False  # True: lambda_1 and lambda_2 move once an epoch, by the ratio of the gradient norms
    config.balance.rate = 0.02  # with balance.weights: step of a weight
    config.balance.band = 1.25  # with balance.weights: they move where the ratio is over band or under 1 / band
    config.balance.least = 0.5  # with balance.weights: lower bound of the weights
    config.balance.greatest = 0.95  # with balance.weights: upper bound of the weights

    # Metrics of the detector. hierarchy_rounded is not among them: it equals hierarchy unless radii collapse, and would
    # confirm every rise of it.
    config.grokking.metrics = tuple(f"{metric}_{b}" for metric in ("coverage", "hierarchy") for b in "AB")

    # Gates that freeze groups of parameters and open again, after every evaluation: see ternary_jax/control/gates.py.
    homeostasis = config.homeostasis = ConfigDict()
    homeostasis.on = False  # True: the gates of all groups below act
    homeostasis.coverage_groups = ("encoder_A",)  # groups that freeze while the coverage of A is low; (): no such gate
    homeostasis.plateau_groups = ("encoder_B",)  # groups that freeze once the hierarchy of B is on a plateau; (): none
    homeostasis.quiet_groups = ()  # groups that freeze once their gradient is small: ("controller",), or (): none
    homeostasis.begins_frozen = False  # True: the coverage gate starts closed, as for groups from another run
    homeostasis.warmup = 5  # epochs in which no gate changes
    homeostasis.hysteresis = 2  # epochs between two changes of a gate
    homeostasis.ramp = 0  # epochs in which the learning rate rises from 0 after a gate has opened
    homeostasis.window = 5  # evaluations over which the gain of a hierarchy is measured
    homeostasis.progress = 0.001  # least gain of a hierarchy over the window that counts as progress
    homeostasis.freeze_below = 0.995  # coverage of A below which the coverage gate closes
    homeostasis.unfreeze_at = 1.0  # coverage of A from which the coverage gate may open
    homeostasis.stall = 5  # evaluations without progress of A before the coverage gate may open
    homeostasis.patience = 5  # evaluations without progress of B before the plateau gate closes
    homeostasis.patience_most = 15  # upper bound of patience, with anneal
    homeostasis.relapse = 0.01  # loss of hierarchy of B between two evaluations that opens the plateau gate
    homeostasis.quiet = 0.01  # norm of a gradient that counts as small
    homeostasis.quiet_patience = 3  # evaluations with a small gradient before the quiet gate closes
    homeostasis.quiet_most = 10  # upper bound of quiet_patience, with anneal
    homeostasis.anneal = False  # True: thresholds follow the change of q since a gate opened; q is a costly metric
    homeostasis.step = 0.003  # with anneal: step of the thresholds of the coverage gate
    homeostasis.floor = 0.95  # with anneal: lower bound of freeze_below

    config.controller = ConfigDict()
    config.controller.on = False  # True: a network learns loss weights, rho and tau (radial or geodesic) by look-ahead
    config.controller.hidden = (32, 32)  # widths of this network

    config.rates = ConfigDict()  # factor on the learning rate of each group of parameters
    branches = ("encoder_A", "encoder_B", "projection_A", "projection_B", "decoder_A", "decoder_B")
    for group in (*branches, "curvature", "controller"):
        config.rates[group] = 1.0

    config.start = ConfigDict()
    config.start.workdir = ""  # a workdir of this program: start from its newest checkpoint; "": from scratch
    config.start.groups = ()  # groups of parameters taken from that checkpoint, such as ("encoder_A", "decoder_A")
    config.start.frozen = ()  # groups of parameters that never change

    # Thresholds of the ceiling; summary.json says when a run meets them.
    config.targets = ConfigDict()
    config.targets.coverage_B = 1.0  # least coverage of B
    config.targets.hierarchy_B = -0.8320  # greatest hierarchy of B; 5e-5 short of the ceiling without ties
    return config
