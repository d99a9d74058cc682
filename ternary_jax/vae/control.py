"""The controllers of a config: their chain, the schedules that it follows, the signals that it sees, and its knobs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ternary_jax.control import balance, curriculum, exploration, groups, homeostasis, prior, schedules, statenet
from ternary_jax.control.chain import Control, Learner, chain
from ternary_jax.engine.report import Plan
from ternary_jax.engine.train import plan
from ternary_jax.keys import ConfigError
from ternary_jax.vae import controller, factors, settings

ROOT = Path(__file__).parents[2]
OPEN_LOOP = ("rho", "temperature_A", "temperature_B", "beta_A", "beta_B", "lambda_3")


class Part(NamedTuple):
    """A controller, the schedules that it follows, (steps,) each by name, and the signals that it sees."""

    control: Control
    rows: dict[str, np.ndarray]
    signals: tuple[str, ...]


class Controlled(NamedTuple):
    """What a task hands to the engine of its controllers: all of them as one part, and what StateNet learns by."""

    control: Control
    rows: dict[str, np.ndarray]
    signals: tuple[str, ...]
    learner: Learner | None


def make_control(static: Any, groups_of: dict[str, tuple[str, ...]], samples_per_epoch: int) -> Controlled:
    """groups_of: the groups of parameters of each branch."""
    parts = [*_parts(static, groups_of, plan(static, samples_per_epoch))]
    rows = {name: row for part in parts for name, row in part.rows.items()}
    signals = tuple(dict.fromkeys(name for part in parts for name in part.signals))
    learner = _learner(static.statenet, len(parts) - 1) if settings.by_statenet(static) else None
    return Controlled(chain(*(part.control for part in parts)), rows, signals, learner)


def _parts(static: Any, groups_of: dict[str, tuple[str, ...]], steps: Plan) -> Iterator[Part]:
    """Those that are on, each of which sees what the ones before it have turned; StateNet is the last."""
    yield Part(_rates(static, groups_of), {}, ())
    if static.start.frozen:
        yield Part(groups.freeze(static.start.frozen), {}, ())
    if settings.phases(static):
        begins = dict(structure=static.phases.structure_from, geometry=static.phases.geometry_from)
        rows = {name: (np.arange(steps.total) >= steps.epoch * at).astype("float32") for name, at in begins.items()}
        yield Part(schedules.follow(structure="structure", geometry="geometry"), rows, ())
    if settings.scheduled(static):
        yield Part(schedules.follow(**{name: name for name in OPEN_LOOP}), open_loop(static.schedules, steps.total), ())
    if static.prior.homeostat:
        yield _homeostat(static)
    if static.balance.gradients or static.balance.weights:
        yield from _balances(static.balance, [groups_of[b] for b in settings.BRANCHES], steps.epoch)
    if static.curriculum.on:
        own, radial = static.curriculum, radial_terms(static)
        yield Part(curriculum.curriculum(lambda hypers: hypers.knobs.tau, own.rate, own.aim, radial), {}, radial)
    if static.homeostasis.on:
        yield _homeostasis(static.homeostasis, steps)
    if static.controller.on:
        yield Part(controller.observe(), {}, controller.SEES)
    if settings.by_statenet(static):
        sources = sources_of(groups_of)
        yield Part(_statenet(static.statenet, sources), {}, sources.signals())


def _rates(static, groups_of):
    names = [*dict.fromkeys(group for own in groups_of.values() for group in own)]
    names += ["curvature"] if static.model.curvature == "learned" else []
    names += ["controller"] if static.controller.on else []
    return groups.scale(lambda hypers: {group: getattr(hypers.rates, group) for group in names})


def open_loop(given: Any, steps: int) -> dict[str, np.ndarray]:
    """The schedules of the group `schedules` of a config, (steps,) each."""
    t, beta = exploration.done(steps), given.beta
    temperature = {
        f"temperature_{b}": exploration.temperature(t, own.first, own.last, own.lag, own.period, own.amplitude)
        for b, own in (("A", given.temperature_A), ("B", given.temperature_B))
    }
    beta_A = exploration.kl_weight(t, beta.warmup, beta.level, beta.final)
    return {
        "rho": exploration.permeability(t, given.rho.at, given.rho.levels),
        **temperature,
        "beta_A": beta_A,
        "beta_B": exploration.kl_weight_behind(t, beta_A, beta.lag_B, beta.ramp_B, beta.share_B),
        "lambda_3": exploration.entropy_alignment(
            t, given.alignment.mean, given.alignment.amplitude, given.alignment.period
        ),
    }


def _homeostat(static):
    own, bounds = static.prior, (static.prior.least, static.prior.most)
    branches = settings.on(static.losses)["prior"]
    falls = getattr(static.model, branches[0]).projection == "direction_radius"
    rule = prior.Rule(own.decay, own.kl, falls, own.sigma_rate, own.c_rate, bounds, bounds)
    radii, kls = (tuple(f"{kind}_{b}" for b in branches) for kind in ("drawn_radius", "prior"))

    def begin(hypers):
        return hypers.prior.sigma, hypers.model.c

    return Part(prior.homeostat(begin, rule, static.model.dim, radii, kls), {}, (*radii, *kls))


def _homeostasis(own, steps):
    """The coverage gate goes by the metrics of A, the plateau gate by those of B, the quiet gate by q of B."""
    epochs = {name: getattr(own, name) * steps.epoch for name in ("warmup", "hysteresis", "ramp")}
    rest = {name: getattr(own, name) for name in homeostasis.Rule._fields if name not in epochs}
    gates = homeostasis.Gates(own.coverage_groups, own.plateau_groups, own.quiet_groups)
    norm = "gradient/controller"

    def see(signals):
        found = signals.metrics
        zero = jnp.zeros([])
        q = {b: found[f"q_{b}"] if own.anneal else zero for b in settings.BRANCHES}
        return homeostasis.Seen(
            coverage=found["coverage_A"],
            order=-found["hierarchy_A"],
            q=q["A"],
            plateau_order=-found["hierarchy_B"],
            plateau_q=q["B"],
            norm=signals.last[norm] if gates.quiet else zero,
            norm_q=q["B"],
        )

    rule = homeostasis.Rule(**epochs, **rest)
    control = homeostasis.homeostasis(rule, gates, see, steps.cheap, own.window, own.begins_frozen, own.anneal)
    return Part(control, {}, (norm,) if gates.quiet else ())


def _balances(own, groups_of, epoch):
    a, b = groups_of
    signals = (*balance.names(a), *balance.names(b))
    if own.gradients:
        yield Part(balance.gradient_balance(a, b, own.decay, 1 / own.most, own.most), {}, signals)
    if own.weights:
        band, bounds = (1 / own.band, own.band), (own.least, own.greatest)
        yield Part(balance.balance_weights(a, b, own.decay, epoch, own.rate, band, bounds), {}, signals)


# --- StateNet ---------------------------------------------------------------------------------------------------------


def sources_of(groups_of: dict[str, tuple[str, ...]]) -> statenet.Sources:
    """Where StateNet finds what it sees."""
    last = {f"entropy_{b}": f"sensed_entropy_{b}" for b in settings.BRANCHES}
    last |= {f"radius_{b}": f"radius_{b}" for b in settings.BRANCHES}
    last |= {f"kl_{b}": f"prior_{b}" for b in settings.BRANCHES} | {"radial": "radial"}
    running = {f"{kind}_{b}": f"sensed_{kind}_{b}" for kind in ("coverage", "ranking") for b in settings.BRANCHES}
    return statenet.Sources(last, running, groups_of["A"], groups_of["B"])


def _statenet(own, sources):
    """Its network is that of the file, or one of the seed of the run, which says nothing yet."""
    loaded = _loaded(own.params)

    def begin(hypers):
        # 0 and 1 make the keys of the parameters and of the steps, as `split` does.
        params = loaded or statenet.init(jax.random.fold_in(jax.random.key(hypers.seed), 2))
        return jax.tree.map(jnp.asarray, params), hypers.statenet.learning_rate

    return statenet.statenet(begin, sources, own.interval, own.decay)


def _loaded(name):
    """The parameters in a file, of the working folder or of the repository; {} without one."""
    if not name:
        return {}
    places = [Path(name), ROOT / name]
    try:
        return statenet.load(next((place for place in places if place.is_file()), places[0]))
    except Exception as e:
        raise ConfigError(
            f"config.statenet.params={name} can't be used: {e}. Give a file that experiments/meta_train_statenet.py "
            "has written, or an empty text to begin with a network that turns nothing"
        ) from e


def _learner(own, place):
    """StateNet learns at every renewal, from the steps that follow; place: of its state in the chain."""
    if own.learn == "none":
        return None

    def put(states, phi):
        return (*states[:place], states[place]._replace(params=phi), *states[place + 1 :])

    def descend(states, slope):
        return (*states[:place], statenet.descend(states[place], slope), *states[place + 1 :])

    return Learner(lambda states: states[place].params, put, descend, own.interval, own.ahead, own.share)


def radial_terms(static: Any) -> tuple[str, ...]:
    """The names of the first terms of the radial losses that are on."""
    on = settings.on(static.losses)
    return tuple(f"{loss}_{b}" for loss in factors.RADIAL for b in on.get(loss, ""))


def radial_signal(static: Any, terms: dict[str, Array]) -> dict[str, Array]:
    """The mean of the radial losses, for StateNet to see."""
    if not settings.by_statenet(static):
        return {}
    return {"radial": jnp.mean(jnp.stack([terms[name] for name in radial_terms(static)]))}


def knobs(static: Any, hypers: Any) -> dict[str, Array]:
    """Those that there are before any controller, of this config."""
    found = {}
    if static.model.curvature == "controlled":
        found["c"] = hypers.model.c
    if any(getattr(static.model, b).posterior == "wrapped" for b in settings.BRANCHES):
        found["sigma"] = hypers.prior.sigma
    if static.balance.weights:
        found |= {name: getattr(hypers.knobs, name) for name in ("lambda_1", "lambda_2")}
    if static.control != "none":
        found |= hypers.knobs._asdict() | {"rho": hypers.model.rho}
    return {name: jnp.asarray(value) for name, value in found.items()}
