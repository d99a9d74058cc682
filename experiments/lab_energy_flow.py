"""What the experiments with the energy-flow lattice share: runs of all seeds in one program, and their figures."""

import argparse
import statistics
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import lab

from ternary_jax import terminal

CONFIG = lab.CONFIGS / "energy_flow.py"
FREE: dict[str, Any] = {  # one way for all samples
    "model.content": False,
    "train.batch_size": 128,
    "train.steps": 2000,
    "train.learning_rate": 1.5e-3,
}
WIDTH = 8


class Seeds(NamedTuple):
    """Finished runs of a config, trained in one program.

    params: with a leading axis of the runs
    metrics: of the last evaluation, by name, a value for each run
    history: the metrics of each evaluation
    cpu_s: CPU seconds of a seed, without compiling
    curve: (CPU seconds of a seed, the watched metric of each run) at each evaluation
    steps, parameters: of a run
    """

    params: Any
    metrics: dict[str, list[float]]
    cpu_s: float
    curve: list[tuple[float, list[float]]]
    history: list[dict[str, list[float]]]
    steps: int
    parameters: int


def parser(doc: str | None, names: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of an experiment whose arguments are names of rows."""
    made = lab.parser(doc, seeds=5)
    made.add_argument("rows", nargs="*", metavar="ROW", choices=[*names, []], help="see above")
    made.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a change to all rows, to try")
    return made


def train(config: Any, name: str, params: Any = None, watched: str = "r2") -> Seeds:
    """Train all runs of a config; params: what they begin with, with a leading axis of the runs; None: from scratch.

    watched: the metric of the curve
    """
    chunk = lab.Chunk(config)
    state = chunk.init(chunk.hypers)
    if params is not None:
        state = state._replace(params=jax.tree.map(jnp.copy, params))  # a chunk donates its state
    total, seeds = config.train.steps, config.runs
    chunk.compile()
    spent, curve, history = 0.0, [], []
    for k in range(total // chunk.length):
        begun = time.process_time()
        state, report = chunk.advance(state, k)
        metrics = jax.device_get(report.metrics)
        spent += time.process_time() - begun
        history.append({key: rounded(values) for key, values in metrics.items()})
        curve.append((spent / seeds, history[-1][watched]))
        done = f"step {(k + 1) * chunk.length} of {total}"
        terminal.progress(f"{name}: {done}, {watched} {statistics.median(curve[-1][1]):.4f}")
    terminal.progress()
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params)) // seeds
    return Seeds(state.params, history[-1], round(spent / seeds, 2), curve, history, total, parameters)


def with_rows(found: dict[str, Any], parts: dict[str, Any], order: Collection[str]) -> dict[str, Any]:
    """The content of a result file with new parts; its other rows and parts stay, rows of `order` come in its order."""
    rows = found.get("rows", {}) | parts.get("rows", {})
    ordered = [name for name in rows if name not in order] + [name for name in order if name in rows]
    return found | parts | {"rows": {name: rows[name] for name in ordered}}


def rounded(values: Any) -> list[float]:
    """Five digits of each value."""
    return [round(float(v), 5) for v in values]


def reached(curve: list[tuple[float, list[float]]], mark: float) -> float | None:
    """CPU seconds of a seed until the median of r2 was at the mark; None where it never was."""
    return next((round(spent, 2) for spent, r2 in curve if statistics.median(r2) >= mark), None)


def shown(values: Sequence[float] | None, worst: Callable = min) -> str:
    """The median, and the worst in brackets; worst: `max` where less is better."""
    return "-" if values is None else f"{statistics.median(values):.4f} [{worst(values):.4f}]"
