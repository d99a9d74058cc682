"""The intervals of radii and of distances that the losses of a config ask of a branch, by valuation."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ternary_jax.vae import geometry
from ternary_jax.vae.losses import bands, geodesic, padic, radial
from ternary_jax.workdir import Run

RADIAL = ("radial", "stratification", "monotonic", "rich")  # losses of the targets between radii.inner and radii.outer


class Asked(NamedTuple):
    """What losses ask for at each level; nan where nothing is asked. A target alone has low = high.

    low, high: one value for each level, float64; high is inf where there is a lower end alone
    losses: the names of the losses that ask
    """

    low: NDArray
    high: NDArray
    losses: tuple[str, ...]


def radii(run: Run, k: int, branch: str) -> Asked:
    """The radii that the losses of a branch ask for, levels 0 .. D.

    That of `bands` sets two radii at level 0, by the first digit: they are the ends there. At level D it sets the upper
    end alone.
    """
    on, n_digits, c0 = losses_of(run, branch), int(run.config["data.n_digits"]), curvature(run, k)

    def given(key):
        return float(run.value(key, k))

    if "bands" in on:
        low, high = _bands(run, k)
        low[0], high[0] = (float(geometry.radius(given(f"losses.bands.{end}"), c0)) for end in ("between", "outer"))
        low[-1] = 0
        return Asked(low, high, ("bands",))
    if found := tuple(name for name in RADIAL if name in on):
        at = np.asarray(radial.targets(given("radii.inner"), given("radii.outer"), c0, n_digits), np.float64)
        return Asked(at, at, found)
    if "norm" in on:
        at = np.asarray(padic.targets(given("losses.norm.scale"), n_digits), np.float64)
        return Asked(at, at, ("norm",))
    return _nothing(n_digits + 1)


def distances(run: Run, k: int, branch: str) -> Asked:
    """The distances of pairs that the losses of a branch ask for, by v(i - j) = 0 .. D - 1."""
    on, n_digits = losses_of(run, branch), int(run.config["data.n_digits"])
    if "bands" in on:
        low, high = _bands(run, k)
        high[0] = np.inf
        return Asked(low[:-1], high[:-1], ("bands",))
    if "geodesic" in on:
        furthest, scale = (float(run.value(f"losses.geodesic.{name}", k)) for name in ("furthest", "scale"))
        at = np.asarray(geodesic.targets(furthest, scale, n_digits), np.float64)[:-1]
        return Asked(at, at, ("geodesic",))
    return _nothing(n_digits)


def losses_of(run: Run, branch: str) -> set[str]:
    """The names of the losses that are on for a branch."""
    keys = [key.split(".") for key in run.config if key.startswith("losses.") and key.endswith(".on")]
    return {name for _, name, _ in keys if branch in run.config[f"losses.{name}.on"].replace("none", "")}


def curvature(run: Run, k: int) -> float | None:
    """c at the start of the training, of which the targets are; None in R^n."""
    return float(run.value("model.c", k)) if run.config["model.geometry"] == "poincare" else None


def _bands(run: Run, k: int) -> tuple[NDArray, NDArray]:
    """The ends of the bands of lengths, (D + 1,) each."""
    furthest, ratio, width = (float(run.value(f"losses.bands.{name}", k)) for name in ("furthest", "ratio", "width"))
    length = geometry.length(furthest, curvature(run, k))
    centre = np.asarray(bands.centres(length, ratio, int(run.config["data.n_digits"])), np.float64)
    half = -width * np.log(ratio)
    return np.exp(centre - half), np.exp(centre + half)


def _nothing(n: int) -> Asked:
    return Asked(np.full(n, np.nan), np.full(n, np.nan), ())
