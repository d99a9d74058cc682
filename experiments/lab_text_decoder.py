"""The decoder of experiments/text_lattices.py: what a byte of a target costs, and texts written from surfaces."""

import statistics
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import lab
import numpy as np
from lab_lattice import rounded

from ternary_jax import terminal
from ternary_jax.errors import ConfigError
from ternary_jax.lattice.text import bridge, byte_texts, corpora, decoder, prepared, projection, splits, weights
from ternary_jax.tables import columns

LONGEST = 96  # bytes of a text that are read and written
RECIPE = decoder.Recipe(width=96, steps=1200, rate=4e-3)  # of rates 2e-3 and 4e-3, by validation texts
SENTENCES = Path(__file__).with_name("text_sentences.txt")  # of our own, as the texts of a corpus may not be ours


class Part(NamedTuple):
    """Texts as rows of bytes, and their surfaces (n, S)."""

    rows: byte_texts.Rows
    surface: jax.Array


def parts(corpus: prepared.Prepared) -> tuple[Part, Part, Part]:
    """(training, validation, test): both sides of the training pairs, and the right sides of the others.

    A left side has the surface that it would have as a right side, so it is one more text with its surface. Only the
    first LONGEST bytes of a text are read here, and the split has kept only whole texts apart. So a training text is
    left out if a validation or test text begins with the same bytes.
    """
    texts = (corpus.texts[0], bridge.bank_of(corpus).texts)
    faces = [projection.onto(corpus.back, vectors) for vectors in (corpus.meaning, corpus.right)]

    def of(part: int, sides: tuple[int, ...]) -> dict[bytes, np.ndarray]:
        pairs = prepared.part(corpus, part)
        return {texts[side][k].encode(): faces[side][k] for side in sides for k in pairs[:, side]}

    train, validation, test = of(splits.TRAIN, (1, 0)), of(splits.VALIDATION, (1,)), of(splits.TEST, (1,))
    read = {text[:LONGEST] for text in (*validation, *test)}
    train = {text: face for text, face in train.items() if text[:LONGEST] not in read}
    made = [
        Part(byte_texts.rows([text.decode() for text in part], LONGEST), jnp.asarray(np.stack([*part.values()])))
        for part in (train, validation, test)
    ]
    return made[0], made[1], made[2]


def measured(corpus: prepared.Prepared, seeds: int) -> dict[str, Any]:
    """Bits per byte of the test targets, of each seed; and our sentences as the first seed writes them."""
    teacher = installed_teacher(corpus)
    train, validation, test = parts(corpus)
    costs = jax.jit(jax.vmap(lambda params, face: decoder.cost(params, test.rows, face, RECIPE).sum(), (0, None)))

    def trained(given):  # 1.0: with surfaces; 0.0: without them, and all else is the same
        keys = jax.vmap(jax.random.key)(jnp.arange(seeds))
        face, chosen = given * train.surface, (validation.rows, given * validation.surface)
        params, bits = jax.jit(jax.vmap(lambda key: decoder.train(key, train.rows, face, chosen, RECIPE)))(keys)
        return params, rounded(byte_texts.per_byte(np.asarray(bits).min(1), validation.rows))

    def per_byte(params, face):
        return rounded(byte_texts.per_byte(np.asarray(costs(params, face)), test.rows))

    hidden, other = jnp.zeros_like(test.surface), np.random.default_rng(0).permutation(len(test.surface))
    found: dict[str, list[float]] = {}
    chosen: dict[str, list[float]] = {}
    terminal.say(f"training decoders of {len(train.surface):,} texts with their surfaces ...")
    params, chosen["surface"] = trained(1.0)
    found["surface"] = per_byte(params, test.surface)
    found["surface hidden"] = per_byte(params, hidden)
    found["surface of another text"] = per_byte(params, test.surface[other])
    written = written_again(corpus, jax.tree.map(lambda x: x[0], params), teacher) if teacher else []
    terminal.say("training decoders without a surface ...")
    params, chosen["no surface"] = trained(0.0)
    found["no surface"] = per_byte(params, hidden)
    trigram = byte_texts.trigram(train.rows, validation.rows)
    found["trigram"] = rounded([byte_texts.per_byte(byte_texts.cost(trigram, test.rows), test.rows)])
    return {"bits_per_byte": found, "validation": chosen, "training_texts": len(train.surface), "sentences": written}


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
    for other in (name for name in costs if name != "surface"):
        less = np.subtract(costs["surface"], costs[other])
        if len(less) > 1:
            text += f"\nsurface less {other}: {lab.between(less, '.4f')}"
    return "\n\n".join([text, *("\n".join(f"{way}: {x}" for way, x in one.items()) for one in found["sentences"])])
