"""What an ablation found, from its values by seed: intervals, rows of a table, the answer as a paragraph, a page.

A difference is paired by seed. It has two intervals: one at 95 % by itself, and one at 1 - 0.05 / m, where m is the
number of differences of the ablation. The m wider ones hold together at 95 % (Bonferroni), and the answer reads them
alone: among 60 intervals at 95 %, three exclude zero where nothing differs. Holm's procedure would find some more
differences, but has no intervals. It imports no jax.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ternary_jax.analysis import intervals

Row = Sequence[str]
NAMES = ("modules", "losses", "curvature", "dimension", "parts", "defects_v5_10", "defects_v5_12")
FILES = {f"ablate_{name}": name for name in NAMES}  # the result files, without ending
TOGETHER = 0.95  # the level at which all intervals of an answer hold together
NOUNS = {"triplet_accuracy": "triplet accuracy", "ultrametric_correlation": "ultrametric correlation"}
NOUNS |= {"prior_coverage": "prior coverage", "richness_geodesic": "geodesic richness"}
NOUNS |= {"step_ms": "milliseconds of a step"}
FORMS = {"richness": ".5f", "step_ms": ".2f"}  # of the values; others have four decimals
METHOD = (
    "A cell is the mean over seeds with its 95 % interval by Student's t, of the last values of the runs. Below it is "
    "the difference from the setting that is named, paired by seed, with its 95 % interval; milliseconds are paired by "
    "turn. A star marks a difference whose corrected interval excludes zero, and the answers say higher or lower of "
    "these alone: with m differences in an ablation, each corrected interval is at 1 - 0.05 / m, so that all m hold "
    "together at 95 % (Bonferroni). An interval that includes zero does not show that there is no difference. An "
    "interval of one point, such as [+0, +0], means that the difference is the same for every seed. Runs that diverged "
    "count with their last values."
)


# --- the intervals ----------------------------------------------------------------------------------------------------


def compared(
    values: Mapping[str, Mapping[str, Mapping[int, float]]], against: Mapping[str, str], metrics: Iterable[str]
) -> dict[str, Any]:
    """{"comparisons": m, "figures": {setting: {metric: its intervals}}}.

    values: by setting and metric, {seed: value}; a run without a finite value is not there
    against: the setting that each setting is compared with; "" for the one that is compared with none
    The intervals are "mean" and "less", the difference: (mean, low, high) at 95 %; "sure": (low, high), corrected; "n".
    Of a difference that cannot be paired, because runs have no finite value, "paired" is False.
    """
    pairs = [(name, metric) for name in values if against[name] for metric in metrics]
    known = [(a, b) for a, b in pairs if min(len(values[a].get(b, {})), len(values[against[a]].get(b, {}))) > 1]
    figures: dict[str, Any] = {}
    for name, of_setting in values.items():
        figures[name] = {}
        for metric in metrics:
            x = of_setting.get(metric, {})
            figures[name][metric] = {"mean": _few(intervals.mean_interval([*x.values()])[:3]), "n": len(x)}
            if (name, metric) in known:
                y = values[against[name]][metric]
                plain, sure = (intervals.difference(x, y, level) for level in (0.95, corrected(len(known))))
                figures[name][metric] |= {"less": _few(plain[:3]), "sure": _few(sure[1:3])}
                figures[name][metric] |= {} if plain.paired else {"paired": False}
    return {"comparisons": len(known), "figures": figures}


def corrected(comparisons: int) -> float:
    """The level of each of so many intervals at which they hold together."""
    return 1 - (1 - TOGETHER) / max(1, comparisons)


def verdict(figures: Mapping[str, Any]) -> int:
    """1: the difference is above zero in its whole corrected interval; -1: below; 0: neither, or there is none."""
    low, high = figures.get("sure") or (None, None)
    return 0 if low is None or high is None else (low > 0) - (high < 0)


def _few(numbers: Iterable[float]) -> list[float | None]:
    """Six digits of each, for a small file; None for nan."""
    return [float(f"{x:.6g}") if math.isfinite(x) else None for x in numbers]


# --- table and answer -------------------------------------------------------------------------------------------------


def noun(metric: str) -> str:
    """The words for a metric: "coverage of B" for coverage_B."""
    name, _, branch = metric.rpartition("_")
    return NOUNS.get(metric) or (f"{NOUNS.get(name, name)} of {branch}" if name else metric)


def rows(found: Mapping[str, Any]) -> list[Row]:
    """The table: for each setting a row of means, and one of the differences; the metrics are its columns."""
    lines: list[Row] = [[f"{found['seeds']} seeds", *map(noun, found["metrics"])]]
    for name, one in found["settings"].items():
        figures = found["figures"][name]
        lost = f", {one['diverged']} diverged" if one.get("diverged") else ""
        lines.append([name + lost, *(_mean(metric, figures[metric], found["seeds"]) for metric in found["metrics"])])
        if one["against"]:
            cells = [_difference(metric, figures[metric]) for metric in found["metrics"]]
            lines.append([f"- less {one['against']}", *cells])
    return lines


def answer(found: Mapping[str, Any]) -> str:
    """The answer in one paragraph: what is higher or lower by the corrected intervals, metric by metric."""
    m, sides = found["comparisons"], {name: [] for name in found["metrics"]}
    for name, one in found["settings"].items():
        for metric in found["metrics"] if one["against"] else ():
            if side := verdict(found["figures"][name][metric]):
                sides[metric].append((side, name))
    better = [found["metrics"][metric] * side for metric, each in sides.items() for side, _ in each]
    parts = [
        f"{len(better)} of the {m} differences have a corrected interval that excludes zero: {better.count(1)} for the "
        f"better, {better.count(-1)} for the worse ({found['seeds']} seeds, each interval at "
        f"{100 * corrected(m):.2f} %, all together at 95 %)."
    ]
    parts += [_sentence(metric, each, found) for metric, each in sides.items() if each]
    if none := [noun(metric) for metric, each in sides.items() if not each]:
        parts.append(f"In {listed(none)}, the corrected interval of every setting includes zero.")
    if lost := [f"{one['diverged']} of {name}" for name, one in found["settings"].items() if one.get("diverged")]:
        parts.append(f"Runs that diverged: {listed(lost)}.")
    return " ".join(parts)


def _sentence(metric: str, each: Sequence[tuple[int, str]], found: Mapping[str, Any]) -> str:
    """In which settings a metric is higher, in which lower; the largest difference first."""
    parts = []
    for side, word in ((1, "higher"), (-1, "lower")):
        names = [name for s, name in each if s == side]
        names.sort(key=lambda name: -side * found["figures"][name][metric]["less"][0])
        if names:
            parts.append(f"{word} in {listed([_named(name, metric, found) for name in names])}")
    compared_with = [name for name, one in found["settings"].items() if one["against"]]
    others = [name for name in compared_with if name not in [name for _, name in each]]
    rest = f"; the corrected interval includes zero for {listed(others)}" if others else ""
    text = f"{noun(metric)} ({'higher' if found['metrics'][metric] > 0 else 'lower'} is better) is {', '.join(parts)}"
    return f"{text[0].upper()}{text[1:]}{rest}."


def _named(name: str, metric: str, found: Mapping[str, Any]) -> str:
    """The setting, what it is compared with unless that is the base, and the difference with its corrected interval."""
    one, base = found["figures"][name][metric], next(iter(found["settings"]))
    against = found["settings"][name]["against"]
    about = f"against {against}: " if against != base else ""
    return f"{name} ({about}{_signed(metric, [one['less'][0], *one['sure']])})"


def _mean(metric: str, one: Mapping[str, Any], seeds: int) -> str:
    mean, low, high = one["mean"]
    if mean is None:
        return "-"
    few = f" of {one['n']}" if one["n"] < seeds and metric != "step_ms" else ""
    form = FORMS.get(metric) or FORMS.get(metric.rpartition("_")[0], ".4f")
    return f"{mean:{form}}{few}" if low is None else f"{mean:{form}} [{low:{form}}, {high:{form}}]{few}"


def _difference(metric: str, one: Mapping[str, Any]) -> str:
    if "less" not in one:
        return "-"
    star = " *" if verdict(one) else ""
    return _signed(metric, one["less"]) + " unpaired" * (not one.get("paired", True)) + star


def _signed(metric: str, triple: Sequence[float | None]) -> str:
    """A difference with its interval. Two digits more than the values have where it would else be 0.0000."""
    form = FORMS.get(metric) or FORMS.get(metric.rpartition("_")[0], ".4f")
    small = max(abs(x or 0) for x in triple) < 10 * 0.1 ** int(form[1])
    mean, low, high = ("?" if x is None else f"{x:+.1e}" if small and x else f"{x:+{form}}" for x in triple)
    return f"{mean} [{low}, {high}]"


def listed(names: Sequence[str]) -> str:
    """The names between commas, with "and" before the last."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


