"""What trained flows can be asked: to carry faces."""

from typing import Any, NamedTuple

import jax
from jax import Array

from ternary_jax.engine.task import Verbs
from ternary_jax.lattice import user_faces
from ternary_jax.lattice.energy_flow import flow


class Carried(NamedTuple):
    """Faces that flows have carried through the lattice, without noise.

    outputs: (B, planes, height, width)
    paths: (steps, b, n, 3), where the n flows are after each step, in cells; b is 1 where all samples have one way
    arrived: (b, n) bool, whether a flow has reached an output face; steps: (b, n) int32, when
    """

    outputs: Array
    paths: Array
    arrived: Array
    steps: Array


def verbs(static: Any) -> Verbs:
    """What flows of a config can be asked."""
    width, height, _ = flow.size(static)

    @jax.jit
    def carry(params, inputs):
        flows, _, paths = flow.run(params, inputs, static, static.model.steps)
        return Carried(flow.outputs(flows, static), paths, flows.arrived, flows.steps)

    def make(params, context, part):
        def run(x: Any) -> Carried:
            """faces (B, height, width) -> Carried: outputs (B, planes, height, width), paths, arrived, steps."""
            return carry(params, user_faces.checked(x, (height, width)))

        return {"run": run}

    return Verbs(make)
