"""Riemannian SGD and Adam (optax) for trees with points of the Poincare ball beside ordinary parameters.

A ball leaf is an array (..., dim) whose last axis is one point. `mask` marks the ball leaves, as in `optax.masked`: a
tree of bools, a prefix of one, or a function from the parameters to either. All other leaves go through `optax.sgd` or
`optax.adam` with the same settings.

All numbers may be traced: build a transformation inside a jitted step, and vmap it over runs. The differences from the
flat case, after Becigneul & Ganea, arXiv 1810.00760:

- the gradient of the metric is g / lambda_x^2;
- a step goes along the geodesic, exp_x(u), or in one straight line, x + u, the first-order retraction;
- the first moment is a tangent vector: it is parallel-transported from the old point to the new one;
- the second moment of Adam is the scalar <grad, grad>_x of a point, which needs no transport. A second moment per
  coordinate would depend on the choice of coordinates, and the quotient would not be a tangent vector.

Edge. The new point is projected to sqrt(c)|x| <= 1 - eps^(3/4), and the update is new - old. `apply_updates` rounds
old + (new - old) once more. Both roundings are relative to a vector of at most two radii, so the error of the sum is at
most 3/2 eps in norm, in any dimension; eps^(3/4) exceeds that in every dtype down to bfloat16.

A NaN or infinite gradient, or an old point outside the ball, makes the point NaN. c means sectional curvature -c and
radius 1/sqrt(c), as in `poincare`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from ternary_jax import poincare
from ternary_jax.precision import safe_sqrt

Rate = ArrayLike | Callable[[Array], ArrayLike]
Mask = Any | Callable[[Any], Any]
Rule = Callable[[Array, Array, Any, Any, Array], tuple[Array, Any, Any]]


class BallState(NamedTuple):
    """State of the ball leaves.

    updates_made: () int32, the count of schedules and bias corrections
    first: tree of (..., dim), the momentum of SGD or first moment of Adam, tangent at the points; None without momentum
    second: tree of (...), the running mean of <grad, grad>_x of each point; None for SGD
    """

    updates_made: Array
    first: Any
    second: Any


def riemannian_sgd(
    learning_rate: Rate, c: ArrayLike, mask: Mask, momentum: ArrayLike = 0.0, exact: bool = True
) -> optax.GradientTransformation:
    """x <- exp_x(-rate m), m <- momentum m + grad / lambda_x^2, m transported with the point. Other leaves: optax.sgd.

    learning_rate: scalar, or an optax schedule of the number of updates made. exact: exponential map, else retraction.
    A momentum that is literally 0 keeps no buffer.
    """
    still = isinstance(momentum, int | float) and momentum == 0

    def rule(x, grad, first, second, count):
        m = grad if still else momentum * first + grad
        return m, None if still else m, second

    ball = _ball_transformation(rule, learning_rate, c, exact, has_first=not still, has_second=False)
    return _partition(ball, optax.sgd(learning_rate, None if still else momentum), mask)  # pyright: ignore[reportArgumentType]


def riemannian_adam(
    learning_rate: Rate,
    c: ArrayLike,
    mask: Mask,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    exact: bool = True,
) -> optax.GradientTransformation:
    """x <- exp_x(-rate m^ / (sqrt(v^) + eps)), and m transported with the point. Other leaves: optax.adam.

    m <- b1 m + (1 - b1) grad / lambda_x^2, v <- b2 v + (1 - b2) |grad|^2 / lambda_x^2, m^ = m / (1 - b1^n),
    v^ = v / (1 - b2^n) at the n-th update. learning_rate, exact: as in `riemannian_sgd`.
    """

    def rule(x, grad, first, second, count):
        length = poincare.conformal_factor(x, c) * grad
        m = b1 * first + (1 - b1) * grad
        v = b2 * second + (1 - b2) * jnp.sum(length * length)
        # With an infinite v every later step would be 0, and the run would stop moving without a NaN.
        v = jnp.where(v < jnp.inf, v, jnp.nan)
        return m / (1 - b1**count) / (safe_sqrt(v / (1 - b2**count)) + eps), m, v

    ball = _ball_transformation(rule, learning_rate, c, exact, has_first=True, has_second=True)
    return _partition(ball, optax.adam(learning_rate, b1, b2, eps), mask)  # pyright: ignore[reportArgumentType]


def keep_inside(c: ArrayLike, mask: Mask) -> optax.GradientTransformation:
    """Shorten updates so that x + update becomes `poincare.project`(x + update): for the end of an optax.chain.

    optax.chain(optax.adam(rate), keep_inside(c, mask)) is the usual Euclidean descent with projection.
    """

    def init(params):
        jax.tree_util.tree_map_with_path(_refuse_unless_points, params)
        return optax.EmptyState()

    def update(updates, state, params=None):
        params = _given(params, updates)

        def leaf(u, x):
            y = _over_points(lambda y: poincare.project(y, c), x)(x + u)
            return (y - x).astype(x.dtype)

        return jax.tree.map(leaf, updates, params), state

    return optax.masked(optax.GradientTransformation(init, update), mask)


# --- the ball leaves --------------------------------------------------------------------------------------------------


def _ball_transformation(
    rule: Rule, learning_rate: Rate, c: ArrayLike, exact: bool, has_first: bool, has_second: bool
) -> optax.GradientTransformation:
    """rule(x, Riemannian gradient, first, second, n) -> (descent direction, first, second) of one point, at x."""

    def point(g, x, first, second, rate, count):
        direction, first, second = rule(x, poincare.riemannian_gradient(x, g, c), first, second, count)
        u = -rate * direction
        y = poincare.project(poincare.exp(x, u, c) if exact else x + u, c)
        update = (y - x).astype(x.dtype)
        # To the rounded point of `apply_updates`: at the edge its last bit changes lambda by a hundredth.
        first = None if first is None else poincare.transport(x, x + update, first, c)
        return jax.tree.map(lambda a: a.astype(x.dtype), (update, first, second))

    def init(params):
        jax.tree_util.tree_map_with_path(_refuse_unless_points, params)
        return BallState(
            updates_made=jnp.zeros([], jnp.int32),
            first=jax.tree.map(lambda x: jnp.zeros_like(x) if has_first else None, params),
            second=jax.tree.map(lambda x: jnp.zeros(x.shape[:-1], x.dtype) if has_second else None, params),
        )

    def update(updates, state, params=None):
        params = _given(params, updates)
        rate = learning_rate(state.updates_made) if callable(learning_rate) else learning_rate
        count = jnp.asarray(optax.safe_increment(state.updates_made))

        def leaf(g, x, first, second):
            def step(g, x, first, second):
                return point(g, x, first, second, jnp.asarray(rate, x.dtype), count)

            return _over_points(step, x)(g, x, first, second)

        leaves, tree = jax.tree.flatten(updates)
        columns = [leaves, *map(tree.flatten_up_to, (params, state.first, state.second))]
        moved = [leaf(*row) for row in zip(*columns, strict=True)]
        updates, first, second = (tree.unflatten([row[k] for row in moved]) for k in range(3))
        return updates, BallState(count, first, second)

    return optax.GradientTransformation(init, update)


def _partition(ball, flat, mask):
    def labels(tree):
        return jax.tree.map(lambda is_ball: "ball" if is_ball else "flat", tree)

    return optax.partition(
        {"ball": ball, "flat": flat}, (lambda tree: labels(mask(tree))) if callable(mask) else labels(mask)
    )


def _over_points(f, x):
    for _ in x.shape[:-1]:
        f = jax.vmap(f)
    return f


def _refuse_unless_points(path, leaf):
    shape, dtype = jnp.shape(leaf), jnp.result_type(leaf)
    if not shape or not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(
            f"the mask calls params{jax.tree_util.keystr(path)} points of the ball, but it is {dtype}{list(shape)}: "
            "a ball leaf is floating, (..., dim), its last axis one point. Mark it False in the mask, or reshape it"
        )


def _given(params, updates):
    """params, which are required only if there is a ball leaf, as in optax."""
    leaves = jax.tree_util.tree_leaves_with_path(updates)
    if params is None and leaves:
        raise ValueError(
            f"params{jax.tree_util.keystr(leaves[0][0])} is a point of the ball, whose update needs the point: "
            "call update(gradients, state, params)"
        )
    return params if leaves else updates
