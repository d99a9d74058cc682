"""Does a config reach its targets for every seed, from a cold start? One process per seed, one after the other.

    python experiments/seeds.py                                       configs/v5_12.py, 16 seeds
    python experiments/seeds.py --config=configs/v5_12_rich.py --seeds=4

Each process starts without a compilation cache. Times are from the start of the process: until both targets were met
for the first time, as the run has written, and until its end, as this script measures. The figures are those of
the end, of branch B where no other is named. Writes results/seeds_CONFIG.json; nothing else may run beside it.
"""

import statistics
from pathlib import Path
from typing import Any

import lab
import lab_process
from lab_seeds import BARS, figures_of, sign_of

from ternary_jax import terminal
from ternary_jax.config import config_name
from ternary_jax.tables import columns

SECONDS = {"v5_12": dict(met=20.0, whole=60.0), "v5_10": dict(whole=120.0)}
# The closed form `rich` (configs/closed_form.py), which a trained model is compared with.
CLOSED_FORM = dict(richness=0.01162, triplet_accuracy=1.0, ultrametric_correlation=-0.83055)


def main() -> None:
    """Train, print and write the results."""
    parser = lab.parser(__doc__, seeds=16)
    parser.add_argument("--config", default="configs/v5_12.py", help="a config of the ternary task")
    given = parser.parse_args()
    name, runs = config_name(given.config), []
    for seed in range(given.seeds):
        runs.append(run(lab.ROOT / given.config, seed, figures_of(name)))
        terminal.say(f"seed {seed}: " + ", ".join(f"{k} {v}" for k, v in runs[-1].items() if k != "seed"))
    print(table(name, runs))
    lab.write(f"seeds_{name}", {"config": name, "runs": runs}, given)


def run(config: Path, seed: int, metrics: list[str]) -> dict[str, Any]:
    """One seed in a process of its own: seconds and final metrics; a figure that is missing is null."""
    whole, summary = lab_process.timed_run(config, [f"seed={seed}"])
    final = summary["runs"][0]["final"]
    figures = {metric: final.get(metric if metric.endswith("_A") else f"{metric}_B") for metric in metrics}
    times = dict(met_s=summary["time_to_ceiling_s"], whole_s=round(whole, 1), first_step_s=summary["first_step_s"])
    return {"seed": seed, **figures, **times, "samples_per_s": summary["samples_per_s"]}


def table(name: str, runs: list[dict[str, Any]]) -> str:
    """The table: each figure over the seeds, its bar, how many seeds pass, and the distance to the closed form."""
    lines = [["", "median", "worst", "best", "bar", "pass", "closed form (distance)"]]
    bars = BARS.get(name, {})
    for metric in figures_of(name):
        values = [run[metric] for run in runs]
        cells = row(metric, values, bars.get(metric), sign_of(metric), ".5f")
        lines.append([*cells, beside(CLOSED_FORM.get(metric), values)])
    seconds = SECONDS.get(name, {})
    for key, about in (("met", "seconds until targets are met"), ("whole", "seconds of the process")):
        lines.append([*row(about, [run[f"{key}_s"] for run in runs], seconds.get(key), -1, ".1f"), "-"])
    return columns(lines)


def beside(perfect: float | None, values: list[float | None]) -> str:
    """The figure of the closed form, and the distance of the median to it."""
    known = [v for v in values if v is not None]
    return "-" if perfect is None or not known else f"{perfect:.5f} ({statistics.median(known) - perfect:+.5f})"


def row(name: str, values: list[float | None], bar: float | None, sign: int, form: str) -> list[str]:
    """sign: +1 where more is better, -1 where less is. A missing value is the worst, and passes no bar."""
    known = sorted((v for v in values if v is not None), key=lambda v: sign * v)
    worst = "-" if len(known) < len(values) else format(known[0], form)
    passed = "-" if bar is None else f"{sum(sign * v >= sign * bar for v in known)} of {len(values)}"
    ends = [format(statistics.median(known), form), worst, format(known[-1], form)] if known else ["-"] * 3
    return [name, *ends, "-" if bar is None else f"{bar:g}", passed]


if __name__ == "__main__":
    main()
