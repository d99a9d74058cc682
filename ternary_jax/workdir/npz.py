"""Arrays of an .npz file as `np.savez` writes it, read without trust in the sizes that it claims.

`np.load` was rejected: it allocates whatever size a header names, and a compressed member expands a thousandfold. Here
members are not compressed, the file is mostly no hole (`safe_files.open_file`), and the claims of the directory and of
every member are compared with the size of the file before a member is read.
"""

import io
import math
import struct
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from ternary_jax.errors import WorkdirError
from ternary_jax.workdir import safe_files

DIRECTORY = 1 << 20  # bytes of the directory of the members; an array has some sixty


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file in a workdir, by name; a WorkdirError if it is damaged."""
    with safe_files.open_file(path) as file:
        try:
            return parse(file)
        except Exception as e:  # an altered byte can raise any error, in any library
            why = f"{e}".partition("\n")[0][:200] or type(e).__name__
            raise WorkdirError(f"{path} is damaged ({why}): put back a copy, or train again in another workdir") from e


def parse(file: IO[bytes]) -> dict[str, np.ndarray]:
    """The arrays of an open file; a ValueError, or another error of a damaged file."""
    size, arrays = file.seek(0, 2), {}
    _check_directory(file, size)
    with zipfile.ZipFile(file) as members:
        _check_members(members.infolist(), size)
        for member in members.infolist():
            with members.open(member) as opened:
                arrays[member.filename.removesuffix(".npy")] = _array(opened, member)
    return arrays


def _check_directory(file: IO[bytes], size: int) -> None:
    """The directory of the members is small: `zipfile` reads it whole, and 46 of its bytes become an object of 600.

    Its size is in the record of 22 bytes at the end, or, where 20 bytes before that refer to one, in a longer record of
    56 bytes before these. A file with a comment at its end, which no run has written, is refused.
    """
    file.seek(max(size - 98, 0))
    end = file.read().rjust(98)
    if end[-22:-18] != b"PK\5\6" or end[-2:] != b"\0\0":
        raise ValueError("its end is not that of a zip file")
    (claimed,) = struct.unpack("<L", end[-10:-6])
    if end[-42:-38] == b"PK\6\7":
        (claimed,) = struct.unpack("<Q", end[40:48])
    if claimed > DIRECTORY:
        raise ValueError(f"the directory of its members claims {claimed:,} bytes, more than any run has written")


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    """Members are stored, not compressed, and do not share bytes: together they are no larger than the file."""
    compressed = [member.filename for member in members if member.compress_type != zipfile.ZIP_STORED]
    claimed = sum(member.file_size for member in members)
    if compressed:
        raise ValueError(f"{compressed[0]} is compressed, which no run has written")
    if claimed > size:
        raise ValueError(f"its arrays claim {claimed:,} bytes, and it has {size:,}")


def _array(opened: IO[bytes], member: zipfile.ZipInfo) -> np.ndarray:
    stream = io.BytesIO(opened.read())  # compares the checksum
    major, _ = np.lib.format.read_magic(stream)
    header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    shape, columns_first, dtype = header(stream)
    values = stream.read()
    claimed = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or dtype.itemsize == 0 or claimed != len(values):
        raise ValueError(f"{member.filename} claims {claimed:,} bytes of {dtype}, and has {len(values):,}")
    return np.frombuffer(values, dtype).reshape(shape, order="F" if columns_first else "C").copy()
