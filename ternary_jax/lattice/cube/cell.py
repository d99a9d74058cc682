"""One update of cells: a gated perceptron of what a cell and its six neighbours show. Pure functions.

Axes: n cells (of the cube, or of a layer), B samples, C channels, h units. With z the state of a cell divided by the
root of its mean square, and j the cell itself and its neighbours,

    gated         [u, v] = z U + b shows v,   y = (1 + gelu(u)) sum_j w_j v_j,   update = y V + c
    concatenated  shows z,   [u, v] = [z_0, ..., z_6] U + b,   y = (1 + gelu(u)) v,   update = y V + c

`gated` is a gMLP (Liu et al., arXiv 2105.08050) whose spatial matrix is the lattice: w_j (h,) weighs the neighbour j.
The last `model.private` channels are a memory: they are not shown.

The weights of a cell are (`model.weights`) its own; those of all cells (`shared`); shared, with a learned code of the
cell as a further input (`code`); a mixture of a few, by a softmax of its own (`prototypes`); or shared, and for each
product two thin matrices of its own (`rank`): W + P Q.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax.initializers import uniform
from ternary_jax.lattice.cube.neighbours import OWN, SEVEN

WEIGHTS = ("own", "shared", "code", "prototypes", "rank")
KINDS = ("gated", "concatenated")
Params = dict[str, Any]


def widths(model: Any) -> dict[str, tuple[int, int]]:
    """Inputs and outputs of the two products of an update."""
    seen = model.channels * (SEVEN if model.cell == "concatenated" else 1)
    return {"in": (seen, 2 * model.hidden), "out": (model.hidden, model.channels)}


def init(key: Array, model: Any, cells: int) -> dict[str, Params]:
    """{"cells": arrays with a leading axis of the cells, "shared": arrays without one}; an empty one is left out."""
    own: Params = {}
    shared: Params = {}
    sets = {"own": (cells,), "prototypes": (model.rank,)}.get(model.weights, ())
    group = own if model.weights == "own" else shared
    for number, (name, (inputs, outputs)) in enumerate(widths(model).items()):
        keys = jax.random.split(jax.random.fold_in(key, number))
        group[f"{name}_kernel"] = _drawn(keys[0], sets, (inputs, outputs))
        group[f"{name}_bias"] = jnp.zeros((*sets, outputs))
        if model.weights == "rank":
            own[f"{name}_left"] = _drawn(keys[1], (cells,), (inputs, model.rank))
            own[f"{name}_right"] = jnp.zeros((cells, model.rank, outputs))
    key_mix, key_code, key_kernel = jax.random.split(jax.random.fold_in(key, 2), 3)
    if model.cell == "gated":
        group["mix"] = jax.random.normal(key_mix, (*sets, SEVEN, model.hidden)) / SEVEN**0.5
    if model.weights == "code":
        own["code"] = jax.random.normal(key_code, (cells, model.rank))
        shared["code_kernel"] = uniform(key_kernel, (model.rank, 2 * model.hidden))
    if model.weights == "prototypes":
        own["choice"] = jax.random.normal(key_code, (cells, model.rank))
    return {name: arrays for name, arrays in (("cells", own), ("shared", shared)) if arrays}


@jax.named_scope("shown")
def shown(params: dict[str, Params], states: Array, model: Any, dtype: Any = jnp.float32) -> tuple[Array, Array]:
    """(u, what the cells show their neighbours) of states (n, B, C); u is theirs alone. dtype: of the products.

    params: those of `init`, the group "cells" of these n cells alone
    """
    z = normalised(states)
    public = (jnp.arange(model.channels) < model.channels - model.private)[None, None]
    if model.cell == "concatenated":
        return z, jnp.where(public, z, 0)
    u, v = jnp.split(_first(params, z, model, dtype), 2, -1)
    if model.private:  # v once more, of the other channels alone
        v = jnp.split(_first(params, jnp.where(public, z, 0), model, dtype), 2, -1)[1]
    return u, v


@jax.named_scope("update")
def update(
    params: dict[str, Params], own: Array, seven: Array, model: Any, dtype: Any = jnp.float32, key: Array | None = None
) -> Array:
    """The updates (n, B, C) of n cells. own, seven: the u of `shown`, and what they see (n, 7, B, d).

    key: of dropout, of the gated units; None: none
    """
    if model.cell == "gated":
        u, v = own, jnp.sum(_mix(params, model)[:, :, None] * seven, 1)
    else:
        rows = jnp.concatenate([own, *(seven[:, k] for k in range(SEVEN) if k != OWN)], -1)
        u, v = jnp.split(_first(params, rows, model, dtype), 2, -1)
    y = (1 + jax.nn.gelu(u)) * v
    if key is not None and model.dropout:
        y = jnp.where(jax.random.bernoulli(key, 1 - model.dropout, y.shape), y / (1 - model.dropout), 0)
    return _product("out", params, y, model, dtype)


def normalised(states: Array) -> Array:
    """States over the root of the mean square of their channels; a state of zeros stays one."""
    return states * jax.lax.rsqrt(jnp.mean(jnp.square(states), -1, keepdims=True) + 1e-6)


# --- inside -----------------------------------------------------------------------------------------------------------


def _drawn(key: Array, sets: tuple[int, ...], shape: tuple[int, int]) -> Array:
    """A matrix, or a set of them."""
    if not sets:
        return uniform(key, shape)
    return jax.vmap(lambda key: uniform(key, shape))(jax.random.split(key, sets[0]))


def _first(params: dict[str, Params], x: Array, model: Any, dtype: Any) -> Array:
    """[u, v] (n, B, 2 h)."""
    found = _product("in", params, x, model, dtype)
    if model.weights == "code":
        found = found + (params["cells"]["code"] @ params["shared"]["code_kernel"])[:, None]
    return found


def _choice(params: dict[str, Params]) -> Array:
    return jax.nn.softmax(params["cells"]["choice"])


def _mix(params: dict[str, Params], model: Any) -> Array:
    """The weights of the seven, (n or 1, 7, h)."""
    if model.weights == "own":
        return params["cells"]["mix"]
    if model.weights == "prototypes":
        return jnp.einsum("nk,kjh->njh", _choice(params), params["shared"]["mix"])
    return params["shared"]["mix"][None]


def _product(name: str, params: dict[str, Params], x: Array, model: Any, dtype: Any) -> Array:
    """x W + b (n, B, out) for x (n, B, in), by the weights of each cell; products in dtype, sums in float32."""

    def times(x, kernel):
        letters = "nbi,nio->nbo" if kernel.ndim == 3 else "nbi,io->nbo"
        return jnp.einsum(letters, x.astype(dtype), kernel.astype(dtype), preferred_element_type=jnp.float32)

    group = params["cells" if model.weights == "own" else "shared"]
    kernel, bias = group[f"{name}_kernel"], group[f"{name}_bias"]
    if model.weights == "prototypes":
        share = _choice(params)
        kernel, bias = jnp.einsum("nk,kio->nio", share, kernel), share @ bias
    found = times(x, kernel) + (bias[:, None] if bias.ndim == 2 else bias[None, None])
    if model.weights == "rank":
        own = params["cells"]
        found = found + times(times(x, own[f"{name}_left"]), own[f"{name}_right"])
    return found
