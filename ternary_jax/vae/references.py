"""Reference values of the metrics of `evaluate` (chance, untrained, best), and the verdict on an embedding."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ternary_jax import ternary
from ternary_jax.tables import cell, fitted, reference_cell
from ternary_jax.vae import evaluate

LOWER_IS_BETTER = (
    "hierarchy",
    "hierarchy_rounded",
    "held_out_hierarchy",
    "ultrametric_correlation",
    "distortion",
    "coverage_gap",
)


class Reference(NamedTuple):
    """Reference values of a metric; NaN where there is none.

    chance: of an embedding or a decoder without information about the operations
    untrained: the value of the greatest size measured without training
    best: the best possible value without ties
    note: their origin
    """

    chance: float
    untrained: float
    best: float
    note: str


def hierarchy_ceiling(n_digits: int = 9, p: int = 3) -> float:
    """The best Spearman(v, r) without ties in r: -sqrt(1 - sum_v (t_v^3 - t_v) / (N^3 - N)), t_v operations at level v.

    -0.8320503 for 9 trits. Radii reach it if and only if they fall strictly from each level to the next.
    """
    return -_tie_ceiling(ternary.level_counts(n_digits, p))


def richness_best(n_digits: int = 9, p: int = 3) -> float:
    """The supremum of richness over the ball at the hierarchy ceiling: 1 / (4 (D + 1)), 0.025 for D = 9.

    At the ceiling the radii s of level v fill a band of width w_v, and bands do not overlap: sum_v w_v <= 1. Inside a
    band the variance is at most w_v^2/4 (Popoviciu), with half of the level at either end. The mean over levels is at
    most sum_v w_v^2 / (4 (D + 1)), convex in the widths, so it is greatest if level 0 has the whole width. The supremum
    is not reached, and leaves no width for the other levels. Radii up to f only multiply it by f^2.
    """
    t = ternary.level_counts(n_digits, p)
    return float(((t // 2) * (t - t // 2) / t**2).max()) / (n_digits + 1)  # m members in odd number: (1 - 1/m^2) / 4


def levels(n_digits: int = 9, p: int = 3, samples: evaluate.Samples | None = None) -> dict[str, Reference]:
    """Chance, untrained level and best value of every metric, by name, in the order of the table.

    The ceiling of a correlation over `samples` follows from the ties of these samples. Prior coverage is of N draws.
    Untrained values are measured for 9 trits; tests/vae/test_evaluate.py repeats those with an exact recipe.
    """
    n = ternary.n_operations(n_digits, p)
    samples = evaluate.draw_samples(n_digits, p) if samples is None else samples
    ceiling = hierarchy_ceiling(n_digits, p)
    radial = _tie_ceiling(np.unique(samples.radial_rank, return_counts=True)[1])
    ultrametric = -_tie_ceiling(np.unique(samples.pair_rank, return_counts=True)[1])
    guess, nan = 1 / n, math.nan

    def measured(value):
        return value if (n_digits, p) == (9, 3) else nan

    return {
        "coverage": Reference(guess, measured(0.0), 1.0, "chance p^-D"),
        "held_out_coverage": Reference(guess, measured(0.0), 1.0, "chance p^-D"),
        "prior_coverage": Reference(
            evaluate.uniform_coverage(n, n),
            nan,
            nan,
            "chance: uniform draws; an untrained decoder does as well",
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


def held_out(train_mask: np.ndarray, n_digits: int = 9, p: int = 3) -> dict[str, Reference]:
    """Reference values of the metrics of `evaluate.OnHeldOut`, for the operations with train_mask False."""
    v = ternary.valuations(n_digits, p)[~train_mask]
    ceiling = -_tie_ceiling(np.bincount(v)) if len(np.unique(v)) > 1 else math.nan
    return {
        "held_out_hierarchy": Reference(0.0, math.nan, ceiling, "best without ties, of the levels held out"),
        "coverage_gap": Reference(0.0, 0.0, math.nan, "0 for an untrained decoder too: read it beside the coverage"),
    }


def of_flat_space() -> dict[str, Reference]:
    """Reference values that differ in R^n: radii have no bound there, so their variance has none."""
    return {"richness": Reference(math.nan, math.nan, math.inf, "no bound in R^n: |z| grows without limit")}


def better(metric: str) -> int:
    """+1 where a higher value of the metric is better, -1 where a lower one is."""
    return -1 if metric in LOWER_IS_BETTER else 1


def undefined(metrics: Mapping[str, float]) -> dict[str, str]:
    """The reason of each NaN among the metrics of `evaluate.measure`, held_out_coverage and prior_coverage."""
    nan = {name for name, value in metrics.items() if math.isnan(value)}
    if "richness" in nan:
        outside = (
            "a point is not inside the ball or c is not positive (`poincare.check` says which); in R^n, a point is "
        )
        outside += "not finite"
        reasons = dict.fromkeys([*evaluate.Cheap._fields, *evaluate.Costly._fields], outside)
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
    """Sentences on the metrics of `evaluate.measure`: radial order or collapse, then the undefined metrics.

    A collapse is |hierarchy| more than 1e-4 beyond its ceiling, which only ties can cause. If float noise breaks the
    ties, hierarchy falls back to the ceiling and looks perfect; hierarchy_rounded, with these ties restored, does not.
    The sentence gives the share of the way from the ceiling to 1, where all radii of each level are equal.
    A relative 8 eps exceeds the float noise of a norm of tens of coordinates, and is ten thousand times finer than a
    useful band. If the rounding splits a tie into two halves, they still raise |hierarchy| by a quarter as much. Levels
    of equal radii in the wrong order stay below the ceiling; a richness below 1e-12, radii within 1e-6 of the ball,
    detects them.
    """
    best, h, rounded = abs(hierarchy_ceiling(n_digits, p)), metrics["hierarchy"], metrics["hierarchy_rounded"]
    if math.isnan(h):
        about = "collapse: all radii are equal" if not math.isnan(metrics["richness"]) else "no verdict"
    elif abs(h) > best + 1e-4:
        about = (
            f"collapse: hierarchy {h:.5f} is {(max(abs(h), abs(rounded)) - best) / (1 - best):.1%} of the way from its "
            f"ceiling {best:.5f} without ties to 1, so radii tie inside levels"
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
    """Text: a row per metric, with a column per labelled embedding, then chance, untrained and best; "-": no value."""
    reference = levels() if reference is None else reference
    unknown = {name for metrics in rows.values() for name in metrics} - set(reference)
    if unknown:
        raise ValueError(f"no reference for {sorted(unknown)}; there are {list(reference)}")
    names = [name for name in reference if any(name in metrics for metrics in rows.values())]
    lines = [["metric", *rows, "chance", "untrained", "best"]]
    for name in names:
        measured = [cell(metrics[name]) if name in metrics else "-" for metrics in rows.values()]
        known = [reference_cell(value) for value in reference[name][:3]]
        lines.append([name, *measured, *known])
    return fitted(lines)


def _tie_ceiling(counts: np.ndarray) -> float:
    """The greatest Spearman of values without ties with values of these tie counts."""
    t = [int(k) for k in counts]  # Python's integers, because N^3 exceeds 2^63 at N = 3^14
    n = sum(t)
    return math.sqrt(1 - sum(k**3 - k for k in t) / (n**3 - n)) if n > 1 else math.nan
