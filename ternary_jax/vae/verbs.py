"""What a model of the dual autoencoder can be asked, as `Task.verbs`: the functions of space.py, on one branch."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ternary_jax import ternary
from ternary_jax.engine.task import Context, Verbs
from ternary_jax.vae import description
from ternary_jax.vae import space as asked
from ternary_jax.vae.branch import BRANCHES, Branch
from ternary_jax.vae.space import Space, make_space

VERBS = (
    *(asked.encode, asked.decode, asked.logits, asked.points, asked.radius, asked.distance, asked.nearest),
    *(asked.residue_ball, asked.interpolate, asked.compose, asked.sample, asked.text, description.describe),
)


def verbs(branches: dict[str, Branch], static: Any) -> Verbs:
    """What a model of these branches can be asked."""
    return Verbs(
        make=lambda params, context, name: make(make_space(branches[name], name, static, params, context)),
        parts=tuple(reversed(BRANCHES)),  # B is the main branch
        table=lambda params, context, name: table(make_space(branches[name], name, static, params, context), context),
        describes=True,
    )


def make(space: Space) -> dict[str, Callable[..., Any]]:
    """The verbs of a branch, by name."""
    return {verb.__name__: _bound(verb, space) for verb in VERBS}


def table(space: Space, context: Context) -> dict[str, Any]:
    """A row for each operation: its index, trits, valuation, radius, what its point is decoded to, and the point."""
    n_digits = space.n_digits
    return {
        "index": np.arange(len(space.points), dtype=np.int32),
        "operation": np.asarray(ternary.signs(np.arange(len(space.points)), n_digits)),
        "valuation": ternary.valuations(n_digits),
        "trained_on": context.data.train_mask,
        "radius": asked.radius(space, space.points),
        "decoded": np.asarray(ternary.signs(asked.decode(space, space.points), n_digits)),
        "z": space.points,
    }


# --- inside -----------------------------------------------------------------------------------------------------------


def _bound(verb: Callable[..., Any], space: Space) -> Callable[..., Any]:
    """The verb of this branch, with its name and docstring."""

    @functools.wraps(verb)
    def verb_of_branch(*args: Any, **kwargs: Any) -> Any:
        return verb(space, *args, **kwargs)

    return verb_of_branch
