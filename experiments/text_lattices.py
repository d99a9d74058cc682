"""How often does a lattice find the next sentence, or the passage that answers a question, beside other models?

    python experiments/text_lattices.py --pairs=wiki.npz                   the names of all rows
    python experiments/text_lattices.py --pairs=wiki.npz ROW... [--seeds=5]

wiki.npz is of `python -m ternary_jax.lattice.text prepare`; the default is the small corpus of the package, and
--pairs=synthetic_linear or synthetic_nonlinear are drawn pairs with a known ceiling. `level` is the models to compare
with: the mean, shuffled pairs, the face that goes in, as it is and with a gain and an offset for each cell, the copy
where inputs and targets are in one space, least squares, linear maps and perceptrons of as many parameters as the
flows, with both losses; and as ceilings the teacher's own vector of the left side, or the map without noise, and the
target itself, through the face. `level_cube` is the perceptron of as many parameters as the row cube.

The flows of a row are all trained in one program, a run for each seed. flows_still do not move along x and y,
flows_frozen keep their first neuron and carrier. flows_content and flows_bytes are small, as each text has ways or an
encoder of its own; flows_smaller is the default at that size, flows_long the default for twice as many steps.
flows_adapter trains a map of the targets along, a defect; flows_tanh is the same model without it.

Rows of the cube: the cells of cube have weights of their own, those of cube_shared share theirs, those of cube_rank
have a part of their own. Of a row and _frozen, the cells keep their first weights, and only what drives the first layer
and reads the last one is trained; cube_untrained trains nothing. cube_cosine_long has 3,600 steps, where
synthetic pairs get 1,000 by default, and ends at a lower rate. cube_adapter is the defect again.

Of every training, the moment counts at which the validation pairs were best: by their cosine, or by the mean of
1 / rank where the loss is InfoNCE. Prints the median over the seeds and in brackets the worst, on test pairs; with
--set, on validation pairs alone, as what is tried must not be chosen by test pairs. CPU seconds are those of a seed,
without compiling. `compare` prints recall_1 and cosine of the rows on file less those of others, seed by seed, with 95
% intervals: for flows, flows of their size; for a cube, ridge, a linear map and a perceptron with the same loss, its
own frozen row.
Writes results/text_NAME.json, where rows that are not named keep their values.

`decoder` is the bits of a byte of a target, given its own surface, none, and that of another text; of a decoder that
never saw a surface in its training, which is otherwise the same; and of a trigram. Both decoders and the trigram learn
from both sides of the training pairs, so a corpus of all pairs pays (`prepare --corpus=wiki --limit=0`). It also writes
the sentences of text_sentences.txt again from their surfaces. Writes results/text_NAME_decoder.json. Nothing else may
run beside any of it.
"""

import time
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import lab
import lab_text_decoder
import numpy as np
from lab_intervals import less
from lab_lattice import asked, parser, shown, train, with_rows

from ternary_jax import terminal
from ternary_jax.config import load_config
from ternary_jax.config.keys import typed
from ternary_jax.errors import ConfigError
from ternary_jax.lattice.text import baselines, data, losses, prepared, synthetic
from ternary_jax.tables import columns

