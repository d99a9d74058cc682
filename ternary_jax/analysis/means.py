"""Settings by metrics: means over seeds with 95 % intervals, and which setting is best where the intervals say so.

A setting is called best in a metric if its difference to every other setting is an improvement in its whole interval.
These intervals hold together at 95 %, by Bonferroni: with m other settings each is taken at 1 - 0.05 / m, so that all
may be read at once. No setting is called best before all runs have ended.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ternary_jax.analysis import intervals
from ternary_jax.analysis.settings import DIVERGED, SHOWN_METRICS, label
from ternary_jax.metric import Metric
from ternary_jax.tables import cell, fitted
from ternary_jax.workdir.sweep import NOT_BEGUN, UNFINISHED

CONFIDENCE = 0.95
NOT_ENDED = (NOT_BEGUN, UNFINISHED, "interrupted")
SHOWN_VALUE = 30  # characters of a value in a table
CELL = "a cell: mean over seeds [its 95 % interval, by Student's t], of the last values of the runs"


class Measured(NamedTuple):
    """A run, and what it has reached; {} while it has not ended.

    setting: {key: value} of what is compared
    final: the last value of each metric; None or nan where there is none
    """

    setting: Mapping[str, Any]
    seed: int
    ending: str
    final: Mapping[str, float | None]


def analyse(runs: Sequence[Measured], metrics: Mapping[str, Metric]) -> dict[str, Any]:
    """{"settings": [...], "verdicts": {metric: ...}} of the runs, for JSON.

    A setting has its numbers of runs and of those that diverged, and an Interval of each metric over the runs that
    have a finite value. Runs that diverged count with their last values: without them, settings that diverge would
    look good.
    """
    grouped: dict[tuple, list[Measured]] = {}
    for run in runs:
        grouped.setdefault(tuple(run.setting.items()), []).append(run)
    groups = [*grouped.values()]
    settings = [
        {
            "setting": dict(group[0].setting),
            "seeds": [run.seed for run in group],
            "diverged": sum(run.ending == DIVERGED for run in group),
            "not_ended": sum(run.ending in NOT_ENDED for run in group),
            "metrics": {name: intervals.mean_interval([*_values(group, name).values()])._asdict() for name in metrics},
        }
        for group in groups
    ]
    return {"settings": settings, "verdicts": {name: _verdict(groups, one) for name, one in metrics.items()}}


def chosen(runs: Sequence[Measured], metrics: Mapping[str, Metric], first: Sequence[str]) -> dict[str, Metric]:
    """The metrics of a table: those in `first`, then others that a run has a value of; SHOWN_METRICS at most."""
    names = [name for name in dict.fromkeys([*first, *metrics]) if name in metrics]
    measured = [name for name in names if any(_finite(run.final.get(name)) for run in runs)]
    return {name: metrics[name] for name in measured[:SHOWN_METRICS]}


def text(found: Mapping[str, Any], metrics: Mapping[str, Metric]) -> str:
    """The findings as a table, a row for each setting, and a line for each metric on which setting is best."""
    verdicts, keys = sentences(found, metrics), {key for one in found["settings"] for key in one["setting"]}
    return "\n".join([fitted(cells(found, metrics), len(keys) or 1), CELL, *([""] if verdicts else []), *verdicts])


def cells(found: Mapping[str, Any], metrics: Mapping[str, Metric]) -> list[list[str]]:
    """A head, and a row for each setting: its values, the number of its seeds, and mean [interval] of each metric."""
    keys = list(dict.fromkeys(key for one in found["settings"] for key in one["setting"]))
    diverged = ["diverged"] if any(one["diverged"] for one in found["settings"]) else []
    lines = [[*keys, "seeds", *diverged, *metrics] if keys else ["seeds", *diverged, *metrics]]
    for one in found["settings"]:
        about = [shown(one["setting"].get(key)) for key in keys] + [str(len(one["seeds"]))]
        about += [str(one["diverged"])] * len(diverged)
        lines.append(about + [_cell(one["metrics"][name], len(one["seeds"])) for name in metrics])
    return lines


def sentences(found: Mapping[str, Any], metrics: Mapping[str, Metric]) -> list[str]:
    """For each metric which setting is best, or why none is; [] of one setting."""
    return [_sentence(name, metrics[name], found) for name in metrics] if len(found["settings"]) > 1 else []


def shown(value: Any) -> str:
    """A value of a setting in a table."""
    text = f"{value:.7g}" if isinstance(value, float) else "-" if value is None else str(value)
    return text if len(text) <= SHOWN_VALUE else f"{text[: SHOWN_VALUE - 3]}..."


# --- inside -----------------------------------------------------------------------------------------------------------


def _finite(x: float | None) -> bool:
    return x is not None and math.isfinite(x)


def _values(group: Sequence[Measured], name: str) -> dict[tuple[int, int], float]:
    """{(seed, number among the runs with this seed): last value} of the runs with a finite one."""
    found, seen = {}, Counter()
    for run in group:
        x = run.final.get(name)
        if x is not None and math.isfinite(x):
            found[run.seed, seen[run.seed]] = x
        seen[run.seed] += 1
    return found


def _verdict(groups: Sequence[Sequence[Measured]], metric: Metric) -> dict[str, Any]:
    """{"lead": the setting with the best mean, "best": whether its intervals say so, "differences": to the others}.

    differences: an Interval for each other setting, in order, of lead minus other, in the units of the metric
    """
    values = [_values(group, metric.name) for group in groups]
    known = [k for k, x in enumerate(values) if x]
    if len(known) < 2:
        return {"lead": None, "best": False, "differences": []}
    lead = max(known, key=lambda k: metric.better * sum(values[k].values()) / len(values[k]))
    confidence = 1 - (1 - CONFIDENCE) / (len(known) - 1)
    others = {k: intervals.difference(values[lead], values[k], confidence) for k in known if k != lead}
    sure = all(one.low > 0 if metric.better > 0 else one.high < 0 for one in others.values())
    whole = len(known) == len(groups) and not any(run.ending == DIVERGED for run in groups[lead])
    whole = whole and not any(run.ending in NOT_ENDED for group in groups for run in group)
    return {
        "lead": lead,
        "best": bool(sure and whole),
        "differences": [one._asdict() | {"setting": k} for k, one in others.items()],
    }


def _sentence(name: str, metric: Metric, found: Mapping[str, Any]) -> str:
    """Which setting is best in a metric, or why none is."""
    verdict = found["verdicts"][name]
    about = f"{name} ({'higher' if metric.better > 0 else 'lower'} is better)"
    if verdict["lead"] is None:
        return f"{about}: not measured in two settings"
    names = [label(one["setting"]) for one in found["settings"]]
    lead, others = names[verdict["lead"]], verdict["differences"]
    kinds = {"paired by seed" if one["paired"] else "unpaired, by Welch's t" for one in others}
    level = f"{' or '.join(sorted(kinds))}; intervals of all {len(others)} differences together 95 %"
    if len(others) == 1:
        level = f"{kinds.pop()}; 95 % interval"
    bound = "low" if metric.better > 0 else "high"
    nearest = min(others, key=lambda one: _least(metric.better * one[bound]))
    by = f"{_signed(nearest['mean'])} [{_signed(nearest['low'])}, {_signed(nearest['high'])}]"
    against = f"{by} against {names[nearest['setting']]}{_pairs(nearest, found, verdict['lead'])} ({level})"
    if math.isnan(nearest[bound]):
        few = f"{names[nearest['setting']]} or {lead} has fewer than two values, so no interval"
        return f"{about}: none is called best, as {few}"
    if verdict["best"]:
        return f"{about}: best is {lead}; the least certain difference is {against}"
    if metric.better * nearest[bound] > 0:
        return f"{about}: none is called best: {lead} has the best mean, and {_not_whole(name, found, names)}"
    worse = metric.better * nearest["high" if metric.better > 0 else "low"] < 0  # only where values are missing
    but = "but is worse in the seeds of both" if worse else "and its difference may be 0"
    return f"{about}: none is best: {lead} has the best mean, {but}: {against}"


def _pairs(difference: Mapping[str, Any], found: Mapping[str, Any], lead: int) -> str:
    """The number of pairs of a difference, where a value is missing; else ""."""
    seeds = [Counter(found["settings"][k]["seeds"]) for k in (lead, difference["setting"])]
    runs = (seeds[0] | seeds[1]).total()
    return f" in {difference['n']} pairs of {runs} seeds" if difference["paired"] and difference["n"] < runs else ""


def _not_whole(name: str, found: Mapping[str, Any], names: Sequence[str]) -> str:
    """The reason why the leading setting is not called best, although its intervals say so."""
    settings = found["settings"]
    if waiting := sum(one["not_ended"] for one in settings):
        return f"{waiting} of all runs have not ended"
    if diverged := settings[found["verdicts"][name]["lead"]]["diverged"]:
        return f"{diverged} of its runs diverged"
    return f"{next(names[k] for k, one in enumerate(settings) if not one['metrics'][name]['n'])} has no value"


def _least(x: float) -> float:
    return -math.inf if math.isnan(x) else x


def _signed(x: float) -> str:
    return "?" if math.isnan(x) else f"{x:+.3g}"


def _cell(one: Mapping[str, Any], runs: int) -> str:
    if not one["n"]:
        return "-"
    few = f" of {one['n']}" * (one["n"] < runs)
    if math.isnan(one["low"]):
        return f"{cell(one['mean'])}{few}"
    return f"{cell(one['mean'])} [{cell(one['low'])}, {cell(one['high'])}]{few}"
