"""The rows of the tables of docs/results.md: a function for each kind of result file.

Each takes the content of results/NAME.json and returns the lines of a table, the first of which is the head.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import mean, median, stdev
from typing import Any

from lab_intervals import less

Row = Sequence[str]
NAMES = {
    "coverage": "coverage of B",
    "coverage_A": "coverage of A",
    "hierarchy": "hierarchy",
    "richness": "richness",
    "triplet_accuracy": "triplets in the right order",
    "ultrametric_correlation": "ultrametric correlation",
    "met_s": "seconds until coverage and hierarchy are met",
    "whole_s": "seconds of the whole process",
}
LESS = ("hierarchy", "ultrametric_correlation", "met_s", "whole_s")


def number(x: Any, form: str = ".5f") -> str:
    """A dash for None."""
    return "-" if x is None else format(x, form)


def range95(triple: Sequence[float], form: str) -> str:
    """A mean with its interval."""
    middle, low, high = (format(x, "+" + form) for x in triple)
    return f"{middle} [{low}, {high}]"


def worst(name: str, values: Sequence[Any]) -> Any:
    """The worst seed; None if a seed has no value."""
    return None if None in values else (max if name in LESS else min)(values)


def seeds(found: Mapping[str, Any]) -> list[Row]:
    """Median, worst and best of each figure over the seeds."""
    lines: list[Row] = [
        [f"{len(found['runs'])} seed{'s' * (len(found['runs']) != 1)}, branch B", "median", "worst", "best"]
    ]
    for name, about in NAMES.items():
        values = [run[name] for run in found["runs"] if name in run]
        known = [x for x in values if x is not None]
        if known:
            form = ".1f" if name.endswith("_s") else ".5f"
            best = (min if name in LESS else max)(known)
            lines.append([about, *(number(x, form) for x in (median(known), worst(name, values), best))])
    return lines


FIGURES = ("coverage", "hierarchy", "richness", "triplet_accuracy", "q")


def variants(found: Mapping[str, Any]) -> list[Row]:
    """Median and worst seed of each variant and branch."""
    lines: list[Row] = [["median (worst)", "coverage", "hierarchy", "richness", "triplets", "Q", "epochs"]]
    for name, one in found["variants"].items():
        for branch, figures in one["figures"].items():
            cells = [middle_and_worst(figures[figure], figure) for figure in FIGURES]
            lines.append([f"`{name}`, branch {branch}", *cells, str(one["epochs"])])
    best = found["variants"]["quick"]["ceilings"]
    return [*lines, ["ceiling", *(f"{best[figure]:.6g}" for figure in FIGURES), ""]]


def middle_and_worst(values: Sequence[float], name: str) -> str:
    """The cells of one figure over some seeds: median and worst."""
    form = ".1e" if name == "richness" and median(values) < 1e-3 else ".5f"
    return f"{median(values):{form}} ({worst(name, values):{form}})"


def held_out(found: Mapping[str, Any]) -> list[Row]:
    """Median and worst coverage of the held-out operations."""
    lines: list[Row] = [["held-out coverage of B", "median", "worst", "runs"]]
    for name, row in found["rows"].items():
        values = row["held_out_coverage_B"]
        lines.append([name, number(median(values), ".4f"), number(min(values), ".4f"), str(len(values))])
    return lines


def homeostasis(found: Mapping[str, Any]) -> list[Row]:
    """Means over the seeds, and the difference with its 95 % interval by Student's t."""
    n = len(found["off"]["coverage_B"])
    half = STUDENT[n] / n**0.5
    lines: list[Row] = [[f"mean of {n} seeds", "off", "on", "on - off, 95 %"]]
    for name, off in found["off"].items():
        d = [b - a for a, b in zip(off, found["on"][name], strict=True)]
        middle, spread = mean(d), half * stdev(d)
        difference = range95((middle, middle - spread, middle + spread), ".5f")
        lines.append([name.replace("_", " "), number(mean(off)), number(mean(found["on"][name])), difference])
    return lines


STUDENT = {16: 2.1314}  # the 0.975 quantile for n - 1 degrees of freedom