FLOWS, CUBE = lab.CONFIGS / "energy_flow_text.py", lab.CONFIGS / "cube_text.py"
PACKAGED = ("fixture", *synthetic.NAMES)  # pairs that are no file
DRAWN = (8, 8)  # the face of synthetic pairs
SMALLER = {"model.hidden": 64, "train.batch_size": 64, "train.steps": 300}
TANH = SMALLER | {
    "model.content": True,
    "model.energy": "tanh",  # replaces what a flow carries, so that all outputs can become one
    "interaction.linear": False,
    "losses.text.kind": "cosine",
}
UNTRAINED = {"train.steps": 100, "evaluate.cheap_every": 100, "checkpoint.every": 100}
OWN, SHARED, RANK = ({"model.weights": weights} for weights in ("own", "shared", "rank"))
ROWS: dict[str, dict[str, Any]] = {
    "flows": {},
    "flows_long": {"train.steps": 2400},
    "flows_still": {"model.still": True, "losses.occupancy.on": False},
    "flows_frozen": {"start.frozen": ("neuron", "carrier")},
    "flows_without_cells": {"model.cells_scale": 0.0},
    "flows_cosine": {"losses.text.kind": "cosine"},
    "flows_bent": {"interaction.linear": False},
    "flows_smaller": SMALLER,
    "flows_content": SMALLER | {"model.content": True},
    "flows_bytes": SMALLER | {"data.encoder": "bytes", "data.longest": 96, "encoder.width": 48, "encoder.layers": 1},
    "flows_tanh": TANH,
    "flows_adapter": TANH | {"losses.text.adapter": True},
    "cube": OWN,
    "cube_frozen": OWN | {"start.frozen": ("cells", "start")},
    "cube_shared": SHARED,
    "cube_shared_frozen": SHARED | {"start.frozen": ("shared", "start")},
    "cube_rank": RANK,
    "cube_rank_frozen": RANK | {"start.frozen": ("cells", "shared", "start")},
    "cube_cosine": OWN | {"losses.text.kind": "cosine"},
    "cube_cosine_long": OWN | {"losses.text.kind": "cosine", "train.steps": 3600, "train.final_rate": 0.01},
    "cube_adapter": OWN | {"losses.text.kind": "cosine", "losses.text.adapter": True},
    "cube_untrained": OWN | {"start.frozen": ("cells", "start", "drive", "readout")} | UNTRAINED,
}
OTHERS = ("level", "level_cube", "decoder", "compare")
RANKS = ("recall_1", "recall_10", "reciprocal_rank", "median_rank", "cosine", "recall_1_of_all", "recall_10_of_all")
SHOWN = (*RANKS, "pair_cosine", "dimensions", "collapsed")
OF_CUBE = "perceptron of the size of cube, {}"  # and its loss
LESS = ("median_rank", "pair_cosine", "collapsed")  # metrics of which less is better


def main() -> None:
    """Train and measure the named rows, print them and write the results."""
    made = parser(__doc__, [*OTHERS, *ROWS])
    made.add_argument("--pairs", default="fixture", metavar="FILE", help="or synthetic_linear, synthetic_nonlinear")
    given = asked(made, [*OTHERS, *ROWS])
    try:
        run(given)
    except ConfigError as e:
        raise SystemExit(str(e)) from e


def run(given: Any) -> None:
    """Measure the named rows of a corpus."""
    corpus = data.read(given.pairs, DRAWN, "--pairs")
    for name in given.rows:
        if name in ("decoder", "compare") and given.set:
            raise ConfigError(f"--set is given, and {name} trains no lattice: leave it out")
        if name == "decoder":
            found = lab_text_decoder.measured(corpus, given.seeds)
            print(lab_text_decoder.table(found), flush=True)
            lab.write(f"{file_of(corpus)}_decoder", {"corpus": corpus.about} | found, given)
            continue
        if name == "compare":
            print(compared(of_file(corpus, given).get("rows", {})), flush=True)
            continue
        levels = {"level": level, "level_cube": level_cube}
        rows = levels[name](corpus, given) if name in levels else {name: trained(name, given, corpus)}
        print(table(rows, "validation_" if given.set else ""), flush=True)
        if not given.set:
            keep(corpus, given, rows=rows)


def file_of(corpus: prepared.Prepared) -> str:
    """The name of the result file of a corpus on its face."""
    width = corpus.about["face"][0]
    return f"text_{corpus.about['name']}" + f"_{width}" * (width not in (8, 15))


def of_file(corpus: prepared.Prepared, given: Any) -> dict[str, Any]:
    """The content of the result file; {} where there is none, or it is of another corpus."""
    found = lab.read(file_of(corpus), given)
    return found if found.get("corpus") == corpus.about else {}


def keep(corpus: prepared.Prepared, given: Any, **parts: Any) -> None:
    """Write parts of a result file; rows and parts of the same corpus that it has keep their values."""
    found = of_file(corpus, given) or {"corpus": corpus.about}
    lab.write(file_of(corpus), with_rows(found, parts, ROWS), given)


def configured(name: str, given: Any, corpus: prepared.Prepared, changes: Mapping[str, Any]) -> Any:
    """The config of a row, by its name, for the size of this corpus."""
    width, height = corpus.about["face"]
    size = {"data.pairs": given.pairs, "lattice.width": width, "lattice.height": height}
    variant = given.pairs if given.pairs in PACKAGED else "wiki"
    return load_config(
        f"{CUBE if is_cube(name) else FLOWS}:{variant}", {"runs": given.seeds} | size | ROWS[name] | dict(changes)
    )


def is_cube(name: str) -> bool:
    """Whether a row is one of the cube."""
    return name.startswith("cube")


