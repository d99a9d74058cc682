"""The findings of an analysis as text for the terminal."""

import math
import statistics
from collections.abc import Mapping
from typing import Any

from ternary_jax.analysis import settings
from ternary_jax.grokking import definitions
from ternary_jax.metric import Metric
from ternary_jax.tables import cell, fitted, reference_cell

SHOWN = 12  # at most this many rises are listed, of all runs together


def text(found: Mapping[str, Any]) -> str:
    """The text of all findings. found: the result of `data.analyse`."""
    parts = [_head(found), _checklist(found["checklist"]), *_settings(found)]
    parts += [_success(name, one, len(found["runs"]), len(found["settings"])) for name, one in found["success"].items()]
    parts += [events(found), _changes(found), _generalisation(found)]
    return "\n\n".join(parts)


def _head(found):
    state = (
        "finished" if found["finished"] else f"not finished: {found['unit']} {found['now']:.0f} of {found['length']}"
    )
    counts = {run["evaluations"] for run in found["runs"]}
    evaluations = f"{min(counts)}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
    n = len(found["runs"])
    return f"{found['task']}, {n} run{'s' * (n > 1)}, {evaluations} evaluations each; {state}"


def _checklist(items):
    mark = {True: "yes", False: "no", None: "?"}
    return "\n".join(["checklist", *(f"  {mark[one['met']]:3}  {one['item']}: {one['because']}" for one in items)])


def _settings(found):
    """[a table with a row for each setting]; [] for one setting, whose medians the checklist and the levels have."""
    if len(found["settings"]) == 1:
        return []
    compared = {one["name"]: Metric(**one) for one in found["compared"]}
    return [settings.table(found["settings"], compared, others="in analysis.json")]  # not yet in summary.json


def _success(criteria, one, runs, settings):
    names = [*one["best"]]
    lines = [[f"success of {criteria}", *names, "all of them"]]
    for level, about in one["levels"].items():
        cells = [f"{about['asked'][n]:g}: {about['runs'][n]} of {runs}" if n in about["asked"] else "" for n in names]
        lines.append([level, *cells, "not possible" if about["not_possible"] else f"{about['reached']} of {runs}"])
    if settings == 1:
        lines.append(["median", *(cell(one["median"][name]) for name in names), ""])
    lines.append(["best possible", *map(reference_cell, one["best"].values()), ""])
    parts = [fitted(lines)]
    for level, about in one["levels"].items():
        for name in about["not_possible"]:
            parts.append(
                f"{level} asks for {name} {about['asked'][name]:g}; the best is {reference_cell(one['best'][name])}"
            )
    for name, beyond in one["beyond"].items():
        where, cause = ", ".join(map(str, beyond)), "a collapse, in which values tie, or an altered log"
        parts.append(f"{name} is beyond its best in run {where}: {cause}; no level is reached there")
    parts += [f"{name} was not measured, so no level is reached" for name in one["not_measured"]]
    return "\n".join(parts)


def events(found: Mapping[str, Any]) -> str:
    """Lines on the grokking events: how many, what was watched, and the rises that are none."""
    names, unit = ", ".join(one["name"] for one in found["metrics"]), found["unit"]
    rises = [(run["run"], rise) for run in found["runs"] for rise in run["rises"]]
    events = [rise for _, rise in rises if rise["event"]]
    t = definitions.thresholds(found["thresholds"])
    if len(found["metrics"]) < t.together:
        return f"events: not looked for, as fewer than {t.together} metrics have a scale ({names or 'none'})"
    short = any(run["evaluations"] < t.least() for run in found["runs"])
    lines = [
        f"events: {len(events)} of {len(rises)} rises, {sum(e['confirmed'] for e in events)} confirmed",
        f"  watched: {names}",
    ]
    lines += [f"  too short to tell: an event needs {t.least()} evaluations at the least"] if short else []
    lines += _plateaus(found, t)
    lines += [f"  run {k}, {unit} {rise[unit]:.10g}: {_rise(rise)}" for k, rise in rises[:SHOWN]]
    lines += [f"  and {len(rises) - SHOWN} more, in analysis.json"] if len(rises) > SHOWN else []
    return "\n".join(lines)


