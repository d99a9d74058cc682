"""How often do flows on a lattice find the next sentence, or the passage that answers a question, beside other models?

    python experiments/text_flows.py --pairs=wiki.npz                   the names of all rows
    python experiments/text_flows.py --pairs=wiki.npz ROW... [--seeds=5]

FILE is of `python -m ternary_jax.lattice.text prepare`; the default is the small corpus of the package. `level` is the
models to compare with: the mean, shuffled pairs, the face that goes in, the copy where inputs and targets are in one
space, least squares, linear maps and perceptrons of as many parameters as the flows, with both losses, and the ceiling:
the teacher's own vector of the left side. `decoder` is the bits of a byte of a target given its own surface, no surface
and that of another text, beside a trigram. The other rows train flows, all seeds in one program; flows_still do not
move along x and y, flows_frozen keep their first neuron and carrier.

Of every training, the moment counts at which the validation pairs were best: by their cosine, or by recall_10 where the
loss is InfoNCE. Prints the median over the seeds and in brackets the worst, on test pairs; with --set, on validation
pairs alone, as what is tried must not be chosen by test pairs. CPU seconds are those of a seed, without compiling.
Writes results/text_NAME.json; rows that are not named keep their values. Nothing else may run beside it.
"""

import statistics
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import lab
import numpy as np
from lab_energy_flow import parser, rounded, shown, train

from ternary_jax import terminal
from ternary_jax.config import load_config
from ternary_jax.config.keys import typed
from ternary_jax.errors import ConfigError
from ternary_jax.lattice.energy_flow.text_task import FIXTURE
from ternary_jax.lattice.text import (
    baselines,
    bridge,
    byte_texts,
    decoder,
    losses,
    prepared,
    projection,
    splits,
)
from ternary_jax.tables import columns

CONFIG = lab.CONFIGS / "energy_flow_text.py"
ROWS: dict[str, dict[str, Any]] = {
    "flows": {},
    "flows_still": {"model.still": True, "losses.occupancy.on": False},
    "flows_frozen": {"start.frozen": ("neuron", "carrier")},
    "flows_without_cells": {"model.cells_scale": 0.0},
    "flows_cosine": {"losses.text.kind": "cosine"},
    "flows_bent": {"interaction.linear": False},
    "flows_content": {"model.content": True},
    "flows_bytes": {"data.encoder": "bytes"},
    "flows_adapter": {"losses.text.adapter": True, "losses.text.kind": "cosine", "interaction.linear": False},
}
OTHERS = ("level", "decoder")
RANKS = ("recall_1", "recall_10", "median_rank", "cosine", "recall_1_of_all", "recall_10_of_all")
SHOWN = (*RANKS, "pair_cosine", "dimensions", "collapsed")
LESS = ("median_rank", "pair_cosine", "collapsed")  # metrics of which less is better
LONGEST = 160  # bytes of a target that the decoder reads and writes


def main() -> None:
    """Train and measure the named rows, print them and write the results."""
    made = parser(__doc__, [*OTHERS, *ROWS])
    made.add_argument("--pairs", type=Path, default=FIXTURE, metavar="FILE", help="default: the small corpus")
    given = made.parse_args()
    if not given.rows:
        print("\n".join([*OTHERS, *ROWS]))
        return
    try:
        run(given)
    except ConfigError as e:
        raise SystemExit(str(e)) from e


def run(given: Any) -> None:
    """Measure the named rows of a corpus."""
    corpus = prepared.read(given.pairs, "--pairs")
    for name in given.rows:
        if name == "decoder":
            costs, examples = measured_decoder(corpus, given.seeds)
            print(table_of_decoder(costs), *map("\n".join, examples), sep="\n\n")
            keep(corpus, given, decoder=costs)
            continue
        rows = level(corpus, given) if name == "level" else {name: trained(name, given, corpus)}
        print(table(rows, "validation_" if given.set else ""), flush=True)
        if not given.set:
            keep(corpus, given, rows=rows)


def keep(corpus: prepared.Prepared, given: Any, **parts: Any) -> None:
    """Write parts of a result file; rows and parts of the same corpus that it has keep their values."""
    width = corpus.about["face"][0]
    file = f"text_{corpus.about['name']}" + f"_{width}" * (width not in (8, 15))
    found = lab.read(file, given)
    if found.get("corpus") != corpus.about:
        found = {"corpus": corpus.about}
    rows = found.get("rows", {}) | parts.pop("rows", {})
    ordered = [name for name in rows if name not in ROWS] + [name for name in ROWS if name in rows]
    lab.write(file, found | {"rows": {name: rows[name] for name in ordered}} | parts, given)


def configured(given: Any, corpus: prepared.Prepared, changes: dict[str, Any]) -> Any:
    """The config for the size of this corpus."""
    small, (width, height) = given.pairs == FIXTURE, corpus.about["face"]
    pairs = {"data.pairs": "fixture" if small else str(given.pairs), "lattice.width": width, "lattice.height": height}
    return load_config(f"{CONFIG}:{'fixture' if small else 'wiki'}", {"runs": given.seeds} | pairs | changes)


def trained(name: str, given: Any, corpus: prepared.Prepared) -> dict[str, Any]:
    """All seeds of a row in one program: the metrics at the best moment of each, and the CPU seconds of a seed."""
    config = configured(given, corpus, ROWS[name] | typed(given.set))
    chosen = f"validation_{baselines.chosen_by(config.losses.text.kind)}"
    runs = train(config, name, watched=chosen)
    best = np.argmax([one[chosen] for one in runs.history], 0)
    metrics = {key: [runs.history[k][key][seed] for seed, k in enumerate(best)] for key in runs.metrics}
    kept = {key: metrics[key] for key in metrics if given.set or key in SHOWN}
    return {"metrics": kept, "cpu_s": runs.cpu_s, "steps": runs.steps, "parameters": runs.parameters} | _commit()


