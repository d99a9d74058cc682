"""What controllers turn, in the terms of the losses: knobs -> factors on weights. What nobody turns is not there.

lambda_1, lambda_2, balance_A, balance_B: on what makes branch A, or B, a variational autoencoder: reconstruction, KL,
    entropy, repulsion; not on what shapes its points, as in v5.10. beta_A, beta_B: on its KL too
lambda_3: on the alignment of the two; ranking: on the losses that rank distances
tau: the mix of radial losses and ranking losses; a half changes nothing
structure, geometry: 0 until their phase has begun, then 1

The other knobs, rho, temperature_A, temperature_B, sigma and c, are read in the forward pass.
"""

import functools
from typing import Any

from jax import Array

from ternary_jax.vae import objective

Factors = dict[str, Any]

OF_A_BRANCH = ("reconstruction", "focus", "kl", "prior", "entropy", "repulsion")
KL = ("kl", "prior")
RADIAL = ("radial", "stratification", "monotonic", "rank")
RANKING = objective.USE_KEY


def of(knobs: dict[str, Array], losses: tuple[str, ...], radial_after: Any) -> Factors:
    """On the weights of `losses`, by LOSS or by LOSS_BRANCH. radial_after: on the radial loss, from `geometry` on."""
    found: list[Factors] = []

    def turn(knob, names, factor=lambda x: x, ending=""):
        there = [f"{loss}{ending}" for loss in names if loss in losses]
        if knob in knobs and there:
            found.append(dict.fromkeys(there, factor(knobs[knob])))

    for b, weight in (("A", "lambda_1"), ("B", "lambda_2")):
        for knob in (weight, f"balance_{b}"):
            turn(knob, OF_A_BRANCH, ending=f"_{b}")
        turn(f"beta_{b}", KL, ending=f"_{b}")
    turn("lambda_3", ["alignment"])
    turn("ranking", RANKING)
    turn("tau", RADIAL, lambda tau: 2 * (1 - tau))
    turn("tau", RANKING, lambda tau: 2 * tau)
    turn("structure", [loss for loss in losses if loss not in ("reconstruction", *KL)])
    turn("geometry", ["radial"], lambda geometry: 1 - (1 - radial_after) * geometry)
    turn("geometry", ["geodesic"])
    return functools.reduce(times, found, {})


def times(a: Factors, b: Factors) -> Factors:
    """The factors of both."""
    return a | b | {k: a[k] * b[k] for k in a.keys() & b.keys()}
