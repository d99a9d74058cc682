"""The p-adic integers 0 .. p^D - 1 as strings of D digits, least significant first. Integers only; no state.

Everything serves numpy at build time and traced jax arrays alike: an index may be an int, a numpy array or a jax
array; the answer is a jax array for a jax array and a numpy array otherwise. Concrete indices outside the range
raise. Under jit nothing can be raised, and nothing is clamped either.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


def digits(index: Any, n_digits: int = 9, p: int = 3) -> Any:
    """x_k = floor(i / p^k) mod p, least significant first. Shape (...) -> (..., D)."""
    index, xp = _checked(index, n_digits, p)
    return index[..., None] // p ** xp.arange(n_digits, dtype=index.dtype) % p


def index(digits: Any, p: int = 3) -> Any:
    """i = sum_k x_k p^k, the inverse of `digits`. Shape (..., D) -> (...)."""
    digits = digits if isinstance(digits, jax.Array) else np.asarray(digits)
    _refuse_outside(digits, p, f"digit {{}} is outside [0, {p - 1}] (p={p})")
    n_digits = digits.shape[-1]
    xp, dtype = _arithmetic(digits, n_operations(n_digits, p))
    return (digits.astype(dtype) * p ** xp.arange(n_digits, dtype=dtype)).sum(-1, dtype=dtype)


def valuation(index: Any, n_digits: int = 9, p: int = 3) -> Any:
    """v(i) = max{k : p^k divides i}, v(0) = D: the number of leading zero digits (not of zero trits)."""
    index, _ = _checked(index, n_digits, p)
    return sum((index % p**k == 0).astype(index.dtype) for k in range(1, n_digits + 1))


def pair_valuation(i: Any, j: Any, n_digits: int = 9, p: int = 3) -> Any:
    """v(|i - j|) = number of equal leading digits; D for i = j. Broadcasts."""
    (i, _), (j, _) = _checked(i, n_digits, p), _checked(j, n_digits, p)
    return sum((i % p**k == j % p**k).astype(jnp.int32) for k in range(1, n_digits + 1))


def distance(i: Any, j: Any, n_digits: int = 9, p: int = 3) -> Any:
    """d_p(i, j) = p^-v(|i - j|), 0 for i = j: an ultrametric. float64 for numpy, jax's default float for jax arrays."""
    v = pair_valuation(i, j, n_digits, p)
    xp = jnp if isinstance(v, jax.Array) else np
    by_valuation = np.append(float(p) ** -np.arange(n_digits), 0.0)  # v = D only where i = j
    return xp.asarray(by_valuation)[v]


def residue(index: Any, level: int, n_digits: int = 9, p: int = 3) -> Any:
    """i mod p^L: the name of the residue ball of level L, {j : j mod p^L = i mod p^L}, that holds i."""
    if not 0 <= level <= n_digits:
        raise ValueError(f"level {level} is outside [0, {n_digits}] (n_digits={n_digits})")
    return _checked(index, n_digits, p)[0] % p**level


@functools.cache
def operations(n_digits: int = 9, p: int = 3) -> np.ndarray:
    """The table of all operations, (p^D, D) int8, read-only. Row i holds the digits of i about their middle.

    For p = 3 these are the trits t_k = x_k - 1 in {-1, 0, 1}; in general x_k - (p - 1) // 2.
    """
    return _frozen((digits(np.arange(n_operations(n_digits, p)), n_digits, p) - (p - 1) // 2).astype(np.int8))


@functools.cache
def valuations(n_digits: int = 9, p: int = 3) -> np.ndarray:
    """v(i) of all operations, (p^D,) int32, read-only."""
    return _frozen(valuation(np.arange(n_operations(n_digits, p)), n_digits, p).astype(np.int32))


@functools.cache
def level_counts(n_digits: int = 9, p: int = 3) -> np.ndarray:
    """How many operations have valuation 0 .. D, (D + 1,): (p - 1) p^(D - 1 - v) of them, and one at the top."""
    n_operations(n_digits, p)
    return _frozen(np.array([(p - 1) * p ** (n_digits - 1 - v) for v in range(n_digits)] + [1]))


def truth_table(index: Any) -> Any:
    """The operation f: {-1, 0, 1}^2 -> {-1, 0, 1} of an index, (...) -> (..., 3, 3) with f(a, b) at [a + 1, b + 1].

    Digit k belongs to the input pair (k // 3 - 1, k mod 3 - 1).
    """
    trits = digits(index) - 1
    return trits.reshape(*trits.shape[:-1], 3, 3)


@functools.cache
def n_operations(n_digits: int = 9, p: int = 3) -> int:
    """N = p^D, after a check of both."""
    if p < 2 or any(p % k == 0 for k in range(2, int(p**0.5) + 1)):
        raise ValueError(f"p must be a prime, not {p}: with any other p^-v is no norm")
    if n_digits < 1:
        raise ValueError(f"n_digits must be at least 1, not {n_digits}")
    return p**n_digits


def _checked(index: Any, n_digits: int, p: int) -> tuple[Any, Any]:
    """An index in an integer type that can hold every intermediate value, and the module that computes with it."""
    index = index if isinstance(index, jax.Array) else np.asarray(index)
    n = n_operations(n_digits, p)
    xp, dtype = _arithmetic(index, n)
    _refuse_outside(index, n, f"index {{}} is outside [0, {n - 1}] (n_digits={n_digits}, p={p})")
    return index.astype(dtype), xp


def _arithmetic(values: Any, n: int) -> tuple[Any, Any]:
    xp = jnp if isinstance(values, jax.Array) else np
    dtype = jax.dtypes.canonicalize_dtype(np.int64) if xp is jnp else np.dtype(np.int64)
    if n > np.iinfo(dtype).max:
        raise ValueError(f"p^n_digits = {n} does not fit {dtype}: take fewer digits, or numpy, or jax_enable_x64")
    return xp, dtype


def _refuse_outside(values: Any, stop: int, message: str) -> None:
    if not jnp.issubdtype(values.dtype, jnp.integer):
        raise TypeError(f"indices and digits are integers, not {values.dtype}")
    if isinstance(values, Tracer):
        return
    outside = (values < 0) | (values >= stop)
    if outside.any():
        raise ValueError(message.format(np.asarray(values)[np.asarray(outside)].flat[0]))


def _frozen(table: np.ndarray) -> np.ndarray:
    table.flags.writeable = False
    return table
