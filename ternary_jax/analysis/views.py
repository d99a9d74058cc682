"""What can be looked at in a training of any task: its curves, and its controllers."""

from ternary_jax.analysis import controllers, curves, views_figures
from ternary_jax.engine.task import View

EVALUATED = "an evaluation: metrics.jsonl has no row of this run yet"

VIEWS = {
    "curves": View(
        title="metrics and losses over time, with ceilings, chance, targets, phases, freezes and events",
        data=curves.data,
        figure=views_figures.curves,
        needs=EVALUATED,
    ),
    "controllers": View(
        title="rates, knobs and the actions of controllers over time",
        data=controllers.data,
        figure=views_figures.controllers,
        needs=EVALUATED,
    ),
}
