"""A prepared corpus: the vectors of pairs, their split, and their projections on a face, in one npz file.

The file has no code and no pickles. Its content is compared with the SHA-256 that it carries, so that a damaged or an
edited file is refused.
"""

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ternary_jax.errors import ConfigError, one_line
from ternary_jax.lattice.text import projection
from ternary_jax.lattice.text.projection import Projection
from ternary_jax.workdir import files

FORMAT = 1
SIDES = ("left", "right")
VECTORS = ("left", "right", "meaning")
ROUNDING = (
    1e-3  # the most that float16 may change a row, as a share of its length; ordinary rows change by 5e-4 at most
)


class Prepared(NamedTuple):
    """n pairs of `lefts` distinct left sides and `rights` distinct right ones.

    left: (lefts, d) inputs; right: (rights, e) targets; meaning: (lefts, e) of the left sides in the space of the
    targets, (0, e) where there is none
    left_of, right_of: (n,) int32, the row of each pair in them
    split: (n,) int8, of splits.py
    onto, back: projections of the inputs and of the targets
    texts: the texts of the left and of the right sides; empty where there are none
    about: face [width, height], names, versions and counts
    """

    left: np.ndarray
    right: np.ndarray
    meaning: np.ndarray
    left_of: np.ndarray
    right_of: np.ndarray
    split: np.ndarray
    onto: Projection
    back: Projection
    texts: tuple[list[str], list[str]]
    about: dict[str, Any]


# --- parts of a corpus ------------------------------------------------------------------------------------------------


def targets(corpus: Prepared) -> np.ndarray:
    """The right sides as they are compared: (rights, e) float32, centred."""
    return centred(corpus, corpus.right)


def centred(corpus: Prepared, vectors: np.ndarray) -> np.ndarray:
    """Vectors (n, e) of the space of the targets without the mean of the training targets, float32."""
    return np.asarray(vectors - corpus.back.mean[None], np.float32)


def faces(corpus: Prepared) -> np.ndarray:
    """The left sides on the input face, (lefts, height, width) float32."""
    return on_face(corpus, corpus.left)


def on_face(corpus: Prepared, vectors: np.ndarray) -> np.ndarray:
    """Vectors (n, d) of the space of the inputs on the input face, (n, height, width) float32."""
    width, height = corpus.about["face"]
    return np.asarray(projection.onto(corpus.onto, vectors), np.float32).reshape(-1, height, width)


def part(corpus: Prepared, number: int) -> np.ndarray:
    """The pairs of a part of splits.py, such as splits.TEST: (k, 2) int32, rows of `left` and of `right`."""
    return np.stack([corpus.left_of, corpus.right_of], 1).astype(np.int32)[corpus.split == number]


# --- files ------------------------------------------------------------------------------------------------------------


def write(path: Path, prepared: Prepared, small: bool = False) -> None:
    """Write the file, the same bytes for the same content.

    Each array of vectors is written in float16, or in float32 where float16 would change one of its rows by more than
    ROUNDING of the length of that row, as it does beyond 65,504. Values that are not finite are a ConfigError.
    small: vectors as bytes, bases in float16, compressed, and no texts.
    """
    _check_finite(path, prepared)
    arrays: dict[str, np.ndarray] = {}
    for name in VECTORS:
        values = getattr(prepared, name)
        arrays |= as_bytes(name, values) if small else {name: _as_half(values)}
    arrays |= {name: getattr(prepared, name) for name in ("left_of", "right_of", "split")}
    for side in ("onto", "back"):
        for name, value in getattr(prepared, side)._asdict().items():
            arrays[f"{side}_{name}"] = np.asarray(value, np.float16 if small and name == "basis" else np.float32)
    for side, texts in zip(SIDES, prepared.texts, strict=True):
        if texts and not small:
            arrays |= _packed(side, texts)
    about = json.dumps({"format": FORMAT, **prepared.about}, sort_keys=True)
    arrays["about"] = np.frombuffer(about.encode(), np.uint8)
    arrays["digest"] = np.frombuffer(digest(arrays).encode(), np.uint8)
    stream = io.BytesIO()
    save: Any = np.savez_compressed if small else np.savez
    save(stream, **arrays)  # neither writes the time of day
    with files.os_error_as_run_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    files.write_whole(path, stream.getvalue())


