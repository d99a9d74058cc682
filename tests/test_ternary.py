"""The p-adic integers, all 19,683 of them, against definitions written here in Python integers."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ternary_jax import ternary

pytestmark = pytest.mark.usefixtures("strict_dtypes")

ALL = np.arange(3**9)
SPACES = [(1, 3), (2, 3), (5, 3), (9, 3), (13, 2), (4, 5), (5, 5), (1, 7), (4, 7), (1, 251)]  # (n_digits, p)
spaces = pytest.mark.parametrize(("n_digits", "p"), SPACES)

FUNCTIONS = {
    "digits": ternary.digits,
    "index of digits": lambda i: ternary.index(ternary.digits(i)),
    "valuation": ternary.valuation,
    "pair_valuation": lambda i: ternary.pair_valuation(i, 13 * i % 19683),
    "distance": lambda i: ternary.distance(i, 13 * i % 19683),
    "residue": lambda i: ternary.residue(i, 4),
    "truth_table": ternary.truth_table,
}
functions = pytest.mark.parametrize("f", FUNCTIONS.values(), ids=FUNCTIONS.keys())


def digits_by_divmod(i: int, n_digits: int, p: int) -> list[int]:
    found = []
    for _ in range(n_digits):
        i, digit = divmod(i, p)
        found.append(digit)
    return found


def valuation_by_division(i: int, n_digits: int, p: int) -> int:
    return n_digits if i == 0 else max(k for k in range(n_digits) if i % p**k == 0)


# --- digits and indices -----------------------------------------------------------------------------------------------


@spaces
def test_digits_are_those_of_repeated_division(n_digits, p):
    expected = [digits_by_divmod(i, n_digits, p) for i in range(p**n_digits)]
    np.testing.assert_array_equal(ternary.digits(np.arange(p**n_digits), n_digits, p), expected)


def test_digits_read_backwards_are_the_numeral_in_base_3():
    rows = ternary.digits(ALL)
    assert all(int("".join(map(str, row[::-1])), 3) == i for i, row in enumerate(rows))


@spaces
def test_index_inverts_digits(n_digits, p):
    every = np.arange(p**n_digits)
    np.testing.assert_array_equal(ternary.index(ternary.digits(every, n_digits, p), p), every)
    on_device = ternary.digits(jnp.asarray(every), n_digits, p)
    np.testing.assert_array_equal(ternary.index(on_device, p), every)


def test_thirteen_digits():
    n = 3**13
    sample = np.append(np.random.default_rng(0).integers(n, size=2000), [0, 1, n // 3, n - 2, n - 1])
    rows = ternary.digits(sample, 13)
    assert rows.tolist() == [digits_by_divmod(i, 13, 3) for i in sample.tolist()]
    np.testing.assert_array_equal(ternary.index(rows), sample)
    v = ternary.valuations(13)
    assert v[sample].tolist() == [valuation_by_division(i, 13, 3) for i in sample.tolist()]
    np.testing.assert_array_equal(np.bincount(v), ternary.level_counts(13))
    table = ternary.operations(13)
    assert table.shape == (n, 13)
    np.testing.assert_array_equal(table[sample], rows - 1)
    assert table[:, 12].sum(dtype=int) == 0


def test_twenty_digits_in_numpy():
    i = 3**20 - 1
    assert ternary.digits(i, 20).tolist() == [2] * 20
    assert ternary.index(np.full(20, 2, np.uint8)) == i
    assert ternary.pair_valuation(i, i - 3**19, 20) == 19


# --- valuations, distances, balls -------------------------------------------------------------------------------------


@spaces
def test_valuation_is_the_largest_power_that_divides(n_digits, p):
    expected = [valuation_by_division(i, n_digits, p) for i in range(p**n_digits)]
    np.testing.assert_array_equal(ternary.valuation(np.arange(p**n_digits), n_digits, p), expected)
    np.testing.assert_array_equal(ternary.valuations(n_digits, p), expected)


@pytest.mark.parametrize(("n_digits", "p"), [(5, 3), (1, 3), (8, 2), (3, 5), (2, 7)])
def test_pair_valuation_is_the_valuation_of_the_difference(n_digits, p):
    i, j = np.indices((p**n_digits, p**n_digits))
    by_difference = np.array([valuation_by_division(d, n_digits, p) for d in range(p**n_digits)])
    np.testing.assert_array_equal(ternary.pair_valuation(i, j, n_digits, p), by_difference[abs(i - j)])


def test_pair_valuation_of_every_operation():
    by_difference = np.array([valuation_by_division(d, 9, 3) for d in ALL.tolist()])
    others = np.append([0, 1, 2, 3, 6561, 9841, 13122, 19682], np.random.default_rng(1).integers(3**9, size=92))
    i, j = ALL[:, None], others[None, :]
    np.testing.assert_array_equal(ternary.pair_valuation(i, j), by_difference[abs(i - j)])


def test_pair_valuation_counts_the_equal_leading_digits():
    i, j = np.indices((3**5, 3**5))
    equal = ternary.digits(i, 5) == ternary.digits(j, 5)
    np.testing.assert_array_equal(ternary.pair_valuation(i, j, 5), np.logical_and.accumulate(equal, -1).sum(-1))


def test_level_counts():
    assert ternary.level_counts().tolist() == [13122, 4374, 1458, 486, 162, 54, 18, 6, 2, 1]


@spaces
def test_level_counts_count_the_levels(n_digits, p):
    np.testing.assert_array_equal(np.bincount(ternary.valuations(n_digits, p)), ternary.level_counts(n_digits, p))


def test_distance_is_an_ultrametric():
    i, j = np.indices((27, 27))
    d = ternary.distance(i, j, 3)
    assert d.dtype == np.float64
    assert set(d.flat) == {0, 1 / 9, 1 / 3, 1}
    np.testing.assert_array_equal(d == 0, i == j)
    np.testing.assert_array_equal(d, d.T)
    for a, b, c in itertools.product(range(27), repeat=3):
        assert d[a, c] <= max(d[a, b], d[b, c])


@spaces
def test_distance_is_the_norm_of_the_difference(n_digits, p):
    every = np.arange(p**n_digits)
    norm = [0.0 if i == 0 else 1 / p ** valuation_by_division(i, n_digits, p) for i in every.tolist()]
    np.testing.assert_allclose(ternary.distance(every, 0, n_digits, p), norm, rtol=1e-15)
    on_device = ternary.distance(jnp.asarray(every), 0, n_digits, p)
    assert on_device.dtype == jnp.float32
    np.testing.assert_allclose(on_device, norm, rtol=1e-7)


@pytest.mark.parametrize("level", range(10))
def test_residue_balls(level):
    balls = ternary.residue(ALL, level)
    np.testing.assert_array_equal(np.bincount(balls), np.full(3**level, 3 ** (9 - level)))
    for i in (0, 1, 5, 6561, 9841, 19682):
        np.testing.assert_array_equal(balls == ternary.residue(i, level), ternary.pair_valuation(ALL, i) >= level)


# --- operations -------------------------------------------------------------------------------------------------------


def test_operations_are_their_trits():
    assert ternary.operations().tolist() == [[x - 1 for x in digits_by_divmod(i, 9, 3)] for i in ALL.tolist()]


@pytest.mark.parametrize(("p", "values"), [(2, {0, 1}), (5, {-2, -1, 0, 1, 2}), (251, set(range(-125, 126)))])
def test_operations_are_digits_about_their_middle(p, values):
    table = ternary.operations(2, p)
    assert set(table.flat) == values
    every = np.indices((p, p)).reshape(2, -1)  # the second digit is the slower axis
    np.testing.assert_array_equal(table.T[::-1], every + min(values))


def test_truth_table_gives_each_digit_its_input_pair():
    tables = ternary.truth_table(ALL)
    for k in range(9):
        a, b = k // 3 - 1, k % 3 - 1
        np.testing.assert_array_equal(tables[:, a + 1, b + 1], ALL // 3**k % 3 - 1)


@pytest.mark.parametrize(
    ("meaning", "numeral"),
    [  # numerals in base 3: the last digit is f(-1, -1), and b changes fastest
        (lambda a, b: -1, "000000000"),
        (lambda a, b: 0, "111111111"),
        (lambda a, b: 1, "222222222"),
        (lambda a, b: a, "222111000"),
        (lambda a, b: b, "210210210"),
        (lambda a, b: -a, "000111222"),
        (min, "210110000"),
        (max, "222211210"),
        (lambda a, b: a * b, "210111012"),
    ],
    ids=["false", "unknown", "true", "first", "second", "not first", "and", "or", "times"],
)
def test_truth_table_of_operations_known_by_name(meaning, numeral):
    expected = [[meaning(a, b) for b in (-1, 0, 1)] for a in (-1, 0, 1)]
    assert ternary.truth_table(int(numeral, 3)).tolist() == expected


# --- numpy, jax and jit -----------------------------------------------------------------------------------------------


@functions
def test_numpy_jax_jit_and_vmap_agree(f):
    expected = f(ALL)
    on_device = jnp.asarray(ALL)
    for transformed in (f, jax.jit(f), jax.vmap(f), jax.jit(jax.vmap(f))):
        actual = transformed(on_device)
        assert actual.shape == expected.shape
        np.testing.assert_allclose(actual, expected, rtol=1e-7)


@functions
def test_the_answer_is_of_the_kind_of_the_question(f):
    for question in (7, np.int64(7), np.array(7), np.array([7, 8], np.int32)):
        assert isinstance(f(question), np.ndarray | np.generic)
    for question in (jnp.asarray(7), jnp.asarray([7, 8])):
        assert isinstance(f(question), jax.Array)
        assert f(question).dtype in (jnp.int32, jnp.float32)
    with jax.enable_x64(True):
        assert f(jnp.asarray([7, 8], jnp.int64)).dtype in (jnp.int32, jnp.int64, jnp.float64)


def test_either_of_a_pair_may_be_a_jax_array():
    j = jnp.arange(27)
    expected = ternary.pair_valuation(np.arange(27), 9)
    for pair in ((j, 9), (9, j), (j, np.full(27, 9)), (np.full(27, 9), j)):
        assert isinstance(ternary.pair_valuation(*pair), jax.Array)
        np.testing.assert_array_equal(ternary.pair_valuation(*pair), expected)
        np.testing.assert_array_equal(jax.jit(ternary.pair_valuation)(*pair), expected)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32])
def test_small_dtypes_do_not_overflow(dtype):
    every = np.arange(min(3**9, np.iinfo(dtype).max + 1))
    for narrow in (every.astype(dtype), jnp.asarray(every, dtype)):
        np.testing.assert_array_equal(ternary.digits(narrow), ternary.digits(every))
        np.testing.assert_array_equal(ternary.valuation(narrow), ternary.valuation(every))
        np.testing.assert_array_equal(ternary.index(ternary.digits(every).astype(dtype)), every)
        np.testing.assert_array_equal(jax.jit(ternary.digits)(narrow), ternary.digits(every))


def test_under_jit_nothing_is_clamped():
    outside = jnp.array([-1, 3**9, 3**9 + 5, 2 * 3**9 - 1])
    inside = [3**9 - 1, 0, 5, 3**9 - 1]  # the same modulo 3^9
    np.testing.assert_array_equal(jax.jit(ternary.digits)(outside), ternary.digits(inside))
    np.testing.assert_array_equal(jax.jit(ternary.valuation)(outside), ternary.valuation(inside))
    assert jax.jit(ternary.index)(jnp.array([3, -1, 0, 5, 0, 0, 0, 0, 0])) == 3 - 3 + 5 * 27


def test_known_constants_inside_jit():
    known = jnp.arange(27)
    np.testing.assert_array_equal(jax.jit(lambda: ternary.valuation(known, 3))(), ternary.valuations(3))
    with pytest.raises(ValueError, match="index 9 is outside"):
        jax.jit(lambda: ternary.valuation(known, 2))()


# --- tables -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "shape", "dtype"),
    [
        (ternary.operations, (19683, 9), np.int8),
        (ternary.valuations, (19683,), np.int32),
        (ternary.level_counts, (10,), np.int64),
    ],
)
def test_tables_are_made_once_and_cannot_be_changed(table, shape, dtype):
    assert table().shape == shape
    assert table().dtype == dtype
    assert table() is table()
    with pytest.raises(ValueError, match="read-only"):
        table()[0] = 1


# --- refusals ---------------------------------------------------------------------------------------------------------

KINDS = {
    "int": int,
    "numpy scalar": np.int64,
    "numpy array": lambda i: np.array([0, i]),
    "jax array": lambda i: jnp.array([[0], [i]]),
}
REFUSING = {
    "digits": ternary.digits,
    "valuation": ternary.valuation,
    "pair_valuation, first": lambda i: ternary.pair_valuation(i, 0),
    "pair_valuation, second": lambda i: ternary.pair_valuation(0, i),
    "distance": lambda i: ternary.distance(0, i),
    "residue": lambda i: ternary.residue(i, 2),
    "truth_table": ternary.truth_table,
}
refusing = pytest.mark.parametrize("f", REFUSING.values(), ids=REFUSING.keys())


@refusing
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
@pytest.mark.parametrize("i", [-1, 3**9, 2**31 - 1])
def test_an_index_outside_is_refused(f, kind, i):
    with pytest.raises(ValueError, match=rf"index {i} is outside \[0, 19682\] \(n_digits=9, p=3\)"):
        f(kind(i))


@refusing
@pytest.mark.parametrize("i", [1.0, np.float32(1), True, np.array([True]), np.array(["1"])])
def test_what_is_no_integer_is_refused(f, i):
    with pytest.raises(TypeError, match="integers are needed, not "):
        f(i)
    if np.asarray(i).dtype.kind != "U":
        with pytest.raises(TypeError, match="integers are needed, not "):
            jax.jit(f)(jnp.asarray(i))


def test_a_digit_outside_is_refused():
    for wrong in ([0, 3], np.array([[0, 1], [3, 0]]), jnp.array([0, 3])):
        with pytest.raises(ValueError, match=r"digit 3 is outside \[0, 2\]"):
            ternary.index(wrong)
    with pytest.raises(ValueError, match=r"digit -1 is outside \[0, 2\]"):
        ternary.index(ternary.operations()[:5])  # trits are not digits
    with pytest.raises(TypeError, match="integers are needed"):
        ternary.index(np.array([0.0, 1.0]))


def test_a_table_index_beyond_its_dtype_is_refused_as_well():
    with pytest.raises(ValueError, match="index 18446744073709551615 is outside"):
        ternary.digits(np.array([2**64 - 1], np.uint64))


@pytest.mark.parametrize("p", [-3, 0, 1, 4, 9, 15, 49])
def test_p_must_be_a_prime(p):
    for f in (ternary.n_operations, ternary.operations, ternary.level_counts):
        with pytest.raises(ValueError, match=f"p must be a prime, not {p}"):
            f(2, p)
    with pytest.raises(ValueError, match=f"p must be a prime, not {p}"):
        ternary.valuation(1, 2, p)


@pytest.mark.parametrize("n_digits", [0, -1])
def test_there_must_be_a_digit(n_digits):
    with pytest.raises(ValueError, match=f"n_digits must be at least 1, not {n_digits}"):
        ternary.digits(0, n_digits)


@pytest.mark.parametrize(("n_digits", "p"), [(2.5, 3), (2, 3.5)])
def test_sizes_are_integers(n_digits, p):
    with pytest.raises(TypeError, match="integer"):
        ternary.digits(0, n_digits, p)


def test_a_level_outside_is_refused():
    for level in (-1, 10):
        with pytest.raises(ValueError, match=rf"level {level} is outside \[0, 9\] \(n_digits=9\)"):
            ternary.residue(0, level)
    with pytest.raises(TypeError, match="integer"):
        ternary.residue(0, 1.5)  # pyright: ignore[reportArgumentType]


def test_a_space_too_large_for_the_dtype_is_refused_with_the_way_out():
    i = jnp.arange(3)
    with pytest.raises(ValueError, match=r"3486784401 does not fit int32: take fewer digits, or numpy, or jax_enable"):
        ternary.digits(i, 20)
    with pytest.raises(ValueError, match="does not fit int32"):
        jax.jit(lambda d: ternary.index(d))(jnp.zeros(20, int))
    with pytest.raises(ValueError, match="does not fit int64"):
        ternary.digits(0, 40)
    with jax.enable_x64(True):
        assert ternary.digits(jnp.asarray(3**20 - 1), 20).tolist() == [2] * 20


def test_digits_too_large_for_the_table_are_refused():
    with pytest.raises(ValueError, match="p = 257 do not fit"):
        ternary.operations(1, 257)


# --- text and composition ---------------------------------------------------------------------------------------------


def test_signs_are_the_trits_in_their_order():
    for i in range(81):
        text, rest = "", i
        for _ in range(4):
            rest, digit = divmod(rest, 3)
            text += "-0+"[digit]
        assert ternary.signs(i, 4) == text
        assert ternary.from_signs(text, 4) == i
    assert ternary.signs([[0, 80]], 4) == [["----", "++++"]]
    with pytest.raises(ValueError, match=r"'\+0' is no operation: write 4 of the signs \+ 0 -, digit 0 first"):
        ternary.from_signs("+0", 4)
    with pytest.raises(ValueError, match="is no operation"):
        ternary.from_signs("+0-1", 4)


def test_compositions_are_those_of_the_truth_tables():
    """h(x, y) = f(g(x, y), y) and f(x, g(x, y)), by dictionaries."""
    pairs = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)]
    rng = np.random.default_rng(0)
    f, g = rng.integers(0, 3**9, (2, 40))
    first, second = ternary.compose(f, g)
    for k in range(40):
        tables = []
        for i in (f[k], g[k]):
            tables.append({pair: int(i) // 3**place % 3 - 1 for place, pair in enumerate(pairs)})
        of_f, of_g = tables
        for found, wanted in (
            (first, [of_f[of_g[x, y], y] for x, y in pairs]),
            (second, [of_f[x, of_g[x, y]] for x, y in pairs]),
        ):
            assert found[k] == sum((value + 1) * 3**place for place, value in enumerate(wanted))
    again = ternary.compose(jnp.asarray(f), jnp.asarray(g))
    np.testing.assert_array_equal(again.first, first)
    np.testing.assert_array_equal(again.second, second)
    np.testing.assert_array_equal(ternary.compose(f[0], g).first[0], first[0])
