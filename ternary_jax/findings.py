"""What an analysis finds in a workdir, as data, and the same as text: see `analyze`."""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ternary_jax.config import keys_of
from ternary_jax.grokking import definitions, history
from ternary_jax.tables import cell, columns, span

LEVELS = ("Minimal", "Good", "Excellent", "Exceptional")
# Of the analysis framework, which writes the hierarchy with the wrong sign: it is negative, and lower is better.
SUCCESS = {"coverage": (0.80, 0.95, 0.99, 1.0), "hierarchy": (-0.5, -0.7, -0.8, -0.82), "q": (1.0, 1.5, 2.0, 2.2)}
SPEED = 2000.0  # samples a second, of the checklist
SHOWN = 12  # lines of events, of all runs


class Workdir(NamedTuple):
    """What a training has left so far.

    config: resolved, by dotted key; rows: of metrics.jsonl; summary: {} where there is none yet
    references: metric -> better (+1, -1), best, chance, untrained; nan where there is no such figure
    """

    path: Path
    config: dict[str, Any]
    rows: list[dict[str, Any]]
    summary: dict[str, Any]
    references: dict[str, dict[str, float]]


def analysis(workdir: Workdir, names: Sequence[str] = ()) -> dict[str, Any]:
    """All that is found. names: of metrics to watch; if none, those of the run's detector, or all that have a scale."""
    found = history.histories(workdir.rows)
    metrics = _watched(workdir, found, names)
    told = history.analyse(found, metrics, workdir.references, _thresholds(workdir))
    each = [
        one | {"hypers": _hypers(workdir, k), "final": _final(h)}
        for k, (one, h) in enumerate(zip(told, found, strict=True))
    ]
    branches = sorted({name[-1] for name in workdir.references if name.startswith("coverage_") and len(name) == 10})
    return {
        "workdir": str(workdir.path),
        "task": workdir.summary.get("task", workdir.config.get("task")),
        "finished": workdir.summary.get("finished", False),
        "epoch": max(row["epoch"] for row in workdir.rows),
        "epochs": workdir.config.get("train.epochs"),
        "phases": _phases(workdir.config),
        "metrics": [one._asdict() for one in metrics],
        "thresholds": _thresholds(workdir)._asdict(),
        "success": {b: _success(each, b, workdir.references) for b in branches},
        "generalisation": [
            {"runs": [run["run"] for run in group], "hypers": about, "metrics": history.over_runs(group)}
            for about, group in groups(each)
        ],
        "checklist": _checklist(workdir, found, each, branches, _enough(found, metrics, _thresholds(workdir))),
        "runs": each,
    }