def read(path: Path, key: str = "config.data.pairs") -> Prepared:
    """The content of a file; a ConfigError that names the key if it is none, or is damaged."""
    how = "python -m ternary_jax.lattice.text prepare makes one"
    if not path.is_file():
        raise ConfigError(f"{key}={path} is no file: {how}")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as opened:  # np.load leaves a bad one open
            arrays = {name: opened[name] for name in opened}
        if missing := {"about", "digest"} - arrays.keys():
            raise ValueError(f"it has no array {min(missing)}")
        said = arrays.pop("digest").tobytes().decode()
        about = dict(json.loads(arrays["about"].tobytes()))
    except Exception as e:  # a damaged file can raise the error of any library
        raise ConfigError(f"{key}={path} is no prepared corpus ({one_line(e)}): {how}") from e
    if about.get("format") != FORMAT:
        raise ConfigError(f"{key}={path} has the format {about.get('format')}, and this program reads {FORMAT}: {how}")
    found = digest(arrays)
    if found != said:
        raise ConfigError(
            f"{key}={path} has the SHA-256 {found[:12]}..., and says {said[:12]}...: it was damaged or edited; {how}"
        )
    vectors: dict[str, Any] = {name: _vectors(arrays, name) for name in VECTORS}
    projections: dict[str, Any] = {
        side: Projection(*(arrays[f"{side}_{name}"].astype(np.float32) for name in Projection._fields))
        for side in ("onto", "back")
    }
    texts = tuple(_unpacked(arrays, side) for side in SIDES)
    rows = {name: arrays[name] for name in ("left_of", "right_of", "split")}
    return Prepared(**vectors, **rows, **projections, texts=(texts[0], texts[1]), about=about)


def digest(arrays: dict[str, np.ndarray]) -> str:
    """The SHA-256 of names, types, shapes and bytes."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        found.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def as_bytes(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """Rows in 255 steps of their largest entry: an error of at most 1/254 of that."""
    scale = np.maximum(np.abs(values).max(1, initial=0), 1e-12).astype(np.float32) / 127
    return {name: np.rint(values / scale[:, None]).astype(np.int8), f"{name}_scale": scale}


def _as_half(values: np.ndarray) -> np.ndarray:
    """The values in float16, or as they are where that changes a row by more than ROUNDING of its length."""
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    changed, lengths = (np.linalg.norm(x.astype(np.float64), axis=1) for x in (half - values, values))
    return half if np.all(changed <= ROUNDING * lengths) else values.astype(np.float32)


def _check_finite(path: Path, prepared: Prepared) -> None:
    named = {name: getattr(prepared, name) for name in VECTORS}
    for side in ("onto", "back"):
        named |= {f"{name} of {side}": value for name, value in getattr(prepared, side)._asdict().items()}
    for name, values in named.items():
        if not np.all(np.isfinite(values)):
            raise ConfigError(
                f"{path} is not written, as {name} has a NaN or an infinity: give pairs of smaller numbers"
            )


def _vectors(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    values = arrays[name].astype(np.float32)
    return values * arrays[f"{name}_scale"][:, None] if f"{name}_scale" in arrays else values


def _packed(side: str, texts: Sequence[str]) -> dict[str, np.ndarray]:
    data = [text.encode() for text in texts]
    ends = np.cumsum([len(one) for one in data])
    return {f"{side}_text": np.frombuffer(b"".join(data), np.uint8), f"{side}_ends": ends.astype(np.int64)}


def _unpacked(arrays: dict[str, np.ndarray], side: str) -> list[str]:
    if f"{side}_text" not in arrays:
        return []
    data, ends = arrays[f"{side}_text"].tobytes(), arrays[f"{side}_ends"].tolist()
    return [data[a:b].decode() for a, b in zip([0, *ends[:-1]], ends, strict=True)]
