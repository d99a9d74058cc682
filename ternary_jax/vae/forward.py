"""The forward pass of a step: the indices of a batch -> a `BranchOutput` per branch, the input of the losses."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
from jax import Array

from ternary_jax.engine.task import Context
from ternary_jax.vae import data, streams
from ternary_jax.vae.branch import BRANCHES, Branch
from ternary_jax.vae.losses import radial, registry
from ternary_jax.vae.outputs import Batch, BranchOutput
from ternary_jax.vae.streams import stream


def forward(
    branches: dict[str, Branch], static: Any, params: Any, indices: data.Indices, context: Context, rho: Any
) -> dict[str, BranchOutput]:
    """Branch -> the input of the losses. rho: the permeability of the cross-injection."""
    hypers, knobs = context.hypers, context.controls.knobs
    c, c0 = curvature(params, knobs, hypers, static), initial_curvature(hypers, static)
    batch = make_batch(static, context, indices)
    targets = radial.targets(hypers.radii.inner, hypers.radii.outer, c0, static.data.n_digits)
    dropout_key = _dropout_keys(static, context.key)
    latent, points, noise, drawn, outputs = {}, {}, {}, {}, {}
    for b, branch in branches.items():
        latent[b] = branch.encode(params, batch.x, dropout_key(b))
        with jax.named_scope(f"points_{b}"):
            # Separate from `drawn`: if losses use only the radii of the means, XLA removes the directions.
            points[b] = branch.project(params, latent[b].mean, c, dropout_key(b))
            variational = latent[b].log_variance is not None
            shape = latent[b].mean.shape
            noise[b] = jax.random.normal(stream(context.key, streams.NOISE[b]), shape) if variational else None
            drawn[b] = branch.draw(params, latent[b], points[b], c, noise[b], dropout_key(b))
    decoded = {b: one.u for b, one in drawn.items()}
    if static.model.cross_injection:
        decoded = cross_injected(decoded, rho)
    for b, branch in branches.items():
        logits = branch.decode(params, decoded[b], dropout_key(b))
        if (temperature := f"temperature_{b}") in knobs:
            logits = logits / knobs[temperature]
        outputs[b] = BranchOutput(
            batch=batch,
            latent=latent[b],
            points=points[b],
            noise=noise[b],
            drawn=drawn[b],
            logits=logits,
            c=c,
            c0=c0,
            sigma=knobs.get("sigma"),
            targets=targets,
        )
    return outputs


def curvature(params: Any, knobs: Any, hypers: Any, static: Any) -> Array | None:
    """c: of the config ("fixed"), softplus(theta) with a gradient ("learned"), or a knob ("controlled"). None: R^n."""
    if static.model.curvature == "learned":
        return jax.nn.softplus(params["curvature"]["theta"])
    return knobs["c"] if static.model.curvature == "controlled" else initial_curvature(hypers, static)


def initial_curvature(hypers: Any, static: Any) -> Array | None:
    """c at the start of training; None in R^n, as `geometry` means it."""
    return None if static.model.geometry == "euclidean" else hypers.model.c


def make_batch(static: Any, context: Context, indices: data.Indices) -> Batch:
    """The batch of a step, with shifts and a key only if a loss that is on uses them."""
    rows, used = data.rows(indices), registry.on(static.losses)
    shifts = key = None
    if registry.using(used, "pairs"):
        shifts = jax.random.randint(stream(context.key, streams.SHIFTS), (static.data.shifts,), 1, len(rows))
    if registry.using(used, "triplets", "randomness"):
        key = stream(context.key, streams.LOSSES)
    return Batch(rows, context.data.valuations[rows], context.data.operations[rows], shifts, key)


def cross_injected(u: dict[str, Array], rho: Any) -> dict[str, Array]:
    """(1 - rho) u + rho sg(u of the other branch), the input of each decoder."""
    other = dict(zip(u, reversed(u.values()), strict=True))
    return {b: (1 - rho) * u[b] + rho * jax.lax.stop_gradient(other[b]) for b in u}


def has_dropout(static: Any, b: str) -> bool:
    """Whether the encoder, projection or decoder of a branch has dropout."""
    own = getattr(static.model, b)
    theirs = static.model.A if own.decoder == "shared" else own
    improved = [part for kind, part in ((own.encoder, own), (theirs.decoder, theirs)) if kind == "improved"]
    projected = own.projection == "direction_radius" and static.model.projection_dropout > 0
    return projected or any(part.dropout > 0 for part in improved)


def _dropout_keys(static: Any, key: Array) -> Callable[[str], Any]:
    """branch -> the key for its next call of a network; None if the branch has no dropout."""
    number = itertools.count(streams.DROPOUT)
    drops = {b: has_dropout(static, b) for b in BRANCHES}
    return lambda b: stream(key, next(number)) if drops[b] else None
