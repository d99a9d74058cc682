"""The objective: the weighted sum of the losses that are on. Only this file applies weights."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax.vae.losses import registry
from ternary_jax.vae.outputs import BranchOutput


def total(
    outputs: dict[str, BranchOutput], on: dict[str, str], weights: Any, factors: dict[str, Array]
) -> tuple[Array, dict[str, Array]]:
    """The sum of weight x factor x part, and the unweighted parts by PART_BRANCH, or by PART for a joint loss.

    on: loss -> its branches, "A", "B" or "AB"; a joint loss has "AB"
    weights: the group `losses` of the hypers
    factors: on the weights, by LOSS or LOSS_BRANCH; 1 for a missing one
    """
    terms, summed = {}, jnp.float32(0)
    for name, branches in on.items():
        loss, group = registry.table()[name], getattr(weights, name)
        views: dict[str, Any] = {"": outputs} if loss.joint else {f"_{b}": outputs[b] for b in branches}
        for ending, view in views.items():
            with jax.named_scope(f"{name}{ending}"):
                of = [factors[k] for k in dict.fromkeys((name, f"{name}{ending}")) if k in factors]
                factor = functools.reduce(jnp.multiply, of, 1)
                for part, (weight, value) in loss.parts(view, group).items():
                    if f"{part}{ending}" in terms:
                        raise ValueError(f"two losses have a part called {part}{ending}: rename it in {name}")
                    terms[f"{part}{ending}"] = value
                    summed += group.weight * factor * weight * value
    return summed, terms
