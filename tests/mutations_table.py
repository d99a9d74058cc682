"""The mutations of `mutations.py`: one-line changes of meaning, each with the tests that are expected to notice it.

tests: arguments of pytest. Sets are small and few: each first runs unmutated, and its mutations share a copy. The rows
stand in `mutations_engine` and `mutations_families`.
"""

from typing import NamedTuple

import mutations_engine
import mutations_families


class Mutation(NamedTuple):
    """One mutation: `old`, which `file` contains exactly once, is replaced by `new`; `tests` are expected to fail."""

    name: str
    file: str
    tests: str
    old: str
    new: str


MUTATIONS = tuple(Mutation(*row) for row in (*mutations_engine.ROWS, *mutations_families.ROWS))
