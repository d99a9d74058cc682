"""Probes of trained flows: what a share of them is worth, and whether their ways depend on what they carry.

Pure functions of the parameters of one run; inputs (B, height, width), all without noise.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax.errors import ConfigError
from ternary_jax.lattice import metrics
from ternary_jax.lattice.energy_flow import flow
from ternary_jax.lattice.energy_flow.flow import Flows, Params

SHARES = (0.0, 0.05, 0.1, 0.25, 0.5, 0.75)  # of the flows that are removed


def kept(key: Array, n: int, shares: tuple[float, ...]) -> Array:
    """(len(shares), n) bool, each with round(share n) False at random; those of a share are among those of a larger."""
    removed = jnp.asarray([round(share * n) for share in shares])
    return jax.random.permutation(key, n)[None] >= removed[:, None]


def without(params: Params, inputs: Array, static: Any, keep: Array) -> Flows:
    """The flows after all steps, where those that are not kept, (n,) bool, carry nothing from the start on.

    Energy 0 reaches no output, no message and no cell. It is set again after each step, as the answers of other flows
    and a new energy by tanh would give it back.
    """
    if static.interaction.kind == "attention":
        raise ConfigError(
            "config.interaction.kind=attention gives weight to flows without energy, so none can be removed: give "
            "none, pool or field"
        )
    carries = keep[None, :, None]

    def body(flows, _):
        flows, _ = flow.step(params, flows, static)
        return flows._replace(energy=jnp.where(carries, flows.energy, 0)), None

    start = flow.place(params, inputs, static)
    start = start._replace(energy=jnp.where(carries, start.energy, 0))
    return jax.lax.scan(body, start, None, static.model.steps)[0]


def r2_without(
    params: Params, inputs: Array, wanted: Array, static: Any, key: Array, shares: tuple[float, ...] = SHARES
) -> Array:
    """(len(shares),): r2 where each share of the flows is removed; wanted (B, planes, height, width)."""
    n = inputs.shape[1] * inputs.shape[2] * (1 + static.model.children)

    def score(keep):
        return metrics.r2(flow.outputs(without(params, inputs, static, keep), static), wanted)

    return jax.lax.map(score, kept(key, n, shares))


def r2_of_lost_outputs(n: int, shares: tuple[float, ...] = SHARES) -> list[float]:
    """The closed form for flows that each bring one input to its own output, n of both, and never meet.

    A removed flow costs the variance of its output and nothing else: r2 = 1 - removed / n, for inputs of one variance.
    """
    return [1 - round(share * n) / n for share in shares]


def through(params: Params, inputs: Array, static: Any) -> Array:
    """The share of flows that the barrier of the config has let through, and that are on the other side at the end."""
    start = flow.place(params, inputs, static).left
    return jnp.mean(flow.run(params, inputs, static, static.model.steps)[0].left != start)


def permuted(key: Array, inputs: Array) -> Array:
    """The inputs with the values of each face in another random order."""
    rows = inputs.reshape(len(inputs), -1)
    return jax.random.permutation(key, rows, axis=1, independent=True).reshape(inputs.shape)


def ways_apart(params: Params, inputs: Array, others: Array, static: Any) -> dict[str, Array]:
    """How far the ways of the same cells are apart for two batches of inputs, in cells, a scalar each.

    apart: mean distance over all steps, flows and samples; ends: over the last step; longest: the greatest distance
    way: mean distance along the face from the start to the end of a way, to compare with
    """
    start = flow.place(params, inputs, static).position
    (_, _, one), (_, _, other) = (flow.run(params, faces, static, static.model.steps) for faces in (inputs, others))
    apart = jnp.linalg.norm(one - other, axis=-1)
    way = jnp.linalg.norm((one[-1] - start)[..., :2], axis=-1)
    return {"apart": apart.mean(), "ends": apart[-1].mean(), "longest": apart.max(), "way": way.mean()}