def _plateaus(found, t):
    """Lines on the plateaus of the loss: their number, the longest, and those that no rise can follow."""
    each = [(run["run"], one) for run in found["runs"] for one in run["plateaus"]]
    flat = [one for one in each if not one[1]["falls"]]
    falling = [one for one in each if one[1]["falls"]]

    def where(run, one):
        place = f"{found['unit']} {one['begin'][found['unit']]:.10g} to {one['end'][found['unit']]:.10g}"
        return f"run {run}, {place}, {_loss(one)}"

    lines = [f"  plateaus of the loss: {len(flat)}"]
    if flat:
        run, longest = max(flat, key=lambda one: one[1]["evaluations"])
        lines[0] += f", the longest of {longest['evaluations']} evaluations ({where(run, longest)})"
    if full := sum(len(one["can_rise"]) < t.together for _, one in flat):
        lines.append(
            f"  at the end of {full} of them no rise was possible: fewer than {t.together} watched metrics were "
            f"further from their ceiling than {t.gains[0]:g} of their scale"
        )
    if falling:
        run, longest = max(falling, key=lambda one: one[1]["evaluations"])
        lines.append(
            f"  flat by its noise, but no plateau, as the loss falls: {len(falling)}, the longest of "
            f"{longest['evaluations']} evaluations ({where(run, longest)})"
        )
    return lines


def _loss(one):
    return f"loss {one['loss'][0]:.4g} to {one['loss'][1]:.4g}"


def _rise(rise):
    what = f"{rise['severity']} event" if rise["event"] else "no event"
    why = [bar for bar, outcome in rise["checked"].items() if outcome != "ruled out"]
    about = f"explained by {', '.join(why)}" if why else f"ruled out: {', '.join(rise['checked'])}"
    gain = f", gain {rise['gain']:.3f}" if rise["event"] else ""
    after = f"a plateau of {rise['plateau']} evaluations"
    if rise["before"]["falls"]:
        after = f"{rise['plateau']} evaluations that are no plateau, {_loss(rise['before'])}"
    return f"{what} after {after}{gain}; {about}"


def _changes(found):
    """A line for each series with the places of its changes; for many runs, their number and the median first place."""
    runs, unit = found["runs"], found["unit"]
    phases = [f"{one['shape']} x {one['rate']:g} to {unit} {one['end']}" for one in found["phases"]]
    scheduled = f"phases of the schedule: {', '.join(phases)}\n" if phases else ""
    lines = [[f"phases, by {unit}s", "phase transitions", "change points of the level"]]
    for name in runs[0]["transitions"]:
        kinds = ([run[kind][name] for run in runs] for kind in ("transitions", "change_points"))
        lines.append([name, *(_places(each, unit) for each in kinds)])
    regimes = _places([run["gradient_regimes"] for run in runs], unit)
    return f"{scheduled}{fitted(lines)}\nthe regime of the gradient changes: {regimes}"


def _places(each, unit):
    if not any(each):
        return "-"
    if len(each) == 1:
        where = ", ".join(f"{place[unit]:.10g}" for place in each[0][:6])
        return where + f" and {len(each[0]) - 6} more" * (len(each[0]) > 6)
    counts = sorted({len(places) for places in each})
    first = statistics.median(places[0][unit] for places in each if places)
    return f"{counts[0]}{f' to {counts[-1]}' if len(counts) > 1 else ''} a run, from {first:.10g}"


def _generalisation(found):
    lines = ["generalisation, by held-out figures"]
    for group in found["generalisation"]:
        n, about = len(group["runs"]), settings.label(group["hypers"])
        lines += [f" {n} run{'s' * (n > 1)} of {about}"] if about else []
        for name, one in group["metrics"].items():
            counts = "; ".join(f"{k} of {n} runs {verdict}" for verdict, k in one["verdicts"].items())
            lines.append(f"  {name + ': ' if name else ''}{counts}")
            lines += _ratio(one["ratio"])
    return "\n".join(lines)


def _ratio(ratio):
    if not ratio["runs"]:
        return []
    ends = ["never" if x == math.inf else f"{x:.2f}" for x in (ratio["median"], ratio["low"], ratio["high"])]
    few = math.isnan(ratio["low"])
    interval = "no interval from less than 6 runs" if few else f"[{ends[1]}, {ends[2]}] (95 %)"
    return [f"  t_gen / t_fit of {ratio['runs']} runs that fit: median {ends[0]}, {interval}"]
