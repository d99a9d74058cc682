"""The input of the losses, made by the forward pass: the batch, and the output of each branch on it."""

from typing import Any, NamedTuple

from jax import Array

from ternary_jax.vae.branch import Latent, Points


class Batch(NamedTuple):
    """Operations of a step: rows (n,) int32, their indices; v (n,) int32, valuations; x (n, D) trits.

    With partners, rows b and b + n/2 are pairs, at pair valuations 0 .. D-1 in turn.

    shifts: (k,) int32 in [1, n): each pairs row b with row (b - shift) mod n; None if no loss uses pairs
    key: key of the losses' random draws, each with a stream of `streams`; None if no loss draws
    """

    rows: Array
    v: Array
    x: Array
    shifts: Any
    key: Any


class BranchOutput(NamedTuple):
    """One branch on one batch.

    latent, points: of the encoder's mean
    noise (n, dim), drawn: of a draw from the posterior; without a draw noise is None, and drawn is points
    logits: (n, D, 3), decoded from `drawn`
    c: the curvature; c0: the curvature at the start of training, for targets; both None in R^n, see `geometry`
    sigma: scale of the prior, None without a prior
    targets: radial targets by level, (D + 1,)
    """

    batch: Batch
    latent: Latent
    points: Points
    noise: Any
    drawn: Points
    logits: Array
    c: Array | None
    c0: Array | None
    sigma: Any
    targets: Array

    @property
    def n_digits(self) -> int:
        return len(self.targets) - 1
