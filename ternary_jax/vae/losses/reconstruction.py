"""What is decoded, and what is paid for the code."""

import jax.numpy as jnp
import optax
from jax import Array, lax
from jax.typing import ArrayLike


def cross_entropy(logits: Array, x: Array) -> Array:
    """-sum_k log softmax(logits_k)[x_k + 1], mean over the batch: nats per operation, D ln 3 at chance.

    Logits (n, D, 3) and trits (n, D) -> ().
    """
    return jnp.mean(_of_rows(logits, x))


def focus(logits: Array, x: Array, share: Array, power: ArrayLike, least: ArrayLike) -> Array:
    """mean_i w_i CE_i, w_i = (1 - s_i)^power + least, CE_i the cross-entropy of row i, -> (): more for inner rows.

    share (n,): s = sqrt(c)|z| in [0, 1). The weights carry no gradient; in HyperbolicReconLoss, power 2 and least 0.5,
    they do, and the model lowers the loss by moving outward what it decodes badly.
    """
    weight = (1 - lax.stop_gradient(share)) ** power + least
    return jnp.mean(weight * _of_rows(logits, x))


def gaussian_kl(mean: Array, log_variance: Array, free_bits: ArrayLike) -> Array:
    """sum_k max(free_bits, mean over the batch of KL(N(mean_k, variance_k) || N(0, 1))), (n, dim) twice -> ().

    Free bits per dimension, after the mean over the batch: equation 15 of Kingma et al. 2016, arXiv 1606.04934, with
    groups of one dimension. They are nats. A floor per row would hold for each operation by itself, and one for the sum
    would let all dimensions collapse but one.
    """
    # expm1: the two parts of exp(w) - 1 - w cancel at w = 0, which is where the KL leads
    kl = (jnp.square(mean) + jnp.expm1(log_variance) - log_variance) / 2
    return jnp.sum(jnp.maximum(jnp.mean(kl, 0), free_bits))


def _of_rows(logits, x):
    return jnp.sum(optax.softmax_cross_entropy_with_integer_labels(logits, x.astype(jnp.int32) + 1), -1)
