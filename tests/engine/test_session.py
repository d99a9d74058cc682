"""engine/session.py: the memory that a process returns. Signals are tested with the host loop, in test_host.py."""

import ctypes
import sys
from typing import Any

import numpy as np
import pytest

from ternary_jax.engine import session


class Mallinfo2(ctypes.Structure):
    """glibc's `struct mallinfo2`: hblks is the number of blocks that malloc has got from mmap."""

    _fields_ = [(name, ctypes.c_size_t) for name in ["arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks"]]
    _fields_ += [(name, ctypes.c_size_t) for name in ["fsmblks", "uordblks", "fordblks", "keepcost"]]


LIBC: Any = ctypes.CDLL(None) if sys.platform == "linux" else None


@pytest.mark.skipif(not hasattr(LIBC, "mallinfo2"), reason="counts blocks by mallinfo2, of glibc 2.33 and later")
def test_a_large_array_has_pages_of_its_own_also_after_a_larger_one_was_freed():
    LIBC.mallinfo2.restype = Mallinfo2
    session.return_large_arrays()
    larger = np.ones(20 * 2**20, np.uint8)
    del larger  # without the call, malloc would take the next array from a heap
    full = [np.ones(4 * 2**20, np.uint8) for _ in range(64)]  # of holes that other tests have left in the heaps
    before = LIBC.mallinfo2().hblks
    array = np.ones(4 * 2**20, np.uint8)
    assert LIBC.mallinfo2().hblks == before + 1
    del array
    assert len(full) == 64
    assert LIBC.mallinfo2().hblks == before