def recovery(found: Mapping[str, Any]) -> list[Row]:
    """How low coverage falls, and whether the encoder is closed at the end."""
    coverage = found["coverage_A"]
    opened = sum(before and not now for before, now in zip(found["rests"], found["rests"][1:], strict=False))
    values = [opened, number(min(coverage)), number(found["freeze_below"], "g"), number(coverage[-1])]
    names = ("times the encoder opens", "lowest coverage of A", "coverage below which it rests", "coverage at the end")
    return [["one run", ""], *([name, str(x)] for name, x in zip(names, values, strict=True))]


def detector(found: Mapping[str, Any]) -> list[Row]:
    """Runs of each set-up in which each signal was seen, then precision and recall."""
    signals, at = list(found["scores"]), 0
    lines: list[Row] = [["runs of the addition task", "runs", "grokked", *signals]]
    for name, share, decay, n in found["setups"]:
        runs, at = found["runs"][at : at + n], at + n
        counts = [sum(run[signal] > 0 for run in runs) for signal in signals]
        cells = map(str, [n, sum(run["truth"] for run in runs), *counts])
        lines.append([f"{name}: share {share:g}, weight decay {decay:g}", *cells])
    scores = [[kind, "", "", *(number(found["scores"][s][kind], ".3f") for s in signals)] for kind in SCORES]
    return [*lines, *scores]


SCORES = ("precision", "recall")


def diagram(found: Mapping[str, Any]) -> list[Row]:
    """The verdict of most runs, by share and weight decay."""
    cells = {(cell["share"], cell["decay"]): cell for cell in found["cells"]}
    decays = sorted({decay for _, decay in cells})
    lines: list[Row] = [[f"a + b mod {found['modulus']}", *(f"decay {decay:g}" for decay in decays)]]
    for share in sorted({share for share, _ in cells}):
        row = [cells[share, decay] for decay in decays]
        delays = [f", t_gen / t_fit {cell['delay']:.3g}" if cell["delay"] else "" for cell in row]
        verdicts = [cell["verdict"].partition(" (")[0] + late for cell, late in zip(row, delays, strict=True)]
        lines.append([f"share {share:g}", *verdicts])
    return lines


def steering(found: Mapping[str, Any]) -> list[Row]:
    """R, steps and bars of each arm against the tuned schedules."""
    lines: list[Row] = [["16 seeds at 3^9", "R", "R - R of tuned", "met", "steps", "steps - steps of tuned"]]
    for name, arm in found["arms"].items():
        differences = [
            range95(arm[f"{key}_difference"], form) if f"{key}_difference" in arm else "-"
            for key, form in (("R", ".4f"), ("steps", ".0f"))
        ]
        met = f"{arm['met']} of {len(arm['R'])}"
        steps = f"{mean(arm['steps']):,.0f}"
        lines.append([name, number(mean(arm["R"]), ".4f"), differences[0], met, steps, differences[1]])
    small = [
        [f"{name}, on 3^5 and 3^6", f"F {one['F']:.3f}", range95(one["difference"], ".3f"), "", "", ""]
        for name, one in found["small"].items()
    ]
    return lines + small


def agreements(found: Mapping[str, Any]) -> list[Row]:
    """Rank correlations of each objective with the figures of a run."""
    every = found["agreement"]
    lines: list[Row] = [["", *every]]
    for figure, pair in zip(every["R"], zip(*(of.values() for of in every.values()), strict=True), strict=True):
        lines.append([figure, *("all runs are equal" if one[0] is None else range95(one, ".2f") for one in pair)])
    return lines


def strategy(found: Mapping[str, Any]) -> list[Row]:
    """First and last entry of each training of a controller."""
    lines: list[Row] = [["", "first", "last", "seconds"]]
    for name in ("tune", "course", "train", "unroll"):
        log = found[name]["log"]
        key = next(key for key in log[0] if key not in ("generation", "episode", "s"))
        ends = [f"{key} = {log[at][key]:.4g}" for at in (0, -1)]
        lines.append([name, *ends, f"{log[-1]['s']:,}"])
    return lines


