"""What can be looked at in a training of the dual autoencoder, as `Task.views`."""

from ternary_jax.engine.task import View
from ternary_jax.vae.views import (
    bands,
    bands_figure,
    disc,
    disc_figure,
    disc_panel,
    distances,
    distances_figure,
    frontier,
    frontier_figure,
    frontier_panel,
    levels_panels,
    statenet,
    statenet_figure,
    statenet_panel,
)

TRAINED = "a checkpoint, or the arrays that a training exports at its end"

VIEWS = {
    "disc": View(
        title="every operation in the disc, by its radius and its residue classes, with the residue tree",
        data=disc.data,
        figure=disc_figure.figure,
        panel=disc_panel.panel,
        text=disc_panel.text,
        needs=f"points of a ball: config.model.geometry=poincare, and {TRAINED}",
    ),
    "bands": View(
        title="radii of the operations by valuation, beside the intervals that the losses ask for",
        data=bands.data,
        figure=bands_figure.figure,
        panel=levels_panels.bands_panel,
        text=levels_panels.bands_text,
        needs=TRAINED,
    ),
    "distances": View(
        title="distances of pairs of operations by their 3-adic distance, beside what the losses ask for",
        data=distances.data,
        figure=distances_figure.figure,
        panel=levels_panels.distances_panel,
        text=levels_panels.distances_text,
        needs=TRAINED,
    ),
    "frontier": View(
        title="richness against hierarchy: what is possible, the closed forms, and the way of this run",
        data=frontier.data,
        figure=frontier_figure.figure,
        panel=frontier_panel.panel,
        text=frontier_panel.text,
        needs="an evaluation in the ball: config.model.geometry=poincare, and a row in metrics.jsonl",
    ),
    "statenet": View(
        title="StateNet over time: what it reads, and what it turns",
        data=statenet.data,
        figure=statenet_figure.figure,
        panel=statenet_panel.panel,
        text=statenet_panel.text,
        needs="a StateNet: config.control=schedules+statenet or statenet, and an evaluation",
    ),
}
