"""As many steps as the flows need: inference until they have arrived, and what each further step is worth.

Training has a fixed number of steps, with masks: a flow that has arrived costs as much as one that moves. Only a loop
that ends saves time, so a number of steps is reported with the time of the loop, never alone.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax.lattice import metrics
from ternary_jax.lattice.energy_flow import flow
from ternary_jax.lattice.energy_flow.flow import Flows, Params


class Rule(NamedTuple):
    """When the loop ends, looked at before each step from step `least` on.

    share: of the flows that have arrived, from which it ends
    patience: steps in which no flow arrives, after which it ends
    """

    share: float
    least: int
    patience: int


ALL_ARRIVED = Rule(1.0, 0, 2**30)
OF_THE_DOCUMENTS = Rule(0.95, 5, 3)


def run(params: Params, inputs: Array, static: Any, most: int, rule: Rule = ALL_ARRIVED) -> tuple[Flows, Array]:
    """(flows when the rule ends the loop, or after `most` steps; the steps taken), without noise."""

    def goes_on(carry):
        flows, number, arrived, idle = carry
        ends = (arrived >= rule.share * flows.arrived.size) | (idle >= rule.patience)
        return (number < most) & ~(ends & (number >= rule.least))

    def body(carry):
        flows, number, before, idle = carry
        flows, _ = flow.step(params, flows, static)
        arrived = jnp.sum(flows.arrived)
        late = number + 1 >= rule.least
        return flows, number + 1, arrived, jnp.where((arrived > before) | ~late, 0, idle + 1)

    zero = jnp.int32(0)
    flows, number, _, _ = jax.lax.while_loop(goes_on, body, (flow.place(params, inputs, static), zero, zero, zero))
    return flows, number


def curve(params: Params, inputs: Array, wanted: Array, static: Any, most: int) -> dict[str, Array]:
    """r2 and the share of arrived flows after each of `most` steps, (most,) each; a flow on its way is projected."""

    def body(flows, _):
        flows, _ = flow.step(params, flows, static)
        found = {"r2": metrics.r2(flow.outputs(flows, static), wanted), "arrival": jnp.mean(flows.arrived)}
        return flows, found

    return jax.lax.scan(body, flow.place(params, inputs, static), None, most)[1]
