"""Controllers with constant outputs: factors on the learning rates of groups, and frozen groups."""

from collections.abc import Callable, Collection
from typing import Any

import jax
import jax.numpy as jnp

from ternary_jax.control.chain import Control


def scale(factors) -> Control:
    """Multiply the rates by constant factors. factors: hypers -> {group: factor}; a group without an entry keeps its
    rate.
    """

    def update(state, signals, controls):
        rates = {group: rate * state[group] if group in state else rate for group, rate in controls.rates.items()}
        return state, controls._replace(rates=rates), {}

    return Control(factors, update)


def freeze(groups: tuple[str, ...]) -> Control:
    """Freeze these groups and their optimizer state for the whole run."""

    def update(state, signals, controls):
        before = controls.frozen or dict.fromkeys(controls.rates, jnp.array(False))
        return state, controls._replace(frozen=before | {group: jnp.array(True) for group in groups}), {}

    return Control(lambda hypers: (), update)


def held(groups: Collection[str], loss: Callable[[Any, Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
    """The loss of a task, params, batch, Context -> Loss, in which these groups are constants.

    `freeze` alone leaves the groups unchanged and still computes their gradients. With this function the step computes
    none of them, a third of the products of a layer that is frozen; the log has 0 for their norms.
    No groups: the loss itself.
    """
    if not groups:
        return loss

    def of_the_others(params, batch, context):
        return loss(
            {name: jax.lax.stop_gradient(x) if name in groups else x for name, x in params.items()}, batch, context
        )

    return of_the_others
