"""The reference objective R: the losses of a run with the weights, the c and the sigma of its config.

What a controller changes can lower R only through the parameters: R has no knob. A learned c is a parameter that R does
not read. The permeability rho is that of the config, and the temperatures are 1.

R does not depend on the unit of length either. Where c0 is the c of the config, all lengths are in units of 1/sqrt(c0):

    R(theta) = sum_k w_k L_k(s z, s u, s r; c = 1, sigma = s sigma_0),  s = sqrt(c0)

with the points z, u = log_0(z), r = d(0, z) of theta at c0. z -> s z is an isometry of the ball of c0, up to the unit
of length, onto the ball of c = 1, so R of two models that differ by this map is the same. For each loss, this means:

    reconstruction, entropy, alignment   have no length: the decoder reads u, as in training, and not s u
    kl                                   is of the latent vector, before it has a place in the ball: no c
    focus                                its weights read sqrt(c0)|z| = tanh(s r / 2), which has no unit
    prior                                densities per volume: the same value at (u, scale, sigma, c) and at
                                         (s u, s scale, s sigma, 1), so this is the KL at the config's c and sigma
    bands (radius, distance), the floor of rich, the correlation of zero
                                         are logarithms of ratios, ratios and correlations of lengths: no unit
    radial, stratification, monotonic, rank, norm, rich, the spread of bands, the pull of zero
                                         compare s r with 2 artanh(f_v), and with margins and widths
    geodesic, ranking_hyperbolic         compare s d with targets and margins
    centroid                             is c0 d^2
    metric, ranking, ranking_v2, repulsion
                                         compare s |u_i - u_j| with targets, margins and widths

Margins, widths and targets that the config gives as lengths are those at c = 1. So R is the weighted sum of the losses
of the config exactly where c0 = 1, as it is in all packaged configs; elsewhere, lengths that training compares with a
margin are times s in R. With a direction-radius projection s u and s r do not depend on c0; with a projection by exp_0,
s u = s y of the encoder's output y. In R^n there is no c, and R is the sum of the losses.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array

from ternary_jax.vae import objective
from ternary_jax.vae.branch import BRANCHES, Points, make_branch
from ternary_jax.vae.forward import forward, initial_curvature
from ternary_jax.vae.losses import registry
from ternary_jax.vae.outputs import BranchOutput


def make_reference(static: Any) -> Callable[[Any, Any, Any], Array]:
    """params, batch, Context -> R. Of the Context, R reads the key, the data and the hypers, and no control."""
    with_terms = make_reference_terms(static)
    return lambda params, batch, context: with_terms(params, batch, context)[0]


def make_reference_terms(static: Any) -> Callable[[Any, Any, Any], tuple[Array, dict[str, Array]]]:
    """params, batch, Context -> (R, its unweighted terms), as `objective.total` names them."""
    branches = {b: make_branch(b, static) for b in BRANCHES}
    wrapped = [b for b in BRANCHES if getattr(static.model, b).posterior == "wrapped"]
    fixed = static._replace(model=static.model._replace(curvature="fixed"))
    on = registry.on(static.losses)

    def terms(params, batch, context):
        hypers = context.hypers
        knobs = {"sigma": jnp.asarray(hypers.prior.sigma)} if wrapped else {}
        context = context._replace(controls=context.controls._replace(knobs=knobs))
        outputs = forward(branches, fixed, params, batch, context, hypers.model.rho)
        c0 = initial_curvature(hypers, fixed)
        if c0 is not None:
            outputs = {b: in_units(one, c0, b in wrapped) for b, one in outputs.items()}
        return objective.total(outputs, on, hypers.losses, {})

    return terms


def in_units(output: BranchOutput, c0: Any, wrapped: bool) -> BranchOutput:
    """The output with lengths in units of 1/sqrt(c0), so of c = 1. The logits keep the u that they were decoded from.

    wrapped: whether the posterior is of the tangent space, and its scale a length; a Gaussian one is not
    """
    s = jnp.sqrt(c0)
    log_variance = output.latent.log_variance
    if wrapped and log_variance is not None:
        log_variance = log_variance + jnp.log(c0)

    def scaled(points: Points) -> Points:
        return Points(s * points.z, s * points.u, s * points.r)

    return output._replace(
        latent=output.latent._replace(log_variance=log_variance),
        points=scaled(output.points),
        drawn=scaled(output.drawn),
        c=jnp.ones([]),
        c0=jnp.ones([]),
        sigma=None if output.sigma is None else s * output.sigma,
        targets=s * output.targets,
    )
