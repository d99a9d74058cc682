"""The metrics of the two closed forms, which are embeddings at the ceilings, without training. Takes a few seconds."""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.task = "ternary_jax.vae.baselines"  # the module that main.py runs
    config.n_digits = 9  # 3^9 = 19,683 operations, the ternary functions of two ternary variables
    config.dim = 16  # coordinates of the ball; 16 are 8 planes, so digits 0 and 8 share a plane
    config.c = 1.0  # sectional curvature is -c; lengths scale by 1/sqrt(c), rank metrics do not change
    config.seed = 0  # seed of the pairs and triplets; figures are comparable at one seed only

    # The closed form `tree`, around the origin: hierarchy at its ceiling, and nearly the best Q.
    config.tree = ConfigDict()
    config.tree.scale = 0.55  # sqrt(c) times the length of digit 0; the tree stays inside radius 0.61
    config.tree.ratio = 0.42  # length of a digit over that of the one before it: below 1/2 subtrees stay apart

    # The closed form `rich`: hierarchy at its ceiling, level 0 at both ends of the first coordinate, u.
    config.rich = ConfigDict()
    config.rich.scale = 0.3  # digit k of the tail, k >= 1, has the length scale * ratio^k / sqrt(c)
    config.rich.ratio = 0.42  # length of a digit over that of the one before it, as in `tree`
    config.rich.centre_0 = 0.0  # sqrt(c) times the coordinate u at x_0 = 0, the centre of levels 1 and higher
    config.rich.centre_1 = 0.945  # sqrt(c) times the coordinate u at x_0 = 1, near the edge
    config.rich.centre_2 = -0.24  # sqrt(c) times the coordinate u at x_0 = 2, outside level 1, which ends at 0.14
    return config.lock()
