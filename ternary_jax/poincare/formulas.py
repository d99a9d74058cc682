"""The formulas of the ball that several files share, in the arithmetic of the caller.

x, y (dim,) points; u (dim,) a tangent vector; gap_x = 1 - c|x|^2.
"""

import jax.numpy as jnp

from ternary_jax.precision import asinhc, safe_sqrt, sinhc, tanhc


def sq(x):
    if jnp.ndim(x) != 1:
        raise ValueError(f"single points (dim,) are meant, not {jnp.shape(x)}: batch with jax.vmap")
    return jnp.sum(x * x)  # not jnp.dot: matrix units round float32 to 10 bits


def conformal(x, c):
    return 2 / gap(x, c)


def difference(x, y):
    if jnp.shape(x) != jnp.shape(y):
        raise ValueError(f"two points of one ball are meant, not {jnp.shape(x)} and {jnp.shape(y)}")
    return jnp.subtract(x, y)


def norm(x):
    return safe_sqrt(sq(x))


def gap(x, c):
    g = 1 - c * sq(x)
    # As a factor: a NaN chosen in place of g would have the gradient 0.
    return jnp.where((g > 0) & (c > 0), 1, jnp.nan) * g


def add(x, y, gap_x, gap_y, c):
    """x (+) y in s = x + y, without cancellation: (gap_x s + c|s|^2 x) / (gap_x gap_y + c|s|^2)."""
    s = difference(x, -y)
    n = c * sq(s)
    return (gap_x * s + n * x) / (gap_x * gap_y + n)


def exp(x, u, c):
    gap_x = gap(x, c)
    return translate(x, u / gap_x, gap_x, c)


def translate(x, u, gap_x, c):
    w = c * sq(u)
    within = jnp.where(w < 1e5, w, 1e5)  # sech^2 is 1e-274 there
    sinh2 = within * sinhc(within) ** 2
    # The gap of the second summand is sech^2; computed from the point, it would cancel.
    return add(x, tanhc(w) * u, gap_x, 1 / (1 + sinh2), c)


def log(x, y, c):
    s = difference(y, x)
    n, gap_x, gap_y = c * sq(s), gap(x, c), gap(y, c)
    w = n / (gap_x * gap_y)
    return asinhc(w) / jnp.sqrt(1 + w) / gap_y * (gap_x * s - n * x)
