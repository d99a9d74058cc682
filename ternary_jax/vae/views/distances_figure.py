"""The figure of the distances: pairs of operations, by the number of leading digits that they share."""

from typing import Any

import numpy as np

from ternary_jax.pictures import style
from ternary_jax.vae.views.distances import Distances, Spread


@style.styled
def figure(found: Distances) -> Any:
    """A panel for each branch."""
    made = style.figure(5.2 * len(found.spreads), 4.4)
    axes = made.subplots(1, len(found.spreads), sharey=True, squeeze=False)[0]
    for ax, one in zip(axes, found.spreads, strict=True):
        _panel(ax, found, one)
    axes[0].set_ylabel("distance d(i, j) in the model")
    made.suptitle("distances of pairs of operations: those that share more leading digits should be nearer")
    return made


def _panel(ax: Any, found: Distances, one: Spread) -> None:
    shades = style.sequence(len(found.level) + 1)
    rng = np.random.default_rng(0)
    for level, distance in zip(found.level, one.distance, strict=True):
        x = level + rng.uniform(-0.3, 0.3, len(distance))
        ax.scatter(x, distance, s=3, color=shades[level], alpha=0.5, lw=0, zorder=3)
    style.log_scale(ax, "y")
    style.asked(ax, found.level, one.asked.low, one.asked.high, f"asked for by {', '.join(one.asked.losses)}")
    ax.plot(found.level, one.quantiles[:, 2], "_", color="#111111", markersize=9, markeredgewidth=1.4, zorder=4)
    ax.plot([], [], "_", color="#111111", markersize=9, label="median")
    ax.set_xticks(found.level, [f"{level}\n1/{3**level:,}" if level else "0\n1" for level in found.level])
    ax.set_xlabel("leading digits that the pair shares, and its 3-adic distance")
    ax.set_title(f"branch {one.branch}: the pair that shares more digits is nearer in {one.in_order:.2%}")
    ax.legend(loc="upper right")
