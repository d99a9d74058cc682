"""What can flows learn, and what of it is their movement? Rows of the energy-flow lattice beside their baselines.

    python experiments/energy_flow.py                  the names of all rows
    python experiments/energy_flow.py ROW... [--seeds=5]

A row trains all seeds in one program and prints, over the seeds, the median and in brackets the worst of r2 on fresh
faces, the landing accuracy, the coverage of the output face, and the CPU seconds of a seed, without compiling: until
the end, and until r2 was .95 and .99. `baselines` prints what the mean, a map of each cell, all linear maps, a
perceptron and a transformer make of every target. `picture` trains two models and draws results/energy_flow.png.
`steps` trains flows that stay where they arrive, and times a loop until all have arrived against the steps of training,
in turns. Writes results/energy_flow.json, and rows of the dense target to results/energy_flow_dense.json; rows that
are not named keep their values. Nothing else may run beside it.
"""

import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import lab
import lab_faces
import numpy as np
from lab_energy_flow_rows import CONFIG, FREE, ROWS, WIDTH, Row
from lab_lattice import asked, parser, reached, rounded, rounded_scores, shown, train, with_rows

from ternary_jax import terminal
from ternary_jax.config import load_config, split
from ternary_jax.config.keys import typed
from ternary_jax.lattice import baselines, targets
from ternary_jax.lattice.energy_flow import adaptive, figures, flow, task
from ternary_jax.tables import columns

AMPLITUDE = 0.8
OTHERS = ("baselines", "picture", "steps")
STAYS = FREE | {
    "model.steps": 8,
    "model.reach": 1.0,
    "model.drift": 0.6,
    "model.freeze": True,
    "losses.distance.on": True,
}


def main() -> None:
    """Train and measure the named rows, print them and write the results."""
    given = asked(parser(__doc__, [*OTHERS, *ROWS]), [*OTHERS, *ROWS])
    for name in given.rows:
        if name == "picture":
            terminal.say(f"wrote {lab.save(picture(), 'energy_flow', given)}")
        elif name == "baselines":
            found = {}
            for target in targets.NAMES:
                found[target] = measured_baselines(target, given.seeds)
                keep("energy_flow", given, baselines=found)  # after each target, as one takes a minute
            print(table_of_baselines(found))
        elif name == "steps":
            curve = steps(most=16)
            print(table_of_steps(curve))
            keep("energy_flow", given, steps=curve)
        else:
            rows = {name: trained(name, given.seeds, given.set)}
            print(table(rows), flush=True)
            if not given.set:  # after each row, as a row takes a minute
                keep("energy_flow_dense" if ROWS[name].target == "dense" else "energy_flow", given, rows=rows)


def keep(file: str, given: Any, **parts: Any) -> None:
    """Write parts of a result file; other rows and parts that it has keep their values."""
    lab.write(file, with_rows(lab.read(file, given), parts, ROWS), given)


class Ended(NamedTuple):
    """A trained run: its static config, parameters, the faces that measure it with their targets, and its exports."""

    static: Any
    params: Any
    inputs: Any
    wanted: Any
    exported: Any


def ended(name: str, changes: Mapping[str, Any]) -> Ended:
    """Train one run of a target."""
    config = load_config(f"{CONFIG}:{name}", changes)
    with tempfile.TemporaryDirectory() as folder:
        lab.trained(config, Path(folder, "run"))
        run = lab.workdir.open(Path(folder, "run"))
        exported, (_, params, context) = run.embeddings(0), run.model(0)
    target = targets.make(name, WIDTH, WIDTH, config.data.shift, config.data.maps)
    inputs = context.data["evaluated"]
    return Ended(split(config)[0], params, inputs, target.apply(jnp.asarray(target.table[0]), inputs), exported)


def steps(most: int, turns: int = 30) -> dict[str, Any]:
    """r2 after each step up to `most`; times of a loop that ends and of the steps of training, 64 faces, in turns."""
    one = ended("permutation", STAYS)
    curve = jax.jit(adaptive.curve, static_argnums=(3, 4))(one.params, one.inputs, one.wanted, one.static, most)
    faces, wanted = one.inputs[:64], one.wanted[:64]
    fixed = jax.jit(lambda p, x: flow.outputs(flow.run(p, x, one.static, one.static.model.steps)[0], one.static))
    found: dict[str, Any] = {key: [round(float(v), 5) for v in values] for key, values in curve.items()}
    for name, rule in {"all arrived": adaptive.ALL_ARRIVED, "the documents": adaptive.OF_THE_DOCUMENTS}.items():
        loop = jax.jit(lambda p, x, rule=rule: _ended_by(p, x, one.static, most, rule))
        outputs, taken = loop(one.params, faces)
        ratios = []
        for _ in range(turns):
            times = []
            for f in (fixed, loop):
                begun = time.perf_counter()
                jax.block_until_ready(f(one.params, faces))
                times.append(time.perf_counter() - begun)
            ratios.append(times[0] / times[1])
        found[name] = {
            "steps": int(taken),
            "r2": baselines.score(outputs, wanted),
            "r2_fixed": baselines.score(fixed(one.params, faces), wanted),
            "times_faster": round(statistics.median(ratios), 3),
        }
    return found


def _ended_by(params: Any, inputs: Any, static: Any, most: int, rule: adaptive.Rule) -> Any:
    flows, taken = adaptive.run(params, inputs, static, most, rule)
    return flow.outputs(flows, static), taken


