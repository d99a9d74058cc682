"""The factors of knobs on the weights of the losses. A loss that no knob scales has no factor.

This file has the knobs of several controllers; the file of a controller declares the `Factor`s of its own knobs. The
forward pass reads the other knobs: rho, temperature_A, temperature_B, sigma and c.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from jax import Array

from ternary_jax.vae.losses import registry

Factors = dict[str, Any]

AUTOENCODER, KL, RADIAL, RANKING = map(registry.family, ("autoencoder", "kl", "radial", "ranking"))
STRUCTURE = tuple(name for name in registry.table() if name not in ("reconstruction", *KL))


class Factor(NamedTuple):
    """The factor of one knob on the weights of losses.

    knob: its name; without effect in a run that has no such knob
    losses: names of the losses
    branch: "A" or "B" if it scales the losses of one branch alone; else ""
    value: knob, hypers -> the factor
    """

    knob: str
    losses: tuple[str, ...]
    branch: str = ""
    value: Callable[[Array, Any], Any] = lambda knob, hypers: knob


# lambda_1 and lambda_2 scale the autoencoder losses of a branch, as in v5.10. tau mixes radial and ranking losses; at
# tau = 0.5 both factors are 1.
SHARED = (
    Factor("lambda_1", AUTOENCODER, "A"),
    Factor("lambda_2", AUTOENCODER, "B"),
    Factor("lambda_3", ("alignment",)),
    Factor("ranking", RANKING),
    Factor("tau", RADIAL, value=lambda tau, hypers: 2 * (1 - tau)),
    Factor("tau", RANKING, value=lambda tau, hypers: 2 * tau),
)


def evaluated(factors: Iterable[Factor], knobs: Mapping[str, Array], losses: Iterable[str], hypers: Any) -> Factors:
    """The factors of these knobs on the weights of `losses`, by LOSS or by LOSS_BRANCH, multiplied in their order."""
    there, found = {*losses}, []
    for one in factors:
        ending = f"_{one.branch}" if one.branch else ""
        names = [f"{loss}{ending}" for loss in one.losses if loss in there]
        if one.knob in knobs and names:
            found.append(dict.fromkeys(names, one.value(knobs[one.knob], hypers)))
    return functools.reduce(multiply, found, {})


def multiply(a: Factors, b: Factors) -> Factors:
    """The union of two sets of factors; those of one name are multiplied."""
    return a | b | {k: a[k] * b[k] for k in a if k in b}
