"""Cheap measurements on a batch, for controllers that act at every step: an evaluation covers the whole space."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax import ternary
from ternary_jax.vae import geometry, loss_factors, streams
from ternary_jax.vae.losses import entropy, masked, ranking
from ternary_jax.vae.outputs import BranchOutput
from ternary_jax.vae.streams import stream


def observe(outputs: Mapping[str, BranchOutput], terms: Mapping[str, Array], key: Array) -> dict[str, Array]:
    """The measurements of each branch, as sensed_NAME_BRANCH, and `radial`, the mean of the radial losses.

    outputs: of the model, by branch; terms: of the losses, by name; key: of the loss of the step
    """
    rows = next(iter(outputs.values())).batch.rows
    shifts = jnp.stack(ranking.shifts(stream(key, streams.BATCH_RANKING), len(rows)))
    found = {b: of_branch(one, shifts) for b, one in outputs.items()}
    signals = {f"sensed_{name}_{b}": x for b, own in found.items() for name, x in own.items()}
    radial = [terms[name] for name in (f"{loss}_{b}" for loss in loss_factors.RADIAL for b in outputs) if name in terms]
    return signals | {"radial": jnp.mean(jnp.stack(radial))}


def of_branch(output: BranchOutput, shifts: Array) -> dict[str, Array]:
    """The measurements of one branch.

    entropy: of the decoder's distribution of a digit, nats; coverage: fraction of rows with all digits decoded right
    ranking: fraction of the batch's triplets (i, i - s, i - t) in the right order, for shifts (2,); 1/2 by chance, and
        without triplets
    """
    rows, n_digits = output.batch.rows, output.n_digits
    right = jnp.all(jnp.argmax(output.logits, -1) - 1 == output.batch.x, -1)
    others = [[jnp.roll(a, shift, 0) for shift in shifts] for a in (output.points.z, rows)]
    d_j, d_k = (jax.vmap(geometry.dist, (0, 0, None))(output.points.z, z, output.c) for z in others[0])
    v_j, v_k = (ternary.pair_valuation(rows, other, n_digits) for other in others[1])
    in_order = ((d_j < d_k) == (v_j > v_k)).astype(d_j.dtype)
    found = {
        "entropy": entropy.of_rows(output.logits),
        "coverage": jnp.mean(right.astype(d_j.dtype)),
        "ranking": 0.5 + masked.mean(in_order - 0.5, v_j != v_k),
    }
    return jax.lax.stop_gradient(found)
