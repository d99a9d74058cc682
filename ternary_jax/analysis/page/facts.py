"""The tables on how a training was done: its ending and times, machine and versions, and what differs in its config."""

import statistics
from collections.abc import Mapping
from typing import Any

from ternary_jax.analysis.page.content import Table
from ternary_jax.config import documentation, listing
from ternary_jax.tables import counted, span
from ternary_jax.workdir import Run
from ternary_jax.workdir import rows as log


def training(run: Run, found: Mapping[str, Any], summary: Mapping[str, Any]) -> Table:
    """How the training went, and where. found: the result of `data.analyse`; summary: {} of a run that has none."""
    config = run.config
    rows = [
        ("workdir", str(run.path)),
        ("task", f"{found['task']} ({config['task']})"),
        ("length", f"{found['unit']} {found['now']:,.0f} of {found['length']:,}"),
        ("runs", f"{config['runs']}, of {_seeds(run)}"),
    ]
    rows += _endings(summary) + _times(summary) + _machine(summary)
    return Table("How the training went", ("fact", "value"), rows)


def config_differences(run: Run) -> Table:
    """The keys whose values differ from those of the config that this task starts from."""
    base = documentation.base_of(run.config["task"])
    changed = documentation.differences(run.config)
    meanings = documentation.meanings(base, run.config["task"], [*changed])
    caption = f"{counted(len(changed), 'value')} of the config differ from configs/{base}.py"
    rows = [
        (key, _typed(value), "-" if before is None else _typed(before), meanings[key] or "-")
        for key, (value, before) in sorted(changed.items())
    ]
    return Table(caption, ("key", "value", f"in {base}.py", "meaning"), rows, folded=True)


# --- inside -----------------------------------------------------------------------------------------------------------


def _seeds(run: Run) -> str:
    seeds = [*(log.seeds_of(run.config) or range(run.config["runs"]))]
    shown = ", ".join(map(str, seeds[:8])) + f" and {len(seeds) - 8} more" * (len(seeds) > 8)
    return f"{'seeds' if len(seeds) > 1 else 'seed'} {shown}"


def _endings(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    stops = [run["stop"] for run in summary.get("runs", ())]
    reasons = dict.fromkeys(stop["reason"] for stop in stops)
    each = [f"{sum(stop['reason'] == why for stop in stops)} {why}" if len(stops) > 1 else why for why in reasons]
    details = [f"run {k}: {stop['detail']}" for k, stop in enumerate(stops) if stop["detail"]]
    return [("ending", "; ".join([*each, *details[:4]]))] if stops else []


def _times(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    if summary.get("targets"):
        reached: Any = summary.get("time_to_ceiling_s")
        times = [t for t in (reached if isinstance(reached, list) else [reached]) if t is not None]
        runs = len(summary["runs"])
        many = f", median of {len(times)} of {runs} runs; the slowest {span(max(times, default=None))}" * (runs > 1)
        rows += [("time to all targets", f"{span(statistics.median(times))}{many}" if times else "not met")]
    names = {"wall_s": "wall time", "compile_s": "of it compiling", "first_step_s": "until the first step"}
    rows += [(label, span(summary[name])) for name, label in names.items() if summary.get(name) is not None]
    if summary.get("samples_per_s"):
        rows.append(("throughput", f"{summary['samples_per_s']:,.0f} samples/s of all runs together"))
    return rows


def _machine(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [("device", summary["device"])] if summary.get("device") else []
    versions = summary.get("versions")
    if isinstance(versions, Mapping):
        rows.append(("versions", ", ".join(f"{name} {version}" for name, version in versions.items() if version)))
    if isinstance(summary.get("commit"), str):
        rows.append(("commit", summary["commit"]))
    return rows


def _typed(value: Any) -> str:
    return listing.as_typed(tuple(value) if isinstance(value, list) else value)
