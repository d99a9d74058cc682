"""The metrics of an embedding of all N = p^D operations, computed exactly.

z (N, dim) holds the points of the ball of curvature parameter c, or of R^n where c is None, row i that of operation i;
a prediction (N, D) holds decoded digits about their middle (trits for p = 3), as `ternary.operations` does. D and p
follow from the shapes. All metric functions are pure: jit them, and vmap them over runs.

A point has two radii: r = d(0, z), the geodesic one, and s = sqrt(c)|z| in [0, 1), or |z| in R^n; r is an increasing
function of s. Ranks of radii come from s: sums, products and square roots round alike everywhere, so equal radii stay
equal. The arcsinh of a vector unit does not guarantee this.

All arithmetic is float64, because float32 rounding would decide ranks; results are rounded once, at the end.
A point outside the ball makes every metric of the embedding NaN, also metrics that do not depend on this point. An
undefined metric is NaN. `references.py` has the reasons, the values to compare with, and the table.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from ternary_jax import ternary
from ternary_jax.precision import in_float64
from ternary_jax.vae import geometry

# --- what is measured -------------------------------------------------------------------------------------------------


class Cheap(NamedTuple):
    """Metrics of one pass over the N points.

    coverage: share of operations with all D digits decoded
    hierarchy: Spearman(v, r) with average ranks; lower is better. If radii fall from each level to the next, it is -1
        where radii are equal inside levels, and `references.hierarchy_ceiling` where no two radii are equal
    hierarchy_rounded: hierarchy with s rounded to a relative 8 eps of the dtype of z, so that ties which float
        rounding has broken are ties again
    richness: mean over the D + 1 levels of the population variance of s = sqrt(c)|z| inside a level
    richness_geodesic: richness with r = d(0, z) in place of s
    """

    coverage: Array
    hierarchy: Array
    hierarchy_rounded: Array
    richness: Array
    richness_geodesic: Array


class Costly(NamedTuple):
    """Metrics of pairs and triplets, over fixed samples.

    dist_corr: Spearman(|s_i - s_j|, |v_i - v_j|) over all pairs of some rows
    q: dist_corr + 1.5 |hierarchy|
    triplet_accuracy: of triplets with v_ij > v_ik, the share with d(z_i, z_j) < d(z_i, z_k)
    ultrametric_correlation: Spearman(v(|i - j|), d(z_i, z_j)) over random pairs
    distortion: min over a, b of the rms of log d(z_i, z_j) - a - b log p^-v over pairs with levels uniform
    """

    dist_corr: Array
    q: Array
    triplet_accuracy: Array
    ultrametric_correlation: Array
    distortion: Array


class PriorCoverage(NamedTuple):
    """share: distinct operations among n draws, as a share of N; uniform: 1 - (1 - 1/N)^n, that of uniform draws."""

    share: Array
    uniform: Array


class OnHeldOut(NamedTuple):
    """Metrics of the operations that are held out.

    held_out_coverage: share of them with all D digits decoded
    held_out_hierarchy: Spearman(v, r) over them alone; its ceiling follows from their own levels
    coverage_gap: coverage of the training operations, less held_out_coverage
    """

    held_out_coverage: Array
    held_out_hierarchy: Array
    coverage_gap: Array


class HeldOut(NamedTuple):
    """row (m,) int32, the held-out operations; rank (m,) int32, twice the 0-based average rank of their v."""

    row: np.ndarray
    rank: np.ndarray


class Samples(NamedTuple):
    """Rows, pairs and triplets drawn once, int32 arrays of one axis each; a rank is twice the 0-based average rank.

    radial_i, radial_j: all pairs of min(1000, N) distinct rows; radial_rank: rank of |v_i - v_j| among them
    pair_i, pair_j: random pairs without i = j; pair_rank: rank of v(|i - j|) among them
    anchor, near, far: triplets with v(|anchor - near|) > v(|anchor - far|)
    level_i, level_j: pairs with level uniform in 0 .. D - 1; level: v(|i - j|)
    """

    radial_i: np.ndarray
    radial_j: np.ndarray
    radial_rank: np.ndarray
    pair_i: np.ndarray
    pair_j: np.ndarray
    pair_rank: np.ndarray
    anchor: np.ndarray
    near: np.ndarray
    far: np.ndarray
    level_i: np.ndarray
    level_j: np.ndarray
    level: np.ndarray


@functools.lru_cache(4)
def draw_samples(n_digits: int = 9, p: int = 3, seed: int = 0) -> Samples:
    """Draw on the host: 1,000 rows, 200,000 random pairs, 100,000 triplets, 100,000 pairs by level, in this order.

    Pass the result to `costly` as an argument: a closure would put 12 MB of constants into the program. A later call
    returns the same arrays, which are read-only: drawing takes half of the time to assemble a config.
    """
    n, rng, m = ternary.n_operations(n_digits, p), np.random.default_rng(seed), 100_000
    v = ternary.valuations(n_digits, p)

    rows = rng.choice(n, min(1000, n), replace=False)
    upper = np.triu_indices(len(rows), 1)
    radial_i, radial_j = rows[upper[0]], rows[upper[1]]

    pair_i, pair_j = rng.integers(0, n, (2, 2 * m))
    apart = pair_i != pair_j
    pair_i, pair_j = pair_i[apart], pair_j[apart]

    def partner(i, level):
        unit = p * rng.integers(0, n, m) + rng.integers(1, p, m)  # valuation 0, so that of i - j is the level
        return (i + unit * p**level) % n

    anchor = rng.integers(0, n, m)
    one, other = rng.integers(0, n_digits, (2, m))
    near_level, far_level = np.maximum(one, other), np.minimum(one, other)
    near, far = partner(anchor, near_level), partner(anchor, far_level)
    strict = near_level > far_level

    level_i, level = rng.integers(0, n, m), rng.integers(0, n_digits, m)
    level_j = partner(level_i, level)
    drawn = Samples(
        radial_i=radial_i,
        radial_j=radial_j,
        radial_rank=_ranks_of_levels(abs(v[radial_i] - v[radial_j])),
        pair_i=pair_i,
        pair_j=pair_j,
        pair_rank=_ranks_of_levels(ternary.pair_valuation(pair_i, pair_j, n_digits, p)),
        anchor=anchor[strict],
        near=near[strict],
        far=far[strict],
        level_i=level_i,
        level_j=level_j,
        level=level,
    )
    return Samples(*(_read_only(a.astype(np.int32)) for a in drawn))


# --- the metrics ------------------------------------------------------------------------------------------------------


def cheap(z: ArrayLike, prediction: ArrayLike, c: geometry.C) -> Cheap:
    """The metrics that need one sort of N radii. z (N, dim), prediction (N, D) integers, c () -> scalars."""
    z, prediction = jnp.asarray(z), _checked_prediction(prediction)
    _digits_and_p(z.shape[0], prediction.shape[-1])
    return _cheap(z, prediction, _as_array(c), 8 * float(jnp.finfo(z.dtype).eps))


def costly(z: ArrayLike, c: geometry.C, samples: Samples) -> Costly:
    """The metrics that need distances and sorts of many pairs. z (N, dim), c () -> scalars."""
    if isinstance(samples.anchor, np.ndarray) and samples.anchor.max(initial=0) >= (n := np.shape(z)[0]):
        raise ValueError(f"the samples are of more than the {n} rows of z: draw_samples(n_digits, p) of the same space")
    return _costly(jnp.asarray(z), _as_array(c), samples)


def rows_held_out(train_mask: np.ndarray, n_digits: int = 9, p: int = 3) -> HeldOut:
    """The operations with train_mask False, (N,) bool, on the host."""
    row = np.flatnonzero(~train_mask)
    rank = _ranks_of_levels(ternary.valuations(n_digits, p)[row])
    return HeldOut(row.astype(np.int32), rank.astype(np.int32))


@in_float64
def on_held_out(z: ArrayLike, prediction: ArrayLike, c: geometry.C, held_out: HeldOut) -> OnHeldOut:
    """The metrics of one or more held-out rows. z (N, dim), prediction (N, D), c () -> scalars."""
    s, _ = _radii(z, c)
    decoded = jnp.where(jnp.isnan(s[0]), jnp.nan, jnp.asarray(_decoded(_checked_prediction(prediction)), s.dtype))
    m, held = held_out.row.shape[0], decoded[held_out.row]
    coverage = jnp.mean(held)
    trained = _ratio(jnp.sum(decoded) - jnp.sum(held), jnp.asarray(s.shape[0] - m, s.dtype))
    return OnHeldOut(coverage, _spearman(s[held_out.row], held_out.rank), trained - coverage)


def prior_coverage(prediction_of_draws: ArrayLike, p: int = 3) -> PriorCoverage:
    """Number of distinct operations that n decoded draws from the prior meet, over N. (n, D) integers -> scalars.

    Compare `share` with `uniform`: a prior through an untrained decoder reaches as much as a trained one.
    """
    x = _checked_prediction(prediction_of_draws) + (p - 1) // 2
    n_draws, n_digits = x.shape
    if not n_draws:
        raise ValueError("prior coverage needs at least one draw")
    n = ternary.n_operations(n_digits, p)
    drawn = jnp.sort(jnp.sum(x * p ** jnp.arange(n_digits)[None], -1))
    distinct = 1 + jnp.sum(drawn[1:] != drawn[:-1])
    digits_only = jnp.all((x >= 0) & (x < p))
    share = jnp.where(digits_only, distinct / n, jnp.nan)
    return PriorCoverage(share, jnp.full_like(share, uniform_coverage(n_draws, n)))


def uniform_coverage(n_draws: int, n: int) -> float:
    """1 - (1 - 1/N)^n: the share of N operations that n uniform draws are expected to meet."""
    return -math.expm1(n_draws * math.log1p(-1 / n))


def measure(z: ArrayLike, prediction: ArrayLike, c: geometry.C, samples: Samples) -> dict[str, float]:
    """All metrics of one embedding, on the host, by name. A float64 z, as from a file, stays float64 without x64."""
    with jax.enable_x64(jnp.result_type(float) == jnp.float64 or np.asarray(z).dtype == np.float64):
        both = jax.device_get((cheap(z, prediction, c), costly(z, c, samples)))
    return {name: float(value) for metrics in both for name, value in metrics._asdict().items()}


@in_float64
def _cheap(z, prediction, c, unit):
    n_digits, p = _digits_and_p(z.shape[0], prediction.shape[-1])
    s, r = _radii(z, c)
    ranks = _ranks_of_levels(ternary.valuations(n_digits, p))
    hierarchy, hierarchy_rounded = jax.vmap(_spearman, (0, None))(jnp.stack([s, _rounded(s, unit)]), ranks)
    inside = jnp.where(jnp.isnan(s[0]), jnp.nan, 1.0)
    return Cheap(
        coverage=inside * jnp.mean(_decoded(prediction), dtype=s.dtype),
        hierarchy=hierarchy,
        hierarchy_rounded=hierarchy_rounded,
        richness=_richness(s, n_digits, p),
        richness_geodesic=_richness(r, n_digits, p),
    )


@in_float64
def _costly(z, c, samples):
    n_digits, p = _digits_and_p(z.shape[0])
    s, _ = _radii(z, c)
    hierarchy = _spearman(s, _ranks_of_levels(ternary.valuations(n_digits, p)))
    dist_corr = _spearman(jnp.abs(s[samples.radial_i] - s[samples.radial_j]), samples.radial_rank)
    z = jnp.where(jnp.isnan(s[0]), jnp.nan, z)

    def dist(i, j):
        return jax.vmap(geometry.dist, (0, 0, None))(z[i], z[j], c)

    near, far = dist(samples.anchor, samples.near), dist(samples.anchor, samples.far)
    nearer = jnp.where(jnp.isnan(near) | jnp.isnan(far), jnp.nan, near < far)
    return Costly(
        dist_corr=dist_corr,
        q=dist_corr + 1.5 * jnp.abs(hierarchy),
        triplet_accuracy=_ratio(jnp.sum(nearer), jnp.asarray(nearer.size, s.dtype)),
        ultrametric_correlation=_spearman(dist(samples.pair_i, samples.pair_j), samples.pair_rank),
        distortion=_distortion(dist(samples.level_i, samples.level_j), samples.level, p),
    )


def _read_only(a: np.ndarray) -> np.ndarray:
    a.flags.writeable = False
    return a


def _as_array(c: geometry.C) -> Array | None:
    return c if c is None else jnp.asarray(c, float)


def _radii(z, c):
    """s = sqrt(c)|z| and r = d(0, z), (N,) each, all NaN where one point is not inside the ball."""
    r = jax.vmap(geometry.dist0, (0, None))(z, c)
    invalid = jnp.any(~jnp.isfinite(r))
    # The root is the last operation. If the product sqrt(c)|z| were last, XLA on CPU would contract it with the later
    # difference of two radii to an fma, and equal radii would differ; optimization_barrier does not prevent this there.
    s = geometry.norm(z, c)
    return jnp.where(invalid, jnp.nan, s), jnp.where(invalid, jnp.nan, r)


def _rounded(s, unit):
    """s to the relative precision `unit`, by rounding log(s / min s) down: radii that are all within it become equal.

    An edge of the rounding may split closer ones. 0 stays a value of its own, and is not the minimum.
    """
    log = jnp.log(jnp.where(s == 0, 1.0, s))
    return jnp.where(s == 0, -jnp.inf, jnp.floor((log - jnp.min(jnp.where(s == 0, jnp.inf, log))) / unit))


def _richness(radius, n_digits, p):
    # Level k: every p^k-th operation, without every p-th of these. The highest level is operation 0, of variance 0.
    levels = [radius[:: p**k].reshape(-1, p)[:, 1:] for k in range(n_digits)]
    return functools.reduce(jnp.add, [jnp.var(level) for level in levels]) / (n_digits + 1)


def _distortion(d, level, p):
    """rms residual of log d against log p^-level; with one level only, the exponent does not matter."""
    y = jnp.log(jnp.where(d > 0, d, jnp.nan))
    y, x = _centred(y), _centred(-math.log(p) * level)
    spread = jnp.sum(x * x)
    exponent = jnp.sum(x * y) / jnp.where(spread > 0, spread, 1.0)
    return jnp.sqrt(jnp.mean((y - exponent * x) ** 2))


def _spearman(a, ranks_b):
    """Spearman of a with values, `ranks_b` twice their 0-based average ranks. NaN if one is constant or has a NaN."""
    ranks_b = jnp.broadcast_to(jnp.asarray(ranks_b), jnp.shape(a))
    a = jnp.asarray(a, jnp.float64)
    ordered, ranks_b = jax.lax.sort((a, ranks_b), num_keys=1)  # one sort for both: the sums ignore the order of pairs
    mean = a.size - 1  # of doubled ranks, exactly: with a computed mean, a constant would have a spread by rounding
    x, y = _ranks_in_order(ordered) - mean, jnp.asarray(ranks_b, a.dtype) - mean
    return _ratio(jnp.sum(x * y), jnp.sqrt(jnp.sum(x * x) * jnp.sum(y * y)))


def _ranks_in_order(ordered):
    """Twice the 0-based average ranks of sorted values: first + last place of each run of equals; NaN if one is NaN."""
    n, edge = ordered.size, jnp.ones(1, bool)
    step = ordered[1:] != ordered[:-1]
    starts, ends = jnp.concatenate([edge, step]), jnp.concatenate([step, edge])
    # The last place of a run is the first of the reversed one: one scan for both, which halves the time to compile.
    first, back = jax.lax.cummax(jnp.where(jnp.stack([starts, ends[::-1]]), jnp.arange(n)[None], 0), axis=1)
    return jnp.where(jnp.any(jnp.isnan(ordered)), jnp.nan, first + n - 1 - back[::-1])


def _ranks_of_levels(level: np.ndarray) -> np.ndarray:
    """Twice the 0-based average ranks of small integers (n,), by a table of the levels. int64, on the host."""
    counts = np.bincount(level)
    return (2 * np.cumsum(counts) - counts - 1)[level]


def _centred(a):
    return a - jnp.mean(a)


def _ratio(part, whole):
    """part / whole, NaN where whole is 0."""
    return jnp.where(whole == 0, jnp.nan, part / jnp.where(whole == 0, 1, whole))


def _decoded(prediction):
    n_digits, p = _digits_and_p(*prediction.shape)
    return jnp.all(prediction == ternary.operations(n_digits, p), -1)


def _checked_prediction(prediction: Any) -> Array:
    prediction = jnp.asarray(prediction)
    if prediction.ndim != 2 or not jnp.issubdtype(prediction.dtype, jnp.integer):
        raise TypeError(f"a prediction holds integers, one row an operation, not {prediction.dtype} {prediction.shape}")
    return prediction


@functools.cache
def _digits_and_p(n: int, n_digits: int | None = None) -> tuple[int, int]:
    """D and p of N rows: p is the only prime that divides N."""
    p = next((k for k in range(2, n + 1) if n % k == 0), 2)
    found = round(math.log(max(n, 1), p))
    if found < 1 or p**found != n or n_digits not in (None, found):
        raise ValueError(
            f"{n} rows{f' of {n_digits} digits' if n_digits else ''} are not the p^D operations of any p, D"
        )
    return found, p
