"""What can cells learn that see their six neighbours alone? Rows of the emergent cube beside their baselines.

    python experiments/cube.py                  the names of all rows
    python experiments/cube.py ROW... [--seeds=5]

A row TARGET_WEIGHTS trains all seeds in one program, on 5 x 5 x 4 cells, by a sweep unless all cells are updated (_all,
recall, parity_in_time, erase); TARGET_WEIGHTS_8 on 8 x 8 x 6. It prints, over the seeds, the median and in brackets the
worst of r2 on fresh faces, beside the ceiling, which no cube of that size and length can exceed, and the CPU seconds of
a seed, without compiling: until the end, and until r2 was .95 and .99. r2_short is read one update before anything of
the face can be there. `rates` trains each kind of weights with several learning rates, of another seed; in rows of a
sweep each kind has the best of them. `baselines` prints what the mean, the input, linear maps of all pixels and of
those near, a perceptron of as many parameters, a transformer of one layer and frozen cells make of every target, beside
the ceiling; `each cell affine` is a cube without an update, which drives and reads a pixel at one cell. Writes
results/cube.json, for rates and shared weights results/cube_weights.json, and for baselines cube_baselines.json; rows
that are not named keep their values. Nothing else may run beside it.
"""

import statistics
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import lab
import lab_faces
import numpy as np
from lab_cube_rows import BARS, KINDS, RATES, ROWS, SIDE, TARGETS, Row
from lab_lattice import asked, parser, reached, rounded, rounded_scores, shown, train, with_rows

from ternary_jax import terminal
from ternary_jax.config import load_config, split
from ternary_jax.config.keys import typed
from ternary_jax.lattice import baselines, metrics, models, targets
from ternary_jax.lattice.cube import cube, drives, probes, task
from ternary_jax.tables import columns

