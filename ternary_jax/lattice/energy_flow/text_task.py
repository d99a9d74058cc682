"""Flows between texts: the face of a left side goes in, and what arrives is judged among the vectors of right sides.

With `model.content` off, a linear exchange and multiplied energies, the outputs are a linear map of the input: such a
run shows how well a lattice represents a matrix.
"""

from typing import Any

import jax.numpy as jnp
from jax import Array

from ternary_jax.engine.task import Context, Loss, Task
from ternary_jax.errors import ConfigError
from ternary_jax.lattice.energy_flow import flow, losses, settings, widths
from ternary_jax.lattice.energy_flow.settings import check_to_train as check_to_train
from ternary_jax.lattice.text import task as text
from ternary_jax.metric import Metric

KEYS = {**settings.FLOW, **text.KEYS}


def check(config: Any) -> None:
    """Raise a ConfigError if keys contradict each other."""
    if config.model.planes != 1:
        raise ConfigError(
            f"config.model.planes={config.model.planes}, and a text has one output face: give config.model.planes=1"
        )
    text.check(config)
    settings.check_flow(config)


def make_task(static: Any) -> Task:
    """The task of a config, with its static values closed over."""
    return text.make(static, lattice(static))


def lattice(static: Any) -> text.Lattice:
    """The flows of a config, as a task of text has them."""

    def run(params: Any, faces: Array, context: Context | None) -> tuple[Array, Any]:
        key = None if context is None else context.key
        softness = None if context is None else widths.softness(static, context)
        flows, push, _ = flow.run(params, faces, static, static.model.steps, key, softness)
        return flow.outputs(flows, static), (flows, push)

    def loss(fit: Array, left: Any, hypers: Any) -> Loss:
        """With the terms that keep flows apart and able to move."""
        terms = losses.of_flows(static, *left)
        return Loss(losses.total(fit, terms, hypers.losses), {"fit": fit, **terms}, {})

    linear = static.interaction.linear or static.interaction.kind == "none"
    return text.Lattice(
        place=f"on {static.lattice.width} x {static.lattice.height}",
        init=lambda key: flow.init(key, static),
        run=run,
        loss=loss,
        measured=lambda left: {"arrival": jnp.mean(left[0].arrived)},
        metrics=(Metric("arrival", 1, 1.0, float("nan"), None),),
        schedules=widths.falling(static),
        linear=linear and not static.model.content and static.model.energy == "multiply",
    )
