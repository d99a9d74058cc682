"""Arithmetic at its edges: float64 where float32 cancels, x64 enabled or not, and a sqrt with a gradient at 0."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

F = TypeVar("F", bound=Callable[..., Any])


def in_float64(f: F) -> F:
    """Run f in float64 and round what it returns once, to the floating dtype of its arguments.

    Other arguments pass as they are; an int64 that f makes leaves as the default integer, int32 without x64.
    The inside of f is held to elementwise operations, sums and sorts. The transpose of a matrix product and the
    lowering of argmax happen outside the context that allows 64 bits here, and fail; jnp.sum(x * y) does not. Under
    jit, vmap, scan, remat and both modes of differentiation tests/test_precision.py shows that it works.
    """

    def convert(tree, kind, dtype):
        return jax.tree.map(lambda v: jnp.asarray(v, dtype) if jnp.issubdtype(jnp.result_type(v), kind) else v, tree)

    @functools.wraps(f)
    def rounded_once(*args, **kwargs):
        leaves = jax.tree.leaves((args, kwargs))
        floating = jnp.result_type(float, *[v for v in leaves if jnp.issubdtype(jnp.result_type(v), jnp.floating)])
        integer = jnp.result_type(int)
        with jax.enable_x64(True):
            args, kwargs = convert((args, kwargs), jnp.floating, jnp.float64)
            rounded = convert(f(*args, **kwargs), jnp.floating, floating)
            return convert(rounded, jnp.int64, integer)

    return cast(F, jax.jit(rounded_once))


def safe_sqrt(w: ArrayLike) -> Array:
    """Sqrt w with gradient 0 at 0, where that of a norm is undefined and that of jnp.sqrt infinite; NaN stays NaN."""
    zero = jnp.equal(w, 0)
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, w)))
