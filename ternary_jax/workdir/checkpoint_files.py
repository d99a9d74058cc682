"""Reading of the files of a checkpoint, without trust in the sizes that they claim.

With the options of checkpoint.py, Orbax writes `_CHECKPOINT_METADATA`, which holds our header, and one array of bytes,
in one zarr chunk that is not compressed. All other files of a checkpoint are for Orbax, and are not read.

Orbax's own reader was rejected: it follows whatever its five metadata files say, so an array that claims 10 TB, or a
chunk that expands 2,000-fold, ends the process within TensorStore, where no error can be caught. Here the header gives
the size of every leaf, and zarr.json, the length of the file and the index at its end have to agree with the sum before
the arrays are allocated. Orbax can read the same files.
"""

import json
import math
import re
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ternary_jax.workdir import files, safe_files
from ternary_jax.workdir.rows import MOST_STEPS, is_name, is_number

DEEPEST = 16  # parts of the name of a leaf; those of this package have at most 6
MOST_LEAVES = 20_000  # leaves of a state; those of this package have a few hundred


class Header(NamedTuple):
    """The header of a checkpoint.

    step: optimizer steps done, which is the name of its folder too; None in a checkpoint of an earlier version
    leaves: {name: dtype and shape}, in the order of their bytes, as from `checkpoint.fingerprint`
    metric: the score that ranks it; metadata: config, metrics, versions; crc: of all bytes
    """

    step: int | None
    leaves: dict[str, str]
    metric: float
    metadata: dict[str, Any]
    crc: int


class Leaf(NamedTuple):
    """Where the values of a leaf are among the bytes: begin and end."""

    dtype: np.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


def read_header(folder: Path) -> Header:
    """The header; a ValueError, KeyError, TypeError or OSError if it is damaged. folder: named after the step."""
    safe_files.check_folder(folder)
    own = files.parse_object(safe_files.read(folder / "_CHECKPOINT_METADATA"))["custom_metadata"]
    if zlib.crc32(own["header"].encode()) != own["header_crc"]:
        raise ValueError("its header was altered")
    found = files.parse_object(own["header"].encode())
    header = Header(found.get("step"), found["leaves"], found["metric"], found["metadata"], own["crc"])
    if header.step is not None and str(header.step) != folder.name:
        raise ValueError(f"its header is that of step {header.step!r:.20}")
    if not (isinstance(header.leaves, dict) and isinstance(header.metadata, dict) and is_number(header.metric)):
        raise ValueError("its header is not that of a checkpoint")
    _check_leaves(header.leaves)
    return header


def steps(directory: Path) -> list[int]:
    """The steps of the checkpoints in a folder, ascending."""
    found = [int(name) for name in safe_files.names(directory) if re.fullmatch(r"0|[1-9][0-9]{0,9}", name)]
    return sorted(step for step in found if step <= MOST_STEPS)


def newest_metadata(directory: Path) -> dict[str, Any]:
    """The metadata of the newest checkpoint in a folder; {} where there is none, or where it is damaged."""
    with suppress(Exception):  # an altered byte can raise any error; `restore` and `load` report it
        return read_header(directory.absolute() / str(steps(directory)[-1])).metadata
    return {}


def read_leaves(folder: Path, header: Header) -> dict[str, np.ndarray]:
    """The leaves by name; a ValueError, or another error of a damaged file."""
    places = _places(header.leaves)
    data = _read_bytes(folder / "state" / "bytes", max((leaf.end for leaf in places.values()), default=0))
    if zlib.crc32(data) != header.crc:
        raise ValueError("its arrays were cut short or altered")
    return {
        name: np.frombuffer(data[leaf.begin : leaf.end], leaf.dtype).reshape(leaf.shape).copy()
        for name, leaf in places.items()
    }


def nested(leaves: dict[str, np.ndarray]) -> dict[str, Any]:
    """The leaves as nested dicts, by the parts of their names; a ValueError where one is a leaf and a group at once.

    `read_header` has bounded the number of leaves and of parts.
    """
    tree: dict[str, Any] = {}
    for name, leaf in leaves.items():
        *groups, last = name.split("/")
        node = tree
        for group in groups:
            node = node.setdefault(group, {})
            if not isinstance(node, dict):
                raise ValueError(f"its leaf {name!r:.99} lies below another leaf")
        if last in node:
            raise ValueError(f"its leaf {name!r:.99} is named like a group")
        node[last] = leaf
    return tree


# --- inside -----------------------------------------------------------------------------------------------------------


def _check_leaves(leaves: dict[str, Any]) -> None:
    """Bound the memory that the tree of a state takes beside its arrays; names and texts of leaves are in messages."""
    if len(leaves) > MOST_LEAVES:
        raise ValueError(f"its header has {len(leaves):,} leaves, and a state at most {MOST_LEAVES:,}")
    for name, text in leaves.items():
        if not is_name(name) or name.count("/") >= DEEPEST:
            raise ValueError(f"its leaf {name!r:.99} has more than {DEEPEST} parts, or a name that is not printable")
        _dtype_and_shape(text)


def _places(leaves: dict[str, str]) -> dict[str, Leaf]:
    places, begin = {}, 0
    for name, text in leaves.items():
        dtype, shape = _dtype_and_shape(text)
        end = begin + math.prod(shape) * dtype.itemsize
        places[name], begin = Leaf(dtype, shape, begin, end), end
    return places


def _dtype_and_shape(text: Any) -> tuple[np.dtype, tuple[int, ...]]:
    """Of "float32[3, 4]". A dtype that holds pointers would make an address of any eight bytes."""
    if not re.fullmatch(r"[a-z0-9_]{1,40}\[(\d{1,18}(, \d{1,18}){0,31})?\]", text if isinstance(text, str) else ""):
        raise ValueError(f"its header has a leaf of {text!r:.50}")
    name = text.partition("[")[0]
    dtype = np.dtype(name)
    if str(dtype) != name or dtype.hasobject or dtype.kind not in "biufcV" or not dtype.itemsize:
        raise ValueError(f"its header has a leaf of {text!r:.50}")
    return dtype, tuple(json.loads(text.removeprefix(name)))


def _read_bytes(folder: Path, n: int) -> memoryview:
    """The n bytes of the array that Orbax has stored in this folder."""
    for each in (folder.parent, folder, folder / "c"):
        safe_files.check_folder(each)
    claimed = files.parse_object(safe_files.read(folder / "zarr.json"))
    if differing := [name for name, value in _zarr(n).items() if claimed.get(name) != value]:
        raise ValueError(f"its {differing[0]} is not that of {n:,} bytes, as its header says")
    data = safe_files.read(folder / "c" / "0", n + 20)
    # At the end of a shard is its index: begin and length of its only chunk, and a checksum of the two.
    if len(data) != n + 20 or struct.unpack_from("<QQ", data, n) != (0, n):
        raise ValueError("its arrays were cut short or altered")
    return memoryview(data)[:n]


def _zarr(n: int) -> dict[str, Any]:
    """The entries of zarr.json that decide how n bytes are stored."""
    index = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
    sharding = {"chunk_shape": [n], "codecs": [{"name": "bytes"}], "index_codecs": index}
    return {
        "shape": [n],
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [n]}},
        "chunk_key_encoding": {"name": "default"},
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
    }
