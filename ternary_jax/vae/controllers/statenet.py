"""StateNet: a network that reads the state of a training run and corrects its controls in small steps.

It has attention over groups of inputs, a bottleneck of 14, and 8 outputs (8,274 parameters), see `models.StateNet`. The
network of the documents has two more attention heads, of 126 and 84 parameters, whose weights nothing reads; they are
left out. The last layer starts at 0, so that an untrained network changes nothing. The outputs change a factor on all
rates, and seven knobs, relative to the values from the preceding controllers, by `KNOB_RULES`. The changes accumulate.
In the originals, the factor 1 + 0.1 delta did not: without a schedule, no network could lower a rate for good. The
originals never trained the network; here `delta`, `new_offsets`, `corrections` and `Control.update` are differentiable
in its parameters.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from ternary_jax.config.keys import Key, choice, integer, real
from ternary_jax.control.chain import Control, Signals
from ternary_jax.control.look_ahead import LookAhead
from ternary_jax.control.running import mean_after
from ternary_jax.errors import ConfigError
from ternary_jax.vae import loss_factors
from ternary_jax.vae.branch import BRANCHES
from ternary_jax.vae.controllers import balance, batch_signals
from ternary_jax.vae.controllers.corrections import KNOB_RULES, OUTPUTS, apply_offsets, corrections, new_offsets
from ternary_jax.vae.controllers.declaration import Controller, ControllerParts
from ternary_jax.vae.controllers.models import StateNet, compressed
from ternary_jax.workdir import npz

# The inputs, in order; the inputs of a group share an attention weight.
GROUPS = (
    ("entropy_A",),
    ("entropy_B",),
    ("kl_A",),
    ("kl_B",),
    ("gradient_ratio", "rho"),
    ("lambda_1", "lambda_2", "lambda_3"),
    ("coverage_A", "coverage_B", "missing"),
    ("ranking_A", "ranking_B"),
    ("radius_A", "radius_B"),
    ("sigma", "c"),
    ("radial",),
    ("tau",),
)
INPUTS = tuple(name for group in GROUPS for name in group)
ADAM = optax.scale_by_adam()


class Sources(NamedTuple):
    """The signals behind the inputs. An input without a source is a knob.

    last: input -> signal of the last step, for entropy_A, entropy_B, kl_A, kl_B, radius_A, radius_B, radial
    running: the same for inputs that are running means: coverage_A, coverage_B, ranking_A, ranking_B
    groups_A, groups_B: groups of parameters whose gradient norms give the input gradient_ratio, B / A
    """

    last: dict[str, str]
    running: dict[str, str]
    groups_A: tuple[str, ...]
    groups_B: tuple[str, ...]

    def signals(self) -> tuple[str, ...]:
        """The names of all signals that the task has to report."""
        groups = (*self.groups_A, *self.groups_B)
        return (*self.last.values(), *self.running.values(), *balance.names(groups))


class StateNetState(NamedTuple):
    """The carried state of StateNet.

    params: of the network; adam: state of its optimizer; rate: its learning rate
    running: running means of `Sources.running`, by input
    offsets: of each of KNOB_RULES, ()
    """

    params: Any
    adam: Any
    rate: Array
    running: dict[str, Array]
    offsets: dict[str, Array]


NETWORK = StateNet(tuple(map(len, GROUPS)), len(OUTPUTS))


def init(key: Array) -> Any:
    """Initial parameters, with which StateNet changes nothing."""
    return NETWORK.init(key, jnp.zeros(len(INPUTS), jnp.float32))["params"]


def save(path: Path, params: Any) -> None:
    """Write the parameters as arrays by LAYER/NAME, for `load`."""
    arrays: Any = {f"{layer}/{name}": np.asarray(a) for layer, part in params.items() for name, a in part.items()}
    np.savez(path, **arrays)


def load(path: Path) -> Any:
    """The parameters that `save` has written. A ValueError if they do not fit this network, or are not finite."""
    found = {name: np.float32(x) for name, x in npz.read(Path(path).resolve()).items()}  # a link is the user's own
    layers = jax.eval_shape(init, jax.random.key(0))
    wanted = {f"{layer}/{name}": a.shape for layer, part in layers.items() for name, a in part.items()}
    given = {name: a.shape for name, a in found.items()}
    if differ := [name for name in wanted | given if wanted.get(name) != given.get(name)]:
        raise ValueError(f"{', '.join(differ)} in {path} are not those of this network")
    if bad := [name for name, a in found.items() if not np.isfinite(a).all()]:
        raise ValueError(f"{', '.join(bad)} in {path} are not finite")
    return {layer: {name: found[f"{layer}/{name}"] for name in part} for layer, part in layers.items()}


def delta(params: Any, inputs: dict[str, Array]) -> Array:
    """The outputs of the network, (8,), in the order of OUTPUTS; inputs: each of INPUTS, ()."""
    outputs: Any = NETWORK.apply({"params": params}, compressed([inputs[name] for name in INPUTS]))
    return outputs


def updated_means(running: dict[str, Array], signals: Signals, sources: Sources, decay: float) -> dict[str, Array]:
    """The running means after the last step; a value that is not finite leaves its mean unchanged."""
    return {name: mean_after(mean, signals.last[sources.running[name]], decay) for name, mean in running.items()}


def observe(signals: Signals, running: dict[str, Array], knobs: dict[str, Array], sources: Sources) -> dict[str, Array]:
    """Each of INPUTS; an input without a source is a knob."""
    inputs = {name: signals.last[signal] for name, signal in sources.last.items()} | running
    norm_A, norm_B = balance.norm(signals, sources.groups_A), balance.norm(signals, sources.groups_B)
    known = jnp.isfinite(norm_A) & jnp.isfinite(norm_B) & (norm_A > 0)
    inputs["gradient_ratio"] = jnp.where(known, norm_B, 0) / jnp.where(known, norm_A, 1)
    inputs["missing"] = 1 - jnp.maximum(inputs["coverage_A"], inputs["coverage_B"])
    return {name: inputs[name] if name in inputs else knobs[name] for name in INPUTS}


def statenet(begin: Callable[[Any], tuple[Any, Any]], sources: Sources, interval: int, decay: float) -> Control:
    """Correct the rates and knobs. The offsets are updated at every `interval`-th step and constant in between.

    begin: hypers -> parameters of the network, and its learning rate
    decay: of the running means, per step; they start at 0

    The network reads the knobs with the corrections so far.
    """

    def start(hypers):
        params, rate = begin(hypers)
        return StateNetState(
            params=params,
            adam=ADAM.init(params),
            rate=jnp.asarray(rate),
            running={name: jnp.zeros([]) for name in sources.running},
            offsets={name: jnp.zeros([]) for name in KNOB_RULES},
        )

    def update(state, signals, controls):
        state = state._replace(running=updated_means(state.running, signals, sources, decay))
        knobs = controls.knobs | {"rate": jnp.ones([])}

        def corrected(state):
            now = corrections(knobs, state.offsets)
            outputs = delta(state.params, observe(signals, state.running, now, sources))
            return state._replace(offsets=new_offsets(knobs, state.offsets, outputs))

        state = jax.lax.cond(signals.step % interval == 0, corrected, lambda state: state, state)
        return state, apply_offsets(controls, state.offsets), {}

    return Control(start, update)


def descend(state: StateNetState, slope: Any) -> StateNetState:
    """The state after a step of Adam. slope: the gradient of the parameters."""
    updates, adam = ADAM.update(slope, state.adam)
    params = jax.tree.map(lambda p, u: p - state.rate * u, state.params, updates)
    return state._replace(params=params, adam=adam)


# --- of the ternary task ----------------------------------------------------------------------------------------------


ASSETS = Path(__file__).parents[2] / "assets"
MOVED = "results/statenet.npz"  # the former path of the trained network, which is now an asset of the package


def sources_of(groups: Any) -> Sources:
    """The sources of StateNet's inputs in the ternary task; groups: of parameters, by branch."""
    last = {f"entropy_{b}": f"sensed_entropy_{b}" for b in BRANCHES}
    last |= {f"radius_{b}": f"radius_{b}" for b in BRANCHES}
    last |= {f"kl_{b}": f"prior_{b}" for b in BRANCHES} | {"radial": "radial"}
    running = {f"{kind}_{b}": f"sensed_{kind}_{b}" for kind in ("coverage", "ranking") for b in BRANCHES}
    return Sources(last, running, groups["A"], groups["B"])


