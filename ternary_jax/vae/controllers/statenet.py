"""StateNet: a network that reads the state of a training run and corrects its controls in small steps.

`statenet_network` has the networks. Their last layer starts at 0, so that an untrained network changes nothing. The
outputs change a factor on all rates, and seven knobs, relative to the values from the preceding controllers, by
`KNOB_RULES`. The changes accumulate. In the originals, the factor 1 + 0.1 delta did not: without a schedule, no network
could lower a rate for good. The originals never trained the network; here `delta`, `new_offsets`, `corrections` and
`Control.update` are differentiable in its parameters.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from ternary_jax.config.keys import Key, choice, integer, real
from ternary_jax.control.chain import Control, Signals
from ternary_jax.control.look_ahead import LookAhead
from ternary_jax.control.running import mean_after, mean_from_first
from ternary_jax.errors import ConfigError
from ternary_jax.vae import loss_factors
from ternary_jax.vae.branch import BRANCHES
from ternary_jax.vae.controllers import balance, batch_signals
from ternary_jax.vae.controllers.corrections import KNOB_RULES, apply_offsets, corrections, new_offsets
from ternary_jax.vae.controllers.declaration import Controller, ControllerParts
from ternary_jax.vae.controllers.statenet_network import DOCUMENTS, INPUTS, TRENDS, Kind, delta, init, load

ADAM = optax.scale_by_adam()
SLOWER = 4  # a trend compares the running mean with one that is so many times as slow


class Sources(NamedTuple):
    """The signals behind the inputs. An input without a source is a knob.

    last: input -> signal of the last step, for entropy_A, entropy_B, kl_A, kl_B, radius_A, radius_B, radial
    running: the same for inputs that are running means: coverage_A, coverage_B, ranking_A, ranking_B
    trends: the same for TRENDS; {} where the network does not read them
    groups_A, groups_B: groups of parameters whose gradient norms give the input gradient_ratio, B / A
    """

    last: dict[str, str]
    running: dict[str, str]
    groups_A: tuple[str, ...]
    groups_B: tuple[str, ...]
    trends: Mapping[str, str] = MappingProxyType({})

    def signals(self) -> tuple[str, ...]:
        """The names of all signals that the task has to report."""
        groups = (*self.groups_A, *self.groups_B)
        found = (*self.last.values(), *self.running.values(), *self.trends.values(), *balance.names(groups))
        return tuple(dict.fromkeys(found))


class StateNetState(NamedTuple):
    """The carried state of StateNet.

    params: of the network; adam: state of its optimizer; rate: its learning rate
    running: running means of `Sources.running`, by input
    offsets: of each of KNOB_RULES, ()
    memory: of the network, None without one; means: the two running means behind each of `Sources.trends`, (2,)
    """

    params: Any
    adam: Any
    rate: Array
    running: dict[str, Array]
    offsets: dict[str, Array]
    memory: Array | None
    means: dict[str, Array]


def updated_means(running: dict[str, Array], signals: Signals, sources: Sources, decay: float) -> dict[str, Array]:
    """The running means after the last step; a value that is not finite leaves its mean unchanged."""
    return {name: mean_after(mean, signals.last[sources.running[name]], decay) for name, mean in running.items()}


def updated_trends(means: dict[str, Array], signals: Signals, sources: Sources, decay: float) -> dict[str, Array]:
    """The means behind each trend after the last step, (2,), of which the second is SLOWER; inf before any value."""
    decays = jnp.array([decay, 1 - (1 - decay) / SLOWER], jnp.float32)
    return {name: mean_from_first(mean, signals.last[sources.trends[name]], decays) for name, mean in means.items()}


def trends_of(means: dict[str, Array]) -> dict[str, Array]:
    """How far each value has moved of late: its mean less its slower mean, 0 before any value."""
    return {name: jnp.where(jnp.isfinite(fast - slow), fast - slow, 0) for name, (fast, slow) in means.items()}


def observe(signals: Signals, running: dict[str, Array], knobs: dict[str, Array], sources: Sources) -> dict[str, Array]:
    """Each of INPUTS; an input without a source is a knob."""
    inputs = {name: signals.last[signal] for name, signal in sources.last.items()} | running
    norm_A, norm_B = balance.norm(signals, sources.groups_A), balance.norm(signals, sources.groups_B)
    known = jnp.isfinite(norm_A) & jnp.isfinite(norm_B) & (norm_A > 0)
    inputs["gradient_ratio"] = jnp.where(known, norm_B, 0) / jnp.where(known, norm_A, 1)
    inputs["missing"] = 1 - jnp.maximum(inputs["coverage_A"], inputs["coverage_B"])
    return {name: inputs[name] if name in inputs else knobs[name] for name in INPUTS}


def statenet(
    begin: Callable[[Any], tuple[Any, Any]],
    sources: Sources,
    interval: int,
    decay: float,
    kind: Kind = DOCUMENTS,
    scale: float = 1.0,
) -> Control:
    """Correct the rates and knobs. The offsets are updated at every `interval`-th step and constant in between.

    begin: hypers -> parameters of the network, and its learning rate
    decay: of the running means, per step; they start at 0
    scale: factor on the outputs of the network

    The network reads the knobs with the corrections so far. The info has its trends, where it reads any.
    """

    def start(hypers):
        params, rate = begin(hypers)
        return StateNetState(
            params=params,
            adam=ADAM.init(params),
            rate=jnp.asarray(rate),
            running={name: jnp.zeros([]) for name in sources.running},
            offsets={name: jnp.zeros([]) for name in KNOB_RULES},
            memory=kind.nothing_yet(),
            means={name: jnp.full(2, jnp.inf, jnp.float32) for name in sources.trends},
        )

    def update(state, signals, controls):
        state = state._replace(
            running=updated_means(state.running, signals, sources, decay),
            means=updated_trends(state.means, signals, sources, decay),
        )
        knobs, trends = controls.knobs | {"rate": jnp.ones([])}, trends_of(state.means)

        def corrected(state):
            now = corrections(knobs, state.offsets)
            inputs = observe(signals, state.running, now, sources) | trends
            outputs, memory = delta(state.params, inputs, state.memory, kind)
            return state._replace(offsets=new_offsets(knobs, state.offsets, scale * outputs), memory=memory)

        state = jax.lax.cond(signals.step % interval == 0, corrected, lambda state: state, state)
        return state, apply_offsets(controls, state.offsets), trends

    return Control(start, update)


def descend(state: StateNetState, slope: Any) -> StateNetState:
    """The state after a step of Adam. slope: the gradient of the parameters."""
    updates, adam = ADAM.update(slope, state.adam)
    params = jax.tree.map(lambda p, u: p - state.rate * u, state.params, updates)
    return state._replace(params=params, adam=adam)


# --- of the ternary task ----------------------------------------------------------------------------------------------


ASSETS = Path(__file__).parents[2] / "assets"
MOVED = "results/statenet.npz"  # the former path of the trained network, which is now an asset of the package


def sources_of(groups: Any, trends: bool = False) -> Sources:
    """The sources of StateNet's inputs in the ternary task; groups: of parameters, by branch."""
    last = {f"entropy_{b}": f"sensed_entropy_{b}" for b in BRANCHES}
    last |= {f"radius_{b}": f"radius_{b}" for b in BRANCHES}
    last |= {f"kl_{b}": f"prior_{b}" for b in BRANCHES} | {"radial": "radial"}
    running = {f"{kind}_{b}": f"sensed_{kind}_{b}" for kind in ("coverage", "ranking") for b in BRANCHES}
    moving: dict[str, str] = (
        dict(zip(TRENDS, ("loss", "sensed_coverage_A", "sensed_coverage_B"), strict=True)) if trends else {}
    )
    return Sources(last, running, groups["A"], groups["B"], moving)