# --- the page ---------------------------------------------------------------------------------------------------------


def read_all(folder: Path) -> dict[str, dict[str, Any]]:
    """The result files of ablations in a folder, by name."""
    files = {name: folder / f"{stem}.json" for stem, name in FILES.items()}
    return {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}


def page(found: Mapping[str, Mapping[str, Any]], results: str) -> str:
    """The text of docs/ablations.md. found: the result files by NAMES; results: the way from the page to them."""
    parts = [
        "# Ablations",
        "This page is written by `python experiments/ablations.py --page` from `results/ablate_*.json`, the answers "
        "too: change nothing by hand. `python experiments/ablations.py` trains all of them from nothing.",
        METHOD,
    ]
    for name in NAMES:
        if name in found:
            parts += _section(name, found[name], results)
        else:
            parts += [f"Not measured yet: `python experiments/ablate_{name}.py`."]
    return "\n\n".join(parts) + "\n"


def _section(name: str, one: Mapping[str, Any], results: str) -> list[str]:
    """An ablation on the page: question, settings, answer, table, figure."""
    whole = one["commit"] or ""  # None where there is no git
    commit = f", commit {whole[:7]}{' with changes' * whole.endswith('-dirty')}" if whole else ""
    made = f"`python experiments/ablate_{name}.py`, [ablate_{name}.json]({results}ablate_{name}.json){commit}"
    head, *lines = rows(one)
    table = [head, ["---"] * len(head), *lines]
    return [
        f"## {one['title']}",
        f"{one['question']} The base is `{one['config']}` on 3^{one['n_digits']} operations, {one['epochs']} epochs. "
        f"{made}.",
        "\n".join(f"- {setting}: {about['about']}" for setting, about in one["settings"].items()),
        f"**Answer.** {answer(one)}",
        "\n".join(f"| {' | '.join(cells)} |" for cells in table),
        f"![Differences of {one['title'].lower()}, with their intervals]({results}ablate_{name}.png)",
    ]
