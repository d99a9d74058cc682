"""StateNet: a network that sees the state of a training and corrects its controls, a little at a time.

Attention over groups of inputs, a bottleneck of 14, and 8 corrections (8,274 parameters), see `models.StateNet`. That
of the documents has two more heads of attention, of 126 and 84 parameters, whose weights nothing reads; they are left
out. The last layer begins as 0, and then nothing is turned. A factor on all rates and seven knobs are moved, by
`TURNS`, off what the controllers before this one have set them to, and moves add up. The factor of the originals, 1 +
0.1 delta, did not: without a schedule, no network could have brought a rate down. There nothing trained the network;
here `delta`, `moved`, `corrections` and the update of the Control are differentiable in its parameters.
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
from ternary_jax.vae import factors
from ternary_jax.vae.branch import BRANCHES
from ternary_jax.vae.controllers import balance, batch_signals
from ternary_jax.vae.controllers.corrections import OUTPUTS, TURNS, corrections, moved, turned
from ternary_jax.vae.controllers.declaration import Controller, Part
from ternary_jax.vae.controllers.models import StateNet, compressed

# What is seen, in order; the inputs of a group share a weight.
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
    """The names of the signals that are inputs. All other inputs are knobs.

    last: of the last step: entropy_A, entropy_B, kl_A, kl_B, radius_A, radius_B, radial
    running: of the last step too, whose running means are seen: coverage_A, coverage_B, ranking_A, ranking_B
    groups_A, groups_B: of parameters, whose gradients make gradient_ratio, B / A
    """

    last: dict[str, str]
    running: dict[str, str]
    groups_A: tuple[str, ...]
    groups_B: tuple[str, ...]

    def signals(self) -> tuple[str, ...]:
        """What a task lists in its signals for these."""
        return (
            *self.last.values(),
            *self.running.values(),
            *balance.names(self.groups_A),
            *balance.names(self.groups_B),
        )


class StateNetState(NamedTuple):
    """What StateNet carries.

    params: of the network; adam: of its optimizer; rate: that it learns at
    running: means of `Sources.running`, by the name of the input
    offsets: of each of TURNS, ()
    """

    params: Any
    adam: Any
    rate: Array
    running: dict[str, Array]
    offsets: dict[str, Array]


NETWORK = StateNet(tuple(map(len, GROUPS)), len(OUTPUTS))


def init(key: Array) -> Any:
    """The parameters, with which nothing is turned yet."""
    return NETWORK.init(key, jnp.zeros(len(INPUTS), jnp.float32))["params"]


def save(path: Path, params: Any) -> None:
    """Write the parameters as arrays by LAYER/NAME, for `load`."""
    arrays: Any = {f"{layer}/{name}": np.asarray(a) for layer, part in params.items() for name, a in part.items()}
    np.savez(path, **arrays)


def load(path: Path) -> Any:
    """The parameters that `save` has written. A ValueError where they are not those of this network."""
    with np.load(path) as file:
        found = {name: np.float32(file[name]) for name in file.files}
    layers = jax.eval_shape(init, jax.random.key(0))
    wanted = {f"{layer}/{name}": a.shape for layer, part in layers.items() for name, a in part.items()}
    given = {name: a.shape for name, a in found.items()}
    if differ := [name for name in wanted | given if wanted.get(name) != given.get(name)]:
        raise ValueError(f"{', '.join(differ)} in {path} are not those of this network")
    if bad := [name for name, a in found.items() if not np.isfinite(a).all()]:
        raise ValueError(f"{', '.join(bad)} in {path} are not finite")
    return {layer: {name: found[f"{layer}/{name}"] for name in part} for layer, part in layers.items()}


def delta(params: Any, seen: dict[str, Array]) -> Array:
    """What the network says, (8,), in the order of OUTPUTS; seen: each of INPUTS, ()."""
    said: Any = NETWORK.apply({"params": params}, compressed([seen[name] for name in INPUTS]))
    return said


def followed(running: dict[str, Array], signals: Signals, sources: Sources, decay: float) -> dict[str, Array]:
    """The running means after the last step; what is not finite, as before the first, is not counted."""
    return {name: mean_after(mean, signals.last[sources.running[name]], decay) for name, mean in running.items()}


def observe(signals: Signals, running: dict[str, Array], knobs: dict[str, Array], sources: Sources) -> dict[str, Array]:
    """Each of INPUTS; those without a source are knobs."""
    seen = {name: signals.last[found] for name, found in sources.last.items()} | running
    of_A, of_B = balance.norm(signals, sources.groups_A), balance.norm(signals, sources.groups_B)
    known = jnp.isfinite(of_A) & jnp.isfinite(of_B) & (of_A > 0)
    seen["gradient_ratio"] = jnp.where(known, of_B, 0) / jnp.where(known, of_A, 1)
    seen["missing"] = 1 - jnp.maximum(seen["coverage_A"], seen["coverage_B"])
    return {name: seen[name] if name in seen else knobs[name] for name in INPUTS}


def statenet(begin: Callable[[Any], tuple[Any, Any]], sources: Sources, interval: int, decay: float) -> Control:
    """Correct the rates and knobs anew at every `interval`-th step, and hold corrections in between.

    begin: hypers -> parameters of the network, and the rate that it learns at. It sees the knobs with the corrections
        so far.
    decay: of the running means, per step; they begin as 0
    """

    def start(hypers):
        params, rate = begin(hypers)
        return StateNetState(
            params=params,
            adam=ADAM.init(params),
            rate=jnp.asarray(rate),
            running={name: jnp.zeros([]) for name in sources.running},
            offsets={name: jnp.zeros([]) for name in TURNS},
        )

    def update(state, signals, controls):
        state = state._replace(running=followed(state.running, signals, sources, decay))
        knobs = controls.knobs | {"rate": jnp.ones([])}

        def renewed(state):
            now = corrections(knobs, state.offsets)
            said = delta(state.params, observe(signals, state.running, now, sources))
            return state._replace(offsets=moved(knobs, state.offsets, said))

        state = jax.lax.cond(signals.step % interval == 0, renewed, lambda state: state, state)
        return state, turned(controls, state.offsets), {}

    return Control(start, update)


def descend(state: StateNetState, slope: Any) -> StateNetState:
    """The state after a step of Adam along the gradient of the parameters."""
    updates, adam = ADAM.update(slope, state.adam)
    params = jax.tree.map(lambda p, u: p - state.rate * u, state.params, updates)
    return state._replace(params=params, adam=adam)


# --- of the ternary task ----------------------------------------------------------------------------------------------


ASSETS = Path(__file__).parents[2] / "assets"
MOVED = "results/statenet.npz"  # where the trained network was before it came into the package


def sources_of(groups: Any) -> Sources:
    """The signals of a ternary task that StateNet sees; groups: of parameters, by branch."""
    last = {f"entropy_{b}": f"sensed_entropy_{b}" for b in BRANCHES}
    last |= {f"radius_{b}": f"radius_{b}" for b in BRANCHES}
    last |= {f"kl_{b}": f"prior_{b}" for b in BRANCHES} | {"radial": "radial"}
    running = {f"{kind}_{b}": f"sensed_{kind}_{b}" for kind in ("coverage", "ranking") for b in BRANCHES}
    return Sources(last, running, groups["A"], groups["B"])


def path_of(name: str) -> Path:
    """The file of the parameters: a path that exists, or else a name among the assets of the package."""
    if name == MOVED and not Path(name).is_file():
        raise ConfigError(
            f"config.statenet.params={name} has come into the package: set config.statenet.params={Path(name).name}"
        )
    return Path(name) if Path(name).is_file() else ASSETS / name


def _make(static, scope):
    own, sources = static.statenet, sources_of(scope.groups)
    loaded = _loaded(own.params)

    def begin(hypers):
        # The network of the file, or one of the seed, which says nothing yet. 0 and 1 make the keys of the parameters
        # and of the steps, as `split` does.
        params = loaded or init(jax.random.fold_in(jax.random.key(hypers.seed), 2))
        return jax.tree.map(jnp.asarray, params), hypers.statenet.learning_rate

    control = statenet(begin, sources, own.interval, own.decay)
    return Part(control, signals=sources.signals(), look_ahead=_look_ahead(own, scope.reference))


def _loaded(name):
    """The parameters in the file; {} without one."""
    if not name:
        return {}
    path = path_of(name)
    try:
        return load(path)
    except Exception as e:
        raise ConfigError(
            f"config.statenet.params={name} can't be used: {e}. Give a file that experiments/meta_train_statenet.py "
            "has written, the name of one in ternary_jax/assets, or an empty text to begin with a network that turns "
            "nothing"
        ) from e


def _look_ahead(own, reference):
    """It learns at every renewal, from the steps that follow."""
    if own.learn == "none":
        return None
    return LookAhead(
        controller="statenet",
        get=lambda state: state.params,
        put=lambda state, params: state._replace(params=params),
        descend=descend,
        reference=reference,
        every=own.interval,
        ahead=own.ahead,
        share=own.share,
    )


def check(config: Any, losses: Any) -> None:
    """StateNet has what it sees and turns, and its keys are set only where it is on."""
    if "statenet" not in config.control:
        _check_unused(config)
        return
    _check_schedule(config)
    _check_prior_and_alignment(config, losses)
    _check_mix(config, losses)
    _check_share(config)


def _check_unused(config):
    if config.statenet.params or config.statenet.learn != "none":
        raise ConfigError(
            "config.statenet.params and .learn are of a StateNet, which there is not with config.control="
            f"{config.control}: set config.control=schedules+statenet"
        )


def _check_schedule(config):
    train = config.train
    if config.control == "statenet" and (train.schedule != "constant" or train.warmup_epochs):
        raise ConfigError(
            f"config.control=statenet has no fixed schedule: set config.train.schedule=constant, which is "
            f"{train.schedule}, and config.train.warmup_epochs=0, or config.control=schedules+statenet"
        )


def _check_prior_and_alignment(config, losses):
    if losses.get("prior") != "AB" or "alignment" not in losses:
        raise ConfigError(
            f"config.control={config.control} turns sigma and lambda_3: set config.losses.prior.on=AB and "
            "config.losses.alignment.on=AB"
        )


def _check_mix(config, losses):
    if losses.keys().isdisjoint(factors.RADIAL) or losses.keys().isdisjoint(factors.RANKING):
        raise ConfigError(
            f"config.control={config.control} turns the mix of radial and ranking losses: set the `on` of one of "
            f"{', '.join(factors.RADIAL)}, and of one of {', '.join(factors.RANKING)}"
        )


def _check_share(config):
    own, rows = config.statenet, config.train.batch_size
    if own.learn != "none" and own.share * rows < 6:
        raise ConfigError(
            f"config.statenet.share={own.share} of config.train.batch_size={rows} leaves no triplets for the "
            "reference: give more"
        )


CONTROLLER = Controller(
    name="statenet",
    keys={
        "statenet.interval": integer(1, 10**6),
        "statenet.decay": real(0, 0.9999),
        "statenet.params": Key(str),
        "statenet.learn": choice("none", "lookahead"),
        "statenet.ahead": integer(1, 1000),
        "statenet.share": real(0.01, 1),
        "statenet.learning_rate": real(0, 1, traced=True),
    },
    on=lambda static: "statenet" in static.control,
    make=_make,
    place=100,
    check=check,
    observe=batch_signals.observe,
)
