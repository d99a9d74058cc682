"""The panel of StateNet, and what it shows in words."""

from typing import Any

from ternary_jax.panels import curves
from ternary_jax.panels.curves import Curves, Group
from ternary_jax.vae.views.statenet import Statenet


def panel(found: Statenet) -> Any:
    """A small plot for each output, then for each input."""
    return curves.small(_plots(found))


def text(found: Statenet) -> str:
    """First and last value of each."""
    before = "Each output is the knob after all controllers"
    before += ", the schedule and the correction by StateNet together." if found.schedule else "."
    return " ".join([before, *map(curves.text, _plots(found))])


def _plots(found: Statenet) -> list[Curves]:
    each = [("output", one) for one in found.outputs] + [("input", one) for one in found.inputs]
    return [
        Curves(found.unit, f"{kind} {one.name}", [Group(one.name, [(one.name, found.at, one.values)])])
        for kind, one in each
    ]
