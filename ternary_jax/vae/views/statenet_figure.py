"""The figure of StateNet: a panel for each knob that it turns, then one for each value that it reads."""

from typing import Any

from ternary_jax.pictures import style
from ternary_jax.vae.views.statenet import Statenet


@style.styled
def figure(found: Statenet) -> Any:
    """Outputs in the first colour, inputs in the second, as the titles say too."""
    each = [(one, "output", style.FOUND) for one in found.outputs]
    each += [(one, "input", style.SERIES[1][0]) for one in found.inputs]
    below = "the knobs that it turns it reads too; an output is the knob after all controllers"
    below += ": the schedule and the correction by StateNet together" if found.schedule else ""
    made, axes = style.grid(len(each), 5, "StateNet: what it turns, and what it reads", below)
    for ax, (one, kind, color) in zip(axes, each, strict=True):
        ax.plot(found.at, one.values, color=color, linestyle="-" if kind == "output" else "--")
        ax.set_title(f"{kind}: {one.name}")
        ax.set_xlabel(found.unit, labelpad=1)
        ax.set_xlim(left=0)
    return made