def level(corpus: prepared.Prepared, given: Any) -> dict[str, Any]:
    """What other models make of the corpus."""
    judge, rows = baselines.judge(corpus), {}
    for name, outputs in baselines.closed_forms(judge).items():
        rows[name] = {"metrics": {key: [value] for key, value in baselines.scores(judge, outputs).items()}} | _commit()
    task, _, hypers = lab.assemble(configured(given, corpus, {}))
    shapes = jax.eval_shape(task.init, jax.random.key(0), jax.tree.map(lambda a: a[0], hypers))
    cells = judge.train.x.shape[1]
    hidden = baselines.hidden_of_size(sum(leaf.size for leaf in jax.tree.leaves(shapes)), cells)
    for name, units in (("linear", 0), ("perceptron", hidden)):
        for loss in losses.KINDS:
            terminal.say(f"training: {name}, {loss} ...")
            recipe = baselines.Recipe(units, loss)
            keys = jax.vmap(jax.random.key)(jnp.arange(given.seeds))
            program = jax.jit(baselines.perceptrons(judge, recipe)).lower(keys).compile()
            begun = time.process_time()
            found = [baselines.scores(judge, outputs) for outputs in np.asarray(program(keys))]
            rows[f"{name}, {loss}"] = {
                "metrics": {key: [one[key] for one in found] for key in found[0]},
                "cpu_s": round((time.process_time() - begun) / given.seeds, 2),
                "steps": recipe.steps,
                "parameters": baselines.size(units, cells),
            } | _commit()
    return rows


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


# --- the decoder ------------------------------------------------------------------------------------------------------


def measured_decoder(corpus: prepared.Prepared, seeds: int, examples: int = 12) -> tuple[dict[str, Any], Any]:
    """Bits per byte of the test targets, of each seed, from their surfaces; and texts that the first one writes.

    An example is the target, then the text of the greedy search after >, then the best of a beam of four after 4. They
    are printed and not kept, as the texts of a corpus may not be ours to publish.
    """
    texts, surface = bridge.bank_of(corpus).texts, jnp.asarray(projection.onto(corpus.back, corpus.right))
    parts = {
        name: corpus.right_of[corpus.split == part]
        for name, part in (("train", splits.TRAIN), ("validation", splits.VALIDATION), ("test", splits.TEST))
    }
    rows = {name: byte_texts.rows([texts[k] for k in part], LONGEST) for name, part in parts.items()}
    faces = {name: surface[part] for name, part in parts.items()}
    recipe, keys = decoder.Recipe(), jax.vmap(jax.random.key)(jnp.arange(seeds))
    costs = jax.jit(jax.vmap(lambda p, face: decoder.cost(p, rows["test"], face, recipe).sum(), (0, None)))

    def per_byte(params, face):
        return rounded(byte_texts.per_byte(np.asarray(costs(params, face)), rows["test"]))

    other = np.random.default_rng(0).permutation(len(faces["test"]))
    found, written = {}, []
    for given, of_training in (("surface", faces["train"]), ("no surface", jnp.zeros_like(faces["train"]))):
        terminal.say(f"training decoders with {given} ...")
        params = jax.jit(jax.vmap(lambda key, face=of_training: decoder.train(key, rows["train"], face, recipe)))(keys)
        shown = faces["test"] if given == "surface" else jnp.zeros_like(faces["test"])
        found[given] = per_byte(params, shown)
        if given == "surface":
            found["surface of another text"] = per_byte(params, shown[other])
            written = written_texts(jax.tree.map(lambda x: x[0], params), shown[:examples], recipe)
    trigram = byte_texts.trigram(rows["train"], rows["validation"])
    found["trigram"] = rounded([byte_texts.per_byte(byte_texts.cost(trigram, rows["test"]), rows["test"])])
    wanted = [byte_texts.text_of(ids) for ids in rows["test"].after[:examples]]
    return {"bits_per_byte": found} | _commit(), [[a, *b] for a, b in zip(wanted, written, strict=True)]


def written_texts(params: Any, surface: Any, recipe: decoder.Recipe) -> list[list[str]]:
    """For each surface the text of the greedy search, and the best of a beam of four."""
    greedy = np.asarray(jax.jit(lambda p, x: decoder.greedy(p, x, recipe, LONGEST))(params, surface))
    beam = np.asarray(jax.jit(lambda p, x: decoder.beam(p, x, recipe, LONGEST, 4)[0])(params, surface))[:, 0]
    return [[f"> {byte_texts.text_of(a)}", f"4 {byte_texts.text_of(b)}"] for a, b in zip(greedy, beam, strict=True)]


def table_of_decoder(found: dict[str, Any]) -> str:
    """Bits per byte, and the differences with their intervals."""
    costs = found["bits_per_byte"]
    lines = [["bits per byte", "median", "best seed"]]
    lines += [[name, f"{statistics.median(x):.4f}", f"{min(x):.4f}"] for name, x in costs.items()]
    text = columns(lines)
    for other in ("no surface", "surface of another text", "trigram"):
        less = np.subtract(costs["surface"], costs[other])
        if len(less) > 1:
            text += f"\nsurface less {other}: {lab.between(less, '.4f')}"
    return text


if __name__ == "__main__":
    main()
