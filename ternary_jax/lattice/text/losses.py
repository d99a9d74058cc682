"""Losses of centred vectors (B, d) and their targets."""

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax.lattice.text import metrics

KINDS = ("cosine", "infonce")


def cosine(outputs: Array, targets: Array) -> Array:
    """1 - the mean cosine."""
    return 1 - metrics.cosine(outputs, targets)


def infonce(outputs: Array, targets: Array, truth: Array, temperature: float) -> Array:
    """The cross-entropy of finding each target among those of the batch, by cosine / temperature.

    (van den Oord et al., arXiv 1807.03748.) truth (B,): the number of each target. One that occurs twice in a batch
    counts as right at both places.
    """
    logits = metrics.unit(outputs) @ metrics.unit(targets).T / temperature
    same = truth[:, None] == truth[None]
    found = jax.nn.logsumexp(jnp.where(same, logits, -jnp.inf), 1)
    return jnp.mean(jax.nn.logsumexp(logits, 1) - found)


def of(kind: str, outputs: Array, targets: Array, truth: Array, temperature: float) -> Array:
    """The loss of this name."""
    return cosine(outputs, targets) if kind == "cosine" else infonce(outputs, targets, truth, temperature)
