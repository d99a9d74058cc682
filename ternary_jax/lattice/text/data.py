"""The data of a task of text: the corpus of config.data.pairs, its arrays on the device, and batches of its pairs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import Array

from ternary_jax.engine.task import Context
from ternary_jax.errors import ConfigError
from ternary_jax.lattice.text import byte_texts, prepared, splits, synthetic

FIXTURE = Path(__file__).parents[2] / "assets" / "chatterbot_pairs.npz"
SEED = 0  # of the batches that are streamed, which all runs share
PARTS = {"train": splits.TRAIN, "validation": splits.VALIDATION, "test": splits.TEST}


def read(name: str, face: tuple[int, int], key: str = "config.data.pairs") -> prepared.Prepared:
    """The corpus of a value of data.pairs: "fixture", one of synthetic.NAMES, which is drawn for this face, or a file.

    key: the one that an error names
    """
    if name in synthetic.NAMES:
        return synthetic.corpus(name, face)
    return prepared.read(FIXTURE if name == "fixture" else Path(name), key)


def corpus(static: Any) -> prepared.Prepared:
    """The corpus of data.pairs, whose face has to be that of the lattice."""
    name, lattice = static.data.pairs, (static.lattice.width, static.lattice.height)
    found = read(name, lattice)
    face = tuple(found.about["face"])
    if face != lattice:
        raise ConfigError(
            f"config.data.pairs={name} is prepared for a face of {face[0]} x {face[1]}, and config.lattice.width="
            f"{lattice[0]} and config.lattice.height={lattice[1]}: give --face={lattice[0]}x{lattice[1]} to prepare, "
            "or the other lattice"
        )
    if static.data.encoder == "bytes" and not found.texts[0]:
        raise ConfigError(
            f"config.data.encoder=bytes reads texts, and config.data.pairs={name} has none: give a corpus that was "
            "prepared from texts without --small, or config.data.encoder=prepared"
        )
    return found


def sides(static: Any, corpus: prepared.Prepared) -> tuple[np.ndarray, np.ndarray]:
    """The inputs of all left sides, and the centred vectors of all right ones."""
    if static.data.encoder == "bytes":
        return byte_texts.rows(corpus.texts[0], static.data.longest).ids, prepared.targets(corpus)
    return prepared.faces(corpus), prepared.targets(corpus)


def arrays(static: Any, corpus: prepared.Prepared, inputs: np.ndarray, vectors: np.ndarray) -> dict[str, Any]:
    """inputs; vectors (rights, e), centred; back: their projection; pairs of each part, (n, 2): rows of the first two.

    inputs: faces (lefts, height, width), or where an encoder is trained along, symbols (lefts, longest + 1)
    Where the training pairs are not on the device, these are the inputs and vectors of the other pairs alone.
    """
    parts = {name: prepared.part(corpus, number) for name, number in PARTS.items()}
    if not static.data.on_device:
        del parts["train"]
        inputs, vectors, parts = _rows_of(inputs, vectors, parts)
    return {"inputs": inputs, "vectors": vectors, "back": corpus.back, **parts}


def rights(static: Any, corpus: prepared.Prepared) -> np.ndarray:
    """The rows of the corpus that the right sides of `arrays` are, (n,)."""
    if static.data.on_device:
        return np.arange(len(corpus.right))
    kept = [prepared.part(corpus, number) for name, number in PARTS.items() if name != "train"]
    return np.unique(np.concatenate(kept)[:, 1])


def stream(
    static: Any, corpus: prepared.Prepared, inputs: np.ndarray, vectors: np.ndarray
) -> Callable[[int, int], dict[str, np.ndarray]]:
    """First step, n -> the batches of n steps, from the memory of the host.

    A batch depends on its step alone and not on config.seed, as all runs share it.
    """
    pairs = prepared.part(corpus, splits.TRAIN)

    def batches(first: int, n: int) -> dict[str, np.ndarray]:
        drawn = [np.random.default_rng((SEED, step)) for step in range(first, first + n)]
        rows = pairs[np.stack([one.integers(len(pairs), size=static.train.batch_size) for one in drawn])]
        return {"inputs": inputs[rows[..., 0]], "vectors": vectors[rows[..., 1]], "truth": rows[..., 1]}

    return batches


def sample(static: Any, context: Context) -> dict[str, Array]:
    """A batch of training pairs: of the data on the device, or the row of the stream."""
    if not static.data.on_device:
        return context.streamed
    data = context.data
    rows = data["train"][jax.random.randint(context.key, (static.train.batch_size,), 0, len(data["train"]))]
    return {"inputs": data["inputs"][rows[:, 0]], "vectors": data["vectors"][rows[:, 1]], "truth": rows[:, 1]}


# --- inside -----------------------------------------------------------------------------------------------------------


def _rows_of(inputs: np.ndarray, vectors: np.ndarray, parts: dict[str, np.ndarray]) -> tuple[Any, Any, dict[str, Any]]:
    """The inputs and vectors of these pairs alone, and the pairs with the numbers of the rows that are left."""
    kept = np.concatenate([*parts.values()])
    sides = [np.unique(rows) for rows in kept.T]
    numbers = {
        name: np.stack([np.searchsorted(side, rows) for side, rows in zip(sides, pairs.T, strict=True)], 1)
        for name, pairs in parts.items()
    }
    return inputs[sides[0]], vectors[sides[1]], {name: pairs.astype(np.int32) for name, pairs in numbers.items()}
