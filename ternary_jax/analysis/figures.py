"""The findings of an analysis as figures: metrics over time, and below them the events and phases of each run."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ternary_jax.analysis import settings
from ternary_jax.grokking import history
from ternary_jax.pictures import style
from ternary_jax.pictures.style import COLORS, MANY, SEVERITY
from ternary_jax.workdir.files import write_whole

FEW = 4  # up to this many runs have a color each; more runs are thin grey lines with their median
PANELS = 6  # at most this many metrics are drawn


def draw(found: Mapping[str, Any], rows: Mapping[str, np.ndarray], folder: Path) -> Iterator[Path]:
    """Draw a figure for each group of runs that differ only by their seeds; -> each file when it is written.

    found: the result of `data.analyse`; rows: the columns of the same log
    """
    histories = {one.run: one for one in history.histories(rows)}
    groups = settings.groups(found["runs"])
    for k, (hypers, group) in enumerate(groups):
        runs = [(run, histories[run["run"]]) for run in group]
        metrics = found["metrics"][:PANELS]
        about = settings.label(hypers)
        title = f"{found['task']}: {len(runs)} run{'s' * (len(runs) > 1)}{', ' + about if about else ''}"
        figure = _figure(runs, metrics, found["phases"], found["unit"], title)
        file = folder / (f"analysis_{k:03d}.png" if len(groups) > 1 else "analysis.png")
        write_whole(file, style.png(figure))
        yield file


@style.styled
def _figure(runs, metrics, phases, unit, title):
    names = ["loss", *(one["name"] for one in metrics), "gradient_norm"]
    below = max(0.8, 0.16 * len(runs) + 0.5)
    heights = [1.5] * len(names) + [below]
    figure = style.figure(10, sum(heights) + 0.8)
    axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    for ax, name in zip(axes, names, strict=False):
        _curves(ax, name, runs, unit)
    for ax, metric in zip(axes[1:], metrics, strict=False):
        style.references(ax, {"ceiling": metric["best"], "chance": metric["chance"]}, metric["tolerance"])
    _raster(axes[-1], runs, unit)
    axes[-1].set_xlabel(unit)
    for ax in axes:
        style.spans(ax, [(phase["begin"], phase["end"]) for phase in phases])
    for phase in phases:
        where = dict(xy=(phase["begin"], 1), xycoords=axes[0].get_xaxis_transform(), xytext=(2, 2))
        axes[0].annotate(phase["shape"], **where, textcoords="offset points", fontsize=7, color="#2e86ab")
    for ax in axes:
        ax.margins(x=0.01)
    figure.suptitle(title, fontsize=11)
    return figure


def _curves(ax, name, runs, unit):
    many = len(runs) > FEW
    for k, (run, one) in enumerate(runs):
        color, width = (MANY, 0.7) if many else (COLORS[k], 1.3)
        ax.plot(one.columns[unit], one.columns[name], color=color, linewidth=width, label=f"run {run['run']}")
        for rise in run["rises"]:
            if rise["event"]:
                ax.axvline(rise[unit], color=SEVERITY[rise["severity"]], linewidth=1, alpha=0.25 if many else 0.8)
        if not many and name in run["transitions"]:
            for place in run["transitions"][name]:
                ax.axvline(place[unit], color=color, linewidth=0.8, linestyle=":")
    if many:
        ax.plot(*_median(name, runs, unit), color=COLORS[0], linewidth=1.6, label="median")
    values = np.concatenate([one.columns[name] for _, one in runs])
    values = values[np.isfinite(values)]
    if name in ("loss", "gradient_norm") and values.size and values.min() > 0:
        style.log_scale(ax, "y")
    ax.set_ylabel(name, fontsize=8, rotation=0, ha="right", va="center", labelpad=8)
    ax.tick_params(which="both", labelsize=8)
    if name == "loss" and 1 < len(runs) <= FEW:
        ax.legend(fontsize=7, frameon=False, ncols=len(runs), loc="upper right")


def _median(name, runs, unit):
    """The median over the runs that have not ended, at the evaluations of the longest run."""
    longest = max((one.columns[unit] for _, one in runs), key=len)
    padded = [
        np.pad(one.columns[name], (0, len(longest) - len(one.columns[name])), constant_values=np.nan) for _, one in runs
    ]
    each = np.array(padded).T
    middle = [np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan for row in each]
    return longest, middle


def _raster(ax, runs, unit):
    """A line for each run: bars are plateaus, filled triangles events, hollow ones other rises, ticks transitions."""
    for y, (run, _) in enumerate(runs):
        for plateau in (one for one in run["plateaus"] if not one["falls"]):
            begin, end = plateau["begin"][unit], plateau["end"][unit]
            ax.barh(y, end - begin, left=begin, height=0.55, color="#dde3e8")
        ticks = sorted({place[unit] for places in run["transitions"].values() for place in places})
        ax.plot(ticks, [y] * len(ticks), "|", color="#3d405b", markersize=5, markeredgewidth=0.8)
        for rise in run["rises"]:
            color = SEVERITY[rise["severity"]]
            face = color if rise["event"] else "white"
            ax.plot(rise[unit], y, "^", color=color, markerfacecolor=face, markersize=6)
    ax.set_ylim(-0.7, len(runs) - 0.3)
    every = max(1, len(runs) // 16)
    ax.set_yticks(range(0, len(runs), every), [f"run {run['run']}" for run, _ in runs[::every]], fontsize=7)
    ax.set_title(
        "bars: plateaus of the loss; filled triangles: events (gold micro, red standard, dark red major); "
        "hollow: rises explained otherwise; ticks: phase transitions",
        fontsize=7,
        loc="left",
    )
