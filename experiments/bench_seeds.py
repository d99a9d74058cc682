"""What do 32 seeds in one command cost, and is each of them the run that it would be alone?

    python experiments/bench_seeds.py [--seeds=32] [--config=configs/v5_12.py] [--only=REGEX] [--quick]

alone   after 20 steps: the largest difference of a parameter between a seed among all others and the same seed alone
rates   samples/s of all seeds together, as a share of the best rate of one run; in turns, with a 95 % interval
whole   the sweep from nothing to its end, `ternary_jax.sweep` as a function: seconds, memory, endings and final metrics
        beside those of results/seeds_CONFIG.json, whose seeds were trained one by one

Bars: at least 0.95 of the best rate of one run, differences of at most 1e-5, the verdicts of runs alone, and medians
within the range of their seeds. By chance, some of 32 seeds lie outside of the range of 16 others: those within it are
counted, and have no bar. Needs an idle machine and, for v5_12 on two cores, half an hour. Writes
results/bench_seeds.json.
"""

import json
import re
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import lab
from lab_seeds import BARS as SEEDS_BARS
from lab_seeds import figures_of, sign_of

from ternary_jax import sweep, terminal
from ternary_jax.config import config_name, load_config
from ternary_jax.engine import compiling
from ternary_jax.engine.plan import schedule_rows
from ternary_jax.tables import columns, size

STEPS = 20  # after which a seed is compared with itself alone
TURNS = 9
SHORT = {"train.epochs": 6, "evaluate.cheap_every": 2, "evaluate.costly_every": 6, "checkpoint.every": 6}
BARS = {
    "share": lab.Bar("samples/s of all seeds, of the best of one run", ".3f", ">=", 0.95),
    "difference": lab.Bar(f"difference from a run alone after {STEPS} steps", ".1e", "<=", 1e-5),
    "like_alone": lab.Bar("verdicts as of runs alone, medians in their range", "d", ">=", 1),
}


def main() -> None:
    """Measure, print and write the results."""
    parser = lab.parser(__doc__, quick="4 seeds of a short config", seeds=32)
    parser.add_argument("--only", default="", metavar="REGEX", help="the sections whose name matches")
    parser.add_argument("--config", default=str(lab.CONFIGS / "v5_12.py"), help="what is trained")
    given = parser.parse_args()
    if not (chosen := [name for name in SECTIONS if re.search(given.only, name)]):
        parser.error(f"--only={given.only} matches none of {', '.join(SECTIONS)}")
    n, changes = (4, SHORT) if given.quick else (given.seeds, {})
    about = {"config": config_name(given.config), "seeds": n}
    before = lab.read("bench_seeds", given)
    found = {**before, **about} if about.items() <= before.items() else dict(about)
    for name in chosen:
        terminal.say(f"== {name}")
        found[name] = SECTIONS[name](given.config, n, changes)
    print(table(found))
    measured = {key: one[key] for one in (found.get(name, {}) for name in SECTIONS) for key in BARS if key in one}
    print(lab.show_bars({name: bar for name, bar in BARS.items() if name in measured}, measured))
    lab.write("bench_seeds", found, given)


def alone(path: str, n: int, changes: dict[str, Any]) -> dict[str, Any]:
    """Parameters of each seed after STEPS steps among all seeds, and alone by a program of one run."""
    task, static, hypers = lab.assemble(load_config(path, {"runs": n} | changes))
    xs = (jnp.arange(STEPS, dtype=jnp.int32), {name: row[:STEPS] for name, row in schedule_rows(task, static).items()})
    begun, steps = jax.vmap(lab.beginning(task, static)), jax.vmap(lab.many_steps(task, static), (0, None, 0, None))
    after = jax.jit(lambda hypers, xs, data: steps(begun(hypers), xs, hypers, data).params)
    hypers, xs, data = jax.device_put((hypers, xs, task.data))
    together, worst = after(hypers, xs, data), 0.0
    for k in range(n):
        one = after(jax.tree.map(lambda a, k=k: a[k : k + 1], hypers), xs, data)
        apart = jax.tree.map(lambda a, b, k=k: jnp.max(jnp.abs(a[k] - b[0])), together, one)
        worst = max(worst, *map(float, jax.tree.leaves(apart)))
    return {"difference": worst}