def kind_of(static: Any) -> Kind:
    """The network that a config asks for."""
    return Kind(static.statenet.memory, static.statenet.trends)


def path_of(name: str) -> Path:
    """The file of the parameters: a path that exists, or else an asset of the package by name."""
    if name == MOVED and not Path(name).is_file():
        raise ConfigError(
            f"config.statenet.params={name} is now an asset of the package: set config.statenet.params="
            f"{Path(name).name}"
        )
    return Path(name) if Path(name).is_file() else ASSETS / name


def _make(static, scope):
    own, kind = static.statenet, kind_of(static)
    sources = sources_of(scope.groups, kind.trends)

    def begin(hypers):
        # Without a file, a new network from the seed. `engine.step.prng_keys` splits the key of the seed into two keys,
        # numbers 0 and 1, so 2 is free.
        params = scope.stored["statenet"] or init(jax.random.fold_in(jax.random.key(hypers.seed), 2), kind)
        return jax.tree.map(jnp.asarray, params), hypers.statenet.learning_rate

    control = statenet(begin, sources, own.interval, own.decay, kind, own.scale)
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
        return load(path, kind_of(static))
    except Exception as e:
        raise ConfigError(
            f"config.statenet.params={name} can't be used: {e}. Give a file that experiments/meta_train_statenet.py "
            "has written for this config.statenet.memory and .trends, the name of one in ternary_jax/assets, or an "
            "empty text to start with an untrained network"
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
        "statenet.scale": real(0.01, 3),
        "statenet.memory": integer(0, 1024),
        "statenet.trends": Key(bool),
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
