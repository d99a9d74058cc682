"""A trained branch, and what it can be asked: its points, its decoder, distances, neighbours, geodesics, samples.

D digits, N = 3^D operations, dim coordinates of a point. An operation is given as operations.py says; a point is floats
(..., dim) inside the ball. Where either may be given, a batch of any shape (...) is allowed, and an operation
stands for its point, that of the mean of its posterior. All N points are computed once, when the model is loaded, so an
operation is encoded by a look-up. Results are jax arrays. A shape that is new is compiled first.
"""

import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from ternary_jax import poincare, ternary
from ternary_jax.engine.task import Context
from ternary_jax.errors import QuestionError
from ternary_jax.vae import geometry, operations
from ternary_jax.vae.branch import Branch
from ternary_jax.vae.forward import curvature

BLOCK = 3**7  # operations that are embedded at once
QUERIES = 32  # points that are compared with all N at once
NEAREST = 8  # neighbours, where their number is not given


class Neighbours(NamedTuple):
    """Operations by their distance from a point, the nearest first.

    indices: (..., k) int32; distances: (..., k) in the ball
    """

    indices: Array
    distances: Array


class Space(NamedTuple):
    """A trained branch.

    name: of the branch; n_digits: D
    c: minus the curvature; None in R^n
    points: (N, dim), of all operations
    decode: points (..., dim) -> logits (..., D, 3)
    draw: noise (n, dim) -> points (n, dim) of the prior; None without a prior
    """

    name: str
    n_digits: int
    c: Any
    points: Array
    decode: Callable[[Array], Array]
    draw: Callable[[Array], Array] | None


def make_space(branch: Branch, name: str, static: Any, params: Any, context: Context) -> Space:
    """The branch at these parameters."""
    knobs = context.controls.knobs
    c, posterior = curvature(params, knobs, context.hypers, static), getattr(static.model, name).posterior
    own = {group: params[group] for group in branch.groups}

    @jax.jit
    def embed(params, blocks, c):
        z = jax.lax.map(lambda x: branch.project(params, branch.encode(params, x).mean, c).z, blocks)
        return z.reshape(-1, z.shape[-1])

    @jax.jit
    def decode(params, z, c):
        u = jax.vmap(geometry.log0, (0, None))(z.reshape(-1, z.shape[-1]), c)
        found = branch.decode(params, u)
        return found.reshape(*z.shape[:-1], *found.shape[1:])

    @jax.jit
    def draw(params, noise, c, sigma):
        if posterior == "wrapped":
            return jax.vmap(lambda u: poincare.project(poincare.exp0(u, c), c))(sigma * noise / 2)
        return branch.project(params, noise, c).z

    n_digits = static.data.n_digits
    blocks = ternary.operations(n_digits).reshape(-1, min(BLOCK, 3**n_digits), n_digits)
    return Space(
        name=name,
        n_digits=n_digits,
        c=c,
        points=embed(own, blocks, c),
        decode=lambda z: decode(own, z, c),
        draw=None if posterior == "point" else lambda noise: draw(own, noise, c, knobs.get("sigma")),
    )


# --- the verbs --------------------------------------------------------------------------------------------------------


def encode(space: Space, x: Any) -> Array:
    """operations (...) -> their points (..., dim)."""
    if operations.is_point(x):
        given = f"encode takes operations, and floats of the shape {np.shape(x)} are points already"
        raise QuestionError(f"{given}: give {operations.KINDS}")
    return _rows(space.points, operations.index_of(x, space.n_digits))


def decode(space: Space, x: Any) -> Array:
    """points or operations (...) -> the operations that the decoder makes of the points, indices (...) int32."""
    return _index(logits(space, x))


def logits(space: Space, x: Any) -> Array:
    """points or operations (...) -> logits of the digits (..., D, 3)."""
    return space.decode(place(space, x))


def points(space: Space) -> Array:
    """-> the points of all operations (N, dim); row i is that of index i."""
    return space.points


def radius(space: Space, x: Any) -> Array:
    """points or operations (...) -> their geodesic distance from the origin (...)."""
    return _radius(place(space, x), space.c)


