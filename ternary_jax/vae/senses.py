"""What a controller is shown of a batch: cheap figures of a step, where an evaluation would take the whole space."""

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax import poincare, ternary
from ternary_jax.vae.losses import entropy, masked
from ternary_jax.vae.objective import Seen


def of_branch(seen: Seen, shifts: Array) -> dict[str, Array]:
    """entropy: of a digit, as it is decoded, nats; coverage: share of rows with all digits decoded right;
    ranking: share of the batch's triplets (i, i - s, i - t) in order, for shifts (2,); chance 1/2, and that without any
    """
    rows, n_digits = seen.batch.rows, len(seen.targets) - 1
    right = jnp.all(jnp.argmax(seen.logits, -1) - 1 == seen.batch.x, -1)
    others = [[jnp.roll(a, shift, 0) for shift in shifts] for a in (seen.points.z, rows)]
    d_j, d_k = (jax.vmap(poincare.dist, (0, 0, None))(seen.points.z, z, seen.c) for z in others[0])
    v_j, v_k = (ternary.pair_valuation(rows, other, n_digits) for other in others[1])
    in_order = ((d_j < d_k) == (v_j > v_k)).astype(d_j.dtype)
    found = {
        "entropy": entropy.of_rows(seen.logits),
        "coverage": jnp.mean(right.astype(d_j.dtype)),
        "ranking": 0.5 + masked.mean(in_order - 0.5, v_j != v_k),
    }
    return jax.lax.stop_gradient(found)
