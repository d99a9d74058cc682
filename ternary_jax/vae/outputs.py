"""What the forward pass of a step hands to the losses: the batch, and what each branch makes of it."""

from typing import Any, NamedTuple

from jax import Array

from ternary_jax.vae.branch import Latent, Points


class Batch(NamedTuple):
    """Operations of a step: rows (n,) int32, their indices; v (n,) int32, valuations; x (n, D) trits.

    With partners, the two halves are pairs, row b and row b + n/2, at pair valuations 0 .. D-1 in turn.

    shifts: (k,) int32 in [1, n): row b is paired with row (b - shift) mod n, for each; None if no loss uses pairs
    key: what losses draw from, each stream by a number of `streams`; None if no loss draws anything
    """

    rows: Array
    v: Array
    x: Array
    shifts: Any
    key: Any


class BranchOutput(NamedTuple):
    """One branch on one batch.

    latent, points: of the encoder's mean
    noise (n, dim), drawn: of a draw from the posterior. noise is None without one, and then drawn is points
    logits: (n, D, 3), decoded from `drawn`
    c: the curvature; c0: the curvature at the start, which targets refer to
    sigma: scale of the prior, None if there is no prior
    targets: radial targets by level, (D + 1,)
    """

    batch: Batch
    latent: Latent
    points: Points
    noise: Any
    drawn: Points
    logits: Array
    c: Array
    c0: Array
    sigma: Any
    targets: Array

    @property
    def n_digits(self) -> int:
        """D."""
        return len(self.targets) - 1
