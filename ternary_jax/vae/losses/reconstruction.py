"""The losses `reconstruction`, `focus` and `kl`: cross-entropies of the decoded digits, and the KL of a Gaussian."""

from typing import Any

import jax.numpy as jnp
import optax
from jax import Array, lax
from jax.typing import ArrayLike

from ternary_jax.vae import geometry
from ternary_jax.vae.losses.registry import LossSpec, WeightedTerms, weight
from ternary_jax.vae.outputs import BranchOutput


def cross_entropy(logits: Array, x: Array) -> Array:
    """-sum_k log softmax(logits_k)[x_k + 1], mean over the batch: nats per operation, D ln 3 at chance.

    Logits (n, D, 3) and trits (n, D) -> ().
    """
    return jnp.mean(_of_rows(logits, x))


def focus(logits: Array, x: Array, share: Array, power: ArrayLike, least: ArrayLike) -> Array:
    """mean_i w_i CE_i, w_i = (1 - s_i)^power + least, CE_i the cross-entropy of row i, -> (): more for inner rows.

    share (n,): s = sqrt(c)|z| in [0, 1). The weights have no gradient. In HyperbolicReconLoss, power 2 and least 0.5,
    they have one, so moving a badly decoded point outward lowers its loss.
    """
    weight = (1 - lax.stop_gradient(share)) ** power + least
    return jnp.mean(weight * _of_rows(logits, x))


def gaussian_kl(mean: Array, log_variance: Array, free_bits: ArrayLike) -> Array:
    """sum_k max(free_bits, mean over the batch of KL(N(mean_k, variance_k) || N(0, 1))), (n, dim) twice -> ().

    Free bits, in nats, per dimension after the mean over the batch: equation 15 of Kingma et al. 2016, arXiv
    1606.04934, with groups of one dimension. A floor per row would act on each operation alone; a floor on the sum
    would let all dimensions but one collapse.
    """
    # expm1, because exp(w) - 1 - w cancels near w = 0, the minimum of the KL.
    kl = (jnp.square(mean) + jnp.expm1(log_variance) - log_variance) / 2
    return jnp.sum(jnp.maximum(jnp.mean(kl, 0), free_bits))


def _of_rows(logits, x):
    return jnp.sum(optax.softmax_cross_entropy_with_integer_labels(logits, x.astype(jnp.int32) + 1), -1)


def _reconstruction(output: BranchOutput, _: Any) -> WeightedTerms:
    return {"reconstruction": (1, cross_entropy(output.logits, output.batch.x))}


def _focus(output: BranchOutput, h: Any) -> WeightedTerms:
    share = geometry.share(output.points.r, output.c)
    return {"focus": (1, focus(output.logits, output.batch.x, share, h.power, h.least))}


def _kl(output: BranchOutput, h: Any) -> WeightedTerms:
    return {"kl": (1, gaussian_kl(*output.latent, h.free_bits))}  # pyright: ignore[reportArgumentType]


LOSSES = (
    LossSpec("reconstruction", _reconstruction, families=("autoencoder",), place=0),
    LossSpec("kl", _kl, {"free_bits": weight()}, families=("autoencoder", "kl"), posterior="gaussian", place=1),
    LossSpec("focus", _focus, {"power": weight(), "least": weight()}, families=("autoencoder",), place=19),
)
