"""Training, validation and test pairs: by the hash of a group, and no text of one part is on any side of another part.

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


def split(group: list[str], left_id: Any, right_id: Any, test: int, validation: float) -> np.ndarray:
    """(n,) int8: TRAIN, VALIDATION, TEST or UNUSED for each pair.

    left_id, right_id: (n,) numbers of the texts in one space: the same text has the same number on both sides. For
    vectors, each side has numbers of its own, and no number is on both sides.

    The first groups give one test pair each, with targets that differ, until there are `test`; their other pairs are
    unused. `validation` is the share of the groups after these, and at least two groups; 0: none. The other groups
    are for training. A validation pair with a text of a test pair on either side is unused, and so is a training pair
    with a text of a test or a validation pair.
    """
    members, names = _members(group), order(group)
    sides = [{int(left), int(right)} for left, right in zip(left_id, right_id, strict=True)]
    found, targets, used = np.full(len(group), UNUSED, np.int8), set(), 0
    while used < len(names) and len(targets) < test:
        chosen = next((k for k in members[names[used]] if int(right_id[k]) not in targets), None)
        if chosen is not None:
            found[chosen] = TEST
            targets.add(int(right_id[chosen]))
        used += 1
    end = used + (max(round(validation * (len(names) - used)), 2) if validation else 0)
    for part, groups in ((VALIDATION, names[used:end]), (TRAIN, names[end:])):
        held_out = set().union(*(sides[k] for k in np.flatnonzero(found != UNUSED)))
        for k in (k for name in groups for k in members[name]):
            found[k] = UNUSED if sides[k] & held_out else part
    _check(found, test, len(names), bool(validation))
    return found


def _check(found: np.ndarray, test: int, groups: int, validation: bool) -> None:
    """Raise a ConfigError if a part has fewer than two pairs."""
    for what, part in (("test", TEST), ("validation", VALIDATION), ("training", TRAIN)):
        if np.sum(found == part) < 2 and (validation or part != VALIDATION):
            raise ConfigError(
                f"--test={test} of {groups:,} groups leaves fewer than two {what} pairs: give another number, or "
                "more groups"
            )


def _members(group: list[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for k, name in enumerate(group):
        found.setdefault(name, []).append(k)
    return found