def accuracy(found: Mapping[str, Any]) -> list[Row]:
    """Worst relative errors, of value and gradient."""
    lines: list[Row] = [["worst relative error: value, gradient", "ours", "geoopt", "arccosh, clamped"]]
    for one in found["operations"]:
        cells = [", ".join(f"{x:.1e}" for x in one[key]) if key in one else "-" for key in ("jit", "geoopt", "arccosh")]
        lines.append([f"{one['operation']}, {'neighbours' if one['near'] else 'random pairs'}", *cells])
    return lines


def named(*columns: tuple[str, str, str]) -> Callable[[Mapping[str, Any]], list[Row]]:
    """Rows of (text, dotted key, format)."""

    def rows(found: Mapping[str, Any]) -> list[Row]:
        lines: list[Row] = [["", "measured"]]
        for text, key, form in columns:
            value: Any = found
            for part in key.split("/"):
                value = value[part]
            lines.append([text, number(value, form)])
        return lines

    return rows


def each(path: str, head: str, **forms: str) -> Callable[[Mapping[str, Any]], list[Row]]:
    """A row for each entry of the mapping at `path`, with these of its keys in these formats."""

    def rows(found: Mapping[str, Any]) -> list[Row]:
        for part in path.split("/"):
            found = found[part]
        lines: list[Row] = [[head, *(key.replace("_", " ") for key in forms)]]
        return lines + [[name, *(number(one[key], form) for key, form in forms.items())] for name, one in found.items()]

    return rows


def tree(found: Mapping[str, Any]) -> list[Row]:
    """Stress of each optimizer in each dimension."""
    dims = list(found["results"])
    lines: list[Row] = [["relative stress, mean over seeds", *dims]]
    for k, one in enumerate(found["results"][dims[0]]):
        cells = [f"{found['results'][dim][k]['stress']['mean']:.4f}" for dim in dims]
        lines.append([one["optimizer"], *cells])
    return lines


def faults(found: Mapping[str, Any]) -> list[Row]:
    """How many faults ended in each outcome."""
    outcomes = [row["outcome"] for row in found["rows"]]
    lines: list[Row] = [["outcome", "faults"]]
    lines += [[outcome, str(outcomes.count(outcome))] for outcome in sorted({*outcomes})]
    return [*lines, ["with anything wrong", str(sum(bool(row["wrong"]) for row in found["rows"]))]]


def clusters(found: Mapping[str, Any]) -> list[Row]:
    """Residue classes that are clusters, and the band of each valuation."""
    lines: list[Row] = [["v", "\\|z\\|: smallest", "mean", "largest", "classes mod 3^(v+1)", "that are clusters"]]
    counts = [[f"{n:,}", f"{k:,}"] for n, k in zip(found["classes"], found["found"], strict=True)]
    counts += [["-", "-"]] * (len(found["bands"]) - len(counts))
    keys = ("low", "mean", "high")
    pairs = zip(found["bands"], counts, strict=True)
    return lines + [[str(band["v"]), *(number(band[key]) for key in keys), *count] for band, count in pairs]


def commits(found: Mapping[str, Any]) -> list[Row]:
    """Before, now, and the paired ratio with its interval."""
    lines: list[Row] = [["", "before", "now", "speed now / before, 95 %"]]
    for name, one in found["figures"].items():
        ratio = f"{one['ratio']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"
        lines.append([name, f"{one['before']:,.2f}", f"{one['now']:,.2f}", ratio])
    return lines


def cubes(found: Mapping[str, Any]) -> list[Row]:
    """Median and worst seed of each row of the cube, beside what none exceeds; and the rates tried."""
    lines: list[Row] = [["row", "r2: median (worst)", "ceiling", "also", "steps", "CPU s of a seed", "parameters"]]
    for name, row in found.get("rows", {}).items():
        also = ", ".join(f"{key} {two(values)}" for key, values in row["metrics"].items() if key != "r2")
        most, sizes = number(row.get("ceiling"), ".4f"), (f"{row['cpu_s']:.0f}", f"{row['parameters']:,}")
        lines.append([f"`{name}`", two(row["metrics"]["r2"]), most, also, f"{row['steps']:,}", *sizes])
    for weights, targets in found.get("rates", {}).items():
        for target, scores in targets.items():
            tried = ", ".join(f"{rate}: {r2:.4f}" for rate, r2 in scores.items())
            lines.append([f"{target}, {weights}, by learning rate", "", "", tried, *[""] * 3])
    return lines


