"""AdamW over groups of parameters; the learning rates and the frozen groups are arguments of each update."""

import functools

import jax
import jax.numpy as jnp
import optax

from ternary_jax.precision import safe_sqrt


def adamw_by_group(clip_norm: float, differentiable: bool = False) -> optax.GradientTransformationExtraArgs:
    """AdamW whose learning rates are an argument of each update, so that a controller can change them inside a scan.

    A group is a key of the dict of parameters and has its own optimizer state. Freezing a group keeps its old state,
    the count included.

    clip_norm: bound on the joint gradient norm of the groups that are not frozen; 0 does not clip
    differentiable: for a controller that differentiates through updates. The square root of a second moment of 0, that
        of a unit that is never active, has an infinite derivative, and 0 times it is NaN; so eps^2 = 1e-16 is added

    update(gradients, state, params, rates=, weight_decay=, frozen=None):
        rates: learning rate of each group; weight_decay: scalar
        frozen: bool of each group; None: no group is frozen
    """
    adam = optax.scale_by_adam(eps_root=1e-16 if differentiable else 0.0)

    def init(params):
        return {group: adam.init(tree) for group, tree in params.items()}

    def update(updates, state, params=None, *, rates, weight_decay, frozen=None, **_):
        if params is None:
            raise ValueError("weight decay needs the parameters: call update(gradients, state, params, ...)")
        if clip_norm:
            squares = {group: optax.tree.norm(g, squared=True) for group, g in updates.items()}
            counted = [n if frozen is None else jnp.where(frozen[group], 0.0, n) for group, n in squares.items()]
            total = safe_sqrt(functools.reduce(jnp.add, counted))
            scale = clip_norm / jnp.maximum(total, clip_norm)
            updates = jax.tree.map(lambda g: scale * g, updates)

        def of_group(group):
            moved, after = adam.update(updates[group], state[group])
            moved = jax.tree.map(lambda u, x: -rates[group] * (u + weight_decay * x), moved, params[group])
            if frozen is None:
                return moved, after
            still = frozen[group]
            moved = jax.tree.map(lambda u: jnp.where(still, 0, u), moved)
            return moved, jax.tree.map(lambda old, new: jnp.where(still, old, new), state[group], after)

        made = {group: of_group(group) for group in updates}
        return {group: u for group, (u, _) in made.items()}, {group: s for group, (_, s) in made.items()}

    return optax.GradientTransformationExtraArgs(init, update)  # pyright: ignore[reportArgumentType]
