"""The panels of the views that any task has, and what they show in words."""

import math
from collections.abc import Iterator
from typing import Any

from ternary_jax.analysis.controllers import Controllers, Series
from ternary_jax.analysis.generalisation import Generalisation
from ternary_jax.panels import curves, style
from ternary_jax.panels.curves import Curves, Group

MOST = 30  # series that have a plot


def controllers(found: Controllers) -> Any:
    """A small plot for each rate, knob and report."""
    return curves.small([*_plots(found)])


def controllers_text(found: Controllers) -> str:
    """First and last value of each, what is constant, and when groups are frozen."""
    plots = [*_plots(found)]
    parts = [curves.text(one) for one in plots]
    total = len(found.rates) + len(found.knobs) + len(found.reports)
    parts += [f"The first {len(plots)} of {total} are drawn."] if total > len(plots) else []
    constant = ", ".join(f"{name} {value:.4g}" for name, value in found.constant)
    parts += [f"Constant: {constant}."] if constant else []
    parts += [f"{one.name} is frozen from {found.unit} {one.begin:.10g} to {one.end:.10g}." for one in found.freezes]
    return " ".join(parts)


def generalisation(found: Generalisation) -> Any:
    """A plot for each held-out metric, below its counterpart on the training data."""
    return style.below([curves.panel(one) for one in _pairs(found)])


def generalisation_text(found: Generalisation) -> str:
    """The verdict on each held-out metric, and when its curves get to their level."""
    parts = []
    for one in found.pairs:
        when = f"t_fit {_step(one.t_fit)}, t_gen {_step(one.t_gen)}"
        ratio = f", t_gen / t_fit {one.ratio:.3g}" if math.isfinite(one.ratio) else ""
        parts.append(f"{one.name}: {one.verdict}; {when}{ratio}.")
    each = [curves.text(one._replace(marks=())) for one in _pairs(found)]  # the verdicts have said when
    return " ".join([*parts, "0 is chance, 1 is the best possible value.", *each])


# --- inside -----------------------------------------------------------------------------------------------------------


def _plots(found: Controllers) -> Iterator[Curves]:
    kinds = [("rate", found.rates), ("knob", found.knobs), ("report", found.reports)]
    for kind, one in [(kind, one) for kind, series in kinds for one in series][:MOST]:
        names = ", ".join(one.names[:3]) + f" and {len(one.names) - 3} more" * (len(one.names) > 3)
        spans = [curves.Span(x.begin, x.end, x.name) for x in found.phases]
        spans += _frozen(found, one) if kind == "rate" else []
        axis = f"{kind} {one.names[0]}" + f" (+{len(one.names) - 1})" * (len(one.names) > 1)  # one line has no legend
        yield Curves(found.unit, axis, [Group(names, [(names, found.at, one.values)])], spans=spans)


def _frozen(found: Controllers, series: Series) -> list[curves.Span]:
    return [curves.Span(one.begin, one.end, "frozen") for one in found.freezes if one.name in series.names]


def _pairs(found: Generalisation) -> Iterator[Curves]:
    for one in found.pairs:
        groups = [
            Group(label, [(label, found.step, x)])
            for label, x in (("trained on", one.fit), (f"{one.name}", one.held_out))
        ]
        times = {"t_fit": one.t_fit, "t_gen": one.t_gen}
        marks = [curves.Mark(at, f"{name} {at:,.0f}") for name, at in times.items() if math.isfinite(at)]
        references = {"best": 1.0, "level": found.level, "chance": 0.0}
        yield Curves("step", "0: chance, 1: the best", groups, references, (), marks, log_x=True)


def _step(at: float) -> str:
    return f"at step {at:,.0f}" if math.isfinite(at) else "never"
