"""The terms of an objective of faces: the three losses of the documents, with constant weights."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax.engine.task import Context
from ternary_jax.lattice import blur

NAMES = ("fit", "cosine", "layers")


def terms(read: Array, wanted: Array, states: Array, static: Any, context: Context) -> dict[str, Array]:
    """The terms that the config has on, unweighted.

    read, wanted: (k, B, height, width), the faces that are read, and those that should be; of wanted, k may be 1
    states: (N, B, C) after the last update
    context: with the width of the filter over the residual
    """
    losses, found = static.losses, {}
    if losses.fit.on:
        found["fit"] = blur.fit(read - wanted, static, context)
    if losses.cosine.on:
        found["cosine"] = 1 - jnp.mean(_cosine(read, wanted))
    if losses.layers.on:
        layers = states.reshape(static.lattice.depth, -1, *states.shape[1:])
        found["layers"] = jnp.mean(jnp.square(layers[1:] - layers[:-1]))
    return found


def total(terms: dict[str, Array], losses: Any) -> Array:
    """The weighted sum. losses: of the traced values of the config."""
    return jnp.sum(jnp.stack([getattr(losses, name).weight * term for name, term in terms.items()]))


# --- inside -----------------------------------------------------------------------------------------------------------


def _cosine(one: Array, other: Array) -> Array:
    """The cosine of the angle between faces (..., height, width); 0 if one of them is zeros."""
    square, of_other = (jnp.sum(jnp.square(x), (-2, -1)) for x in (one, other))
    return jnp.sum(one * other, (-2, -1)) * jax.lax.rsqrt(square + 1e-12) * jax.lax.rsqrt(of_other + 1e-12)
