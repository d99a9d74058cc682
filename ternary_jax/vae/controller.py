"""A learned controller of loss weights: what it sees, what it turns and how far, and what it learns from.

It learns by looking one step ahead. With F(theta, u) the weighted losses under the controls u and F_0 the reference, F
by the weights of the config, a step along -grad F changes F_0 by -rate <grad F_0, grad F(theta, u)>. The loss of the
controller is minus that inner product, a derivative of F in one direction, relative to |grad F_0|^2:

    J(phi) = -d/dt F(theta + t grad F_0(theta), u(phi)) / |grad F_0(theta)|^2  at t = 0

Were it to minimise F itself, it would win by lowering the weights. F_0 has the weights of the config in the phase that
the run is in. A step is taken as one along grad F: clipping and Adam are left out, so J is linear in the weights, and
only their bounds keep those from growing that help F_0.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from ternary_jax.control.chain import Control
from ternary_jax.vae.models import Controller

# Of J in the loss. Adam does not see it; but gradients are clipped together, and J is not to crowd the model out.
WEIGHT = 1e-3

# The least and greatest value of each: permeability, factors on losses, and the share of the geodesic loss in a mix.
BOUNDS = {
    "rho": (0.0, 0.5),
    "geodesic": (0.1, 10.0),
    "radial": (0.0, 10.0),
    "kl_A": (0.5, 5.0),
    "kl_B": (0.5, 5.0),
    "tau": (0.0, 1.0),
}
# Of the last step, and of the last evaluation.
SEES = ("radius_A", "radius_B", "kl_A", "kl_B", "geodesic_B", "radial_B")
SEES_METRICS = ("hierarchy_A", "hierarchy_B")


def neutral(rho: Any) -> dict[str, Array]:
    """What the controls are where no controller turns them."""
    return {"rho": jnp.asarray(rho), "tau": jnp.float32(0.5)} | {
        name: jnp.float32(1) for name in BOUNDS if name not in ("rho", "tau")
    }


def observe() -> Control:
    """Hand what the controller sees to the loss, as knobs."""

    def update(state, signals, controls):
        seen = {name: signals.last[name] for name in SEES} | {name: signals.metrics[name] for name in SEES_METRICS}
        return state, controls._replace(knobs=controls.knobs | {f"seen_{name}": x for name, x in seen.items()})

    return Control(lambda hypers: (), update)


def init(key: Array, hidden: tuple[int, ...]) -> Any:
    """The parameters, with which nothing is turned yet."""
    return _network(hidden).init(key, jnp.zeros(len(SEES) + len(SEES_METRICS)))["params"]


def controls(params: Any, hidden: tuple[int, ...], knobs: dict[str, Array], rest: dict[str, Array]) -> dict[str, Array]:
    """Each control between its bounds, at its `rest` where the network says 0: rest + (bound - rest) tanh(...)."""
    seen = jnp.stack([knobs[f"seen_{name}"] for name in (*SEES, *SEES_METRICS)])
    seen = jnp.where(jnp.isfinite(seen), seen, 0)  # before the first step, and before the first evaluation
    said: Any = _network(hidden).apply({"params": params}, jnp.sign(seen) * jnp.log1p(jnp.abs(seen)))
    turned = {}
    for (name, (low, high)), x in zip(BOUNDS.items(), said, strict=True):
        room = jnp.where(x >= 0, high - rest[name], rest[name] - low)
        turned[name] = rest[name] + room * x
    return turned


def lookahead(
    objective: Callable[[Any, dict[str, Array]], Array], params: Any, turned: dict[str, Array], rest: dict[str, Array]
) -> Array:
    """J of the controls `turned`, with F_0 the objective at `rest`. params: of the model, of which J is no function."""
    params, rest = jax.lax.stop_gradient((params, rest))
    towards = jax.lax.stop_gradient(jax.grad(objective)(params, rest))
    change = jax.jvp(lambda params: objective(params, turned), (params,), (towards,))[1]
    square = optax.tree.norm(towards, squared=True)
    return -change / jnp.where(square > 0, square, 1)


def _network(hidden):
    return Controller(hidden, len(BOUNDS))