CONFIG = lab.CONFIGS / "cube.py"
AMPLITUDE = 1.7
OTHERS = ("rates", "baselines")
OF_WEIGHTS = "cube_weights"  # the result file of rates, and of rows whose cells share weights
CELLS = 584_457  # parameters of a row with weights of each cell
NETWORKS: lab_faces.Networks = {  # as many steps and faces as a row
    "perceptron of the size of own": (lambda planes, n: models.Perceptron((CELLS - n) // (2 * n + 1), n), 800, 32),
    "transformer of one layer": (lambda planes, n: models.Transformer(36, 4, 1, planes), 800, 32),
}
UNSEEN = 1000  # first seed of `rates`, so that no seed of a row chose its rate


def main() -> None:
    """Train and measure the named rows, print them and write the results."""
    given = asked(parser(__doc__, [*OTHERS, *ROWS]), [*OTHERS, *ROWS])
    if given.set and "baselines" in given.rows:
        raise SystemExit("--set changes a cube, and baselines are other models: leave one of them out")
    for name in given.rows:
        if name == "baselines":
            found = {target: of_target(target, given.seeds) for target in TARGETS}
            print(table_of_baselines(found))
            keep(given, "cube_baselines", baselines=found)
        elif name == "rates":
            found = {weights: by_rate(weights, given.set) for weights in RATES}
            print(table_of_rates(found))
            if not given.set:
                keep(given, OF_WEIGHTS, rates=found)
        else:
            rows = {name: trained(ROWS[name], name, given)}
            print(table(rows), flush=True)
            if not given.set:  # after each row
                own = ROWS[name].changes.get("model.weights", "own") == "own"
                keep(given, "cube" if own else OF_WEIGHTS, rows=rows)


def keep(given: Any, file: str, **parts: Any) -> None:
    """Write parts of a result file; other rows and parts that it has keep their values."""
    lab.write(file, with_rows(lab.read(file, given), parts, ROWS), given)


def trained(row: Row, name: str, given: Any) -> dict[str, Any]:
    """All seeds of a row in one program: the last metrics, and the CPU seconds of a seed."""
    config = load_config(f"{CONFIG}:{row.target}", {"runs": given.seeds} | row.changes | typed(given.set))
    runs = train(config, name)
    found = {key: values for key, values in runs.metrics.items() if key != "state_rms"}
    if row.target == "shift_wrapped":
        found |= apart(config, runs.params)
    if config.model.schedule == "all" and config.data.drive == "held":
        found |= {"r2_short": one_update_short(config, runs.params)}
    return ceiling(config) | {
        "metrics": found,
        "cpu_s": runs.cpu_s,
        "cpu_s_to": {str(mark): reached(runs.curve, mark) for mark in (0.95, 0.99)},
        "steps": runs.steps,
        "parameters": runs.parameters,
        "commit": lab.about()["commit"],  # rows of a file need not be of one commit
    }


def ceiling(config: Any) -> dict[str, float]:
    """{"ceiling": the r2 that no cube of this size exceeds at T, or after a sweep}; {} where the map is not linear."""
    static = split(config)[0]
    data = static.data
    if data.target in targets.PRODUCTS or data.drive != "held" or data.shuffled or static.wall.on:
        return {}
    (width, height, depth), model = cube.size(static), static.model
    faces = jnp.eye(width * height).reshape(-1, height, width)
    matrix = np.asarray(lab_faces.wanted(static, faces, config.data.map)).reshape(len(faces), -1).T
    hops = depth * model.repeats if model.schedule == "sweep" else model.updates - cube.least_updates(model, depth)
    return {"ceiling": round(baselines.cone(matrix, width, hops), 5)}


def apart(config: Any, params: Any) -> dict[str, list[float]]:
    """r2 of the columns that come from the other side of the face, and of the others."""
    static, given, wanted = evaluated(config)

    def of_run(params):
        read = task.outputs(static, params, given, static.model.updates)[0][-1]
        parts = slice(None, config.data.shift), slice(config.data.shift, None)
        return [metrics.r2(read[..., part], wanted[..., part]) for part in parts]

    wrapped, others = jax.jit(jax.vmap(of_run))(params)
    return {"r2_wrapped": rounded(wrapped), "r2_others": rounded(others)}


def one_update_short(config: Any, params: Any) -> list[float]:
    """r2 one update before anything of the face can be read: above 0, the cube would leak."""
    static, given, wanted = evaluated(config)
    updates = cube.least_updates(static.model, static.lattice.depth) - 1  # 2 or more in all rows
    r2 = jax.jit(jax.vmap(lambda p: probes.r2_by_update(p, given, wanted, static, updates)[0]))(params)
    return rounded(r2[:, -1])


def evaluated(config: Any) -> tuple[Any, Any, Any]:
    """(static values, the faces of all evaluations, what should be shown of them)."""
    static = split(config)[0]
    given = jnp.asarray(drives.evaluated(static))
    return static, given, lab_faces.wanted(static, given, config.data.map)


def table(rows: Mapping[str, Any]) -> str:
    """A line for each row, with its bars."""
    names = [*dict.fromkeys(name for row in rows.values() for name in row["metrics"])]
    lines = [["row", *names, "ceiling", "CPU s", "to .95", "to .99", "parameters", "bars"]]
    for name, row in rows.items():
        times = [row["cpu_s"], *row["cpu_s_to"].values()]
        cells = [shown(row["metrics"].get(key)) for key in names]
        times = ["-" if t is None else f"{t:.1f}" for t in times]
        most = f"{row['ceiling']:.4f}" if "ceiling" in row else "-"
        lines.append([name, *cells, most, *times, f"{row['parameters']:,}", verdict(ROWS[name], row)])
    return columns(lines)


def verdict(row: Row, found: Mapping[str, Any]) -> str:
    """Whether the bars of a row are met: the medians, the worst seed and the seconds."""
    if not row.bar:
        return "-"
    bar, scores = BARS[row.bar], found["metrics"]
    missed = [f"{key} < {least}" for key, least in bar.medians.items() if statistics.median(scores[key]) < least]
    missed += [f"worst r2 < {bar.worst}"] * (min(scores["r2"]) < bar.worst)
    missed += [f"more than {bar.seconds} s"] * (found["cpu_s"] > bar.seconds)
    return "MISSED: " + ", ".join(missed) if missed else "met"


# --- what they are compared with --------------------------------------------------------------------------------------


def of_target(target: str, seeds: int) -> dict[str, Any]:
    """r2 of each baseline on fresh faces; of those that are trained, of each seed."""
    made = targets.make(target, SIDE, SIDE, 2, 8)
    draw = lab_faces.drawing(made, SIDE, AMPLITUDE)
    found: dict[str, Any] = lab_faces.closed_forms(draw)
    fit, fresh = lab_faces.fit_and_fresh(draw)
    found["copy"] = baselines.score(fresh[0], fresh[1])
    matrix, offset = baselines.near(*fit, width=SIDE, reach=1)
    found["five pixels"] = baselines.score(fresh[0] @ matrix + offset, fresh[1])
    found |= lab_faces.networks(draw, made.planes, seeds, target, NETWORKS)
    frozen = load_config(f"{CONFIG}:{target}", {"runs": seeds, "start.frozen": ("cells", "start")})
    found["frozen cells"] = rounded(train(frozen, f"{target}, frozen").metrics["r2"])
    return rounded_scores(found) | ceiling(frozen)


def table_of_baselines(found: Mapping[str, Mapping[str, Any]]) -> str:
    """A line for each target: of several seeds the median, and the worst in brackets."""
    names = [name for name in next(iter(found.values())) if "parameters" not in name]
    lines = [["target", *names]]
    for target, scores in found.items():
        lines.append([target, *(shown(scores.get(name)) for name in names)])
    return columns(lines)


def by_rate(weights: str, changes: list[str]) -> dict[str, dict[str, float]]:
    """r2 of each learning rate, on a permutation and on a dense matrix, one seed each, which no row has."""
    found: dict[str, dict[str, float]] = {}
    rates = RATES[weights]
    for target in ("permutation", "dense"):
        given = KINDS[weights] | {"runs": len(rates), "seed": (UNSEEN,) * len(rates), "train.learning_rate": rates}
        runs = train(load_config(f"{CONFIG}:{target}", given | typed(changes)), f"rates of {weights}, {target}")
        found[target] = {f"{rate:g}": r2 for rate, r2 in zip(rates, runs.metrics["r2"], strict=True)}
    terminal.progress()
    return found


def table_of_rates(found: Mapping[str, Any]) -> str:
    """A line for each kind of weights and target."""
    names = sorted({rate for one in found.values() for row in one.values() for rate in row}, key=float)
    lines = [["weights", "target", *names]]
    for weights, one in found.items():
        lines += [
            [weights, target, *(f"{row[rate]:.4f}" if rate in row else "-" for rate in names)]
            for target, row in one.items()
        ]
    return columns(lines)


if __name__ == "__main__":
    main()
