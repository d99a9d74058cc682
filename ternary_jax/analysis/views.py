"""What can be looked at in a training of any task: its curves, and its controllers."""

from ternary_jax.analysis import controllers, curves, generalisation, views_figures, views_panels
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
        panel=views_panels.controllers,
        text=views_panels.controllers_text,
        needs=EVALUATED,
    ),
    "generalisation": View(
        title="fit and held-out curves between chance and the best, with the steps at which they get there",
        data=generalisation.data,
        figure=views_figures.generalisation,
        panel=views_panels.generalisation,
        text=views_panels.generalisation_text,
        needs="a metric on held-out data: config.data.split other than none, and an evaluation",
    ),
}
