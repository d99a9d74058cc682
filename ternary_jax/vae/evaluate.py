"""Every metric of an embedding of the N = p^D operations, exactly, with what chance, no training and perfection give.

z holds the points of the ball of curvature parameter c, (N, dim), row i the operation i; a prediction holds the
decoded digits about their middle, (N, D) (trits for p = 3), as `ternary.operations` does. D and p are read off the
shapes. All metric functions are pure: they can be jitted, and mapped over runs by `jax.vmap`.

Two radii of a point: r = d(0, z), the geodesic one, and s = sqrt(c)|z| in [0, 1), of which r is an increasing function.
Ranks of radii are taken from s: sums, products and square roots are rounded in the same way everywhere, so that equal
radii stay equal, which the arcsinh of a vector unit does not promise.

All of it is float64, because radii that tie but for float32 rounding decide the ranks, and is rounded once, at the end.
A point that is not inside the ball makes every metric of the embedding NaN, also those that would not have touched it.
What is undefined is NaN, and `undefined` says why; `verdict` says what the figures mean, `table` prints them.
"""

import functools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from ternary_jax import poincare, ternary
from ternary_jax.precision import in_float64

# --- what is measured -------------------------------------------------------------------------------------------------


class Cheap(NamedTuple):
    """Metrics of one pass over the N points.

    coverage: share of operations with all D digits decoded
    hierarchy: Spearman(v, r), average ranks; -1 where all radii of a level are equal, its ceiling where none are
    hierarchy_rounded: the same with s rounded to a relative 8 eps of the dtype of z: what is left when ties that
        rounding has broken are ties again
    richness: mean over the D + 1 levels of the population variance of s = sqrt(c)|z| inside a level
    richness_geodesic: the same of r = d(0, z)
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


class Samples(NamedTuple):
    """Rows, pairs and triplets drawn once, int32 arrays of one axis each; ranks are average ranks less 1, doubled.

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


class Reference(NamedTuple):
    """What a metric is to be compared with; NaN where there is no such figure.

    chance: of an embedding, or a decoder, that knows nothing of the operations
    untrained: the highest level seen without training
    best: the best possible, without ties
    note: where these come from
    """

    chance: float
    untrained: float
    best: float
    note: str


