"""The terms of an objective that keep flows apart, able to move, and on their way: the same whatever they learn."""

from typing import Any

import jax.numpy as jnp
from jax import Array

from ternary_jax.lattice.energy_flow import flow


def of_flows(static: Any, flows: flow.Flows, push: Array) -> dict[str, Array]:
    """The terms that the config has on, unweighted. push: the mean square of the pushes before tanh."""
    losses, (width, height, depth), terms = static.losses, flow.size(static), {}
    if losses.push.on:
        terms["push"] = push
    if losses.occupancy.on:
        mass = flow.occupancy(flows.position[..., :2], width, height)
        terms["occupancy"] = jnp.mean(jnp.square(mass - 1))
    if losses.distance.on:
        z = flows.position[..., 2]
        left = depth - 1 - z
        terms["distance"] = jnp.mean(left if static.model.planes == 1 else jnp.minimum(z, left))
    return terms


def total(first: Array, terms: dict[str, Array], losses: Any) -> Array:
    """The first term and the weighted others; losses: of the traced values of the config."""
    for name, term in terms.items():
        first = first + getattr(losses, name).weight * term
    return first
