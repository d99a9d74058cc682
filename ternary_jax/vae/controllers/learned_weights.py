"""A learned controller of loss weights: what it sees, what it turns and how far, and what it learns from.

It learns by looking one step ahead. With F(theta, u) the weighted losses under the controls u and F_0 the reference, F
by the weights of the config, a step along -grad F changes F_0 by -rate <grad F_0, grad F(theta, u)>. The loss of the
controller is minus that inner product, a derivative of F in one direction, relative to |grad F_0|^2:

    J(phi) = -d/dt F(theta + t grad F_0(theta), u(phi)) / |grad F_0(theta)|^2  at t = 0

Were it to minimise F itself, it would win by lowering the weights. F_0 has the weights of the config in the phase that
the run is in. A step is taken as one along grad F: clipping and Adam are left out, so J is linear in the weights, and
only their bounds keep those from growing that help F_0.

Its parameters are the group "controller" of the model, and it acts in the loss: it has no member in the chain.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from ternary_jax.config.keys import flag, integers
from ternary_jax.control.chain import Signals
from ternary_jax.errors import ConfigError
from ternary_jax.vae.controllers.declaration import Controller, Part
from ternary_jax.vae.controllers.models import LearnedWeights, compressed

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
    """The values of the controls that change nothing."""
    return {"rho": jnp.asarray(rho), "tau": jnp.float32(0.5)} | {
        name: jnp.float32(1) for name in BOUNDS if name not in ("rho", "tau")
    }


def init(key: Array, hidden: tuple[int, ...]) -> Any:
    """The parameters, with which nothing is turned yet."""
    return LearnedWeights(hidden, len(BOUNDS)).init(key, jnp.zeros(len(SEES) + len(SEES_METRICS)))["params"]


def controls(params: Any, hidden: tuple[int, ...], signals: Signals, rest: dict[str, Array]) -> dict[str, Array]:
    """Each control between its bounds, at its `rest` where the network says 0: rest + (bound - rest) tanh(...)."""
    seen = compressed([signals.last[name] for name in SEES] + [signals.metrics[name] for name in SEES_METRICS])
    said: Any = LearnedWeights(hidden, len(BOUNDS)).apply({"params": params}, seen)
    turned = {}
    for (name, (low, high)), x in zip(BOUNDS.items(), said, strict=True):
        room = jnp.where(x >= 0, high - rest[name], rest[name] - low)
        turned[name] = rest[name] + room * x
    return turned


def factors_of(turned: dict[str, Array]) -> dict[str, Array]:
    """Factors on the weights of the losses. The mix tau counts twice, so that a half changes nothing."""
    mix = {"radial": 2 * (1 - turned["tau"]), "geodesic": 2 * turned["tau"]}
    return {name: x * mix.get(name, 1) for name, x in turned.items() if name not in ("tau", "rho")}


def lookahead(
    objective: Callable[[Any, dict[str, Array]], Array], params: Any, turned: dict[str, Array], rest: dict[str, Array]
) -> Array:
    """J of the controls `turned`, with F_0 the objective at `rest`. params: of the model, of which J is no function."""
    params, rest = jax.lax.stop_gradient((params, rest))
    towards = jax.lax.stop_gradient(jax.grad(objective)(params, rest))
    change = jax.jvp(lambda params: objective(params, turned), (params,), (towards,))[1]
    square = optax.tree.norm(towards, squared=True)
    return -change / jnp.where(square > 0, square, 1)


def loss(
    weighted: Callable[[Any, dict[str, Array]], tuple[Array, Any]],
    params: Any,
    hidden: tuple[int, ...],
    signals: Signals,
    rho: Any,
) -> tuple[Array, Array, dict[str, Array], Any]:
    """(total, J, the controls, what `weighted` gives beside its total). Model and controller learn from one total.

    weighted: params, controls -> the weighted losses of the model, and more; rho: the permeability of the config
    """
    rest = neutral(rho)
    turned = controls(params["controller"], hidden, signals, rest)
    total, more = weighted(params, jax.lax.stop_gradient(turned))
    ahead = lookahead(lambda params, turned: weighted(params, turned)[0], params, turned, rest)
    return total + WEIGHT * ahead, ahead, turned, more


# --- of the ternary task ----------------------------------------------------------------------------------------------


def check(config: Any, losses: Any) -> None:
    """What it sees and what it turns is on, it begins within its bounds, and nothing else turns the weights."""
    if config.controller.on:
        _check_losses(config, losses)
        _check_rho(config.model.rho)
        _check_alone(config.control)


def _check_losses(config, losses):
    on_b = "B" in losses.get("radial", "") and "B" in losses.get("geodesic", "")
    if not (config.model.cross_injection and on_b and losses.get("kl") == "AB"):
        raise ConfigError(
            "config.controller.on=True turns and sees what is off: it needs config.model.cross_injection=True, "
            "config.losses.radial.on and .geodesic.on of B or AB, and config.losses.kl.on=AB"
        )


def _check_rho(rho):
    most = BOUNDS["rho"][1]
    if np.max(rho) > most:
        raise ConfigError(
            f"config.model.rho={rho} is where config.controller.on=True begins, and it goes to {most} at most: give "
            f"{most} or less"
        )


def _check_alone(control):
    if control != "none":
        raise ConfigError(f"config.control={control} and config.controller.on=True both turn weights: set one of them")


CONTROLLER = Controller(
    name="learned_weights",
    keys={"controller.on": flag(), "controller.hidden": integers(1, 4096)},
    on=lambda static: static.controller.on,
    make=lambda static, scope: Part(None, signals=SEES),
    place=80,
    check=check,
)