def draw_samples(n_digits: int = 9, p: int = 3, seed: int = 0) -> Samples:
    """Draw on the host: 1,000 rows, 200,000 random pairs, 100,000 triplets, 100,000 pairs by level, in this order.

    Pass the result to `costly` as an argument: closed over, it would be 12 MB of constants in the program.
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
    return Samples(*(a.astype(np.int32) for a in drawn))


# --- the metrics ------------------------------------------------------------------------------------------------------


def cheap(z: ArrayLike, prediction: ArrayLike, c: ArrayLike) -> Cheap:
    """The metrics that need one sort of N radii. z (N, dim), prediction (N, D) integers, c () -> scalars."""
    z, prediction = jnp.asarray(z), _trits(prediction)
    _digits_and_p(z.shape[0], prediction.shape[-1])
    return _cheap(z, prediction, jnp.asarray(c, float), 8 * float(jnp.finfo(z.dtype).eps))


def costly(z: ArrayLike, c: ArrayLike, samples: Samples) -> Costly:
    """The metrics that need distances and sorts of many pairs. z (N, dim), c () -> scalars."""
    return _costly(jnp.asarray(z), jnp.asarray(c, float), samples)


@in_float64
def held_out_coverage(prediction: ArrayLike, train_mask: ArrayLike) -> Array:
    """Coverage over the rows with train_mask False, (N, D) and (N,) bool -> (); NaN where nothing is held out."""
    prediction, held_out = _trits(prediction), ~jnp.asarray(train_mask, bool)
    count = jnp.sum(held_out, dtype=jnp.float64)
    return _ratio(jnp.sum(_decoded(prediction) & held_out, dtype=jnp.float64), count)


def prior_coverage(prediction_of_draws: ArrayLike, p: int = 3) -> PriorCoverage:
    """How many of the N operations n draws from the prior decode to. (n, D) integers -> scalars.

    A figure to read beside `uniform`, not alone: a prior through an untrained decoder does as well as a trained one.
    """
    x = _trits(prediction_of_draws) + (p - 1) // 2
    n_draws, n_digits = x.shape
    n = ternary.n_operations(n_digits, p)
    drawn = jnp.sort(jnp.sum(x * p ** jnp.arange(n_digits)[None], -1))
    distinct = 1 + jnp.sum(drawn[1:] != drawn[:-1])
    digits_only = jnp.all((x >= 0) & (x < p))
    share = jnp.where(digits_only, distinct / n, jnp.nan)
    return PriorCoverage(share, jnp.full_like(share, _uniform_coverage(n_draws, n)))


@in_float64
def spearman(a: ArrayLike, b: ArrayLike) -> Array:
    """Pearson correlation of the average ranks of a and b, (n,) each; NaN where one is constant or holds a NaN."""
    return _spearman(a, _ranks(b))


@in_float64
def average_ranks(a: ArrayLike) -> Array:
    """Ranks 1 .. n of a (n,), ties sharing their mean rank; all NaN where a holds a NaN."""
    return _ranks(a) / 2 + 1


def measure(z: ArrayLike, prediction: ArrayLike, c: ArrayLike, samples: Samples) -> dict[str, float]:
    """All metrics of one embedding, on the host, by name."""
    both = jax.device_get((cheap(z, prediction, c), costly(z, c, samples)))
    return {name: float(value) for metrics in both for name, value in metrics._asdict().items()}


# --- what they are to be compared with --------------------------------------------------------------------------------


def hierarchy_ceiling(n_digits: int = 9, p: int = 3) -> float:
    """The best Spearman(v, r) without ties in r: -sqrt(1 - sum_v (t_v^3 - t_v) / (N^3 - N)), t_v operations at level v.

    -0.8320503 for 9 trits. Reached by, and only by, radii that fall strictly from each level to the next.
    """
    return -_tie_ceiling(ternary.level_counts(n_digits, p))


def richness_best(n_digits: int = 9, p: int = 3) -> float:
    """The supremum of richness over the ball at the hierarchy ceiling: 1 / (4 (D + 1)), 0.025 for D = 9.

    At the ceiling the radii s of level v fill a band of width w_v, and bands do not overlap: sum_v w_v <= 1. Inside a
    band the variance is at most w_v^2/4 (Popoviciu), when half of the level lies at either end. The mean over levels
    is at most sum_v w_v^2 / (4 (D + 1)), convex in the widths, so greatest where level 0 has all of the budget. It is
    approached and not reached, and costs the resolution of all other levels. With radii up to f only, it is f^2 of it.
    """
    t = ternary.level_counts(n_digits, p)
    return float(((t // 2) * (t - t // 2) / t**2).max()) / (n_digits + 1)  # m members in odd number: (1 - 1/m^2) / 4


def references(
    n_digits: int = 9, p: int = 3, samples: Samples | None = None, n_draws: int | None = None
) -> dict[str, Reference]:
    """Chance, untrained level and best value of every metric, by name, in the order of the table.

    Correlations of samples have ceilings by the ties of these very samples. n_draws: those of prior coverage (N).
    Untrained levels were measured for 9 trits; tests/vae/test_evaluate.py makes those again that have an exact recipe.
    """
    n = ternary.n_operations(n_digits, p)
    samples = draw_samples(n_digits, p) if samples is None else samples
    ceiling, radial = (
        hierarchy_ceiling(n_digits, p),
        _tie_ceiling(np.unique(samples.radial_rank, return_counts=True)[1]),
    )
    ultrametric = -_tie_ceiling(np.unique(samples.pair_rank, return_counts=True)[1])
    guess, nan = 1 / n, math.nan

    def measured(value):
        return value if (n_digits, p) == (9, 3) else nan

    return {
        "coverage": Reference(guess, measured(0.0), 1.0, "chance p^-D"),
        "held_out_coverage": Reference(guess, measured(0.0), 1.0, "chance p^-D"),
        "prior_coverage": Reference(
            nan,
            nan,
            _uniform_coverage(n if n_draws is None else n_draws, n),
            "best: uniform draws; no sign of training",
        ),
        "hierarchy": Reference(0.0, measured(0.35), ceiling, "best without ties; -1 is a collapse"),
        "hierarchy_rounded": Reference(0.0, measured(0.35), ceiling, "beyond its best: a collapse that rounding hides"),
        "richness": Reference(
            nan, measured(1e-3), richness_best(n_digits, p), "best at the hierarchy ceiling, unreached"
        ),
        "richness_geodesic": Reference(nan, nan, math.inf, "no bound: d grows without limit towards the edge"),
        "dist_corr": Reference(0.0, measured(0.0), radial, "best without ties in |s_i - s_j|"),
        "q": Reference(0.0, nan, radial + 1.5 * abs(ceiling), "the sum of two bests that one layout cannot both reach"),
        "triplet_accuracy": Reference(0.5, measured(0.83), 1.0, "untrained: one-hot digits 0.83, relu encoder 0.75"),
        "ultrametric_correlation": Reference(
            0.0, measured(-0.36), ultrametric, "untrained: one-hot digits -0.36, relu encoder -0.14"
        ),
        "distortion": Reference(nan, nan, 0.0, "0: d is a power of p^-v, times a constant"),
    }


def undefined(metrics: Mapping[str, float]) -> dict[str, str]:
    """Why, for each metric of `measure` (and held_out_coverage, prior_coverage) that is NaN."""
    nan = {name for name, value in metrics.items() if math.isnan(value)}
    if "richness" in nan:
        outside = "a point is not inside the ball, or c is not positive (`poincare.check` says which)"
        reasons = dict.fromkeys([*Cheap._fields, *Costly._fields], outside)
    else:
        equal = "all radii are equal, so they have no order"
        reasons = {
            "hierarchy": equal,
            "hierarchy_rounded": equal + " beyond that of rounding",
            "dist_corr": "all |s_i - s_j| of the sample are equal, so they have no order",
            "q": "dist_corr or hierarchy is undefined",
            "triplet_accuracy": "there are no triplets with one digit",
            "ultrametric_correlation": "all distances, or all levels, of the sample are equal",
            "distortion": "different operations share a point, and log 0 is not finite",
        }
    reasons |= {
        "held_out_coverage": "nothing is held out",
        "prior_coverage": "a draw was decoded to something that is not a digit",
    }
    return {name: reasons[name] for name in metrics if name in nan}


def verdict(metrics: Mapping[str, float], n_digits: int = 9, p: int = 3) -> list[str]:
    """What the metrics of `measure` mean, in sentences: first the radial order and collapse, then what is undefined.

    A collapse is |hierarchy| more than 1e-4 beyond its ceiling, which ties alone can do. Where float noise breaks the
    ties, hierarchy falls back to the ceiling and looks perfect; hierarchy_rounded, which binds them again, does not.
    The sentence says how far from the ceiling to 1, where all radii of each level are equal, it has gone.
    A relative 8 eps is above the noise of a norm of tens of coordinates, and ten thousand times finer than a useful
    band; a tie that it splits between two neighbouring values still lifts the hierarchy by a quarter as much. Levels
    of equal radii in the wrong order stay below the ceiling: these the richness finds, 1e-6 of the ball squared.
    """
    best, h, rounded = abs(hierarchy_ceiling(n_digits, p)), metrics["hierarchy"], metrics["hierarchy_rounded"]
    if math.isnan(h):
        about = "collapse: all radii are equal" if not math.isnan(metrics["richness"]) else "no verdict"
    elif abs(h) > best + 1e-4:
        about = (
            f"collapse: hierarchy {h:.5f} is {(abs(h) - best) / (1 - best):.1%} of the way from its ceiling {best:.5f} "
            "without ties to 1, so radii tie inside levels"
        )
    elif math.isnan(rounded):
        about = f"collapse: all radii are equal up to rounding; hierarchy {h:.5f} ranks float noise"
    elif abs(rounded) > best + 1e-4:
        about = (
            f"collapse hidden by rounding: radii tie inside levels up to float noise; hierarchy {h:.5f} becomes "
            f"{rounded:.5f} with ties bound, {(abs(rounded) - best) / (1 - best):.1%} of the way from its ceiling "
            f"{best:.5f} to 1"
        )
    elif metrics["richness"] < 1e-12:
        about = (
            f"collapse: radii inside levels differ by less than 1e-6 of the ball (richness {metrics['richness']:.1e})"
        )
    elif abs(h) > best - 1e-5:
        about = f"no collapse: hierarchy {h:.5f} is at its ceiling {best:.5f} without ties"
    else:
        about = f"no collapse: hierarchy {h:.5f}, {abs(h) / best:.1%} of its ceiling {best:.5f}"
    upside_down = [f"upside down: hierarchy {h:+.5f}, higher valuations lie further out"] if h > 0.05 else []
    return [about, *upside_down, *(f"{name} is undefined: {reason}" for name, reason in undefined(metrics).items())]


def table(rows: Mapping[str, Mapping[str, float]], reference: Mapping[str, Reference] | None = None) -> str:
    """The metrics of labelled embeddings as text, a column each, then chance, untrained and best; "-": no figure."""
    reference = references() if reference is None else reference
    unknown = {name for metrics in rows.values() for name in metrics} - set(reference)
    if unknown:
        raise ValueError(f"no reference for {sorted(unknown)}; there are {list(reference)}")
    names = [name for name in reference if any(name in metrics for metrics in rows.values())]
    lines = [["metric", *rows, "chance", "untrained", "best"]]
    for name in names:
        measured = [_cell(metrics[name]) if name in metrics else "-" for metrics in rows.values()]
        known = ["-" if math.isnan(value) else f"{value:.5g}" for value in reference[name][:3]]
        lines.append([name, *measured, *known])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines)


# --- inside -----------------------------------------------------------------------------------------------------------


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
        return jax.vmap(poincare.dist, (0, 0, None))(z[i], z[j], c)

    near, far = dist(samples.anchor, samples.near), dist(samples.anchor, samples.far)
    nearer = jnp.where(jnp.isnan(near) | jnp.isnan(far), jnp.nan, near < far)
    return Costly(
        dist_corr=dist_corr,
        q=dist_corr + 1.5 * jnp.abs(hierarchy),
        triplet_accuracy=_ratio(jnp.sum(nearer), jnp.asarray(nearer.size, s.dtype)),
        ultrametric_correlation=_spearman(dist(samples.pair_i, samples.pair_j), samples.pair_rank),
        distortion=_distortion(dist(samples.level_i, samples.level_j), samples.level, p),
    )


def _radii(z, c):
    """s = sqrt(c)|z| and r = d(0, z), (N,) each, all NaN where one point is not inside the ball."""
    r = jax.vmap(poincare.dist0, (0, None))(z, c)
    invalid = jnp.any(~jnp.isfinite(r))
    s = jnp.sqrt(c) * jnp.sqrt(jnp.sum(z * z, -1))
    return jnp.where(invalid, jnp.nan, s), jnp.where(invalid, jnp.nan, r)


def _rounded(s, unit):
    """s to a relative precision, by rounding log(s / min s) down: radii that are all within it become one value.

    0 stays apart from the others, and is not the minimum.
    """
    log = jnp.log(jnp.where(s == 0, 1.0, s))
    return jnp.where(s == 0, -jnp.inf, jnp.floor((log - jnp.min(jnp.where(s == 0, jnp.inf, log))) / unit))


def _richness(radius, n_digits, p):
    # Level k is every p^k-th operation but every p-th of these; the highest level is operation 0, with variance 0.
    levels = [radius[:: p**k].reshape(-1, p)[:, 1:] for k in range(n_digits)]
    return functools.reduce(jnp.add, [jnp.var(level) for level in levels]) / (n_digits + 1)


def _distortion(d, level, p):
    """rms residual of log d against log p^-level; the exponent is free where there is one level only."""
    y = jnp.log(jnp.where(d > 0, d, jnp.nan))
    y, x = _centred(y), _centred(-math.log(p) * level)
    spread = jnp.sum(x * x)
    exponent = jnp.sum(x * y) / jnp.where(spread > 0, spread, 1.0)
    return jnp.sqrt(jnp.mean((y - exponent * x) ** 2))


def _spearman(a, ranks_b):
    """Of a with something of known doubled ranks. One sort carries both: the order of the pairs does not matter."""
    ranks_b = jnp.broadcast_to(jnp.asarray(ranks_b), jnp.shape(a))
    a = jnp.asarray(a, jnp.float64)
    ordered, ranks_b = jax.lax.sort((a, ranks_b), num_keys=1)
    mean = a.size - 1  # of doubled ranks, exactly: a computed mean would leave a constant with a spread of rounding
    x, y = _ranks_in_order(ordered) - mean, jnp.asarray(ranks_b, a.dtype) - mean
    return _ratio(jnp.sum(x * y), jnp.sqrt(jnp.sum(x * x) * jnp.sum(y * y)))


def _ranks(a):
    """Doubled average ranks, less 1, in the order of the elements."""
    a = jnp.asarray(a, jnp.float64)
    ordered, place = jax.lax.sort((a, jnp.arange(a.size)), num_keys=1)
    return jax.lax.sort((place, _ranks_in_order(ordered)), num_keys=1)[1]


def _ranks_in_order(ordered):
    """Doubled average ranks, less 1, of sorted values: first + last place of the run of equals; NaN if one is NaN."""
    n, edge = ordered.size, jnp.ones(1, bool)
    step = ordered[1:] != ordered[:-1]
    starts, ends = jnp.concatenate([edge, step]), jnp.concatenate([step, edge])
    # The last place of a run is the first of the reversed one: one scan for both, which halves the time to compile.
    first, back = jax.lax.cummax(jnp.where(jnp.stack([starts, ends[::-1]]), jnp.arange(n)[None], 0), axis=1)
    return jnp.where(jnp.any(jnp.isnan(ordered)), jnp.nan, first + n - 1 - back[::-1])


def _ranks_of_levels(level: np.ndarray) -> np.ndarray:
    """Doubled average ranks, less 1, of small integers (n,): a table by level, as there are few. int64 on the host."""
    counts = np.bincount(level)
    return (2 * np.cumsum(counts) - counts - 1)[level]


def _cell(value: float) -> str:
    return f"{value:.2e}" if 0 < abs(value) < 1e-3 else f"{value:.5f}"


def _centred(a):
    return a - jnp.mean(a)


def _ratio(part, whole):
    """part / whole, NaN where whole is 0."""
    return jnp.where(whole == 0, jnp.nan, part / jnp.where(whole == 0, 1, whole))


def _tie_ceiling(counts: np.ndarray) -> float:
    """The greatest Spearman of something without ties with something of these tie counts."""
    t = [int(k) for k in counts]  # Python's integers: N^3 passes 2^63 at 3^14
    n = sum(t)
    return math.sqrt(1 - sum(k**3 - k for k in t) / (n**3 - n)) if n > 1 else math.nan


def _uniform_coverage(n_draws: int, n: int) -> float:
    return -math.expm1(n_draws * math.log1p(-1 / n))


def _decoded(prediction):
    n_digits, p = _digits_and_p(*prediction.shape)
    return jnp.all(prediction == ternary.operations(n_digits, p), -1)


def _trits(prediction: Any) -> Array:
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
