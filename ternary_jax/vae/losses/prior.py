"""The loss `prior`: the KL of wrapped-normal posteriors to a wrapped normal at the origin.

The KL of two wrapped normals with different centres has no closed form, so it is estimated from the draws. Both
densities are per Riemannian volume, so volumes cancel; the sinh factors of the two lengths remain.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ternary_jax.precision import in_float64, log_sinhc
from ternary_jax.vae.losses.registry import LossSpec, WeightedTerms
from ternary_jax.vae.outputs import BranchOutput


def wrapped_kl(v: Array, u: Array, scale: Array, sigma: ArrayLike, c: ArrayLike) -> Array:
    """log q(z) - log p(z), mean over the batch, -> (): one draw z of each q, so KL(q || p) on average.

    q: wrapped normal at a mean m with `scale` (n, dim); p: wrapped normal at the origin with one sigma. Densities as in
    `poincare.wrapped_normal_log_prob`, but from tangent vectors, where nothing cancels.

    v = scale eps (n, dim), the noise of the draw z = exp_m(PT_{0->m}(v / 2)); u = log_0(z) (n, dim)
    """
    return jnp.mean(jax.vmap(_of_draw, (0, 0, 0, None, None))(v, u, scale, sigma, c))


@in_float64
def _of_draw(v, u, scale, sigma, c):
    """log(sigma / scale) + |w|^2 / (2 sigma^2) - |v / scale|^2 / 2 + (dim - 1) log(sinhc |w| / sinhc |v|), w = 2u."""
    w = 2 * u  # a length in the metric at 0, as |v| is
    normal = jnp.sum(jnp.log(sigma / scale) + jnp.square(w / sigma) / 2 - jnp.square(v / scale) / 2)
    bent = log_sinhc(c * jnp.sum(jnp.square(w))) - log_sinhc(c * jnp.sum(jnp.square(v)))
    return normal + (u.size - 1) * bent


def _prior(output: BranchOutput, _: Any) -> WeightedTerms:
    scale = jnp.exp(output.latent.log_variance / 2)  # pyright: ignore[reportOptionalOperand]
    c: Any = output.c  # never None: R^n has no wrapped posterior
    return {"prior": (1, wrapped_kl(scale * output.noise, output.drawn.u, scale, output.sigma, c))}


LOSSES = (LossSpec("prior", _prior, families=("autoencoder", "kl"), posterior="wrapped", place=2),)
