"""The panels of the bands and of the distances, and what they show in words."""

from typing import Any

import numpy as np

from ternary_jax import ternary
from ternary_jax.panels import scatter, style
from ternary_jax.panels.scatter import Levels
from ternary_jax.vae.views.bands import Bands
from ternary_jax.vae.views.distances import Distances

MOST = 4000  # operations of a branch that are drawn, those of high valuation first


def bands_panel(found: Bands) -> Any:
    """The radii of each branch, one plot below the other."""
    return style.below([scatter.panel(_of_band(found, k)) for k in range(len(found.bands))])


def bands_text(found: Bands) -> str:
    """The medians of the radii by valuation, and whether levels overlap."""
    parts = []
    for one in found.bands:
        medians = ", ".join(f"{x:.3g}" for x in one.quantiles[:, 2])
        overlap = f"{one.overlaps} of {found.n_digits} adjacent levels overlap" if one.overlaps else "no levels overlap"
        asked = f" {_in_words(one.asked.losses)} asked for the marked intervals." if one.asked.losses else ""
        parts.append(
            f"Branch {one.branch}: hierarchy {one.hierarchy:.5f}, {overlap}; median radii of v = 0 to "
            f"{found.n_digits}: {medians}.{asked}"
        )
    return " ".join(parts)


def distances_panel(found: Distances) -> Any:
    """The distances of each branch, one plot below the other."""
    return style.below([scatter.panel(_of_spread(found, k)) for k in range(len(found.spreads))])


def distances_text(found: Distances) -> str:
    """The medians of the distances by shared digits."""
    parts = []
    for one in found.spreads:
        medians = ", ".join(f"{x:.3g}" for x in one.quantiles[:, 2])
        parts.append(
            f"Branch {one.branch}: the pair that shares more digits is nearer in {one.in_order:.2%}; median distances "
            f"of pairs that share 0 to {found.n_digits - 1} digits: {medians}."
        )
    return " ".join(parts)


# --- inside -----------------------------------------------------------------------------------------------------------


def _of_band(found: Bands, k: int) -> Levels:
    one = found.bands[k]
    shown = np.sort(np.argsort(-found.valuation, kind="stable")[:MOST])
    if len(found.valuation) > MOST:  # levels 0 and 1 have most of all operations: an even share of those that remain
        rare = np.flatnonzero(found.valuation > 1)
        common = np.flatnonzero(found.valuation <= 1)
        shown = np.sort(np.append(rare, common[:: -(-len(common) // max(1, MOST - len(rare)))]))
    return Levels(
        x="valuation v, and the number of operations of it",
        y=f"branch {one.branch}: radius {found.unit}",
        ticks=[f"{v}\n{n:,}" for v, n in enumerate(found.counts)],
        level=found.valuation[shown],
        value=one.radius[shown],
        told={"operation": ternary.signs(shown, found.n_digits), "index": [str(one) for one in shown]},
        median=one.quantiles[:, 2],
        low=one.asked.low,
        high=one.asked.high,
        asked=_in_words(one.asked.losses),
    )


def _of_spread(found: Distances, k: int) -> Levels:
    one = found.spreads[k]
    level = np.repeat(found.level, one.distance.shape[1])
    i, j = (ternary.signs(x.ravel(), found.n_digits) for x in (found.i, found.j))
    return Levels(
        x="leading digits that the pair shares, and its 3-adic distance",
        y=f"branch {one.branch}: distance d(i, j)",
        ticks=[f"{level}\n{'1' if not level else f'1/{3**level:,}'}" for level in found.level],
        level=level,
        value=one.distance.ravel(),
        told={"i": i, "j": j},
        median=one.quantiles[:, 2],
        low=one.asked.low,
        high=one.asked.high,
        asked=_in_words(one.asked.losses),
    )


def _in_words(losses: tuple[str, ...]) -> str:
    return ", ".join(losses)
