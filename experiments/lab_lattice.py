"""What the experiments with lattices share: their arguments, runs of all seeds in one program, and their figures."""

import argparse
import statistics
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import lab

from ternary_jax import terminal


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


class Probes(NamedTuple):
    """An experiment of probes.

    measure: name, arguments of the command -> rows by name; table: rows -> text; picture: probes by name -> a figure
    files: name -> the result file that keeps its rows; summary: rows -> what is kept there; None: all
    models: what --of may name, so that these alone are measured, and the rows of others stay; none: there is no --of
    """

    measure: Callable[[str, argparse.Namespace], dict[str, dict[str, Any]]]
    table: Callable[[Any], str]
    picture: Callable[[Any], Any]
    files: Mapping[str, str]
    summary: Callable[[Any], Any] | None = None
    models: Sequence[str] = ()


def parser(doc: str | None, names: Sequence[str], kind: str = "ROW") -> argparse.ArgumentParser:
    """The parser of an experiment whose arguments are names of rows, or of probes."""
    made = lab.parser(doc, seeds=5)
    made.add_argument("rows", nargs="*", metavar=kind, choices=[*names, []], help="see above")
    made.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a change to all runs, to try")
    return made


def asked(made: argparse.ArgumentParser, names: Sequence[str]) -> argparse.Namespace:
    """The arguments. Where no row is named, it prints their names and ends the process."""
    given = made.parse_args()
    if not given.rows:
        print("\n".join(names))
        raise SystemExit
    return given


def run_probes(doc: str | None, file: str, probes: Probes) -> None:
    """Measure the named probes, print them, and keep each in its result file; `picture` draws what was measured.

    file: the name of the picture; where a summary leaves rows out, all of them go to results/raw/FILE.json
    """
    names = [*probes.files]
    made = parser(doc, [*names, "picture"], "PROBE")
    if probes.models:
        made.add_argument("--of", action="append", choices=probes.models, help="measure this alone; repeatable")
    given = asked(made, [*names, "picture"])
    for name in given.rows:
        if name == "picture":
            terminal.say(f"wrote {lab.save(probes.picture(measured(file, probes, given)), file, given)}")
            continue
        found = probes.measure(name, given)
        print(probes.table(found), flush=True)
        if not given.set:  # after each probe, as a probe takes minutes
            if probes.summary:
                keep_probe(f"raw/{file}", name, found, names, given)
            keep_probe(probes.files[name], name, probes.summary(found) if probes.summary else found, names, given)


def measured(file: str, probes: Probes, given: argparse.Namespace) -> dict[str, Any]:
    """All rows that there are to draw. Where there are none, it says so and ends the process."""
    kept = [f"raw/{file}"] if probes.summary else [*dict.fromkeys(probes.files.values())]
    found = {key: rows for one in kept for key, rows in lab.read(one, given).items() if key in probes.files}
    if not found:
        raise SystemExit(f"{lab.folder(given) / kept[0]}.json has no rows to draw: name the probes before `picture`")
    return found


def keep_probe(file: str, name: str, rows: Any, order: Sequence[str], given: argparse.Namespace) -> None:
    """Write the rows of a probe. The other probes of the file stay; with --of, so do the other rows of this one."""
    kept = lab.read(file, given)
    kept[name] = (kept.get(name, {}) if getattr(given, "of", None) else {}) | rows
    lab.write(file, {key: kept[key] for key in order if key in kept}, given)


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


def rounded_scores(found: Mapping[str, Any]) -> dict[str, Any]:
    """Five digits of each number; lists, of seeds, and whole numbers as they are."""
    return {key: round(value, 5) if isinstance(value, float) else value for key, value in found.items()}


def reached(curve: list[tuple[float, list[float]]], mark: float) -> float | None:
    """CPU seconds of a seed until the median of r2 was at the mark; None where it never was."""
    return next((round(spent, 2) for spent, r2 in curve if statistics.median(r2) >= mark), None)


def shown(values: Sequence[float] | float | None, worst: Callable = min) -> str:
    """The median, and the worst in brackets; worst: `max` where less is better. A number stands alone."""
    if isinstance(values, int | float):
        return f"{values:.4f}"
    return "-" if values is None else f"{statistics.median(values):.4f} [{worst(values):.4f}]"
