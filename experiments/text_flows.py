"""Do flows on a lattice find the next sentence, or the passage that answers a question? Beside what else finds it.

    python experiments/text_flows.py --pairs=wiki.npz                   the names of all rows
    python experiments/text_flows.py --pairs=wiki.npz ROW... [--seeds=5]

FILE is of `python -m ternary_jax.lattice.text prepare`; the default is the small corpus of the package. `level` is what
is to be beaten: the mean, shuffled pairs, the copy where there is one, linear maps by least squares, perceptrons with
both losses, and the ceiling: the teacher's own vector of the left side. `decoder` is what a byte of a target costs with
its surface, without one and with that of another text, beside a trigram. The other rows train flows, all seeds in one
program; flows_still do not move along x and y, flows_frozen keep their first neuron and carrier, and the row no_step
has no lattice at all: the face that goes in comes out.

Prints the median over the seeds and in brackets the worst, on pairs that were never trained on; recall among the N test
targets, and `of all` candidates. Writes results/text_NAME.json; rows that are not named keep their values. Nothing else
may run beside it.
"""

import statistics
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import lab
import numpy as np
from lab_energy_flow import rounded, shown, train

from ternary_jax import terminal
from ternary_jax.config import load_config
from ternary_jax.config.keys import typed
from ternary_jax.errors import ConfigError
from ternary_jax.lattice.energy_flow.text_task import FIXTURE
from ternary_jax.lattice.text import baselines, byte_texts, decoder, prepared, projection, splits
from ternary_jax.tables import columns

CONFIG = lab.CONFIGS / "energy_flow_text.py"
ROWS: dict[str, dict[str, Any]] = {
    "flows": {},
    "flows_still": {"model.still": True, "losses.occupancy.on": False},
    "flows_frozen": {"start.frozen": ("neuron", "carrier")},
    "flows_without_cells": {"model.cells_scale": 0.0},
    "flows_cosine": {"losses.text.kind": "cosine"},
    "flows_content": {"model.content": True},
    "flows_bytes": {"data.encoder": "bytes"},
    "flows_adapter": {"losses.text.adapter": True, "losses.text.kind": "cosine", "interaction.linear": False},
}
OTHERS = ("level", "decoder")
SHOWN = ("recall_1", "recall_10", "median_rank", "cosine", "recall_1_of_all", "recall_10_of_all", "pair_cosine")
LESS = ("median_rank", "pair_cosine")  # metrics of which less is better
LONGEST = 160  # bytes of a target that the decoder writes


def main() -> None:
    """Train and measure the named rows, print them and write the results."""
    parser = lab.parser(__doc__, seeds=5)
    parser.add_argument("--pairs", type=Path, default=FIXTURE, metavar="FILE", help="default: the fixture")
    parser.add_argument("rows", nargs="*", metavar="ROW", choices=[*OTHERS, *ROWS, []], help="see above")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a change to all rows, to try")
    given = parser.parse_args()
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
    file = f"text_{corpus.about['name']}" + ("_20" if corpus.about["face"][0] == 20 else "")
    for name in given.rows:
        if name == "decoder":
            costs, examples = measured_decoder(corpus, given.seeds)
            print(table_of_decoder(costs), *map("\n".join, examples), sep="\n\n")
            keep(file, given, decoder=costs)
            continue
        rows = level(corpus, given.seeds) if name == "level" else {name: trained(name, given)}
        print(table(rows), flush=True)
        if not given.set:
            keep(file, given, rows=rows)


def keep(file: str, given: Any, **parts: Any) -> None:
    """Write parts of a result file; other rows and parts that it has keep their values."""
    found = lab.read(file, given)
    rows = found.get("rows", {}) | parts.pop("rows", {})
    others = {part: found[part] for part in ("decoder",) if part in found}
    ordered = [name for name in rows if name not in ROWS] + [name for name in ROWS if name in rows]
    lab.write(file, {"rows": {name: rows[name] for name in ordered}, **others, **parts}, given)