def distance(space: Space, x: Any, y: Any) -> Array:
    """points or operations (...), (...) -> their geodesic distance (...). Broadcasts."""
    return _distance(*_two(space, x, y), space.c)


def nearest(space: Space, x: Any, k: int = NEAREST) -> Neighbours:
    """points or operations (...) -> the k nearest operations (..., k), without the operation itself.

    Exact: all N distances are computed. Of equal distances, the lower index comes first.
    """
    of_points = operations.is_point(x)
    most = len(space.points) - (not of_points)
    if not 1 <= operator.index(k) <= most:
        raise QuestionError(f"k={k} is outside 1 .. {most}, the number of operations to find: give one of these")
    z = place(space, x)
    own = np.full(z.shape[:-1], -1, np.int32) if of_points else operations.index_of(x, space.n_digits)
    return _nearest(z, own, space.points, space.c, k)


def residue_ball(space: Space, x: Any, level: int) -> Neighbours:
    """operations (...) -> all other operations of their residue ball of a level L, (..., 3^(D - L) - 1).

    The ball of i is {j : j mod 3^L = i mod 3^L}: those that share its first L digits. A point is decoded first.
    """
    n_digits = space.n_digits
    if not 0 <= operator.index(level) <= n_digits:
        raise QuestionError(f"level={level} is outside 0 .. {n_digits}, the number of shared digits: give one of these")
    return _residue_ball(indices(space, x), space.points, space.c, 3**level)


def interpolate(space: Space, x: Any, y: Any, t: Any = 0.5) -> Array:
    """points or operations (...), (...) -> points of the geodesic from x (t = 0) to y (t = 1), at constant speed.

    t: a number -> (..., dim), 0.5 for the midpoint; or numbers (T,) -> (..., T, dim)
    """
    times = jnp.asarray(t, space.points.dtype)
    if times.ndim > 1:
        raise QuestionError(f"t has the shape {times.shape}: give a number, or a row of them")
    return _interpolate(times, *_two(space, x, y), space.c)


def compose(space: Space, f: Any, g: Any) -> ternary.Composed:
    """operations f, g (...) -> f(g(x, y), y) as `first` and f(x, g(x, y)) as `second`, indices (...). Broadcasts.

    The composition of the truth tables is exact; a point is decoded first.
    """
    if space.n_digits != 9:
        raise QuestionError(
            f"compose takes maps of two trits, which have 9 digits, and those of config.data.n_digits={space.n_digits} "
            "are none: load a model of 9 digits"
        )
    f, g = indices(space, f), indices(space, g)
    _check_together(f.shape, g.shape)
    return ternary.compose(f, g)


def sample(space: Space, n: int = 1, seed: int = 0) -> Array:
    """n, seed -> n points (n, dim) drawn from the prior."""
    if space.draw is None:
        raise QuestionError(
            f"branch {space.name} has no prior, as its config.model.{space.name}.posterior is point: load another "
            "branch, or train with posterior gaussian or wrapped"
        )
    if operator.index(n) < 1:
        raise QuestionError(f"n={n} is no number of points: give 1 or more")
    return space.draw(jax.random.normal(jax.random.key(seed), (n, space.points.shape[-1])))


def text(space: Space, x: Any) -> Any:
    """points or operations (...) -> their trits as text, digit 0 first, in lists (...). A point is decoded first."""
    return ternary.signs(np.asarray(indices(space, x)), space.n_digits)


# --- inside -----------------------------------------------------------------------------------------------------------


def place(space: Space, x: Any) -> Array:
    """The points (..., dim) of points or operations."""
    if not operations.is_point(x):
        return _rows(space.points, operations.index_of(x, space.n_digits))
    z, dim = jnp.asarray(x, space.points.dtype), space.points.shape[-1]
    if z.shape[-1:] != (dim,):
        raise QuestionError(f"points of the shape {z.shape} do not fit: the last axis of a point has {dim} coordinates")
    if isinstance(z, Tracer):
        return z
    if space.c is None and not np.isfinite(np.asarray(z)).all():
        raise QuestionError("a point has a NaN or an infinity: give finite coordinates")
    if space.c is not None:
        try:
            poincare.check(z, space.c)
        except ValueError as e:
            raise QuestionError(str(e)) from None
    return z