def cube_baselines(found: Mapping[str, Any]) -> list[Row]:
    """A line for each target, a column for each model, with its parameters in the head."""
    rows = found["baselines"]
    first = next(iter(rows.values()))
    sizes = {name: f" ({first[f'{name}, parameters']:,})" for name in first if f"{name}, parameters" in first}
    names = [name for name in first if not name.endswith("parameters")]
    lines: list[Row] = [["target", *(f"{name}{sizes.get(name, '')}" for name in names)]]
    lines += [[target, *(two(one.get(name)) for name in names)] for target, one in rows.items()]
    return lines


def flows(found: Mapping[str, Any]) -> list[Row]:
    """Median and worst seed of each row of the flows, then the baselines of each target."""
    metrics = ("landing", "coverage")
    lines: list[Row] = [["row", "r2: median (worst)", *metrics, "steps", "CPU s of a seed", "parameters"]]
    for name, row in found["rows"].items():
        cells = [two(row["metrics"].get(key)) for key in ("r2", *metrics)]
        lines.append([f"`{name}`", *cells, f"{row['steps']:,}", f"{row['cpu_s']:.0f}", f"{row['parameters']:,}"])
    return lines + of_baselines(found, len(lines[0]))


def of_baselines(found: Mapping[str, Any], width: int) -> list[Row]:
    """Lines of `width` cells: r2 of each baseline of each target in the second one, its parameters in the last."""
    lines: list[Row] = []
    for target, scores in found.get("baselines", {}).items():
        for name, score in scores.items():
            if not name.endswith("parameters"):
                size = scores.get(f"{name}, parameters")
                size = f"{size:,.0f}" if size else ""
                lines.append([f"{target}: {name}", two(score), *[""] * (width - 3), size])
    return lines


def flow_speed(found: Mapping[str, Any]) -> list[Row]:
    """The speed of steps, then the bars, the memory of steps and the chunks whose pairs stay with the host."""
    lines: list[Row] = [["", "ms", "flow-steps/s", "other"]]
    lines += [[name, f"{r['ms']:,.1f}", f"{r['flow_steps_per_s']:,.0f}", ""] for name, r in found["rows"].items()]
    for name, x in found["bars"].items():
        lines.append([f"{name}, wanted {found['wanted'][name]}", "", "", f"{x:,.0f}" if x > 1000 else f"{x:.4f}"])
    lines += [[f"MiB of temporaries: {name}", "", "", f"{x:,.1f}"] for name, x in found["temporaries_mib"].items()]
    stream = found["stream"]
    for name, x in stream["ms"].items():
        lines.append([f"a chunk of texts, pairs {name}", f"{x:,.1f}", "", f"{stream['mib'][name]:,.1f} MiB of data"])
    times = "{:.3f} [{:.3f}, {:.3f}]".format(*stream["times"])
    lines.append(["with the host, times on the device, 95 %", "", "", times])
    return lines


def texts(found: Mapping[str, Any]) -> list[Row]:
    """Median and worst seed of each row of lattices between texts, and what it finds beyond the row beside it."""
    names = ("recall_1", "recall_10", "median_rank", "cosine", "recall_1_of_all", "pair_cosine", "dimensions")
    lines: list[Row] = [["row", *names, "recall_1 less that of, 95 %", "CPU s of a seed", "parameters"]]
    for name, row in found["rows"].items():
        cells = [two(row["metrics"][key], max if key in ("median_rank", "pair_cosine") else min) for key in names]
        spent, size = (f"{row[key]:,.0f}" if key in row else "" for key in ("cpu_s", "parameters"))
        beside = row.get("beside", "flows")
        more = less(row, found["rows"].get(beside)) if name != beside else ""
        lines.append([name, *cells, f"{beside}: {more}" if more else "", spent, size])
    return lines


