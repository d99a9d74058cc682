"""Does a config get there every time, from a cold start? One process per seed, one after the other.

    python experiments/seeds.py                                       configs/v5_12.py, 16 seeds
    python experiments/seeds.py --config=configs/v5_12_rich.py --seeds=4

Each process starts without a compilation cache. Times are from the start of the process: until both targets were met
for the first time, as the run itself has written, and until its end, as seen from outside. The figures are those of
the end, of branch B where no other is named. Writes results/seeds_CONFIG.json; nothing else may run beside it.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ternary_jax import terminal
from ternary_jax.config import config_name
from ternary_jax.provenance import provenance
from ternary_jax.tables import columns

ROOT = Path(__file__).parents[1]
# What is asked of the final model, of branch B where no other is named.
BARS: dict[str, dict[str, float]] = {
    "v5_12": dict(
        coverage=1.0, hierarchy=-0.8320, richness=0.0042, triplet_accuracy=0.98, ultrametric_correlation=-0.78
    ),
    "v5_12_rich": dict(coverage=1.0, hierarchy=-0.8320, richness=0.0106, triplet_accuracy=0.95),
    "v5_12_4": dict(coverage=0.99, hierarchy=-0.80),
    "v5_10": dict(coverage=1.0, coverage_A=1.0, triplet_accuracy=0.95),
}
SECONDS = {"v5_12": dict(met=20.0, whole=60.0), "v5_10": dict(whole=120.0)}
# Of the closed form `rich` (configs/closed_form.py): how near a trained model comes to it.
CLOSED_FORM = dict(richness=0.01162, triplet_accuracy=1.0, ultrametric_correlation=-0.83055)


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/v5_12.py", help="a config of the ternary task")
    parser.add_argument("--seeds", type=int, default=16, help="how many, from 0 on")
    parser.add_argument("--out", type=Path, default=ROOT / "results", help="folder of the result")
    given = parser.parse_args()
    name = config_name(given.config)
    runs = []
    for seed in range(given.seeds):
        runs.append(run(ROOT / given.config, seed, figures_of(name)))
        terminal.say(f"seed {seed}: " + ", ".join(f"{k} {v}" for k, v in runs[-1].items() if k != "seed"))
    print(table(name, runs))
    found = {"config": name, "runs": runs, **provenance()}
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / f"seeds_{name}.json").write_text(json.dumps(found, indent=1) + "\n")


def figures_of(name: str) -> list[str]:
    """What is printed of a config: the figures of the main one, and those that it has bars for."""
    return [*dict.fromkeys([*BARS["v5_12"], *BARS.get(name, {})])]


def run(config: Path, seed: int, metrics: list[str]) -> dict[str, Any]:
    """One seed in a process of its own: seconds and final metrics; a figure that is missing is null."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "ternary_jax.main", f"--config={config}", f"--workdir={folder}/run"]
        command += [f"--config.seed={seed}", "--config.compilation_cache=false"]
        began = time.time()
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        whole = time.time() - began
        summary = json.loads((Path(folder) / "run" / "summary.json").read_text())
    final = summary["runs"][0]["final"]
    figures = {metric: final.get(metric if metric.endswith("_A") else f"{metric}_B") for metric in metrics}
    times = dict(met_s=summary["time_to_ceiling_s"], whole_s=round(whole, 1), first_step_s=summary["first_step_s"])
    return {"seed": seed, **figures, **times, "samples_per_s": summary["samples_per_s"]}


def table(name: str, runs: list[dict[str, Any]]) -> str:
    """Each figure over the seeds, with its bar, how many seeds pass it, and how far it is from the closed form."""
    lines = [["", "median", "worst", "best", "bar", "pass", "closed form (distance)"]]
    bars = BARS.get(name, {})
    for metric in figures_of(name):
        sign = -1 if metric in ("hierarchy", "ultrametric_correlation") else 1
        lines.append(row(metric, [run[metric] for run in runs], bars.get(metric), sign, "{:.5f}"))
        lines[-1].append(beside(CLOSED_FORM.get(metric), [run[metric] for run in runs]))
    seconds = SECONDS.get(name, {})
    for key, about in (("met", "seconds until targets are met"), ("whole", "seconds of the process")):
        lines.append([*row(about, [run[f"{key}_s"] for run in runs], seconds.get(key), -1, "{:.1f}"), "-"])
    return columns(lines)


def beside(perfect: float | None, values: list[float | None]) -> str:
    """The figure of the closed form, and how far the median is from it."""
    known = [v for v in values if v is not None]
    return "-" if perfect is None or not known else f"{perfect:.5f} ({statistics.median(known) - perfect:+.5f})"


def row(name: str, values: list[float | None], bar: float | None, sign: int, form: str) -> list[str]:
    """sign: +1 where more is better, -1 where less is. A missing value is the worst, and passes no bar."""
    known = sorted((v for v in values if v is not None), key=lambda v: sign * v)
    worst = "-" if len(known) < len(values) else form.format(known[0])
    passed = "-" if bar is None else f"{sum(sign * v >= sign * bar for v in known)} of {len(values)}"
    ends = [form.format(statistics.median(known)), worst, form.format(known[-1])] if known else ["-"] * 3
    return [name, *ends, "-" if bar is None else f"{bar:g}", passed]


if __name__ == "__main__":
    main()
