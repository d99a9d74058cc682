"""Arrays as a safetensors file, which holds no code and which many programs read.

    8 bytes   n, the length of the header, unsigned, the lowest byte first
    n bytes   the header, JSON: {name: {"dtype", "shape", "data_offsets": [begin, end]}}, and "__metadata__", texts by
              name; spaces at its end make n a multiple of 8, so that the arrays are aligned
    the rest  the arrays in the order of rows, the lowest byte of a number first, without gaps; offsets count from here

Written by hand: the library is a dependency of 500 kB for these thirty lines, and a test reads the file by the library.
"""

import json
import struct
from collections.abc import Mapping

import numpy as np

DTYPES = {
    **{"bool": "BOOL", "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64", "int8": "I8", "int16": "I16"},
    **{"int32": "I32", "int64": "I64", "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64"},
}


def to_bytes(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """The file with the arrays by name. Arrays of wide numbers come first, so that each is aligned.

    A ValueError for a dtype that the format lacks.
    """
    header: dict[str, object] = {"__metadata__": {**metadata}} if metadata else {}
    parts, begin = [], 0
    for name, array in sorted(arrays.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])):
        if name == "__metadata__" or array.dtype.name not in DTYPES:
            raise ValueError(f"{name} of {array.dtype} has no place in a safetensors file")
        data = (array.byteswap() if array.dtype.byteorder == ">" else array).tobytes()  # in the order of rows
        end = begin + len(data)
        header[name] = {"dtype": DTYPES[array.dtype.name], "shape": [*array.shape], "data_offsets": [begin, end]}
        parts.append(data)
        begin = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, *parts])
