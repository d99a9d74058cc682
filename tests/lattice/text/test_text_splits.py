"""Splits of pairs by their groups: what no side may share, and what does not depend on the order of a file."""

import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ternary_jax.errors import ConfigError
from ternary_jax.lattice.text import splits

# group, left and right side of each pair, of which many occur more than once, on both sides
TABLES = st.lists(st.tuples(*(st.integers(0, most) for most in (15, 25, 25))), min_size=12, max_size=50)


def columns(table):
    group, left, right = map(list, zip(*table, strict=True))
    return [f"group {g}" for g in group], left, right


def split(table, test, validation=0.3):
    try:
        return splits.split(*columns(table), test, validation)
    except ConfigError:
        assume(False)
        raise


def texts(rows):
    return {text for row in rows for text in row[1:]}


@given(TABLES, st.integers(2, 6))
def test_no_group_and_no_text_is_in_two_parts(table, test):
    """A text counts on either side: the right side of a test pair is no left side of a training pair."""
    found = split(table, test)
    parts = [[table[k] for k in np.flatnonzero(found == part)] for part in range(3)]
    for one, other in itertools.combinations(parts, 2):
        assert not {row[0] for row in one} & {row[0] for row in other}
        assert not texts(one) & texts(other)


def test_a_text_that_changes_sides_leaves_the_training_pairs():
    """Of groups in the order of their hashes: 2 test, 2 validation and 4 training pairs, of which two are left out."""
    group = splits.order([f"{k}" for k in range(8)])
    left, right = [0, 2, 4, 6, 8, 7, 12, 14], [1, 3, 5, 7, 0, 11, 13, 15]
    parts = [splits.TEST] * 2 + [splits.VALIDATION] * 2 + [splits.UNUSED] * 2 + [splits.TRAIN] * 2
    assert splits.split(group, left, right, 2, 0.1).tolist() == parts


@given(TABLES, st.integers(2, 6))
def test_a_group_gives_one_test_pair_and_targets_differ(table, test):
    judged = [table[k] for k in np.flatnonzero(split(table, test) == splits.TEST)]
    assert len({row[0] for row in judged}) == len({row[2] for row in judged}) == len(judged) <= test


@given(TABLES, st.integers(2, 6))
def test_a_pair_is_unused_only_for_a_reason(table, test):
    found = split(table, test)
    judged, chosen = ([table[k] for k in np.flatnonzero(found == part)] for part in (splits.TEST, splits.VALIDATION))
    for k in np.flatnonzero(found == splits.UNUSED):
        of_test = table[k][0] in {row[0] for row in judged}
        assert of_test or texts([table[k]]) & texts(judged + chosen)


@given(TABLES, st.integers(2, 6), st.randoms(use_true_random=False))
def test_the_groups_of_a_side_do_not_depend_on_the_order_of_a_file(table, test, random):
    """Of a group with several pairs, the first one in the file judges; so here each group has one pair."""
    table = [*{row[0]: row for row in table}.values()]
    moved = random.sample(table, len(table))
    assume(len(table) > 2)
    sides = dict(zip(table, split(table, test), strict=True))
    assert sides == dict(zip(moved, split(moved, test), strict=True))


def test_groups_are_in_the_order_of_their_hashes():
    names = [f"group {k}" for k in range(20)]
    expected = [name for _, name in sorted((hashlib.sha256(name.encode()).hexdigest(), name) for name in names)]
    assert splits.order([*names, *names[::-1]]) == expected
    assert expected != names


@given(TABLES, st.integers(0, 20))
def test_the_first_pairs_are_whole_groups_with_enough_right_sides(table, most):
    group, _, right = columns(table)
    found = splits.first(group, right, most).tolist()
    assert found == sorted(found)
    if not most:
        assert found == list(range(len(table)))
        return
    order = splits.order(group)
    taken = next((k for k in range(len(order)) if len(rights(table, order[:k])) >= most), len(order))
    assert found == [k for k, name in enumerate(group) if name in order[:taken]]


def rights(table, names):
    return {row[2] for row in table if f"group {row[0]}" in names}


def test_the_validation_is_a_share_of_the_groups_and_two_at_least():
    for n, validation, expected in ((200, 0.1, 19), (20, 0.1, 2), (20, 0.5, 5), (20, 0.0, 0)):
        numbers = list(range(n))
        found = splits.split([f"{k}" for k in numbers], numbers, numbers, 10, validation)
        assert [np.sum(found == part) for part in (splits.TEST, splits.VALIDATION)] == [10, expected]
        assert found.dtype == np.int8


@pytest.mark.parametrize(
    ("test", "lefts", "what"), [(1, 12, "test"), (12, 12, "validation"), (10, 12, "training"), (2, 1, "validation")]
)
def test_a_side_with_fewer_than_two_pairs_is_refused(test, lefts, what):
    numbers = list(range(12))
    sentence = rf"^--test={test} of 12 groups leaves fewer than two {what} pairs: give another number, or more groups$"
    with pytest.raises(ConfigError, match=sentence):
        splits.split([f"{k}" for k in numbers], [k % lefts for k in numbers], numbers, test, 0.1)
