"""The controllers of a config: their chain, the schedules that it follows, the signals that it sees, and its knobs."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ternary_jax.control import balance, curriculum, exploration, groups, prior, schedules, statenet
from ternary_jax.control.chain import Control, Learner, chain
from ternary_jax.engine.train import plan
from ternary_jax.keys import ConfigError
from ternary_jax.vae import controller, factors, settings

OPEN_LOOP = ("rho", "temperature_A", "temperature_B", "beta_A", "beta_B", "lambda_3")


class Controlled(NamedTuple):
    """What a task hands to the engine of its controllers.

    control: of all; rows: schedules, (steps,) each by name; signals: what the controllers see of the last step
    learner: of StateNet, None where it does not learn
    """

    control: Control
    rows: dict[str, np.ndarray]
    signals: tuple[str, ...]
    learner: Learner | None


def make_control(static: Any, groups_of: dict[str, tuple[str, ...]], samples_per_epoch: int) -> Controlled:
    """groups_of: the groups of parameters of each branch."""
    steps = plan(static, samples_per_epoch)
    names = [*dict.fromkeys(group for own in groups_of.values() for group in own)]
    names += ["curvature"] if static.model.curvature == "learned" else []
    names += ["controller"] if static.controller.on else []
    members: list[Control] = [groups.scale(lambda hypers: {g: getattr(hypers.rates, g) for g in names})]
    rows, signals = {}, []
    if static.start.frozen:
        members.append(groups.freeze(static.start.frozen))
    if settings.phases(static):
        step = np.arange(steps.total)
        for name, begin in (("structure", static.phases.structure_from), ("geometry", static.phases.geometry_from)):
            rows[name] = (step >= steps.epoch * begin).astype(np.float32)
        members.append(schedules.follow(structure="structure", geometry="geometry"))
    if settings.scheduled(static):
        rows |= open_loop(static.schedules, steps.total)
        members.append(schedules.follow(**{name: name for name in OPEN_LOOP}))
    if static.prior.homeostat:
        branches = settings.on(static.losses)["prior"]
        members.append(homeostat(static, branches))
        signals += [f"{kind}_{b}" for kind in ("radius", "prior") for b in branches]
    if static.balance.gradients or static.balance.weights:
        own = [groups_of[b] for b in settings.BRANCHES]
        signals += [name for each in own for name in balance.names(each)]
        members += balances(static.balance, own, steps.epoch)
    if static.curriculum.on:
        radial = radial_terms(static)
        members.append(
            curriculum.curriculum(lambda h: h.knobs.tau, static.curriculum.rate, static.curriculum.aim, radial)
        )
        signals += radial
    if static.controller.on:
        members.append(controller.observe())
        signals += controller.SEES
    learner = None
    if settings.by_statenet(static):
        sources = sources_of(static, groups_of)
        members.append(of_statenet(static, sources))
        signals += sources.signals()
        learner = learner_of(static.statenet, len(members) - 1)
    return Controlled(chain(*members), rows, tuple(dict.fromkeys(signals)), learner)


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


def homeostat(static: Any, branches: str) -> Control:
    """Of the prior of these branches."""
    own, bounds = static.prior, (static.prior.least, static.prior.most)
    rule = prior.Rule(own.decay, own.kl, own.sigma_rate, own.c_rate, bounds, bounds)
    radii, kls = ([f"{kind}_{b}" for b in branches] for kind in ("radius", "prior"))
    return prior.homeostat(
        lambda hypers: (hypers.prior.sigma, hypers.model.c), rule, static.model.dim, tuple(radii), tuple(kls)
    )


def balances(own: Any, groups_of: list, epoch: int) -> list[Control]:
    """Of the group `balance` of a config."""
    a, b = groups_of
    found = []
    if own.gradients:
        found.append(balance.gradient_balance(a, b, own.decay, 1 / own.most, own.most))
    if own.weights:
        band, bounds = (1 / own.band, own.band), (own.least, own.greatest)
        found.append(balance.balance_weights(a, b, own.decay, epoch, own.rate, band, bounds))
    return found


def sources_of(static: Any, groups_of: dict[str, tuple[str, ...]]) -> statenet.Sources:
    """Where StateNet finds what it sees."""
    kl = "prior" if "prior" in settings.on(static.losses) else "kl"
    last = {f"{name}_{b}": f"{name}_{b}" for name in ("entropy", "radius") for b in settings.BRANCHES}
    last |= {f"kl_{b}": f"{kl}_{b}" for b in settings.BRANCHES} | {"radial": "radial"}
    running = {name: name for name in (f"{kind}_{b}" for kind in ("coverage", "ranking") for b in settings.BRANCHES)}
    return statenet.Sources(last, running, groups_of["A"], groups_of["B"])


def of_statenet(static: Any, sources: statenet.Sources) -> Control:
    """Its network from a file, or with the seed of the run, saying nothing yet."""
    own = static.statenet
    try:
        stored = statenet.load(Path(own.params)) if own.params else None
    except (OSError, ValueError) as e:
        raise ConfigError(f"config.statenet.params={own.params} holds no network of StateNet: {e}") from e

    def begin(hypers):
        params = statenet.init(jax.random.fold_in(jax.random.key(hypers.seed), 1)) if stored is None else stored
        return params, hypers.statenet.learning_rate

    return statenet.statenet(begin, sources, own.interval, own.decay)


def learner_of(own: Any, place: int) -> Learner | None:
    """StateNet learns at every renewal, from the steps that follow; place: of its state in the chain."""
    if own.learn == "none":
        return None

    def put(states, phi):
        return (*states[:place], states[place]._replace(params=phi), *states[place + 1 :])

    def descend(states, slope):
        return (*states[:place], statenet.descend(states[place], slope), *states[place + 1 :])

    return Learner(lambda states: states[place].params, put, descend, own.interval, own.ahead)


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
    if static.control != "none" or static.balance.weights:
        found |= hypers.knobs._asdict() | {"rho": hypers.model.rho}
    return {name: jnp.asarray(value) for name, value in found.items()}
