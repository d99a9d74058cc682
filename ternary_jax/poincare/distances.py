"""Distances of points: of pairs in the dtype of the argument, with derivatives by c of their own."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

from ternary_jax.poincare import formulas
from ternary_jax.precision import asinh_squared, asinhc, asinhc_deficit, cothc, in_float64, safe_sqrt, sinhc

F = TypeVar("F", bound=Callable[..., Array])


def _with_slope(slope: Callable[[Any, Any, Any], Array]) -> Callable[[F], F]:
    """Give a distance d(x, y, c) the derivative by c of the function slope(x, y, c).

    A second derivative by c and a point is accurate if c comes first: jax.grad(jax.grad(dist, 2), 0).
    As traced, this derivative is the difference of two terms of the size of d / c. Where c|x|^2 is small it is of the
    size of d |x|^2, so float32 loses a factor of c|x|^2. Derivatives by x and y remain those of the formula.
    """

    def decorate(distance: F) -> F:
        def jvp(primals, tangents):
            *points, c = primals
            moved = [i for i in (0, 1) if not isinstance(tangents[i], SymbolicZero)]

            def of_moved(*given):
                x, y = (given[moved.index(i)] if i in moved else points[i] for i in (0, 1))
                return distance(x, y, c)

            value, tangent = jax.jvp(of_moved, [points[i] for i in moved], [tangents[i] for i in moved])
            if not isinstance(tangents[2], SymbolicZero):
                tangent += slope(points[0], points[1], c).astype(value.dtype) * tangents[2].astype(value.dtype)
            return value, tangent

        with_slope = jax.custom_jvp(distance)
        with_slope.defjvp(jvp, symbolic_zeros=True)
        return cast(F, with_slope)

    return decorate


def _slope(x, y, c):
    """The derivative of `dist` by c; 0 at x = y."""
    square, rate, _ = _slope_parts(x, y, c)
    return safe_sqrt(square) * rate


def _squared_slope(x, y, c):
    """The derivative of `squared_dist` by c, 2 d times that of `dist`."""
    square, rate, ratio = _slope_parts(x, y, c)
    return 4 * square * ratio * rate


def _slope_parts(x, y, c):
    """m^2, k and s: the derivative of `dist` by c is m k, and d = 2 m s. No term is negative, so nothing cancels.

    With m = |x - y| / sqrt(gap_x gap_y), t = sqrt(c) d, and M the middle of the geodesic on the hyperboloid of c = 1,
        c^(3/2) d(dist)/dc = sinh(t/2) M_0 - t/2 = (sinh(t/2) - t/2) + sinh(t/2) (M_0 - 1),
    where sinh(t/2) = sqrt(c) m, the space coordinates of M are sqrt(c) (x/gap_x + y/gap_y) / cosh(t/2), and
    M_0 - 1 = (M_1^2 + ...) / (M_0 + 1).
    """
    (lift_x, space_x), (lift_y, space_y) = _lifted(x, c), _lifted(y, c)
    square = formulas.sq(formulas.difference(x, y)) * lift_x * lift_y
    w = jnp.asarray(c).astype(square.dtype) * square
    cosh = jnp.sqrt(1 + w)
    raised = formulas.sq(space_x + space_y) / (cosh * (lift_x + lift_y - 1 + cosh))
    return square, square * asinhc_deficit(w) + raised, asinhc(w)


@in_float64
def _lifted(x, c):
    """1 / gap_x and x / gap_x: half of lambda_x and of the space coordinates on the hyperboloid."""
    lift = 1 / formulas.gap(x, c)
    return lift, lift * x


@in_float64
def _tangent_slope(u, v, c):
    """The derivative of `tangent_dist` by c, with g(s) = s coth s, h = sqrt(c) d/2, and a, b, t as there:

    c^(3/2) sinh(2h) d(dist)/dc = 2A (g(a - b) - g(h)) + B (g(2a) + g(2b) - 2 g(h)),
    A = sinh^2(a - b), B = sinh(2a) sinh(2b) sin^2(t/2). The difference of two g is that of two small numbers, g - 1.
    It is float64 also for pairs: for neighbours, and vectors along one line, the two terms nearly cancel.
    """
    norm_u, norm_v = formulas.norm(u), formulas.norm(v)
    a, b = jnp.sqrt(c) * norm_u, jnp.sqrt(c) * norm_v
    turn = u / jnp.where(norm_u > 0, norm_u, 1) - v / jnp.where(norm_v > 0, norm_v, 1)
    radial = jnp.sinh(a - b) ** 2
    around = jnp.sinh(2 * a) * jnp.sinh(2 * b) * formulas.sq(turn) / 4
    q = radial + around
    g = cothc(asinh_squared(q))
    total = 2 * radial * (cothc((a - b) ** 2) - g) + around * (cothc(4 * a**2) + cothc(4 * b**2) - 2 * g)
    scale = 2 * c * jnp.sqrt(c) * safe_sqrt(q * (1 + q))
    same = jnp.all(u == v) & jnp.greater(c, 0)
    return jnp.where(same, 0, total / jnp.where(same, 1, scale))


@_with_slope(_slope)
def dist(x: ArrayLike, y: ArrayLike, c: ArrayLike) -> Array:
    """d(x, y) = (2/sqrt c) arcsinh( sqrt(c)|x - y| / sqrt((1 - c|x|^2)(1 - c|y|^2)) ). Exactly 0, gradient 0, at x = y.

    Below |x - y| = 1e-19 the square underflows in float32, and the distance is 0.
    """
    squared, stretch = _chord(x, y, c)
    return _unit(c).astype(squared.dtype) * jnp.arcsinh(safe_sqrt(squared) * stretch)


@_with_slope(_squared_slope)
def squared_dist(x: ArrayLike, y: ArrayLike, c: ArrayLike) -> Array:
    """d(x, y)^2, smooth everywhere: its Hessian at x = y is 2 lambda_x^2, where that of `dist`^2 would be 0."""
    squared, stretch = _chord(x, y, c)
    return _unit(c).astype(squared.dtype) ** 2 * asinh_squared(squared * stretch**2)


@in_float64
def dist0(x: ArrayLike, c: ArrayLike) -> Array:
    """d(0, x) = (2/sqrt c) artanh(sqrt(c)|x|), by arcsinh as in `dist`. Gradient 0 at 0, the tip of a cone."""
    return 2 / jnp.sqrt(c) * jnp.arcsinh(safe_sqrt(c * formulas.sq(x) / formulas.gap(x, c)))


@_with_slope(_tangent_slope)
def tangent_dist(u: ArrayLike, v: ArrayLike, c: ArrayLike) -> Array:
    """d(exp_0(u), exp_0(v)) from the tangent vectors: accurate at d = 40, where the float32 ball ends at 13.

    With a = sqrt(c)|u|, b = sqrt(c)|v| and t the angle between them,
        sinh^2(sqrt(c) d/2) = sinh^2(a - b) + sinh(2a) sinh(2b) sin^2(t/2).
    a - b and 2 sin(t/2) = |u/|u| - v/|v|| come from u - v, so that neighbours do not cancel. A much shorter vector has
    no reliable direction: there a form that is smooth in it is used. Not finite if a vector is longer than 88/sqrt(c).
    """
    u, v = jnp.asarray(u), jnp.asarray(v)
    of_u, of_v = _tangent_point(u, c), _tangent_point(v, c)
    a, b = of_u[0], of_v[0]
    short, long = jnp.where(a < b, a, b), jnp.where(a < b, b, a)
    smooth = (short <= long / 8) & (short < 0.5)
    q = jnp.where(smooth, _smooth_half(of_u, of_v, smooth), _polar_half(u, v, of_u, of_v, c))
    far = q > 1e4  # the square in the derivative of arcsinh overflows for large q; log(2q) is as exact there
    grown = jnp.where(far, jnp.log(jnp.where(far, 2 * q, 1)), jnp.arcsinh(jnp.where(far, 1, q)))
    return _unit(c).astype(grown.dtype) * grown


def hyperplane_distance(x: ArrayLike, p: ArrayLike, a: ArrayLike, c: ArrayLike, signed: bool = False) -> Array:
    """Distance from x to the hyperplane through p with normal a, which may have any length but 0.

    (1/sqrt c) arcsinh( 2 sqrt(c) |<m, a>| / ((1 - c|m|^2) |a|) ), m = (-p) (+) x. signed: positive on the side of a.
    The hyperplane is the union of the geodesics through p that are orthogonal to a. Ganea et al., equation 16.
    """
    distance = _to_hyperplane(x, p, a, c)
    return distance if signed else jnp.abs(distance)


@in_float64
def _to_hyperplane(x, p, a, c):
    s = formulas.difference(x, p)
    gap_x, gap_p = formulas.gap(x, c), formulas.gap(p, c)
    along = jnp.sum((gap_p * s - c * formulas.sq(s) * p) * a) / jnp.sqrt(formulas.sq(a))  # <m, a/|a|>, up to a factor
    sinh = 2 * along / (gap_x * gap_p)
    return sinh * asinhc(c * sinh**2)


def _chord(x, y, c):
    """(q, s): q = |x - y|^2, s = sqrt(c / (gap_x gap_y)); sqrt(q) s = sinh(sqrt(c) d(x, y) / 2).

    The difference comes first, because |x|^2 + |y|^2 - 2<x,y> cancels for neighbours. One factor per point, rounded
    once, saves the division of a pair and three roundings of the gradient.
    """
    return formulas.sq(formulas.difference(x, y)), _stretch(x, c) * _stretch(y, c)


@in_float64
def _stretch(x, c):
    return jnp.sqrt(jnp.sqrt(c) / formulas.gap(x, c))


@in_float64
def _unit(c):
    return 2 / jnp.sqrt(c)


@in_float64
def _tangent_point(u, c):
    """The factors of one vector in `tangent_dist`: a = sqrt(c)|u|, sqrt(sinh 2a), sinh^2 a, sqrt(c) sinhc(2a) u."""
    square = jnp.where(jnp.greater(c, 0), c, jnp.nan) * formulas.sq(u)
    a = safe_sqrt(square)
    return a, safe_sqrt(jnp.sinh(2 * a)), square * sinhc(square) ** 2, jnp.sqrt(c) * sinhc(4 * square) * u


def _polar_half(u, v, of_u, of_v, c):
    """sinh(sqrt(c) d/2) of `tangent_dist` by lengths and angle; finite, but wrong, if a vector is 0."""
    norm_u, norm_v, total = formulas.norm(u), formulas.norm(v), formulas.norm(u) + formulas.norm(v)
    longer = jnp.sum((u - v) * (u + v)) / jnp.where(total > 0, total, 1)
    turn = ((u - v) - v * (longer / jnp.where(norm_v > 0, norm_v, 1))) / jnp.where(norm_u > 0, norm_u, 1)
    radial = jnp.sinh(jnp.sqrt(c) * longer)
    around = of_u[1] * of_v[1] * formulas.norm(turn) / 2
    scale = jax.lax.stop_gradient(jnp.where(jnp.abs(radial) > around, jnp.abs(radial), around))
    scale = jnp.where(scale > 0, scale, 1)  # without the scale, the squares overflow from d = 44 on
    return scale * safe_sqrt((radial / scale) ** 2 + (around / scale) ** 2)


def _smooth_half(of_u, of_v, used):
    """sqrt(sinh^2 a + sinh^2 b + 2 sinh^2 a sinh^2 b - 2c <sinhc(2a) u, sinhc(2b) v>), the same; 0 unless used."""
    (sinh2_a, bent_u), (sinh2_b, bent_v) = ([jnp.where(used, part, 0) for part in of[2:]] for of in (of_u, of_v))
    return safe_sqrt(sinh2_a + sinh2_b + 2 * sinh2_a * sinh2_b - 2 * jnp.sum(bent_u * bent_v))
