"""The two closed forms to beat, scored: embeddings at the ceilings that need no training. A few seconds."""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.task = "ternary_jax.vae.baselines"  # the module that main.py runs
    config.n_digits = 9  # 3^9 = 19,683 operations, the ternary functions of two ternary variables
    config.dim = 16  # coordinates of the ball: 8 planes, so digits 0 and 8 share one
    config.c = 1.0  # sectional curvature is -c; lengths scale by 1/sqrt(c), rank metrics do not move
    config.seed = 0  # of the fixed pairs and triplets; figures are comparable at the same seed only

    # At the hierarchy ceiling with nearly the best Q: the whole tree around the centre.
    config.tree = ConfigDict()
    config.tree.scale = 0.55  # sqrt(c) times the length of digit 0; the tree stays inside radius 0.61
    config.tree.ratio = 0.42  # a digit against the one before: below 1/2 the subtrees of a level stay apart

    # At the hierarchy ceiling and rich: level 0 fills both ends of the radius, along u, the first coordinate.
    config.rich = ConfigDict()
    config.rich.scale = 0.3  # of digit 0, had the tail one: digit 1 has 0.3 * 0.42
    config.rich.ratio = 0.42  # as above
    config.rich.centre_0 = 0.0  # sqrt(c) times the place on u of x_0 = 0: all levels from 1 lie around the origin
    config.rich.centre_1 = 0.945  # of x_0 = 1: near the edge, at the far end of the budget
    config.rich.centre_2 = -0.24  # of x_0 = 2: just outside level 1, whose radii end at 0.14, on the other side
    return config.lock()
