"""The figure of the frontier: richness against hierarchy, with the way of a run."""

from typing import Any

import numpy as np

from ternary_jax.pictures import style
from ternary_jax.vae.views.frontier import Frontier

MARKS = ("*", "P")
WAYS = ((style.FOUND, "o"), ("#d9822b", "s"))


@style.styled
def figure(found: Frontier) -> Any:
    """One panel. The way of a branch goes from its first evaluation, hollow, to its last, filled."""
    made = style.figure(7.4, 5.0)
    ax = made.subplots()
    ax.plot(found.hierarchy, found.bound, color="#111111", linewidth=1.6, label="proven bound of all layouts")
    ax.axvline(found.ceiling, **style.LINE)
    ax.hlines(found.of_bands, found.ceiling - 0.01, found.ceiling + 0.01, color="#111111", linewidth=3)
    note = dict(textcoords="offset points", fontsize=7.5, va="center")
    ax.annotate("bands without overlap end here", (found.ceiling + 0.01, found.of_bands), (5, 0), **note)
    for mark, one in zip(MARKS, found.closed_forms, strict=False):
        ax.scatter(one.hierarchy, one.richness, s=90, marker=mark, color="#111111", zorder=4, label=one.name)
    for (color, mark), way in zip(WAYS, found.ways, strict=False):
        known = np.isfinite(way.hierarchy) & np.isfinite(way.richness)
        if not known.any():
            continue
        x, y = way.hierarchy[known], way.richness[known]
        ax.plot(x, y, "-", color=color, linewidth=0.9, alpha=0.8, zorder=3)
        ax.scatter(x[:1], y[:1], s=36, marker=mark, facecolors="white", edgecolors=color, zorder=5)
        ax.scatter(x[-1:], y[-1:], s=36, marker=mark, color=color, zorder=5, label=f"branch {way.branch}, this run")
    style.log_scale(ax, "y")
    ax.text(found.ceiling, 0.02, "ceiling without ties ", transform=ax.get_xaxis_transform(), rotation=90, **_TEXT)
    ax.set_xlabel("hierarchy (lower is better; chance: 0)")
    ax.set_ylabel("richness (higher is better)")
    ax.set_title(f"richness against hierarchy, of radii up to {found.radius:g}")
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return made


_TEXT = dict(fontsize=7.5, ha="right", va="bottom", color="#666666")