def path_of(name: str) -> Path:
    """The file of the parameters: a path that exists, or else an asset of the package by name."""
    if name == MOVED and not Path(name).is_file():
        raise ConfigError(
            f"config.statenet.params={name} is now an asset of the package: set config.statenet.params="
            f"{Path(name).name}"
        )
    return Path(name) if Path(name).is_file() else ASSETS / name


def _make(static, scope):
    own, sources = static.statenet, sources_of(scope.groups)

    def begin(hypers):
        # Without a file, a new network from the seed. `engine.step.prng_keys` splits the key of the seed into two keys,
        # numbers 0 and 1, so 2 is free.
        params = scope.stored["statenet"] or init(jax.random.fold_in(jax.random.key(hypers.seed), 2))
        return jax.tree.map(jnp.asarray, params), hypers.statenet.learning_rate

    control = statenet(begin, sources, own.interval, own.decay)
    ahead = LookAhead(
        controller="statenet",
        get=lambda state: state.params,
        put=lambda state, params: state._replace(params=params),
        descend=descend,
        reference=scope.reference,
        every=own.interval,
        ahead=own.ahead,
        share=own.share,
    )
    return ControllerParts(control, signals=sources.signals(), look_ahead=None if own.learn == "none" else ahead)


def _stored(static):
    """The parameters in the file config.statenet.params; {} without one."""
    if not (name := static.statenet.params):
        return {}
    path = path_of(name)
    try:
        return load(path)
    except Exception as e:
        raise ConfigError(
            f"config.statenet.params={name} can't be used: {e}. Give a file that experiments/meta_train_statenet.py "
            "has written, the name of one in ternary_jax/assets, or an empty text to start with an untrained network"
        ) from e