def trained(name: str, given: Any) -> dict[str, Any]:
    """All seeds of a row in one program: the last metrics, and the CPU seconds of a seed."""
    variant = given.pairs.stem if given.pairs != FIXTURE else "fixture"
    changes = {"runs": given.seeds, "data.pairs": str(given.pairs) if given.pairs != FIXTURE else "fixture"}
    known = variant if variant in ("fixture", "wiki", "boolq", "wiki_20", "boolq_20") else "wiki"
    config = load_config(f"{CONFIG}:{known}", changes | ROWS[name] | typed(given.set))
    runs = train(config, name, watched="recall_1")
    metrics = {key: runs.metrics[key] for key in SHOWN}
    return {"metrics": metrics, "cpu_s": runs.cpu_s, "steps": runs.steps, "parameters": runs.parameters} | _commit()


def level(corpus: prepared.Prepared, seeds: int) -> dict[str, Any]:
    """What other models make of the corpus. `linear` is a perceptron with one hidden unit beside its linear map."""
    judge, rows = baselines.judge(corpus), {}
    for name, outputs in baselines.closed_forms(judge).items():
        rows[name] = {"metrics": {key: [value] for key, value in baselines.scores(judge, outputs).items()}} | _commit()
    recipes = {
        f"{name}, {loss}": baselines.Recipe(hidden, loss)
        for name, hidden in (("linear", 1), ("perceptron", 512))
        for loss in ("cosine", "infonce")
    }
    for name, recipe in recipes.items():
        found, parameters, begun = [], 0, time.process_time()
        for seed in range(seeds):
            outputs, parameters = baselines.perceptron(judge, recipe, seed)
            found.append(baselines.scores(judge, outputs))
            terminal.progress(f"{name}: {seed + 1} of {seeds} seeds, recall_1 {found[-1]['recall_1']:.4f}")
        terminal.progress()
        metrics = {key: [one[key] for one in found] for key in found[0]}
        spent = round((time.process_time() - begun) / seeds, 2)
        rows[name] = {"metrics": metrics, "cpu_s": spent, "steps": recipe.steps, "parameters": parameters} | _commit()
    return rows


def _commit() -> dict[str, Any]:
    return {"commit": lab.about()["commit"]}


def table(rows: dict[str, Any]) -> str:
    """A line for each row."""
    lines = [["row", *SHOWN, "CPU s", "parameters"]]
    for name, row in rows.items():
        cells = [shown(row["metrics"].get(key), max if key in LESS else min) for key in SHOWN]
        lines.append([name, *cells, f"{row.get('cpu_s', 0):.0f}", f"{row.get('parameters', 0):,}"])
    return columns(lines)


# --- the decoder ------------------------------------------------------------------------------------------------------


def measured_decoder(corpus: prepared.Prepared, seeds: int, examples: int = 12) -> tuple[dict[str, Any], Any]:
    """Bits per byte of the test targets by what the decoder is given, of each seed; and some that the first writes.

    An example is the target, then the text of the greedy search after >, then the best of a beam of four after 4. They
    are printed and not kept, as the texts of a corpus may not be ours to publish.
    """
    texts, surface = corpus.texts[1], jnp.asarray(projection.onto(corpus.back, corpus.right))
    parts = {
        name: corpus.right_of[corpus.split == part]
        for name, part in (("train", splits.TRAIN), ("validation", splits.VALIDATION), ("test", splits.TEST))
    }
    rows = {name: byte_texts.rows([texts[k] for k in part], LONGEST) for name, part in parts.items()}
    faces = {name: surface[part] for name, part in parts.items()}
    recipe, keys = decoder.Recipe(), jax.vmap(jax.random.key)(jnp.arange(seeds))
    costs = jax.jit(jax.vmap(lambda p, face: decoder.bits(p, rows["test"], face, recipe), (0, None)))
    found, written = {}, []
    for given, of_training in (("surface", faces["train"]), ("no surface", jnp.zeros_like(faces["train"]))):
        terminal.say(f"training decoders with {given} ...")
        params = jax.jit(jax.vmap(lambda key, face=of_training: decoder.train(key, rows["train"], face, recipe)))(keys)
        shown = faces["test"] if given == "surface" else jnp.zeros_like(faces["test"])
        found[given] = rounded(costs(params, shown).mean(1))
        if given == "surface":
            found["surface of another text"] = rounded(costs(params, jnp.roll(shown, 1, 0)).mean(1))
            written = written_texts(jax.tree.map(lambda x: x[0], params), shown[:examples], recipe)
    trigram = byte_texts.trigram(rows["train"], rows["validation"])
    found["trigram"] = [round(byte_texts.bits(trigram, rows["test"]), 5)]
    wanted = [texts[k][:LONGEST] for k in parts["test"][:examples]]
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
