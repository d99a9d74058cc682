"""Float64 where float32 cancels, whether or not x64 is enabled."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp

F = TypeVar("F", bound=Callable[..., Any])


def in_float64(f: F) -> F:
    """Run f in float64 and round what it returns once, to the floating dtype of its arguments. Integers pass as is.

    The inside of f is held to elementwise operations, sums and sorts. The transpose of a matrix product is traced
    outside the context that allows float64 here, and fails; jnp.sum(x * y) does not. Under jit, vmap, scan, remat
    and both modes of differentiation tests/test_precision.py shows that it works.
    """

    def convert(tree, dtype):
        def leaf(v):
            return jnp.asarray(v, dtype) if jnp.issubdtype(jnp.result_type(v), jnp.floating) else v

        return jax.tree.map(leaf, tree)

    @functools.wraps(f)
    def rounded_once(*args):
        dtype = jnp.result_type(float, *jax.tree.leaves(args))
        with jax.enable_x64(True):
            return convert(f(*convert(args, jnp.float64)), dtype)

    return cast(F, jax.jit(rounded_once))
