"""The figures of the views of any task: small multiples over one axis of time."""

import textwrap
from typing import Any

import numpy as np

from ternary_jax.analysis.controllers import Controllers, Series
from ternary_jax.analysis.curves import Curve, Curves
from ternary_jax.analysis.generalisation import Generalisation
from ternary_jax.pictures import style

MOST = 24  # metrics, or knobs and reports, that are drawn
TERMS = 8  # parts of the loss that are drawn, the greatest at the end first: there are eight colours


@style.styled
def curves(found: Curves) -> Any:
    """The losses, the norm of the gradient, and a panel for each metric."""
    metrics = found.metrics[:MOST]
    more = len(found.metrics) - len(metrics)
    title = f"{found.task}, run {found.run}" + f"; {more} more metrics are not drawn" * (more > 0)
    made, axes = style.grid(2 + len(metrics), 4, title, _below(found), wide=True)
    _losses(axes[0], found)
    axes[1].plot(found.at, found.gradient_norm, color=style.FOUND, marker=_marker(found.at))
    axes[1].set_title("norm of the gradient")
    _log_where_positive(axes[1], found.gradient_norm)
    for ax, one in zip(axes[2:], metrics, strict=True):
        _metric(ax, found, one)
    for ax in axes:
        _time(ax, found)
        for event in found.events:
            color = style.SEVERITY.get(event.text.rpartition(" ")[2], "#111111")
            ax.axvline(event.at, color=color, linewidth=1, zorder=1)
    return made


@style.styled
def controllers(found: Controllers) -> Any:
    """The rates together; a panel for each knob and report that changes; the others as text."""
    each = (*found.knobs, *found.reports)[:MOST]
    more = len(found.knobs) + len(found.reports) - len(each)
    title = f"{found.task}, run {found.run}: rates and controllers" + f"; {more} more are not drawn" * (more > 0)
    still = ", ".join(f"{name} {value:.4g}" for name, value in found.constant)
    lines = [f"constant: {still}"] * bool(still) + [_below(found)]
    below = "\n".join(textwrap.fill(line, 110 if each else 80) for line in lines if line)
    made, axes = style.grid(1 + len(each), 4, title, below, wide=True)
    _rates(axes[0], found)
    for ax, one in zip(axes[1:], each, strict=True):
        ax.plot(found.at, one.values, color=style.FOUND, marker=_marker(found.at))
        ax.set_title(_names(one, 40))
    for ax in axes:
        _time(ax, found)
    return made


@style.styled
def generalisation(found: Generalisation) -> Any:
    """A panel for each held-out metric, over the logarithm of the steps: a delay is a ratio of steps."""
    made = style.figure(5.2 * len(found.pairs), 3.8)
    axes = made.subplots(1, len(found.pairs), sharey=True, squeeze=False)[0]
    for ax, one in zip(axes, found.pairs, strict=True):
        for values, (color, dash), label in zip(
            (one.fit, one.held_out), style.SERIES, ("trained on", "held out"), strict=False
        ):
            known = np.isfinite(values)
            ax.plot(found.step[known], values[known], dash, color=color, label=label, marker=_marker(found.step))
        style.references(ax, {"best": 1.0, "level": found.level, "chance": 0.0})
        for at, name, (color, _) in zip((one.t_fit, one.t_gen), ("t_fit", "t_gen"), style.SERIES, strict=False):
            if np.isfinite(at):
                ax.axvline(at, color=color, linewidth=1, zorder=1)
                where = dict(xycoords=ax.get_xaxis_transform(), xytext=(3, 4), textcoords="offset points")
                ax.annotate(f"{name} {at:,.0f}", (at, 0), **where, fontsize=7.5, color=color)
        style.log_scale(ax, "x")
        ratio = f", t_gen / t_fit = {one.ratio:.3g}" if np.isfinite(one.ratio) else ""
        ax.set_title(f"{one.name}\n{one.verdict}{ratio}")
        ax.set_xlabel("step")
        ax.legend(loc="center right")
    axes[0].set_ylabel("0: chance, 1: the best")
    made.suptitle(f"{found.task}, run {found.run}")
    return made


# --- inside -----------------------------------------------------------------------------------------------------------


def _losses(ax: Any, found: Curves) -> None:
    """The total, and its parts without their weights."""
    ax.plot(found.at, found.loss, color="#111111", linewidth=1.8, label="total", marker=_marker(found.at))
    order = np.argsort(-np.nan_to_num(found.term_values[:, -1]))[:TERMS] if len(found.terms) else []
    for place, (color, dash) in zip(order, style.SERIES, strict=False):
        ax.plot(found.at, found.term_values[place], dash, color=color, linewidth=1, label=found.terms[place])
    _log_where_positive(ax, np.concatenate([found.loss, *(found.term_values[place] for place in order)]))
    ax.set_title("loss, and its parts unweighted")
    style.legend_beside(ax)


def _metric(ax: Any, found: Curves, one: Curve) -> None:
    known = np.isfinite(one.values)  # a costly metric is measured at some evaluations only
    ax.plot(found.at[known], one.values[known], color=style.FOUND, marker=_marker(found.at[known]))
    style.references(ax, {"ceiling": one.best, "chance": one.chance, "target": one.target}, one.tolerance)
    ax.set_title(f"{one.name} ({'higher' if one.better > 0 else 'lower'} is better)")


def _rates(ax: Any, found: Controllers) -> None:
    for k, one in enumerate(found.rates):
        color, dash = style.SERIES[k % len(style.SERIES)]
        ax.plot(found.at, one.values, dash, color=color, label=_names(one, 34), marker=_marker(found.at))
    ax.set_title("factor on the learning rate")
    ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
    if found.rates:
        style.legend_beside(ax)


def _time(ax: Any, found: Curves | Controllers) -> None:
    """The axis of time, with phases and freezes."""
    style.spans(ax, [(one.begin, one.end) for one in found.phases])
    for one in found.freezes:
        ax.axvspan(one.begin, one.end, ymax=0.04, color="#6fb1d6", linewidth=0)
    ax.set_xlabel(found.unit, labelpad=1)
    end = float(found.at[-1])
    ax.set_xlim(0, 1.02 * end if end else 1)


def _below(found: Curves | Controllers) -> str:
    """What the shades and lines mean, where there are any."""
    parts = []
    if found.phases:
        parts.append("shaded: phases of the rates (" + ", ".join(one.name for one in found.phases) + ")")
    if found.freezes:
        groups = dict.fromkeys(one.name for one in found.freezes)
        parts.append(f"blue bars: frozen ({', '.join(groups)})")
    for event in found.events if isinstance(found, Curves) else ():
        parts.append(f"line at {found.unit} {event.at:.6g}: {event.text}")
    return "; ".join(parts)


def _names(one: Series, width: int) -> str:
    return textwrap.shorten(", ".join(one.names), width, placeholder=f" ... ({len(one.names)})")


def _marker(at: Any) -> str:
    """Few evaluations are points too: a line alone would hide how few."""
    return "." if len(at) <= 30 else ""


def _log_where_positive(ax: Any, values: Any) -> None:
    known = values[np.isfinite(values)]
    if known.size and known.min() > 0 and known.max() > 10 * known.min():
        style.log_scale(ax, "y")
