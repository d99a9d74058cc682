"""The p-adic integers 0 .. p^D - 1 as strings of D digits, least significant first. Integers only; no state.

An index may be an int, a numpy array or a jax array; the result is a jax array for a jax array, and a numpy array
otherwise. A concrete index outside the range raises. Under jit nothing raises, and nothing is clamped.
"""

import functools
import operator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

SIGNS = "-0+"  # the trits -1, 0, 1 as text


class Composed(NamedTuple):
    """Two compositions of binary operations f and g, as indices (...).

    first: h(x, y) = f(g(x, y), y)
    second: h(x, y) = f(x, g(x, y))
    """

    first: Any
    second: Any


def digits(index: Any, n_digits: int = 9, p: int = 3) -> Any:
    """x_k = floor(i / p^k) mod p, least significant first. Shape (...) -> (..., D)."""
    index = _index(index, n_digits, p)
    return index[..., None] // _powers(index.ndim, n_digits, p) % p


def index(digits: Any, p: int = 3) -> Any:
    """i = sum_k x_k p^k, the inverse of `digits`. Shape (..., D) -> (...)."""
    n_digits = np.shape(digits)[-1]
    digits = _integers("digit", digits, p, n_digits, p)
    return (digits * _powers(digits.ndim - 1, n_digits, p)).sum(-1, dtype=digits.dtype)


def valuation(index: Any, n_digits: int = 9, p: int = 3) -> Any:
    """v(i) = max{k : p^k divides i}, v(0) = D: the number of leading zero digits (not of zero trits)."""
    return pair_valuation(index, 0, n_digits, p)


def pair_valuation(i: Any, j: Any, n_digits: int = 9, p: int = 3) -> Any:
    """v(|i - j|) = number of equal leading digits; D for i = j. Broadcasts. int32."""
    i, j = _index(i, n_digits, p), _index(j, n_digits, p)
    return sum((i % p**k == j % p**k).astype(np.int32) for k in range(1, n_digits + 1))


def distance(i: Any, j: Any, n_digits: int = 9, p: int = 3) -> Any:
    """d_p(i, j) = p^-v(|i - j|), 0 for i = j: an ultrametric. float64 for numpy, jax's default float for jax arrays."""
    v = pair_valuation(i, j, n_digits, p)
    xp = jnp if isinstance(v, jax.Array) else np
    by_valuation = np.append(float(p) ** -np.arange(n_digits), 0.0)  # v = D only where i = j
    return xp.asarray(by_valuation)[v]


def residue(index: Any, level: int, n_digits: int = 9, p: int = 3) -> Any:
    """i mod p^L, which names the residue ball of level L around i, {j : j mod p^L = i mod p^L}."""
    if not 0 <= operator.index(level) <= n_digits:
        raise ValueError(f"level {level} is outside [0, {n_digits}] (n_digits={n_digits})")
    return _index(index, n_digits, p) % p**level


