"""Every open-loop schedule of a config over the epochs, one panel each.

    python experiments/plot_schedules.py --config=configs/v5_12.py [--out=DIR]
    python experiments/plot_schedules.py --config=configs/v5_12.py --config.train.schedule=cosine

The learning rate is drawn as a factor of the config's rate. Writes results/schedules_CONFIG.png.
"""

import math
import sys
from collections.abc import Sequence
from typing import Any

import lab
import numpy as np

from ternary_jax import terminal
from ternary_jax.config import config_name

ACROSS = 3  # panels in each row of the figure


def main(argv: Sequence[str]) -> None:
    """Compute, draw and write the schedules."""
    parser = lab.parser(__doc__)
    parser.add_argument("--config", required=True, help="a config that trains")
    given, (task, static, _) = lab.made_of_config(parser, argv, lab.assemble)
    rows = lab.schedule_rows(task, static)
    figure = draw(rows, lab.plan(task, static).unit)
    file = lab.save(figure, f"schedules_{config_name(given.config)}", given)
    terminal.say(f"{', '.join(rows)}: drawn in {file}")


def draw(rows: dict[str, np.ndarray], steps_per_epoch: int) -> Any:
    """A figure with a panel for each schedule; a schedule has one row a step."""
    across = min(ACROSS, len(rows))
    down = math.ceil(len(rows) / across)
    figure = lab.figure(4 * across, 2.2 * down)
    axes = figure.subplots(down, across, squeeze=False)
    for ax, (name, row) in zip(axes.flat, rows.items(), strict=False):
        ax.plot(np.arange(len(row)) / steps_per_epoch, row, color=lab.BLUE, linewidth=1.2)
        ax.set_title(name, fontsize=10)
        ax.margins(x=0)
    for ax in axes.flat[len(rows) :]:
        ax.remove()
    for ax in figure.axes[-across:]:
        ax.set_xlabel("epoch")
    return figure


if __name__ == "__main__":
    main(sys.argv[1:])
