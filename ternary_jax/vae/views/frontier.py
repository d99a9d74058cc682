"""The frontier of hierarchy and richness: what is possible, the two closed forms, and the way of a run to its place."""

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ternary_jax import ternary
from ternary_jax.vae import baselines, bounds, references
from ternary_jax.vae.branch import BRANCHES
from ternary_jax.vae.views.bands import spearman
from ternary_jax.workdir import Run

WORST = -0.6  # |hierarchy| from which the bound is drawn
POINTS = 200


class Way(NamedTuple):
    """A branch over time: its name, and hierarchy and richness (n,) at each evaluation, nan where not measured."""

    branch: str
    hierarchy: NDArray
    richness: NDArray


class Layout(NamedTuple):
    """A point of the plane that needs no training."""

    name: str
    hierarchy: float
    richness: float


class Frontier(NamedTuple):
    """The plane of hierarchy and richness.

    hierarchy, bound (POINTS,): no layout of radii below `radius` has more richness than `bound` at this hierarchy
    radius: the greatest sqrt(c)|z| of the model
    ceiling: of hierarchy without ties; of_bands: no layout whose levels do not overlap has more richness
    closed_forms: those of `baselines`, in a ball of their own
    unit, at: of the evaluations, as in `curves`
    ways: of the branches, the main one first
    """

    hierarchy: NDArray
    bound: NDArray
    radius: float
    ceiling: float
    of_bands: float
    closed_forms: tuple[Layout, ...]
    unit: str
    at: NDArray
    ways: tuple[Way, ...]


def data(run: Run, k: int) -> Frontier | None:
    """The frontier with run k on it; None in R^n, where richness has no bound, and without an evaluation."""
    rows, unit = run.rows(k), "epoch" if run.config["train.epochs"] else "step"
    if run.config["model.geometry"] == "euclidean" or f"hierarchy_{BRANCHES[-1]}" not in rows:
        return None
    n_digits = int(run.config["data.n_digits"])
    radius = largest_radius(run, k)
    ceiling = references.hierarchy_ceiling(n_digits)
    hierarchy = np.linspace(ceiling, WORST, POINTS)
    ways = tuple(
        Way(b, *(np.asarray(rows[f"{name}_{b}"], np.float64) for name in ("hierarchy", "richness")))
        for b in reversed(BRANCHES)
    )
    return Frontier(
        hierarchy=hierarchy,
        bound=bounds.bound_on_richness(hierarchy, lines(n_digits, radius)),
        radius=radius,
        ceiling=ceiling,
        of_bands=bounds.bound_of_bands(n_digits, radius),
        closed_forms=closed_forms(n_digits),
        unit=unit,
        at=np.asarray(rows[unit], np.float64),
        ways=ways,
    )


def largest_radius(run: Run, k: int) -> float:
    """The greatest sqrt(c)|z| that the projections of the config allow, over both branches."""
    direct = [run.config[f"model.{b}.projection"] == "direction_radius" for b in BRANCHES]
    return float(run.value("model.max_radius", k)) if all(direct) else 1.0


@functools.cache
def lines(n_digits: int, radius: float) -> tuple[bounds.Line, ...]:
    """The lines of the bound; they take a second."""
    of = bounds.trade(n_digits, radius)
    return tuple(bounds.line(float(price), of) for price in bounds.PRICES)


@functools.cache
def closed_forms(n_digits: int) -> tuple[Layout, ...]:
    """Hierarchy and richness of both closed forms, of at most 9 digits; their points are float32."""
    if n_digits > 9:
        return ()
    points = {
        "tree": baselines.tree(baselines.Tree(n_digits)),
        "rich": baselines.rich(baselines.Rich(n_digits)),
    }
    v = ternary.valuations(n_digits)
    found = []
    for name, z in points.items():
        norm = np.linalg.norm(np.asarray(z, np.float64), axis=1)
        richness = float(np.mean([norm[v == level].var() for level in range(n_digits + 1)]))
        found.append(Layout(f"closed form {name}", spearman(norm, v), richness))
    return tuple(found)