def rates(path: str, n: int, changes: dict[str, Any]) -> dict[str, Any]:
    """Seconds of a step of one run and of all, in turns; the share of each turn is of the best turn of one run."""
    scans = {runs: lab.Scan(load_config(path, {"runs": runs} | changes), 50 if runs == 1 else 5) for runs in (1, n)}
    seconds = lab.in_turns({str(runs): scan.time for runs, scan in scans.items()}, TURNS)
    batch, best = load_config(path).train.batch_size, seconds["1"].min()
    share, low, high = lab.paired_ratio([n * best] * TURNS, seconds[str(n)])
    together = float(n * batch / statistics.median(seconds[str(n)]))
    return {"one": batch / float(best), "together": together, "share": share, "interval": [low, high]}


def whole(path: str, n: int, changes: dict[str, Any]) -> dict[str, Any]:
    """The sweep of all seeds, beside the seeds that were trained one by one."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        trained = sweep.run(path, seeds=n, workdir=Path(folder, "sweep"), overrides=changes).table()
        seconds = time.monotonic() - begun
    name = config_name(path)
    bars, metrics = SEEDS_BARS.get(name, {}), figures_of(name)
    values = {key: [row.metrics.get(f"{key}_B", row.metrics.get(key)) for row in trained] for key in metrics}
    file = lab.RESULTS / f"seeds_{name}.json"
    others = json.loads(file.read_text())["runs"] if file.exists() else []
    beside = {key: compared(key, values[key], [run[key] for run in others], bars.get(key)) for key in metrics}
    figures = compiling.figures(compiling.ahead(load_config(path, {"runs": n} | changes)).chunk.program)
    like = all(one["pass"] == n for one in beside.values() if one["bar"] is not None) and bool(others)
    return {
        "seconds": round(seconds, 1),
        "endings": {ending: sum(row.ending == ending for row in trained) for ending in {row.ending for row in trained}},
        "metrics": beside,
        "peak_of_process": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "program": compiling.peak(figures),
        "like_alone": int(like and all(one["median_within"] for one in beside.values())),
    }


def compared(key: str, values: list[float | None], others: list[float], bar: float | None) -> dict[str, Any]:
    """A final metric over the seeds, beside the range of those that were trained one by one."""
    known = [v for v in values if v is not None]
    low, high = min(others, default=None), max(others, default=None)
    median = statistics.median(known) if known else None
    return {
        "median": median,
        "least": min(known, default=None),
        "most": max(known, default=None),
        "range_alone": [low, high],
        "within": sum(_between(low, v, high) for v in known),
        "median_within": _between(low, median, high),
        "bar": bar,
        "pass": None if bar is None else sum(sign_of(key) * v >= sign_of(key) * bar for v in known),
    }


def _between(low: float | None, value: float | None, high: float | None) -> bool:
    return low is not None and high is not None and value is not None and low <= value <= high


def table(found: dict[str, Any]) -> str:
    """Lines of the rates, and a line for each metric."""
    parts, n = [], found["seeds"]
    if "rates" in found:
        one = found["rates"]
        low, high = one["interval"]
        parts.append(
            f"{one['one']:,.0f} samples/s of one run, {one['together']:,.0f} of {n} together: {one['share']:.3f} "
            f"[{low:.3f}, {high:.3f}] of it"
        )
    if "whole" in found:
        one = found["whole"]
        endings = ", ".join(f"{count} {ending}" for ending, count in one["endings"].items())
        memory = f"peak of the process {size(one['peak_of_process'])}, of the program {size(one['program'] or 0)}"
        lines = [["", "median", "least", "most", "alone, least", "most", "of these in that range", "bar", "pass"]]
        for name, m in one["metrics"].items():
            cells = [m["median"], m["least"], m["most"], *m["range_alone"]]
            shown = ["-" if x is None else f"{x:.5f}" for x in cells]
            bar = ["-", "-"] if m["bar"] is None else [f"{m['bar']:g}", f"{m['pass']} of {n}"]
            lines.append([name, *shown, f"{m['within']} of {n}", *bar])
        parts += [f"{n} seeds in {one['seconds']:.0f} s: {endings}; {memory}", columns(lines)]
    return "\n\n".join(parts) + "\n"


SECTIONS = {"alone": alone, "rates": rates, "whole": whole}

if __name__ == "__main__":
    main()
