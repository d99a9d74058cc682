"""Two closed forms, `Tree` and `Rich`: embeddings at the ceilings of the metrics, without training, and their decoders.

Both are self-similar trees: e(0) = 0, e(1) and e(2) are unit vectors at 120 degrees, digit k is in the plane k mod m of
the m = dim // 2 coordinate planes, and each digit is smaller than the one before it by the factor `ratio`. Points are
float32, those of c = 1 divided by sqrt(c), so only lengths depend on c. p = 3 only.
"""

import itertools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from ternary_jax import poincare, ternary
from ternary_jax.config.keys import integer, real
from ternary_jax.errors import ConfigError
from ternary_jax.vae import evaluate, references

DIGIT_VECTORS = np.array([[0.0, 0.0], [1.0, 0.0], [-0.5, math.sqrt(3) / 2]])


class Tree(NamedTuple):
    """z(i) = scale / sqrt(c) sum_k ratio^k e(x_k): hierarchy at its ceiling, and nearly the best Q.

    n_digits: D
    dim: dimension of the ball; an odd last coordinate is 0
    scale: sqrt(c) times the length of digit 0
    ratio: length of a digit over that of the digit before it
    """

    n_digits: int = 9
    dim: int = 16
    scale: float = 0.55
    ratio: float = 0.42


class Rich(NamedTuple):
    """z(i) = centre(x_0) (+) tail(i), tail(i) = scale / sqrt(c) sum_{k>=1} ratio^k e(x_k): at the ceiling, and rich.

    Centres are multiples of u = e(1) in the plane of digit 0. For D = 9 and dim = 16, only digit 8 of the tail, the
    smallest one, is in this plane. The Mobius sum narrows the range of the radii for each x_0, and separates these
    ranges.

    n_digits, dim, ratio: as in `Tree`
    scale: digit k of the tail has the length scale ratio^k / sqrt(c)
    centre_0, centre_1, centre_2: sqrt(c) times the coordinate along u of the centre for x_0 = 0, 1, 2
    """

    n_digits: int = 9
    dim: int = 16
    scale: float = 0.3
    ratio: float = 0.42
    centre_0: float = 0.0
    centre_1: float = 0.945
    centre_2: float = -0.24


def tree(form: Tree, c: ArrayLike = 1.0) -> Array:
    """Points of all operations, (3^D, dim) float32."""
    return jnp.asarray(_lattice(form, 0) / np.sqrt(c), jnp.float32)


def decode_tree(z: ArrayLike, form: Tree, c: ArrayLike = 1.0) -> Array:
    """Points (n, dim) -> trits (n, D) int8: those of the nearest lattice point in each plane."""
    x, _ = _nearest(jnp.sqrt(c) * jnp.asarray(z), form, 0)
    return (x - 1).astype(jnp.int8)


def rich(form: Rich, c: ArrayLike = 1.0) -> Array:
    """Points of all operations, (3^D, dim) float32."""
    x_0 = ternary.operations(form.n_digits)[:, 0] + 1
    tail = jnp.asarray(_lattice(form, 1) / np.sqrt(c), jnp.float32)
    return jax.vmap(poincare.mobius_add, (0, 0, None))(_centres(form, c)[x_0], tail, c)


def decode_rich(z: ArrayLike, form: Rich, c: ArrayLike = 1.0) -> Array:
    """Points (n, dim) -> trits (n, D) int8.

    (-centre) (+) z is the tail if x_0 is right (left cancellation), so x_0 is the digit with the nearest tail.
    """

    def tail_from(centre):
        tail = jax.vmap(poincare.mobius_add, (None, 0, None))(-centre, jnp.asarray(z), c)
        return _nearest(jnp.sqrt(c) * tail, form, 1)

    tails, off = jax.vmap(tail_from)(_centres(form, c))
    x_0 = jnp.argmin(off, 0)
    tail = jnp.take_along_axis(tails, x_0[None, :, None], 0)[0]
    return (jnp.concatenate([x_0[:, None], tail], -1) - 1).astype(jnp.int8)


# --- the task of configs/closed_form.py -------------------------------------------------------------------------------

KEYS = {
    "n_digits": integer(2, 12),  # an embedding has 3^n_digits rows
    "dim": integer(2, 1024),  # a digit needs a plane of two coordinates
    "c": real(1e-6, 1e6),  # the ball has radius 1/sqrt(c)
    "seed": integer(0),
    "tree.scale": real(0, excluded=(0,)),
    "tree.ratio": real(0, 1, excluded=(0, 1)),  # below 1, so that digits get smaller
    "rich.scale": real(0, excluded=(0,)),
    "rich.ratio": real(0, 1, excluded=(0, 1)),
    "rich.centre_0": real(-1, 1, excluded=(-1, 1)),  # within the ball
    "rich.centre_1": real(-1, 1, excluded=(-1, 1)),
    "rich.centre_2": real(-1, 1, excluded=(-1, 1)),
}


