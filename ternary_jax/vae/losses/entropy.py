"""Entropies of decoded digits, in nats, from logits (n, D, 3).

They use log softmax, which is exact at any logits; the originals add 1e-10 to a probability.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax.vae.losses.registry import LossSpec, WeightedTerms
from ternary_jax.vae.outputs import BranchOutput


def of_mean(logits: Array) -> Array:
    """-sum_k sum_t q_kt log q_kt, q_k the mean over the batch of softmax(logits_k), -> (): D ln 3 at most.

    High if each value of a digit is decoded equally often over the batch, at any confidence of the single rows.
    """
    return jnp.sum(_entropy(jax.nn.logsumexp(jax.nn.log_softmax(logits), 0) - math.log(len(logits))))


def of_rows(logits: Array) -> Array:
    """-sum_t p_t log p_t, p = softmax(logits_ik), mean over rows i and digits k, -> (): ln 3 at most."""
    return jnp.mean(_entropy(jax.nn.log_softmax(logits)))


def alignment(logits: Array, others: Array) -> Array:
    """|H - H'|, H = `of_rows` of one branch and H' that of the other, -> (). Gradient 0 where they are equal."""
    return jnp.abs(of_rows(logits) - of_rows(others))


def _entropy(log_p):
    return -jnp.sum(jnp.exp(log_p) * log_p, -1)


def _of_branch(output: BranchOutput, _: Any) -> WeightedTerms:
    return {"entropy": (1, -of_mean(output.logits))}


def _alignment(outputs: dict[str, BranchOutput], _: Any) -> WeightedTerms:
    return {"alignment": (1, alignment(*(one.logits for one in outputs.values())))}


LOSSES = (
    LossSpec("entropy", _of_branch, families=("autoencoder",), place=18),
    LossSpec("alignment", _alignment, joint=True, place=20),
)
