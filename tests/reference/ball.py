"""The Poincare ball in mpmath, from the textbook formulas: the truth that ternary_jax.poincare is compared with.

Nothing here is regrouped against cancellation; 120 digits make that unnecessary. Vectors are lists of mpf.
"""

import mpmath as mp

mp.mp.dps = 120


def vector(x):
    return [mp.mpf(float(v)) for v in x]


def dot(x, y):
    return mp.fdot(x, y)


def norm(x):
    return mp.sqrt(dot(x, x))


def scale(a, x):
    return [a * v for v in x]


def minus(x):
    return scale(-1, x)


def mobius_add(x, y, c):
    xy, xx, yy = dot(x, y), dot(x, x), dot(y, y)
    den = 1 + 2 * c * xy + c * c * xx * yy
    return [((1 + 2 * c * xy + c * yy) * a + (1 - c * xx) * b) / den for a, b in zip(x, y, strict=True)]


def dist(x, y, c):
    return 2 / mp.sqrt(c) * mp.atanh(mp.sqrt(c) * norm(mobius_add(minus(x), y, c)))


def squared_dist(x, y, c):
    return dist(x, y, c) ** 2


def dist0(x, c):
    return 2 / mp.sqrt(c) * mp.atanh(mp.sqrt(c) * norm(x))


def conformal_factor(x, c):
    return 2 / (1 - c * dot(x, x))


def exp0(u, c):
    n = mp.sqrt(c) * norm(u)
    return scale(mp.tanh(n) / n, u)


def log0(x, c):
    n = mp.sqrt(c) * norm(x)
    return scale(mp.atanh(n) / n, x)


def exp(x, u, c):
    return mobius_add(x, exp0(scale(conformal_factor(x, c) / 2, u), c), c)


def translate(x, u, c):
    return mobius_add(x, exp0(u, c), c)


def log(x, y, c):
    return scale(2 / conformal_factor(x, c), log0(mobius_add(minus(x), y, c), c))


def gyration(a, b, u, c):
    """gyr[a, b] u = -(a (+) b) (+) (a (+) (b (+) u)), which is linear in u and so may be taken of a short one."""
    short = mp.mpf(10) ** -10 / (norm(u) * mp.sqrt(c))
    turned = mobius_add(minus(mobius_add(a, b, c)), mobius_add(a, mobius_add(b, scale(short, u), c), c), c)
    return scale(1 / short, turned)


def transport(x, y, u, c):
    return scale(conformal_factor(x, c) / conformal_factor(y, c), gyration(y, minus(x), u, c))


def tangent_dist(u, v, c):
    return dist(exp0(u, c), exp0(v, c), c)


def scalar_mul(t, x, c):
    """t is a list of one number, as every argument here is a list."""
    return exp0(scale(t[0], log0(x, c)), c)


def geodesic(t, x, y, c):
    return mobius_add(x, scalar_mul(t, mobius_add(minus(x), y, c), c), c)


def hyperplane_distance(x, p, a, c):
    m = mobius_add(minus(p), x, c)
    side = 2 * mp.sqrt(c) * dot(m, a) / ((1 - c * dot(m, m)) * norm(a))
    return mp.asinh(side) / mp.sqrt(c)


def to_hyperboloid(x, c):
    conformal = conformal_factor(x, c)
    return [(conformal - 1) / mp.sqrt(c), *scale(conformal, x)]


def from_hyperboloid(point, c):
    return scale(1 / (1 + mp.sqrt(c) * point[0]), point[1:])


def gradient(f, arguments, cotangent, c):
    """Gradient of <cotangent, f(*arguments, c)> with respect to each argument, by central differences of 1e-35.

    The error is of the order of 1e-70 times the third derivative, and that is at most 1e20 or so here.
    """
    h = mp.mpf(10) ** -35

    def value(args):
        out = f(*args, c)
        return dot(cotangent, out) if isinstance(out, list) else cotangent * out

    def moved(i, k, by):
        return value([[v + by * (j == k) for j, v in enumerate(a)] if n == i else a for n, a in enumerate(arguments)])

    return [[(moved(i, k, h) - moved(i, k, -h)) / (2 * h) for k in range(len(a))] for i, a in enumerate(arguments)]


def slope(f, arguments, cotangent, c):
    """Derivative of <cotangent, f(*arguments, c)> by c, as in `gradient`."""
    h = c * mp.mpf(10) ** -35
    high, low = f(*arguments, c + h), f(*arguments, c - h)
    difference = (
        dot(cotangent, [a - b for a, b in zip(high, low, strict=True)]) if isinstance(high, list) else high - low
    )
    return difference * (1 if isinstance(high, list) else cotangent) / (2 * h)


def relative_error(found, true):
    """|found - true| / |true|, for a scalar or norm-wise for a vector."""
    if not isinstance(true, list):
        found, true = [found], [true]
    difference = [mp.mpf(float(a)) - b for a, b in zip(found, true, strict=True)]
    return float(norm(difference) / norm(true))
