"""Float64 where float32 cancels, whether or not x64 is enabled."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp

F = TypeVar("F", bound=Callable[..., Any])


def in_float64(f: F) -> F:
    """Run f in float64 and round what it returns once, to the floating dtype of its arguments.

    What is not floating passes as it is; an integer that f makes gets the default type outside, int32 without x64.
    The inside of f is held to elementwise operations, sums and sorts. The transpose of a matrix product is traced
    outside the context that allows float64 here, and fails; jnp.sum(x * y) does not. Under jit, vmap, scan, remat
    and both modes of differentiation tests/test_precision.py shows that it works.
    """

    @functools.wraps(f)
    def rounded_once(*args, **kwargs):
        floating = jnp.result_type(float, *filter(_is_floating, jax.tree.leaves((args, kwargs))))
        integer = jnp.result_type(int)
        with jax.enable_x64(True):
            args, kwargs = _cast((args, kwargs), jnp.float64, jnp.int64)
            return _cast(f(*args, **kwargs), floating, integer)

    return cast(F, jax.jit(rounded_once))


def _is_floating(v):
    return jnp.issubdtype(jnp.result_type(v), jnp.floating)


def _cast(tree, floating, default_integer):
    def leaf(v):
        if _is_floating(v):
            return jnp.asarray(v, floating)
        return jnp.asarray(v, default_integer) if jnp.result_type(v) == jnp.int64 else v

    return jax.tree.map(leaf, tree)
