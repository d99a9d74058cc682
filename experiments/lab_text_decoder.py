"""The decoder of experiments/text_flows.py: what a byte of a target costs, and texts written from surfaces."""

import statistics
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import lab
import numpy as np
from lab_energy_flow import rounded

from ternary_jax import terminal
from ternary_jax.errors import ConfigError
from ternary_jax.lattice.text import bridge, byte_texts, corpora, decoder, prepared, projection, splits, weights
from ternary_jax.tables import columns

LONGEST = 96  # bytes of a target that are read and written
RECIPE = decoder.Recipe(width=96, steps=1200)
SENTENCES = Path(__file__).with_name("text_sentences.txt")  # of our own, as the texts of a corpus may not be ours


def measured(corpus: prepared.Prepared, seeds: int) -> dict[str, Any]:
    """Bits per byte of the test targets, of each seed; and our sentences as the first seed writes them."""
    texts, surface = bridge.bank_of(corpus).texts, jnp.asarray(projection.onto(corpus.back, corpus.right))
    parts = {
        name: corpus.right_of[corpus.split == part]
        for name, part in (("train", splits.TRAIN), ("validation", splits.VALIDATION), ("test", splits.TEST))
    }
    rows = {name: byte_texts.rows([texts[k] for k in part], LONGEST) for name, part in parts.items()}
    faces = {name: surface[part] for name, part in parts.items()}
    keys = jax.vmap(jax.random.key)(jnp.arange(seeds))
    costs = jax.jit(jax.vmap(lambda p, face: decoder.cost(p, rows["test"], face, RECIPE).sum(), (0, None)))

    def per_byte(params, face):
        return rounded(byte_texts.per_byte(np.asarray(costs(params, face)), rows["test"]))

    teacher = installed_teacher(corpus)
    other = np.random.default_rng(0).permutation(len(faces["test"]))
    found: dict[str, list[float]] = {}
    written: list[dict[str, str]] = []
    for given, of_training in (("surface", faces["train"]), ("no surface", jnp.zeros_like(faces["train"]))):
        terminal.say(f"training decoders with {given} ...")
        params = jax.jit(jax.vmap(lambda key, face=of_training: decoder.train(key, rows["train"], face, RECIPE)))(keys)
        shown = faces["test"] if given == "surface" else jnp.zeros_like(faces["test"])
        found[given] = per_byte(params, shown)
        if given == "surface":
            found["surface of another text"] = per_byte(params, shown[other])
            written = written_again(corpus, jax.tree.map(lambda x: x[0], params), teacher) if teacher else []
    trigram = byte_texts.trigram(rows["train"], rows["validation"])
    found["trigram"] = rounded([byte_texts.per_byte(byte_texts.cost(trigram, rows["test"]), rows["test"])])
    return {"bits_per_byte": found, "sentences": written}


def installed_teacher(corpus: prepared.Prepared) -> weights.Teacher | None:
    """The teacher of the packages, where it is that of the corpus; else None, which is said."""
    try:
        teacher = weights.load(corpora.find(corpora.TEACHER).parent)
    except ConfigError as e:
        terminal.say(f"our sentences are not written again: {e}")
        return None
    if teacher.digest == corpus.about["teacher"]:
        return teacher
    terminal.say("our sentences are not written again: the corpus is of another teacher than the package has")
    return None


def written_again(corpus: prepared.Prepared, params: Any, teacher: weights.Teacher) -> list[dict[str, str]]:
    """Each of our sentences, with the text of the greedy search and the best of a beam of four from its surface."""
    sentences = SENTENCES.read_text().splitlines()
    surface = bridge.encode_target(teacher, corpus, sentences, lab.RESULTS / "raw" / "encoded_texts")
    surface = jnp.asarray(surface.reshape(len(surface), -1))
    greedy = np.asarray(jax.jit(lambda p, x: decoder.greedy(p, x, RECIPE, LONGEST))(params, surface))
    beam = np.asarray(jax.jit(lambda p, x: decoder.beam(p, x, RECIPE, LONGEST, 4)[0])(params, surface))[:, 0]
    return [
        {"sentence": sentence, "greedy": byte_texts.text_of(a), "beam": byte_texts.text_of(b)}
        for sentence, a, b in zip(sentences, greedy, beam, strict=True)
    ]


def table(found: dict[str, Any]) -> str:
    """Bits per byte, the differences with their intervals, and our sentences."""
    costs = found["bits_per_byte"]
    lines = [["bits per byte", "median", "best seed"]]
    lines += [[name, f"{statistics.median(x):.4f}", f"{min(x):.4f}"] for name, x in costs.items()]
    text = columns(lines)
    for other in ("no surface", "surface of another text", "trigram"):
        less = np.subtract(costs["surface"], costs[other])
        if len(less) > 1:
            text += f"\nsurface less {other}: {lab.between(less, '.4f')}"
    return "\n\n".join([text, *("\n".join(f"{way}: {x}" for way, x in one.items()) for one in found["sentences"])])