def check(config: Any, losses: Any) -> None:
    """Check the keys of StateNet, and that the losses behind its inputs and outputs are on."""
    own, train = config.statenet, config.train
    if "statenet" in config.control:
        _check_losses(config.control, losses)
    elif own.params or own.learn != "none":
        raise ConfigError(
            f"config.statenet.params={own.params} and .learn={own.learn} need a StateNet, and there is none with "
            f"config.control={config.control}: set config.control=schedules+statenet"
        )
    if config.control == "statenet" and (train.schedule != "constant" or train.warmup_epochs):
        raise ConfigError(
            f"config.control=statenet has no fixed schedule: set config.train.schedule=constant, which is "
            f"{train.schedule}, and config.train.warmup_epochs=0, or config.control=schedules+statenet"
        )
    if own.learn != "none" and own.share * train.batch_size < 6:
        raise ConfigError(
            f"config.statenet.share={own.share} of config.train.batch_size={train.batch_size} leaves no triplets for "
            "the reference: give more"
        )


def _check_losses(control, losses):
    if losses.get("prior") != "AB" or "alignment" not in losses:
        raise ConfigError(
            f"config.control={control} changes sigma and lambda_3: set config.losses.prior.on=AB and "
            "config.losses.alignment.on=AB"
        )
    if losses.keys().isdisjoint(loss_factors.RADIAL) or losses.keys().isdisjoint(loss_factors.RANKING):
        raise ConfigError(
            f"config.control={control} changes the mix of radial and ranking losses: set the `on` of one of "
            f"{', '.join(loss_factors.RADIAL)}, and of one of {', '.join(loss_factors.RANKING)}"
        )


CONTROLLER = Controller(
    name="statenet",
    keys={
        "statenet.interval": integer(1, 10**6),
        "statenet.decay": real(0, 0.9999),
        "statenet.params": Key(str, at_start=True),
        "statenet.learn": choice("none", "lookahead"),
        "statenet.ahead": integer(1, 1000),
        "statenet.share": real(0.01, 1),
        "statenet.learning_rate": real(0, 1, traced=True),
    },
    on=lambda static: "statenet" in static.control,
    make=_make,
    stored=_stored,
    place=100,
    check=check,
    observe=batch_signals.observe,
)