@functools.cache
def operations(n_digits: int = 9, p: int = 3) -> np.ndarray:
    """The table of all operations, (p^D, D) int8, read-only. Row i holds the digits of i about their middle.

    For p = 3 these are the trits t_k = x_k - 1 in {-1, 0, 1}; in general x_k - (p - 1) // 2.
    """
    if p > 255:
        raise ValueError(f"the table is int8, and the digits of p = {p} do not fit it: take `digits`, or p <= 251")
    return _frozen((digits(np.arange(n_operations(n_digits, p)), n_digits, p) - (p - 1) // 2).astype(np.int8))


@functools.cache
def valuations(n_digits: int = 9, p: int = 3) -> np.ndarray:
    """v(i) of all operations, (p^D,) int32, read-only."""
    return _frozen(valuation(np.arange(n_operations(n_digits, p)), n_digits, p))


@functools.cache
def level_counts(n_digits: int = 9, p: int = 3) -> np.ndarray:
    """Number of operations of valuation v = 0 .. D, (D + 1,): (p - 1) p^(D - 1 - v), and 1 at v = D."""
    n_operations(n_digits, p)
    return _frozen(np.array([(p - 1) * p ** (n_digits - 1 - v) for v in range(n_digits)] + [1]))


def truth_table(index: Any) -> Any:
    """The operation f: {-1, 0, 1}^2 -> {-1, 0, 1} of an index, (...) -> (..., 3, 3) with f(a, b) at [a + 1, b + 1].

    Digit k belongs to the input pair (k // 3 - 1, k mod 3 - 1).
    """
    trits = digits(index) - 1
    return trits.reshape(*trits.shape[:-1], 3, 3)


def compose(f: Any, g: Any) -> Composed:
    """f(g(x, y), y) and f(x, g(x, y)) of operations of nine digits. Indices (...), (...) -> two of (...)."""
    of_f, of_g = digits(f), digits(g)
    xp: Any = jnp if isinstance(of_f, jax.Array) or isinstance(of_g, jax.Array) else np
    of_f, of_g = xp.broadcast_arrays(of_f, of_g)
    pair = np.arange(9).reshape((1,) * (of_f.ndim - 1) + (9,))  # 3 (x + 1) + y + 1
    first, second = (xp.take_along_axis(of_f, at, -1) for at in (3 * of_g + pair % 3, 3 * (pair // 3) + of_g))
    return Composed(index(first), index(second))


def signs(index: Any, n_digits: int = 9) -> Any:
    """The trits of an index as text, digit 0 first: 0 -> "---------". A list of texts, nested as a longer shape is."""
    each = np.asarray([*SIGNS])[digits(np.asarray(index), n_digits)]
    return np.ascontiguousarray(each).view(f"U{n_digits}")[..., 0].tolist()


def from_signs(text: str, n_digits: int = 9) -> int:
    """The index of trits as text, the inverse of `signs`; a ValueError for any other text."""
    if len(text) != n_digits or not set(text) <= set(SIGNS):
        raise ValueError(f"{text!r:.60} is no operation: write {n_digits} of the signs + 0 -, digit 0 first")
    return sum(SIGNS.index(sign) * 3**k for k, sign in enumerate(text))


@functools.cache
def n_operations(n_digits: int = 9, p: int = 3) -> int:
    """N = p^D; a ValueError unless p is prime and D >= 1."""
    p, n_digits = operator.index(p), operator.index(n_digits)
    if not is_prime(p):
        raise ValueError(f"p must be a prime, not {p}: with any other p^-v is no norm")
    if n_digits < 1:
        raise ValueError(f"n_digits must be at least 1, not {n_digits}")
    return p**n_digits


def is_prime(p: int) -> bool:
    """Whether p is a prime, by trial division."""
    return p >= 2 and all(p % k for k in range(2, int(p**0.5) + 1))


def _index(index: Any, n_digits: int, p: int) -> Any:
    return _integers("index", index, n_operations(n_digits, p), n_digits, p)


def _integers(name: str, values: Any, stop: int, n_digits: int, p: int) -> Any:
    """The values in a dtype that holds p^n_digits; a ValueError if a concrete value is outside [0, stop)."""
    values = values if isinstance(values, jax.Array) else np.asarray(values)
    if not jnp.issubdtype(values.dtype, jnp.integer):
        raise TypeError(f"{name}: integers are needed, not {values.dtype}")
    dtype = jax.dtypes.canonicalize_dtype(np.int64) if isinstance(values, jax.Array) else np.dtype(np.int64)
    n = n_operations(n_digits, p)
    if n > np.iinfo(dtype).max:
        raise ValueError(f"p^n_digits = {n} does not fit {dtype}: take fewer digits, or numpy, or jax_enable_x64")
    if not isinstance(values, Tracer):
        known = np.asarray(values)  # in numpy, because under jit jax traces a comparison of concrete arrays too
        outside = known[(known < 0) | (known >= stop)]
        if outside.size:
            raise ValueError(f"{name} {outside[0]} is outside [0, {stop - 1}] (n_digits={n_digits}, p={p})")
    return values.astype(dtype)


def _powers(leading_axes: int, n_digits: int, p: int) -> np.ndarray:
    return (p ** np.arange(n_digits)).reshape(*[1] * leading_axes, n_digits)


def _frozen(table: np.ndarray) -> np.ndarray:
    table.flags.writeable = False
    return table
