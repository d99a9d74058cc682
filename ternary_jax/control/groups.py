"""Controllers with constant outputs: factors on the learning rates of groups, and frozen groups."""

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
