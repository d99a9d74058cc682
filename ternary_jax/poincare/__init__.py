"""The Poincare ball: pure functions on single points, batched by `jax.vmap`.

One meaning of c > 0 everywhere: sectional curvature -c, ball radius 1/sqrt(c), conformal factor
lambda_x = 2 / (1 - c|x|^2). c is the last argument, traced, and has a gradient.

Precision. 1 - c|x|^2 cancels near the edge: float32 has no digit of it at |x| = 1 - 1e-7, and the gradients of x (+) y
and log_x(y) cancel once more. So functions run in float64 for any dtype of the argument, and round once, at the end.
Only the distances of pairs, which are many (`dist`, `squared_dist`, `tangent_dist`), run in the dtype of the argument,
in forms that do not cancel, from the float64 gaps of the two points. Compensated float32 sums give exact values but no
exact gradients, with three times the code: see `experiments/accuracy_geometry.py`.

Validity. Only `project` moves its input to make it valid. A point on or outside the edge, a NaN, or c <= 0 gives NaN,
and so do the gradients; `check` raises an error with the reason. At singular points, `where` selects the input of a
formula, not its output.

Formulas: Ungar, "A Gyrovector Space Approach to Hyperbolic Geometry" (2009); Ganea et al., arXiv 1805.09112.
"""

from ternary_jax.poincare.distances import dist, dist0, hyperplane_distance, squared_dist, tangent_dist
from ternary_jax.poincare.hyperboloid import from_hyperboloid, to_hyperboloid
from ternary_jax.poincare.operations import (
    check,
    conformal_factor,
    exp,
    exp0,
    gap,
    geodesic,
    gyration,
    log,
    log0,
    max_norm,
    mobius_add,
    project,
    riemannian_gradient,
    scalar_mul,
    translate,
    transport,
    transport0,
)
from ternary_jax.poincare.statistics import (
    frechet_mean,
    gyromidpoint,
    wrapped_normal_log_prob,
    wrapped_normal_sample,
)

__all__ = [
    "check",
    "conformal_factor",
    "dist",
    "dist0",
    "exp",
    "exp0",
    "frechet_mean",
    "from_hyperboloid",
    "gap",
    "geodesic",
    "gyration",
    "gyromidpoint",
    "hyperplane_distance",
    "log",
    "log0",
    "max_norm",
    "mobius_add",
    "project",
    "riemannian_gradient",
    "scalar_mul",
    "squared_dist",
    "tangent_dist",
    "to_hyperboloid",
    "translate",
    "transport",
    "transport0",
    "wrapped_normal_log_prob",
    "wrapped_normal_sample",
]
