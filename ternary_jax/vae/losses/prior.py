"""What a code of wrapped normals costs against a prior around the origin.

Two wrapped normals of different centres have no closed form, so the divergence is that of the draws. Both densities
are per Riemannian volume, whose units c sets: they cancel, but sinh of the two lengths stays.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ternary_jax.precision import in_float64, log_sinhc
from ternary_jax.vae.losses.registry import LossSpec, Parts
from ternary_jax.vae.outputs import BranchOutput


def wrapped_kl(v: Array, u: Array, scale: Array, sigma: ArrayLike, c: ArrayLike) -> Array:
    """log q(z) - log p(z), mean over the batch, -> (): one draw z of each q, so KL(q || p) on average.

    q: wrapped normal at a mean m of `scale` (n, dim); p: that at the origin, of one sigma. Densities as in
    `poincare.wrapped_normal_log_prob`; but from tangent vectors, from which nothing has cancelled yet.

    v = scale eps (n, dim), that z = exp_m(PT_{0->m}(v / 2)) was drawn with; u = log_0(z) (n, dim).
    """
    return jnp.mean(jax.vmap(_of_draw, (0, 0, 0, None, None))(v, u, scale, sigma, c))


@in_float64
def _of_draw(v, u, scale, sigma, c):
    """log(sigma / scale) + |w|^2 / (2 sigma^2) - |v / scale|^2 / 2 + (dim - 1) log(sinhc |w| / sinhc |v|), w = 2u."""
    w = 2 * u  # lengths in the metric at 0, as those of v
    normal = jnp.sum(jnp.log(sigma / scale) + jnp.square(w / sigma) / 2 - jnp.square(v / scale) / 2)
    bent = log_sinhc(c * jnp.sum(jnp.square(w))) - log_sinhc(c * jnp.sum(jnp.square(v)))
    return normal + (u.size - 1) * bent


def _prior(output: BranchOutput, _: Any) -> Parts:
    scale = jnp.exp(output.latent.log_variance / 2)  # pyright: ignore[reportOptionalOperand]
    return {"prior": (1, wrapped_kl(scale * output.noise, output.drawn.u, scale, output.sigma, output.c))}


LOSSES = (LossSpec("prior", _prior, families=("autoencoder", "kl"), posterior="wrapped", place=2),)