def indices(space: Space, x: Any) -> Any:
    """The indices (...) of operations, or of what points are decoded to."""
    return decode(space, x) if operations.is_point(x) else operations.index_of(x, space.n_digits)


def _two(space: Space, x: Any, y: Any) -> tuple[Array, Array]:
    """The points of two batches, which have to broadcast."""
    x, y = place(space, x), place(space, y)
    _check_together(x.shape[:-1], y.shape[:-1])
    return x, y


def _check_together(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    try:
        np.broadcast_shapes(one, other)
    except ValueError:
        raise QuestionError(f"batches of the shapes {one} and {other} do not broadcast: give equal shapes") from None


# Each is one program for each shape: small operations outside of jit take longer than 19,683 distances.


@jax.jit
def _rows(points: Array, index: Any) -> Array:
    return points[index]


@jax.jit
def _index(logits: Array) -> Array:
    return ternary.index(jnp.argmax(logits, -1).astype(jnp.int32)).astype(jnp.int32)


@jax.jit
def _radius(z: Array, c: Any) -> Array:
    return jax.vmap(geometry.dist0, (0, None))(z.reshape(-1, z.shape[-1]), c).reshape(z.shape[:-1])


@jax.jit
def _distance(x: Array, y: Array, c: Any) -> Array:
    x, y = jnp.broadcast_arrays(x, y)
    flat = jax.vmap(geometry.dist, (0, 0, None))(x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1]), c)
    return flat.reshape(x.shape[:-1])


@functools.partial(jax.jit, static_argnums=4)
def _nearest(z: Array, own: Any, points: Array, c: Any, k: int) -> Neighbours:
    """The k nearest of all points to z (..., dim), but for those of the indices `own` (...)."""
    number = jnp.arange(len(points), dtype=jnp.int32)

    def of_one(z, own):
        apart = jax.vmap(geometry.dist, (None, 0, None))(z, points, c)
        less, index = jax.lax.top_k(-jnp.where(number == own, jnp.inf, apart), k)
        return index.astype(jnp.int32), -less

    flat, own = z.reshape(-1, z.shape[-1]), jnp.asarray(own).reshape(-1)
    if len(flat) <= QUERIES:
        found = jax.vmap(of_one)(flat, own)
    else:
        found = jax.lax.map(lambda one: of_one(*one), (flat, own), batch_size=QUERIES)
    return Neighbours(*(part.reshape(*z.shape[:-1], k) for part in found))


@functools.partial(jax.jit, static_argnums=3)
def _residue_ball(index: Any, points: Array, c: Any, step: int) -> Neighbours:
    """All j with j mod step = i mod step, but for i, for the indices i (...)."""
    size, flat = len(points) // step, jnp.asarray(index, jnp.int32).reshape(-1)
    turns = jnp.arange(1, size, dtype=jnp.int32)

    def of_one(i):
        others = i % step + step * ((i // step + turns) % size)
        apart = jax.vmap(geometry.dist, (None, 0, None))(points[i], points[others], c)
        order = jnp.argsort(apart)
        return others[order], apart[order]

    found = jax.lax.map(of_one, flat, batch_size=QUERIES)
    return Neighbours(*(part.reshape(*jnp.shape(index), size - 1) for part in found))


@jax.jit
def _interpolate(t: Array, x: Array, y: Array, c: Any) -> Array:
    """(..., *shape of t, dim)."""

    def at(t, x, y):
        return (1 - t) * x + t * y if c is None else poincare.geodesic(t, x, y, c)

    x, y = jnp.broadcast_arrays(x, y)
    flat = (one.reshape(-1, one.shape[-1]) for one in (x, y))
    found = jax.vmap(jax.vmap(at, (0, None, None)), (None, 0, 0))(t.reshape(-1), *flat)
    return found.reshape(*x.shape[:-1], *t.shape, x.shape[-1])
