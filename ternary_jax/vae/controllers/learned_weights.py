"""A learned controller of loss weights: its inputs, its outputs with their bounds, and its objective.

It learns from the effect of one gradient step. F(theta, u) is the weighted loss under the controls u; the reference F_0
is F with the weights of the config in the current phase. A step along -grad F changes F_0 by
-rate <grad F_0, grad F(theta, u)>. The loss of the controller is minus that inner product, a directional derivative of
F, relative to |grad F_0|^2:

    J(phi) = -d/dt F(theta + t grad F_0(theta), u(phi)) / |grad F_0(theta)|^2  at t = 0

A controller that minimised F itself would only lower the weights. J ignores clipping and Adam, so it is linear in the
weights: those that help F_0 grow up to their bounds.

The parameters phi are the group "controller" of the model. The controller acts in the loss, not in the chain.
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
from ternary_jax.vae.controllers.declaration import Controller, ControllerParts
from ternary_jax.vae.controllers.models import LearnedWeights, compressed

# Weight of J in the total loss. Adam is invariant to it, but the clip norm is shared: J must not dominate it.
WEIGHT = 1e-3

# Bounds of the outputs: permeability rho, factors on losses, and the share of the geodesic loss in its mix with radial.
BOUNDS = {
    "rho": (0.0, 0.5),
    "geodesic": (0.1, 10.0),
    "radial": (0.0, 10.0),
    "kl_A": (0.5, 5.0),
    "kl_B": (0.5, 5.0),
    "geodesic_share": (0.0, 1.0),
}
# Inputs: signals of the last step, and metrics of the last evaluation.
INPUT_SIGNALS = ("radius_A", "radius_B", "kl_A", "kl_B", "geodesic_B", "radial_B")
INPUT_METRICS = ("hierarchy_A", "hierarchy_B")


def neutral(rho: Any) -> dict[str, Array]:
    """The neutral controls, which leave the weights of the config unchanged."""
    ones = {name: jnp.float32(1) for name in BOUNDS}
    return ones | {"rho": jnp.asarray(rho), "geodesic_share": jnp.float32(0.5)}


def init(key: Array, hidden: tuple[int, ...]) -> Any:
    """Initial parameters; the output layer is 0, so the controls are neutral."""
    return LearnedWeights(hidden, len(BOUNDS)).init(key, jnp.zeros(len(INPUT_SIGNALS) + len(INPUT_METRICS)))["params"]


def controls(params: Any, hidden: tuple[int, ...], signals: Signals, rest: dict[str, Array]) -> dict[str, Array]:
    """The controls within their bounds: rest + (bound - rest) tanh(...), which is `rest` at an output of 0."""
    inputs = compressed(
        [signals.last[name] for name in INPUT_SIGNALS] + [signals.metrics[name] for name in INPUT_METRICS]
    )
    raw: Any = LearnedWeights(hidden, len(BOUNDS)).apply({"params": params}, inputs)
    outputs = {}
    for (name, (low, high)), x in zip(BOUNDS.items(), raw, strict=True):
        room = jnp.where(x >= 0, high - rest[name], rest[name] - low)
        outputs[name] = rest[name] + room * x
    return outputs


def output_factors(outputs: dict[str, Array]) -> dict[str, Array]:
    """Factors on the weights of the losses. A share s enters as 2 s and 2 (1 - s), so that 1/2 is neutral."""
    mix = {"radial": 2 * (1 - outputs["geodesic_share"]), "geodesic": 2 * outputs["geodesic_share"]}
    return {name: x * mix.get(name, 1) for name, x in outputs.items() if name not in ("geodesic_share", "rho")}


def one_step_objective(
    objective: Callable[[Any, dict[str, Array]], Array], params: Any, outputs: dict[str, Array], rest: dict[str, Array]
) -> Array:
    """J of the controls `outputs`; F_0 is the objective at `rest`. params: of the model; J has no gradient in these."""
    params, rest = jax.lax.stop_gradient((params, rest))
    slope = jax.lax.stop_gradient(jax.grad(objective)(params, rest))
    change = jax.jvp(lambda params: objective(params, outputs), (params,), (slope,))[1]
    square = optax.tree.norm(slope, squared=True)
    return -change / jnp.where(square > 0, square, 1)


def loss(
    weighted: Callable[[Any, dict[str, Array]], tuple[Array, Any]],
    params: Any,
    hidden: tuple[int, ...],
    signals: Signals,
    rho: Any,
) -> tuple[Array, Array, dict[str, Array], Any]:
    """(total, J, the controls, aux). The model and the controller learn from one total.

    weighted: params, controls -> (weighted loss of the model, aux); rho: the permeability of the config
    """
    rest = neutral(rho)
    outputs = controls(params["controller"], hidden, signals, rest)
    total, more = weighted(params, jax.lax.stop_gradient(outputs))
    ahead = one_step_objective(lambda params, outputs: weighted(params, outputs)[0], params, outputs, rest)
    return total + WEIGHT * ahead, ahead, outputs, more


# --- of the ternary task ----------------------------------------------------------------------------------------------


def check(config: Any, losses: Any) -> None:
    """Check that the inputs and outputs of the controller are on, rho's bound, and that no other controller is on."""
    if not config.controller.on:
        return
    on_b = "B" in losses.get("radial", "") and "B" in losses.get("geodesic", "")
    if not (config.model.cross_injection and on_b and losses.get("kl") == "AB"):
        raise ConfigError(
            "config.controller.on=True reads and scales losses that are off: it needs config.model.cross_injection="
            "True, config.losses.radial.on and .geodesic.on of B or AB, and config.losses.kl.on=AB"
        )
    rho, most = config.model.rho, BOUNDS["rho"][1]
    if np.max(rho) > most:
        raise ConfigError(
            f"config.model.rho={rho} is above {most}, the upper bound of rho with config.controller.on=True: give "
            f"{most} or less"
        )
    if config.control != "none":
        raise ConfigError(
            f"config.control={config.control} and config.controller.on=True both set weights: set one of them"
        )


CONTROLLER = Controller(
    name="learned_weights",
    keys={"controller.on": flag(), "controller.hidden": integers(1, 4096)},
    on=lambda static: static.controller.on,
    make=lambda static, scope: ControllerParts(None, signals=INPUT_SIGNALS),
    place=80,
    check=check,
)
