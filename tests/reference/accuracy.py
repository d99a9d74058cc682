"""Errors of ternary_jax.poincare in float32 against mpmath: norm-wise, in value and in gradient under a cotangent."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from reference import ball

NORMS = (1e-6, 1e-3, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1 - 1e-5, 1 - 3e-6)
CURVATURES = (0.1, 1.0, 4.0)
# name -> which of the arguments (x, y, u) it takes
OPERATIONS = {
    "dist": "xy",
    "squared_dist": "xy",
    "dist0": "x",
    "log0": "x",
    "log": "xy",
    "mobius_add": "xy",
    "transport": "xyu",
    "translate": "xu",
}


def draw(name, rng, norm, c, near, n, dim):
    """Float32 arguments of an operation: x and y of that norm, at random or 0.01 apart, and a tangent vector u.

    For neighbours `mobius_add` computes (-x) (+) y, which cancels; x (+) y would not.
    """
    x, y, u = rng.normal(size=(3, n, dim))
    x, y = (norm / np.sqrt(c) * v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (x, y))
    x = x.astype(np.float32)
    if near:
        length = 0.01 / 2 * (1 - c * (x.astype(np.float64) ** 2).sum(-1, keepdims=True))
        step = length * u / np.linalg.norm(u, axis=-1, keepdims=True)
        y = [
            [float(v) for v in ball.exp(ball.vector(a), ball.vector(b), ball.mp.mpf(float(c)))]
            for a, b in zip(x, step, strict=True)
        ]
    y, u = np.asarray(y, np.float32), rng.normal(size=(n, dim)).astype(np.float32)
    apart = (x != y).any(-1)  # at the edge 0.01 is below the resolution of float32
    points = dict(x=-x if near and name == "mobius_add" else x, y=y, u=u)
    return [points[k][apart] for k in OPERATIONS[name]]


@functools.cache
@functools.cache
def pullbacks(f: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """(jitted, eager): from (c, cotangents, *arguments) to the values of f and their gradients in every argument."""

    def both(c, cotangent, *args):
        value, back = jax.vjp(lambda *a: f(*a, c), *args)
        return value, back(cotangent)

    def batched(c, cotangents, *args):
        return jax.vmap(functools.partial(both, c))(cotangents, *args)

    return jax.jit(batched), batched


def errors_of(found, truth):
    """The worst error over the points of (values, gradients), of the value and of the gradient."""
    values, gradients = found
    value = max(ball.relative_error(a, t) for a, (t, _) in zip(values, truth, strict=True))
    gradient = 0.0
    for i, (_, grads) in enumerate(truth):
        gradient = max([gradient] + [ball.relative_error(gradients[k][i], g) for k, g in enumerate(grads)])
    return value, gradient


def true_values(name, args, cotangents, c):
    """[(value, gradients)] in mpmath, one for each point."""
    c, f, out = ball.mp.mpf(float(np.float32(c))), getattr(ball, name), []
    for i, cotangent in enumerate(cotangents):
        row = [ball.vector(a[i]) for a in args]
        cotangent = ball.vector(cotangent) if np.ndim(cotangent) else ball.mp.mpf(float(cotangent))
        out.append((f(*row, c), ball.gradient(f, row, cotangent, c)))
    return out


def is_scalar(name):
    """Whether an operation returns a number, not a vector."""
    return "dist" in name