def plain(value: Any) -> Any:
    """As JSON has it; what is not finite is null, but for an infinite ratio, which is "inf"."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(v) for v in value]
    value = value.item() if isinstance(value, np.generic) else value
    return value if not isinstance(value, float) or math.isfinite(value) else "inf" if value == math.inf else None


def groups(each: Sequence[Mapping[str, Any]]) -> list[tuple[dict[str, float], list[Mapping[str, Any]]]]:
    """The runs that differ by their seeds alone, data.split_seed too, in groups; each with what groups differ in."""
    made: dict[tuple, list] = {}
    for run in each:
        own = {name: value for name, value in run["hypers"].items() if not name.endswith("seed")}
        made.setdefault(tuple(sorted(own.items())), []).append(run)
    shared = set.intersection(*(set(own) for own in made))
    return [({name: value for name, value in own if (name, value) not in shared}, runs) for own, runs in made.items()]


def _hypers(workdir, k):
    """Of run k: those of the summary; of a run that has none yet, what the config has one of per run."""
    if workdir.summary:
        return workdir.summary["runs"][k]["hypers"]
    table, _ = keys_of(workdir.config["task"])
    return {
        name: value[k]
        for name, value in workdir.config.items()
        if table[name].traced and isinstance(value, list | tuple)
    }


def _phases(config):
    """Of the schedule of the learning rate: shape, factor, first and last epoch; [] where it has one shape."""
    if config.get("train.schedule") != "phases":
        return []
    ends = np.cumsum(config["train.phase_epochs"]).tolist()
    parts = zip(config["train.phase_shapes"], config["train.phase_rates"], [0, *ends], ends, strict=False)
    return [dict(zip(("shape", "rate", "begin", "end"), part, strict=True)) for part in parts]


def _thresholds(workdir):
    """Those that the detector of the training has, or would have had."""
    return definitions.thresholds({key.removeprefix("grokking."): value for key, value in workdir.config.items()})


def _watched(workdir, found, names):
    made = {name: definitions.watched(name, **about) for name, about in workdir.references.items()}
    known = [name for name, one in made.items() if one]
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"--metrics={unknown[0]} has no scale, or is no metric: there are {', '.join(known)}")
    names = names or (workdir.config["grokking.metrics"] if workdir.config["grokking.on"] else ())
    asked = [one for name, one in made.items() if one and (not names or name in names)]
    return history.distinct(asked, found, _thresholds(workdir).gains[0])


def _final(one):
    """The last figure of every column."""
    last = {name: x[np.isfinite(x)][-1:] for name, x in one.columns.items()}
    return {name: float(x[0]) for name, x in last.items() if x.size}


# --- success ----------------------------------------------------------------------------------------------------------


def _success(each, branch, references):
    """Of one branch: what each level asks for, how many runs have it, and the best that is possible."""
    best = {name: references.get(f"{name}_{branch}", {}).get("best", math.nan) for name in SUCCESS}
    sign = {"coverage": 1, "hierarchy": -1, "q": 1}
    finals = {name: [run["final"].get(f"{name}_{branch}", math.nan) for run in each] for name in SUCCESS}
    collapsed = [h < best["hierarchy"] - 1e-4 for h in finals["hierarchy"]]
    met = {
        name: [[sign[name] * x >= sign[name] * level for x in finals[name]] for level in levels]
        for name, levels in SUCCESS.items()
    }
    reached = []
    for k in range(len(each)):
        passed = [all(met[name][level][k] for name in SUCCESS) for level in range(len(LEVELS))]
        reached.append(LEVELS[sum(passed) - 1] if any(passed) and not collapsed[k] else "none")
    return {
        "levels": {
            level: {name: {"asked": SUCCESS[name][k], "runs": sum(met[name][k])} for name in SUCCESS}
            | {"possible": all(not sign[n] * SUCCESS[n][k] > sign[n] * best[n] + 1e-9 for n in SUCCESS)}
            for k, level in enumerate(LEVELS)
        },
        "best": best,
        "finals": finals,
        "reached": reached,
        "collapsed": [run["run"] for run, gone in zip(each, collapsed, strict=True) if gone],
        "not_measured": [name for name in SUCCESS if not np.isfinite(finals[name]).any()],
    }


# --- checklist --------------------------------------------------------------------------------------------------------


def _enough(found, metrics, thresholds):
    """Whether there is enough for an event to be found: metrics, and evaluations of every run."""
    long = min(len(one.columns["step"]) for one in found) >= thresholds.least()
    return len(metrics) >= thresholds.together and long


def _checklist(workdir, found, each, branches, enough):
    """{"item", "met": True, False, or None where it can't be told, "because"} each."""
    summary, rows, n = workdir.summary, workdir.rows, len(found)
    items = []

    def item(name, met, because):
        items.append({"item": name, "met": met, "because": because})

    def of_runs(name, good, because):
        item(name, all(good), f"{sum(good)} of {len(good)} runs: {because}" if n > 1 else because)

    epochs = f"epoch {max(row['epoch'] for row in rows):.0f} of {workdir.config.get('train.epochs')}"
    wall = span(max(row["wall_s"] for row in rows))
    item("finished", bool(summary.get("finished")), f"{epochs}, after {wall}")
    endings = [run["stop"] for run in summary.get("runs", [])]
    bad = [f"run {k}: {e['reason']}, {e['detail']}" for k, e in enumerate(endings) if e["detail"]]
    losses = [one.columns["loss"] for one in found]
    finite = all(np.isfinite(x).all() for x in losses)
    said = bad[0] if bad else "every loss was finite" + ("" if endings else " so far")
    item("stable: no divergence, no rollback", finite and not bad, said)
    change = f"median loss {cell(_middle(x[0] for x in losses))} at first, {cell(_middle(x[-1] for x in losses))} now"
    of_runs("progress: the loss fell", [x[-1] < x[0] for x in losses], change)
    if branches:
        b = branches[-1]
        success = _success(each, b, workdir.references)
        coverage, hierarchy = success["finals"]["coverage"], success["finals"]["hierarchy"]
        of_runs(f"coverage_{b} of 0.95 or more", [x >= 0.95 for x in coverage], f"median {cell(_middle(coverage))}")
        whole = [h <= -0.70 and run["run"] not in success["collapsed"] for h, run in zip(hierarchy, each, strict=True)]
        because = f"median {cell(_middle(hierarchy))}, best possible {cell(success['best']['hierarchy'])}"
        of_runs(f"hierarchy_{b} of -0.70 or less, without collapse", whole, because)
    confirmed = [sum(rise["confirmed"] for rise in run["rises"]) for run in each]
    events = sum(rise["event"] for run in each for rise in run["rises"])
    if enough:
        said = f"{sum(confirmed)} confirmed of {events} events"
        of_runs("a confirmed grokking event", [k > 0 for k in confirmed], said)
    else:
        item("a confirmed grokking event", None, "not looked for, see below")
    # A row is of one run: all of them together are as many times as fast.
    rate = n * statistics.median(row["samples_per_s"] for row in rows)
    item(f"more than {SPEED:,.0f} samples/s", rate > SPEED, f"median {rate:,.0f}")
    missing = _missing(workdir, n)
    item("logs and checkpoints", not missing, "all there" if not missing else f"missing: {', '.join(missing)}")
    return items


def _missing(workdir, n):
    wanted = {"summary.json": 1, "checkpoints": 1, "embeddings": n}
    wanted |= {"tensorboard": n} if workdir.config.get("log.tensorboard") else {}

    def there(name):
        path = workdir.path / name
        return len([*path.iterdir()]) if path.is_dir() else int(path.exists())

    return [name for name, least in wanted.items() if there(name) < least]


def _middle(values):
    values = [x for x in values if math.isfinite(x)]
    return statistics.median(values) if values else None


# --- text -------------------------------------------------------------------------------------------------------------


def text(found: Mapping[str, Any]) -> str:
    """All of it, as a person reads it."""
    parts = [_head(found), _of_checklist(found["checklist"])]
    parts += [_of_success(b, one, len(found["runs"])) for b, one in found["success"].items()]
    parts += [_of_events(found), _of_changes(found), _of_generalisation(found)]
    return "\n\n".join(parts)


def _head(found):
    state = "finished" if found["finished"] else f"not finished: epoch {found['epoch']:.0f} of {found['epochs']}"
    counts = {run["evaluations"] for run in found["runs"]}
    evaluations = f"{min(counts)}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
    n = len(found["runs"])
    return f"{found['task']}, {n} run{'s' * (n > 1)}, {evaluations} evaluations each; {state}"


def _of_checklist(items):
    mark = {True: "yes", False: "no", None: "?"}
    return "\n".join(["checklist", *(f"  {mark[one['met']]:3}  {one['item']}: {one['because']}" for one in items)])


def _of_success(branch, one, runs):
    lines = [[f"success of {branch}", *SUCCESS, "all of them"]]
    order = [*LEVELS, "none"]
    for k, (level, asked) in enumerate(one["levels"].items()):
        cells = [f"{asked[name]['asked']:g}: {asked[name]['runs']} of {runs}" for name in SUCCESS]
        here = sum(reached != "none" and order.index(reached) >= k for reached in one["reached"])
        lines.append([level, *cells, f"{here} of {runs}" if asked["possible"] else "not possible"])
    lines.append(["median", *(cell(_middle(one["finals"][name])) for name in SUCCESS), ""])
    lines.append(["best possible", *("-" if math.isnan(x) else f"{x:.5g}" for x in one["best"].values()), ""])
    said = [columns(lines)]
    for level, asked in one["levels"].items():
        over = [name for name in SUCCESS if not asked["possible"] and _beyond(name, asked[name]["asked"], one["best"])]
        said += [
            f"{level} asks for {name} {asked[name]['asked']:g}; the best is {one['best'][name]:.5g}" for name in over
        ]
    if one["collapsed"]:
        runs_gone = ", ".join(map(str, one["collapsed"]))
        said.append(f"run {runs_gone}: hierarchy beyond its ceiling, a collapse: radii tie, so no level is reached")
    said += [f"{name}_{branch} was not measured, so no level is reached" for name in one["not_measured"]]
    return "\n".join(said)


def _beyond(name, asked, best):
    sign = -1 if name == "hierarchy" else 1
    return sign * asked > sign * best[name] + 1e-9


def _of_events(found):
    names = ", ".join(one["name"] for one in found["metrics"])
    rises = [(run["run"], rise) for run in found["runs"] for rise in run["rises"]]
    events = [rise for _, rise in rises if rise["event"]]
    plateaus = [plateau["evaluations"] for run in found["runs"] for plateau in run["plateaus"]]
    t = definitions.thresholds(found["thresholds"])
    if len(found["metrics"]) < t.together:
        return f"events: not looked for, as fewer than {t.together} metrics have a scale ({names or 'none'})"
    longest = f", the longest of {max(plateaus)} evaluations" if plateaus else ""
    short = [run["run"] for run in found["runs"] if run["evaluations"] < t.least()]
    lines = [
        f"events: {len(events)} of {len(rises)} rises, {sum(e['confirmed'] for e in events)} confirmed; "
        f"{len(plateaus)} plateaus{longest}",
        f"  watched: {names}",
    ]
    lines += [f"  too short to tell: an event needs {t.least()} evaluations at the least"] if short else []
    for k, rise in rises[:SHOWN]:
        what = f"{rise['severity']} event" if rise["event"] else "no event"
        why = [bar for bar, outcome in rise["checked"].items() if outcome != "ruled out"]
        about = f"explained by {', '.join(why)}" if why else f"ruled out: {', '.join(rise['checked'])}"
        gain = f", gain {rise['gain']:.3f}" if rise["event"] else ""
        where = f"  run {k}, epoch {rise['epoch']:g}: {what} after a plateau of {rise['plateau']} evaluations"
        lines.append(f"{where}{gain}; {about}")
    lines += [f"  and {len(rises) - SHOWN} more, in analysis.json"] if len(rises) > SHOWN else []
    return "\n".join(lines)


def _of_changes(found):
    """By series, where they are; of many runs, how many there are, and where the first is in the median."""
    runs = found["runs"]
    told = [f"{one['shape']} x {one['rate']:g} to epoch {one['end']}" for one in found["phases"]]
    scheduled = f"phases of the schedule: {', '.join(told)}\n" if told else ""
    lines = [["phases, by epochs", "phase transitions", "change points of the level"]]
    for name in runs[0]["transitions"]:
        lines.append([name, *(_places([run[kind][name] for run in runs]) for kind in ("transitions", "change_points"))])
    regimes = _places([run["gradient_regimes"] for run in runs])
    return f"{scheduled}{columns(lines)}\nthe regime of the gradient changes: {regimes}"


def _places(each):
    if not any(each):
        return "-"
    if len(each) == 1:
        where = ", ".join(f"{place['epoch']:g}" for place in each[0][:6])
        return where + f" and {len(each[0]) - 6} more" * (len(each[0]) > 6)
    counts = sorted({len(places) for places in each})
    first = _middle(places[0]["epoch"] for places in each if places)
    return f"{counts[0]}{f' to {counts[-1]}' if len(counts) > 1 else ''} a run, from {first:g}"


def _of_generalisation(found):
    lines = ["generalisation, by held-out figures"]
    for group in found["generalisation"]:
        n, about = len(group["runs"]), ", ".join(f"{name} {value:g}" for name, value in group["hypers"].items())
        lines += [f" {n} run{'s' * (n > 1)} of {about}"] if about else []
        for name, one in group["metrics"].items():
            counts = "; ".join(f"{k} of {n} runs {verdict}" for verdict, k in one["verdicts"].items())
            lines.append(f"  {name + ': ' if name else ''}{counts}")
            lines += _of_ratio(one["ratio"])
    return "\n".join(lines)


def _of_ratio(ratio):
    if not ratio["runs"]:
        return []
    ends = ["never" if x == math.inf else f"{x:.2f}" for x in (ratio["median"], ratio["low"], ratio["high"])]
    few = math.isnan(ratio["low"])
    interval = "no interval from less than 6 runs" if few else f"[{ends[1]}, {ends[2]}] (95 %)"
    return [f"  t_gen / t_fit of {ratio['runs']} runs that fit: median {ends[0]}, {interval}"]


def dumped(found: Mapping[str, Any]) -> str:
    """analysis.json."""
    return json.dumps(plain(found), indent=1, allow_nan=False) + "\n"
