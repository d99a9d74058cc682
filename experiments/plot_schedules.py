"""Every open-loop schedule of a config over the epochs, one panel each.

    python experiments/plot_schedules.py --config=configs/v5_12.py [--out=FILE.png]
    python experiments/plot_schedules.py --config=configs/v5_12.py --config.train.schedule=cosine

The learning rate is drawn as a factor on that of the config. Writes results/schedules_CONFIG.png.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from ternary_jax import terminal
from ternary_jax.config import ConfigError, config_name, keys_of, load_config
from ternary_jax.engine import train

ROOT = Path(__file__).parents[1]
ACROSS = 3  # panels in a row


def main(argv: Sequence[str]) -> None:
    """Compute, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, help="a config that trains")
    parser.add_argument("--out", type=Path, help="the picture; results/schedules_CONFIG.png if it is not given")
    given, rest = parser.parse_known_args(argv)
    if wrong := [arg for arg in rest if not arg.startswith("--config.")]:
        parser.error(f"{wrong[0]!r} is no flag; values of the config are given as --config.KEY=VALUE")
    try:
        config = load_config(given.config, [arg.removeprefix("--config.") for arg in rest])
        if hasattr(keys_of(config.task)[1], "report"):
            parser.error(f"{given.config} trains nothing, so it has no schedules; name a config that trains")
        task, static, _ = train.prepare(config)
    except ConfigError as e:
        parser.error(str(e))
    rows = train.schedule_rows(task, static)
    out = given.out or ROOT / "results" / f"schedules_{config_name(given.config)}.png"
    out.parent.mkdir(parents=True, exist_ok=True)
    draw(rows, train.plan(static, task.samples_per_epoch).epoch, out)
    terminal.say(f"{', '.join(rows)}: drawn in {out}")


def draw(rows: dict[str, np.ndarray], steps_per_epoch: int, out: Path) -> Any:
    """A panel for each schedule, which has one row a step; -> the figure, closed."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    across = min(ACROSS, len(rows))
    down = math.ceil(len(rows) / across)
    figure, axes = plt.subplots(down, across, figsize=(4 * across, 2.2 * down), squeeze=False, layout="constrained")
    for ax, (name, row) in zip(axes.flat, rows.items(), strict=False):
        ax.plot(np.arange(len(row)) / steps_per_epoch, row, color="#2e86ab", linewidth=1.2)
        ax.set_title(name, fontsize=10)
        ax.margins(x=0)
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes.flat[len(rows) :]:
        ax.remove()
    for ax in figure.axes[-across:]:
        ax.set_xlabel("epoch")
    figure.savefig(out, dpi=130, facecolor="white")
    plt.close(figure)
    return figure


if __name__ == "__main__":
    main(sys.argv[1:])