def table_of_steps(found: dict[str, Any]) -> str:
    """The curve, and a line for each rule."""
    lines = [["steps", *map(str, range(1, len(found["r2"]) + 1))]]
    lines += [[key, *(f"{v:.3f}" for v in found[key])] for key in ("r2", "arrival")]
    rules = [["the loop ends when", "steps", "r2", "r2 of fixed steps", "times faster"]]
    for name in ("all arrived", "the documents"):
        one = found[name]
        rules.append(
            [name, f"{one['steps']}", f"{one['r2']:.6f}", f"{one['r2_fixed']:.6f}", f"{one['times_faster']:.2f}"]
        )
    return f"{columns(lines)}\n{columns(rules)}"


def picture() -> Any:
    """The ways, landings and arrivals of one mirror, and of one permutation whose flows stay where they arrive."""
    figure = lab.figure(12, 7)
    for k, name in enumerate(("mirror", "permutation")):
        one = ended(name, STAYS if k else {key: value for key, value in FREE.items() if key != "train.steps"})
        size = flow.size(one.static)
        destinations = np.asarray(targets.make(name, WIDTH, WIDTH, 2, 8).destinations)[0]
        start = np.asarray(flow.place(one.params, one.exported["inputs"], one.static).position[:1])
        paths = np.concatenate([start[0][None], one.exported["paths"][:, 0]])
        panels = [figure.add_subplot(2, 3, 3 * k + 1, projection="3d")]
        panels += [figure.add_subplot(2, 3, 3 * k + column) for column in (2, 3)]
        panels[0].set_title(f"{name}: the ways of all flows")
        panels[1].set_title("where they land, on the output face")
        panels[2].set_title("flows that have arrived stay" if k else f"trained for {one.static.model.steps} steps")
        figures.ways(panels[0], paths, size)
        figures.landings(panels[1], paths[-1, :, :2], size, destinations)
        curve = adaptive.curve(one.params, one.inputs, one.wanted, one.static, 16)
        figures.arrivals(panels[2], np.arange(1, 17), np.asarray(curve["r2"]), np.asarray(curve["arrival"]))
    return figure


def trained(name: str, seeds: int, changes: list[str]) -> dict[str, Any]:
    """All seeds of a row in one program: the last metrics, and the CPU seconds of a seed."""
    row = ROWS[name]
    given = {"runs": seeds} | row.changes | typed(changes)
    config = load_config(f"{CONFIG}:{row.target}", given)
    runs = train(config, name)
    if row.fewer:
        shorter = with_fewer_steps(config, runs.params, row.fewer)
        runs = runs._replace(metrics={key: rounded(values) for key, values in shorter.items()})
    return {
        "metrics": runs.metrics,
        "cpu_s": runs.cpu_s,
        "cpu_s_to": {str(mark): reached(runs.curve, mark) for mark in (0.95, 0.99)},
        "steps": runs.steps,
        "parameters": runs.parameters,
        "commit": lab.about()["commit"],  # rows of a file need not be of one commit
    }


def with_fewer_steps(config: Any, params: Any, fewer: int) -> dict[str, Any]:
    """The metrics of trained runs whose flows make fewer steps than they were trained for."""
    _, static, hypers = lab.assemble(config)
    one = task.make_task(
        static._replace(model=static.model._replace(steps=static.model.steps - fewer, drift=flow.drift(static)))
    )

    data = jax.device_put(one.data)

    def measured(params, hypers):
        return one.evaluate(params, lab.context(jnp.int32(0), None, hypers, data))

    return jax.jit(jax.vmap(measured))(params, hypers)


def table(rows: dict[str, Any]) -> str:
    """A line for each row, with its bars."""
    lines = [["row", "r2", "landing", "coverage", "arrival", "CPU s", "to .95", "to .99", "bars"]]
    for name, row in rows.items():
        cells = [shown(row["metrics"].get(key)) for key in ("r2", "landing", "coverage", "arrival")]
        times = [row["cpu_s"], *row["cpu_s_to"].values()]
        lines.append([name, *cells, *("-" if t is None else f"{t:.1f}" for t in times), verdict(ROWS[name], row)])
    return columns(lines)


def verdict(row: Row, found: dict[str, Any]) -> str:
    """Which bars are missed."""
    missed = [
        f"{key} {statistics.median(found['metrics'][key]):.4f} [{min(found['metrics'][key]):.4f}] < {bar}"
        for key, bar in row.bars.items()
        if statistics.median(found["metrics"][key]) < bar[0] or min(found["metrics"][key]) < bar[1]
    ]
    if row.seconds and not (found["cpu_s_to"]["0.99"] or found["cpu_s"]) <= row.seconds:
        missed.append(f"more than {row.seconds:g} s")
    return ("MISSED: " + ", ".join(missed)) if missed else "met" if row.bars else "-"


def measured_baselines(target: str, seeds: int) -> dict[str, Any]:
    """r2 of each baseline on fresh faces; of those that are trained, of each seed."""
    made = targets.make(target, WIDTH, WIDTH, 2, 8)
    draw = lab_faces.drawing(made, WIDTH, AMPLITUDE)
    found = lab_faces.closed_forms(draw) | lab_faces.networks(draw, made.planes, seeds, target)
    if target == "dense":
        found["flows alone, on cells"] = baselines.alone(made.table[0], WIDTH, WIDTH, False)
        found["flows alone, anywhere"] = baselines.alone(made.table[0], WIDTH, WIDTH, True)
    return rounded_scores(found)


def table_of_baselines(found: dict[str, Any]) -> str:
    """A line for each target."""
    names = ["mean", "each cell affine", "ridge", "perceptron", "transformer"]
    names += ["flows alone, on cells", "flows alone, anywhere"]
    lines = [["target", *names]]
    for target, scores in found.items():
        lines.append([target, *(shown(scores.get(name)) for name in names)])
    return columns(lines)


if __name__ == "__main__":
    main()