def trained(name: str, given: Any, corpus: prepared.Prepared) -> dict[str, Any]:
    """All seeds of a row in one program: the metrics at the best moment of each, and the CPU seconds of a seed."""
    config = configured(name, given, corpus, typed(given.set))
    chosen = f"validation_{baselines.chosen_by(config.losses.text.kind)}"
    runs = train(config, name, watched=chosen)
    best = np.argmax([one[chosen] for one in runs.history], 0)
    metrics = {key: [runs.history[k][key][seed] for seed, k in enumerate(best)] for key in runs.metrics}
    kept = {key: metrics[key] for key in metrics if given.set or key in SHOWN}
    beside = "flows_smaller" if SMALLER.items() <= ROWS[name].items() else "flows"
    beside = f"linear, {config.losses.text.kind}" if is_cube(name) else beside
    sizes = {"cpu_s": runs.cpu_s, "steps": runs.steps, "parameters": runs.parameters}
    return {"metrics": kept, "beside": beside} | sizes | _commit()


def level(corpus: prepared.Prepared, given: Any) -> dict[str, Any]:
    """What other models make of the corpus."""
    judge, rows = baselines.judge(corpus), {}
    for name, outputs in baselines.closed_forms(judge).items():
        rows[name] = {"metrics": {key: [value] for key, value in baselines.scores(judge, outputs).items()}} | _commit()
    for name, units in (("linear", 0), ("perceptron", as_large_as("flows", corpus, given))):
        for loss in losses.KINDS:
            rows[f"{name}, {loss}"] = perceptron(f"{name}, {loss}", judge, units, loss, given)
    return rows


def level_cube(corpus: prepared.Prepared, given: Any) -> dict[str, Any]:
    """What a perceptron of as many parameters as the row cube makes of the corpus, with both losses."""
    units, judge = as_large_as("cube", corpus, given), baselines.judge(corpus)
    names = {loss: OF_CUBE.format(loss) for loss in losses.KINDS}
    return {name: perceptron(name, judge, units, loss, given) for loss, name in names.items()}


def as_large_as(name: str, corpus: prepared.Prepared, given: Any) -> int:
    """The hidden units of a perceptron with about as many parameters as the lattice of a row."""
    task, _, hypers = lab.assemble(configured(name, given, corpus, {}))
    shapes = jax.eval_shape(task.init, jax.random.key(0), jax.tree.map(lambda a: a[0], hypers))
    width, height = corpus.about["face"]
    return baselines.hidden_of_size(sum(leaf.size for leaf in jax.tree.leaves(shapes)), width * height)


def perceptron(name: str, judge: baselines.Judge, units: int, loss: str, given: Any) -> dict[str, Any]:
    """The row of a perceptron, or of a linear map with 0 units: all seeds in one program."""
    terminal.say(f"training: {name} ...")
    recipe = baselines.Recipe(units, loss)
    keys = jax.vmap(jax.random.key)(jnp.arange(given.seeds))
    program = jax.jit(baselines.perceptrons(judge, recipe)).lower(keys).compile()
    begun = time.process_time()
    found = [baselines.scores(judge, outputs) for outputs in np.asarray(program(keys))]
    return {
        "metrics": {key: [one[key] for one in found] for key in found[0]},
        "cpu_s": round((time.process_time() - begun) / given.seeds, 2),
        "steps": recipe.steps,
        "parameters": baselines.size(units, judge.train.x.shape[1]),
    } | _commit()


def compared(rows: dict[str, Any]) -> str:
    """recall_1 and cosine of each row less those of the rows beside it: the means over the seeds, with intervals."""
    lines = [["row", "less", "recall_1, 95 %", "cosine, 95 %"]]
    for name, row in rows.items():
        beside = row.get("beside", "flows")
        of_cube = OF_CUBE.format(beside.removeprefix("linear, "))
        others = [beside, *["ridge", of_cube, f"{name}_frozen"] * is_cube(name)]
        for other in (other for other in others if other != name and other in rows):
            lines.append([name, other, less(row, rows[other]), less(row, rows[other], "cosine")])
    return columns(lines)


def _commit() -> dict[str, Any]:
    return {"commit": lab.about()["commit"]}


def table(rows: dict[str, Any], prefix: str = "") -> str:
    """A line for each row; prefix: of the metrics to show."""
    names = [f"{prefix}{name}" for name in SHOWN]
    names = [name for name in names if any(name in row["metrics"] for row in rows.values())]
    lines = [["row", *names, "CPU s", "parameters"]]
    for name, row in rows.items():
        cells = [shown(row["metrics"].get(key), max if key in LESS else min) for key in names]
        lines.append([name, *cells, f"{row.get('cpu_s', 0):.0f}", f"{row.get('parameters', 0):,}"])
    return columns(lines)


if __name__ == "__main__":
    main()
