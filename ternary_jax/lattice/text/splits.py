"""Which pairs are trained on and which judge: by the hash of a group, so that no text is on both sides.

The order of groups is that of the SHA-256 of their names, which does not depend on the order of a file.
"""

import hashlib
from typing import Any

import numpy as np

from ternary_jax.errors import ConfigError

TRAIN, VALIDATION, TEST, UNUSED = 0, 1, 2, -1


def order(group: list[str]) -> list[str]:
    """The distinct groups in the order of their hashes."""
    return sorted(set(group), key=lambda name: hashlib.sha256(name.encode()).digest())


def first(group: list[str], right_of: Any, most: int) -> np.ndarray:
    """The numbers of the pairs of the first groups that have `most` distinct right sides together; 0: of all groups."""
    if not most:
        return np.arange(len(group))
    members, found, rights = _members(group), [], set()
    for name in order(group):
        if len(rights) >= most:
            break
        found += members[name]
        rights |= {int(right_of[k]) for k in members[name]}
    return np.sort(np.array(found))


def split(group: list[str], left_of: Any, right_of: Any, test: int, validation: float) -> np.ndarray:
    """(n,) int8: TRAIN, VALIDATION, TEST or UNUSED for each pair.

    The first groups give one pair each, with targets that differ, until there are `test`; their other pairs are unused,
    as are pairs of other groups with a side that a test pair has. `validation` is the share of the groups after these,
    and at least two groups; 0: none.
    """
    members, names = _members(group), order(group)
    found, targets = np.full(len(group), TRAIN, np.int8), set()
    rest = names
    while rest and len(targets) < test:
        name, *rest = rest
        found[members[name]] = UNUSED
        chosen = next((k for k in members[name] if int(right_of[k]) not in targets), None)
        if chosen is not None:
            found[chosen] = TEST
            targets.add(int(right_of[chosen]))
    lefts = {int(left_of[k]) for k in np.flatnonzero(found == TEST)}
    chosen_by = max(round(validation * len(rest)), 2) if validation else 0
    for number, name in enumerate(rest):
        for k in members[name]:
            if int(right_of[k]) in targets or int(left_of[k]) in lefts:
                found[k] = UNUSED
            elif number < chosen_by:
                found[k] = VALIDATION
    for what, value in (("test", TEST), ("validation", VALIDATION), ("training", TRAIN)):
        if value == VALIDATION and not validation:
            continue
        if np.sum(found == value) < 2:
            raise ConfigError(
                f"--test={test} of {len(names):,} groups leaves fewer than two {what} pairs: give another number, or "
                "more groups"
            )
    return found


def _members(group: list[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for k, name in enumerate(group):
        found.setdefault(name, []).append(k)
    return found
