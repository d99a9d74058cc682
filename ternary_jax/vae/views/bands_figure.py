"""The figure of the bands: every operation at its radius, by valuation, over the interval that the losses ask for."""

from typing import Any

import numpy as np

from ternary_jax.pictures import style
from ternary_jax.vae.views.bands import Band, Bands


@style.styled
def figure(found: Bands) -> Any:
    """A panel for each branch."""
    made = style.figure(5.2 * len(found.bands), 4.4)
    axes = made.subplots(1, len(found.bands), sharey=True, squeeze=False)[0]
    for ax, one in zip(axes, found.bands, strict=True):
        _panel(ax, found, one)
    axes[0].set_ylabel(f"radius {found.unit}")
    made.suptitle("radii by valuation: where no levels overlap, hierarchy is at its ceiling")
    return made


def _panel(ax: Any, found: Bands, one: Band) -> None:
    levels = np.arange(found.n_digits + 1)
    shades = style.sequence(len(levels) + 1)
    rng = np.random.default_rng(0)
    spread = 0.35 * np.clip(found.counts / 30, 0.03, 1)[found.valuation]
    x = found.valuation + rng.uniform(-1, 1, len(found.valuation)) * spread
    ax.scatter(x, one.radius, s=2.5, c=[shades[v] for v in found.valuation], alpha=0.35, lw=0, zorder=3)
    style.log_scale(ax, "y")
    style.asked(ax, levels, one.asked.low, one.asked.high, f"asked for by {', '.join(one.asked.losses)}")
    ax.plot(levels, one.quantiles[:, 2], "_", color="#111111", markersize=9, markeredgewidth=1.4, zorder=4)
    ax.plot([], [], "_", color="#111111", markersize=9, label="median")
    ax.set_xticks(levels, [f"{v}\n{n:,}" for v, n in zip(levels, found.counts, strict=True)])
    ax.set_xlabel("valuation v, and the number of operations of it")
    overlap = f"{one.overlaps} of {found.n_digits} adjacent levels overlap" if one.overlaps else "no levels overlap"
    ax.set_title(f"branch {one.branch}: hierarchy {one.hierarchy:.5f}, {overlap}")
    ax.legend(loc="upper right")