def decoded(found: Mapping[str, Any]) -> list[Row]:
    """Bits per byte of a decoder from surfaces, then our sentences as it writes them from their own surfaces."""
    costs = found["bits_per_byte"]
    lines: list[Row] = [["", "median; or the greedy search", "best seed; or a beam of four"]]
    lines += [[f"bits per byte: {name}", f"{median(x):.4f}", f"{min(x):.4f}"] for name, x in costs.items()]
    rows = {name: {"metrics": {"bits": x}} for name, x in costs.items()}
    for other in (name for name in rows if name != "surface"):
        lines.append([f"surface less {other}, 95 %", less(rows["surface"], rows[other], "bits", ".4f"), ""])
    for one in found["sentences"]:
        lines.append([repr(one[key]).replace("|", r"\|") for key in ("sentence", "greedy", "beam")])
    return lines


def probes(found: Mapping[str, Any]) -> list[Row]:
    """Median and worst seed of each row of each probe of the energy-flow lattice; `beside` are its other figures."""
    lines: list[Row] = [["probe", "row", "r2: median (worst)", "beside", "CPU s of a seed"]]
    for probe in ("depth", "steps", "barrier", "removal", "permuted"):
        for name, row in found[probe].items():
            others = {key: row[key] for key in row.keys() - {"r2", "cpu_s", "curve", "coverage"}}
            medians = {key: median(x) if isinstance(x, list) else x for key, x in sorted(others.items())}
            beside = ", ".join(f"{key} {x:.4f}" for key, x in medians.items())
            cpu_s = f"{row['cpu_s']:.0f}" if "cpu_s" in row else ""
            lines.append([probe, name, two(row.get("r2")), beside, cpu_s])
    return lines


def of_probes(*names: str) -> Callable[[Mapping[str, Any]], list[Row]]:
    """The figures of each row of these probes of the cube, each a median and the worst seed."""

    def lines(found: Mapping[str, Any]) -> list[Row]:
        made: list[Row] = [["probe", "row", "median (worst) of each figure"]]
        for name in (name for name in names if name in found):
            for row, figures in found[name].items():
                cells = (f"{key} {middle:.4g} ({worst:.4g})" for key, (middle, worst) in figures.items())
                made.append([name, row, ", ".join(cells)])
        return made

    return lines


def cube_speed(found: Mapping[str, Any]) -> list[Row]:
    """The speed and memory of training steps, then the bars."""
    lines: list[Row] = [["", "seconds", "GiB", "parameters", "GFLOP/s", "plain products, seconds"]]
    for name, row in found["rows"].items():
        cells = [f"{row['seconds']:.3f}", f"{row['gib']:.2f}", f"{row['parameters']:,}"]
        ours = [f"{row['flops'] / 1e9:.0f}", f"{row['plain_s']:.3f}"] if "flops" in row else ["", ""]
        lines.append([name, *cells, *ours])
    lines += [[f"{text}: {x}, wanted {wanted}", *[""] * 5] for text, (x, wanted) in found["bars"].items()]
    return lines


def endurance(found: Mapping[str, Any]) -> list[Row]:
    """The memory of long trainings of the cube, and what a kill changed."""
    lines: list[Row] = [["training", "losses", "MiB, by tenths of the time", "growth", "after a kill"]]
    for name, row in found["rows"].items():
        mib = " ".join(f"{least:.0f}" for least in row["mib"])
        same = f"{row['compared']} arrays and rows, all identical" if not row["differing"] else "DIFFERENT"
        lines.append([name, "finite" if row["finite"] else "NOT FINITE", mib, f"{row['growth']:+.2%}", same])
    return lines


def two(values: Sequence[float] | float | None, worst_of: Callable = min) -> str:
    """Median and worst of a metric of which more is better; worst_of: `max` where less is. A number stands alone."""
    if isinstance(values, int | float):
        return f"{values:.4f}"
    return "-" if values is None else f"{median(values):.4f} ({worst_of(values):.4f})"
