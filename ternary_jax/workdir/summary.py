"""summary.json: how each run ended, and the last and the best value of every metric."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ternary_jax.metric import Metric
from ternary_jax.workdir import files
from ternary_jax.workdir.rows import Row

FURTHER = ("costly", "tolerance", "held_out_of", "gap")  # fields of a Metric that have the same name in summary.json


def summarise(
    rows: Sequence[Row], task: str, metrics: Sequence[Metric], runs: Sequence[Row], targets: Row, **facts: Any
) -> dict[str, Any]:
    """The content of summary.json; a value that is not finite is null.

    runs: {"run", "seed", "hypers", "stop": {"reason", "step", "detail"}} of each
    targets: metric -> value
    facts: further entries that do not follow from the rows, such as compile_s or the criteria of the task

    A value beyond the best that is possible is a collapse: it is never the best of a run, and meets no target.
    """
    of = {m.name: m for m in metrics}
    final, best, reached = ([{} for _ in runs], [{} for _ in runs], [None for _ in runs])
    for row in rows:
        k = row["run"]
        for name, metric in of.items():
            if name in row:
                final[k][name] = value = row[name]
                before = best[k].get(name, {"value": -metric.better * math.inf})["value"]
                if metric.better * value > metric.better * before and not metric.beyond(value):
                    best[k][name] = {"value": value, "step": row["step"]}
        met = [of[name].meets(row.get(name, math.nan), value) for name, value in targets.items()]
        reached[k] = row["wall_s"] if reached[k] is None and met and all(met) else reached[k]
    last = max(rows, key=lambda row: row["step"], default={})
    out = {"task": task, "steps": last.get("step"), "epochs": last.get("epoch"), "wall_s": last.get("wall_s")}
    lists = {"stop": [run["stop"]["reason"] for run in runs], "time_to_ceiling_s": reached}
    out |= {key: values if len(runs) > 1 else values[0] for key, values in lists.items()} | {"targets": targets}
    out["metrics"] = {m.name: _about(m) for m in metrics}
    out["runs"] = [{**run, "final": final[k], "best": best[k]} for k, run in enumerate(runs)]
    return files.plain(out | facts)


def metrics_of(summary: Mapping[str, Any]) -> dict[str, Metric]:
    """The metrics of a summary.json by name; a null value becomes nan.

    Raises a KeyError for a summary of an earlier version, which does not say which metrics are held out: a default
    would mean that none is.
    """
    return {name: _metric(name, about) for name, about in summary["metrics"].items()}


def _about(m: Metric) -> dict[str, Any]:
    about = {"ceiling": m.best, "chance": m.chance, "untrained": m.untrained}
    about["better"] = "higher" if m.better > 0 else "lower"
    return about | {name: getattr(m, name) for name in FURTHER}


def _metric(name: str, about: Mapping[str, Any]) -> Metric:
    best, chance, untrained = (math.nan if about[k] is None else about[k] for k in ("ceiling", "chance", "untrained"))
    further: dict[str, Any] = {k: about[k] for k in FURTHER}
    return Metric(name, 1 if about["better"] == "higher" else -1, best, chance, untrained, **further)
