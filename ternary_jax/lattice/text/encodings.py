"""Vectors of texts on disk, in parts of 1,024 texts, so that a stopped preparation goes on where it was.

A part is a run of 1,024 texts of a list, in its order. It is named by the SHA-256 of the teacher with its sizes and
its pooling, the greatest length and its texts. So the same list is encoded once, whatever its split, projection or
face; two lists share the runs that have the same texts at the same places of a run, and no single texts.
"""

import hashlib
import io
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ternary_jax import terminal
from ternary_jax.lattice.text import teacher
from ternary_jax.lattice.text.weights import Teacher
from ternary_jax.tables import span
from ternary_jax.workdir import files

PART = 1024


def encode(model: Teacher, texts: Sequence[str], longest: int, folder: Path, what: str) -> teacher.Encoded:
    """The vectors of texts as teacher.encode gives them, rounded to float16; parts that are in the folder are read."""
    parts = [texts[k : k + PART] for k in range(0, len(texts), PART)]
    words, meaning, cut, done, begun, printed = [], [], 0, 0, time.monotonic(), 0.0
    for number, part in enumerate(parts):
        path = folder / f"{name(model, part, longest)}.npz"
        found = _read(path, len(part), model.sizes.width)
        if found is None:
            encoded = teacher.encode(model, part, longest)
            found = (encoded.words.astype(np.float16), encoded.meaning.astype(np.float16), encoded.cut)
            _write(path, found)
            done += len(part)
        words.append(found[0])
        meaning.append(found[1])
        cut += found[2]
        left = sum(map(len, parts[number + 1 :]))
        if done and left:
            rate = done / (time.monotonic() - begun)
            line = f"{what}: {len(texts) - left:,} of {len(texts):,} texts, {rate:,.0f}/s, {span(left / rate)} left"
            printed = terminal.progress(line, 2.0, printed)
    terminal.progress()
    whole = [np.concatenate(x).astype(np.float32) for x in (words, meaning)]
    return teacher.Encoded(whole[0], whole[1], cut)


def name(model: Teacher, texts: Sequence[str], longest: int) -> str:
    """The name of the part with these texts."""
    found = hashlib.sha256(f"{model.digest} {model.sizes} {model.pooling} {longest} {len(texts)}\n".encode())
    for text in texts:
        data = text.encode()
        found.update(len(data).to_bytes(8, "little") + data)
    return found.hexdigest()[:32]


def _write(path: Path, found: tuple[np.ndarray, np.ndarray, int]) -> None:
    stream = io.BytesIO()
    np.savez(stream, words=found[0], meaning=found[1], cut=np.int64(found[2]))
    with files.os_error_as_run_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    files.write_whole(path, stream.getvalue())


def _read(path: Path, n: int, width: int) -> tuple[np.ndarray, np.ndarray, int] | None:
    """The part in a file; None where there is none, or where it is damaged, so that it is made again."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:  # np.load leaves a bad one open
            found = arrays["words"], arrays["meaning"], int(arrays["cut"])
    except Exception:  # a damaged file can raise the error of any library
        return None
    return found if found[0].shape == found[1].shape == (n, width) else None