def check(config: Any) -> None:
    """Raise a ConfigError if too many digits share a plane, or if a tree reaches the edge of the ball."""
    n, dim = config.n_digits, config.dim
    shared = max(map(len, _planes(n, dim, 0)))
    if n + shared > 18:
        why = f"{shared} digits would share a plane and be decoded from 3^{shared} sums"
        raise ConfigError(f"config.dim={dim} is too small for config.n_digits={n}: {why}; give a larger dim")
    for key, first in (("tree", 0), ("rich", 1)):
        scale, ratio = config[key].scale, config[key].ratio
        planes = _planes(n, dim, first)
        limit = 1 / math.sqrt(sum(sum(ratio**k for k in digits) ** 2 for digits in planes))
        if scale >= limit:
            raise ConfigError(
                f"config.{key}.scale={scale} is not allowed: give less than {limit:.4g}, at which points meet the edge"
            )


def report(config: Any) -> str:
    """Text: the metrics of both closed forms beside chance, untrained and best values, and their verdicts."""
    n_digits, c = config.n_digits, jnp.float32(config.c)
    samples = evaluate.draw_samples(n_digits, 3, config.seed)
    tree_form = Tree(n_digits, config.dim, **config.tree)
    rich_form = Rich(n_digits, config.dim, **config.rich)
    points = {"tree": tree(tree_form, c), "rich": rich(rich_form, c)}
    decoded = {
        "tree": decode_tree(points["tree"], tree_form, c),
        "rich": decode_rich(points["rich"], rich_form, c),
    }
    rows = {label: evaluate.measure(z, decoded[label], c, samples) for label, z in points.items()}
    verdicts = [f"{label}: {line}" for label, row in rows.items() for line in references.verdict(row, n_digits)]
    return "\n".join([references.table(rows, references.levels(n_digits, 3, samples)), "", *verdicts])


def _planes(n_digits: int, dim: int, first: int) -> list[list[int]]:
    """The digits from `first` on, by plane, without the planes that hold none."""
    m = dim // 2
    planes = ([k for k in range(first, n_digits) if k % m == plane] for plane in range(m))
    return [digits for digits in planes if digits]


def _lattice(form: Tree | Rich, first: int) -> np.ndarray:
    """scale sum_{k >= first} ratio^k e(x_k) of all operations, (3^D, dim) float64."""
    x = ternary.operations(form.n_digits) + 1
    z = np.zeros((len(x), form.dim))
    for k in range(first, form.n_digits):
        z[:, _columns(k, form)] += form.scale * form.ratio**k * DIGIT_VECTORS[x[:, k]]
    return z


def _nearest(z: Array, form: Tree | Rich, first: int) -> tuple[Array, Array]:
    """Digits (n, D - first) of the lattice point nearest to each z (n, dim), and the squared distance to it (n,).

    Planes are independent of each other. The k digits of one plane are decoded together, from all 3^k sums of them.
    """
    digits, off = {}, jnp.sum(z[:, 2 * (form.dim // 2) :] ** 2, -1)
    for ks in _planes(form.n_digits, form.dim, first):
        choices = np.array(list(itertools.product(range(3), repeat=len(ks))))
        sums = jnp.asarray(
            sum(form.scale * form.ratio**k * DIGIT_VECTORS[choices[:, j]] for j, k in enumerate(ks)), z.dtype
        )

        choice, squares = _nearest_row(z[:, _columns(ks[0], form)], sums)
        off += squares
        digits |= {k: jnp.asarray(choices[:, j])[choice] for j, k in enumerate(ks)}
    for plane in range(form.dim // 2):
        if all(k % (form.dim // 2) != plane for k in digits):
            off += jnp.sum(z[:, _columns(plane, form)] ** 2, -1)
    x = [digits[k] for k in range(first, form.n_digits)]
    return jnp.stack(x, -1) if x else jnp.zeros((len(z), 0), int), off


@jax.jit
def _nearest_row(points: Array, sums: Array) -> tuple[Array, Array]:
    """Index of the row of sums (m, 2) nearest to each of points (n, 2), and the squared distance, (n,) each."""

    def one(point):
        squares = jnp.sum((point[None] - sums) ** 2, -1)
        return jnp.argmin(squares), jnp.min(squares)

    # At most 2^22 distances at a time: all rows if few digits share a plane.
    return jax.lax.map(one, points, batch_size=max(1, 2**22 // len(sums)))


def _columns(k: int, form: Tree | Rich) -> slice:
    plane = k % (form.dim // 2)
    return slice(2 * plane, 2 * plane + 2)


def _centres(form: Rich, c: ArrayLike) -> Array:
    u = np.eye(form.dim)[0]
    return jnp.asarray(np.outer([form.centre_0, form.centre_1, form.centre_2], u) / np.sqrt(c), jnp.float32)
