"""The settings of a sweep as a figure: for each metric the mean over seeds of each setting, with its 95 % interval."""

import math
import textwrap
from collections.abc import Mapping
from typing import Any

from ternary_jax.analysis.means import shown
from ternary_jax.metric import Metric
from ternary_jax.pictures import style

MOST = 60  # settings that are drawn; more could not be read
BEST, OTHER = "#c8553d", "#2e86ab"


def png(found: Mapping[str, Any], metrics: Mapping[str, Metric]) -> bytes:
    """The figure as the content of a PNG file."""
    return style.png(figure(found, metrics))


@style.styled
def figure(found: Mapping[str, Any], metrics: Mapping[str, Metric]) -> Any:
    """A panel for each metric, a line for each setting; a setting that is called best has a color of its own.

    found: the result of `means.analyse`
    """
    settings = found["settings"][:MOST]
    height = 1.4 + 0.26 * len(settings)
    made = style.figure(2.5 + 2.6 * len(metrics), height)
    axes = made.subplots(1, len(metrics), sharey=True, squeeze=False)
    for ax, (name, metric) in zip(axes[0], metrics.items(), strict=True):
        _panel(ax, name, metric, settings, found["verdicts"][name])
    labels = [", ".join(map(shown, one["setting"].values())) or "all" for one in settings]
    axes[0][0].set_yticks(range(len(settings)), labels, fontsize=7)
    axes[0][0].invert_yaxis()
    keys = ", ".join(dict.fromkeys(key for one in settings for key in one["setting"]))
    more = f"; {len(found['settings']) - MOST} more settings are not drawn" if len(found["settings"]) > MOST else ""
    best = "; red: best" * any(found["verdicts"][name]["best"] for name in metrics)
    title = f"{keys}: mean over seeds, 95 % interval by Student's t{best}{more}"
    made.suptitle(textwrap.fill(title, int(18 * made.get_figwidth()), break_long_words=False), fontsize=8)
    return made


def _panel(ax: Any, name: str, metric: Metric, settings: Any, verdict: Mapping[str, Any]) -> None:
    for k, one in enumerate(settings):
        x = one["metrics"][name]
        if x["n"]:
            color = BEST if verdict["best"] and k == verdict["lead"] else OTHER
            half = [[x["mean"] - x["low"]], [x["high"] - x["mean"]]]
            ax.errorbar(x["mean"], k, xerr=None if math.isnan(x["low"]) else half, fmt="o", color=color, markersize=4)
    if math.isfinite(metric.best):
        ax.axvline(metric.best, **style.LINE)
    ax.set_title(f"{name} ({'higher' if metric.better > 0 else 'lower'} is better)", fontsize=8)
    ax.tick_params(labelsize=7)
    ax.locator_params(axis="x", nbins=4)  # more labels would overlap
