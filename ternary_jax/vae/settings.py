"""The keys of a config of the ternary task, and what involves several of them."""

import itertools
from functools import partial
from typing import Any

from ternary_jax.keys import ConfigError, Key, choice, flag, integer, integers, real, reals, words
from ternary_jax.vae import controller, data, factors, objective
from ternary_jax.vae.losses import geodesic

BRANCHES = "AB"
_branches = choice("none", "A", "B", "AB")
_joint = choice("none", "AB")
_weight = partial(real, 0, 1e6, traced=True)
_share = partial(real, 0, 0.999, traced=True)
_rate = partial(real, 0, 1e3, traced=True)
_below_1 = partial(real, 0, 0.9999)
_TEMPERATURE = {
    "first": real(1e-3, 100),
    "last": real(1e-3, 100),
    "lag": real(0, 1),
    "period": real(1e-3, 1e3),
    "amplitude": real(0, 0.99),
}
_positive = partial(real, 1e-6, 1e6, traced=True)

_OF_TRIPLETS = {"margin": _weight(), "slope": _weight(), "hard_share": real(0, 1, traced=True)}

_OF_A_BRANCH = {
    "encoder": choice("plain", "improved"),
    "hidden": integers(1, 65536),
    "dropout": real(0, 0.99),
    "posterior": choice("point", "gaussian", "wrapped"),
    "projection": choice("direction_radius", "exp_map"),
    "decoder": choice("plain", "improved", "residual", "relu_residual", "shared"),
    "decoder_hidden": integers(1, 65536),
    "decoder_gain": real(1e-3, 1e6),
}

# The parts of each loss, beside `on` and `weight`.
_OF_A_LOSS: dict[str, dict[str, Key]] = {
    "reconstruction": {},
    "kl": {"free_bits": _weight()},
    "prior": {},
    "radial": {"growth": real(0, 10, traced=True), "margin": _weight(), "share": real(0, 1, traced=True)},
    "stratification": {},
    "monotonic": {"share": real(0, 1, traced=True), "softness": _positive(), "pull": _weight()},
    "rank": {"temperature": _positive()},
    "rich": {"means": _weight(), "floor": _weight(), "separation": _weight(), "kappa": _weight(), "gap": _weight()},
    "geodesic": {"furthest": _positive(), "scale": _positive()},
    "zero": {"pull": _weight(), "correlation": _weight(), "aim": real(-1, 1, traced=True)},
    "bands": {
        "furthest": _positive(),
        "ratio": real(1e-3, 0.999, traced=True),
        "width": real(0, 0.5, traced=True),
        "radius": _weight(),
        "distance": _weight(),
        "spread": _weight(),
        "outer": _share(),
        "between": _share(),
    },
    "metric": {"scale": _positive()},
    "norm": {"scale": _positive()},
    "ranking": {"margin": _weight()},
    "ranking_v2": _OF_TRIPLETS,
    "ranking_hyperbolic": _OF_TRIPLETS,
    "repulsion": {"width": _positive()},
    "centroid": {"decay": real(0, 1, traced=True)},
    "entropy": {},
    "focus": {"power": _weight(), "least": _weight()},
    "alignment": {},
}

KEYS: dict[str, Key] = {
    "data.n_digits": integer(2, 12),
    **data.KEYS,
    "data.budget": real(0, 1),
    "data.high_from": integer(0, 12),
    "data.partners": flag(),
    "data.shifts": integer(1, 64),
    "model.dim": integer(2, 1024),
    "model.inputs": choice("trits", "one_hot"),
    "model.c": _positive(),
    "model.curvature": choice("fixed", "learned", "controlled"),
    "model.max_radius": real(1e-3, 0.999),
    "model.direction_hidden": integers(1, 65536),
    "model.radius_hidden": integers(1, 65536),
    "model.projection_dropout": real(0, 0.99),
    "model.cross_injection": flag(),
    "model.rho": real(0, 1, traced=True),
    **{f"model.{b}.{name}": key for b in BRANCHES for name, key in _OF_A_BRANCH.items()},
    "radii.inner": _share(),
    "radii.outer": _share(),
    **{
        f"losses.{loss}.{name}": key
        for loss, parts in _OF_A_LOSS.items()
        for name, key in {"on": _joint if loss in objective.JOINT else _branches, "weight": _weight(), **parts}.items()
    },
    "phases.structure_from": integer(0, 10**7),
    "phases.geometry_from": integer(0, 10**7),
    "phases.radial_after": real(0, 1, traced=True),
    "prior.sigma": _positive(),
    "prior.homeostat": flag(),
    "prior.decay": _below_1(),
    "prior.kl": real(1e-3, 1e3),
    "prior.sigma_rate": real(0, 1),
    "prior.c_rate": real(0, 1),
    "prior.least": real(1e-3, 1),
    "prior.most": real(1, 1e3),
    "control": choice("none", "schedules", "statenet", "schedules+statenet"),
    **{f"knobs.{name}": real(0, 100, traced=True) for name in ("lambda_1", "lambda_2", "lambda_3", "ranking")},
    "knobs.tau": real(0, 1, traced=True),
    "schedules.rho.at": reals(0, 1),
    "schedules.rho.levels": reals(0, 1),
    **{f"schedules.temperature_{b}.{name}": key for b in BRANCHES for name, key in _TEMPERATURE.items()},
    "schedules.beta.warmup": real(1e-3, 0.999),
    "schedules.beta.level": real(0, 100),
    "schedules.beta.final": real(0, 100),
    "schedules.beta.share_B": real(0, 100),
    "schedules.beta.lag_B": real(0, 1),
    "schedules.beta.ramp_B": real(1e-3, 1),
    "schedules.alignment.mean": real(0, 100),
    "schedules.alignment.amplitude": real(0, 100),
    "schedules.alignment.period": real(1e-3, 1e3),
    "balance.gradients": flag(),
    "balance.weights": flag(),
    "balance.decay": real(0.5, 0.9999),
    "balance.most": real(1, 1e3),
    "balance.rate": real(0, 1),
    "balance.band": real(1, 1e3),
    "balance.least": real(0, 100),
    "balance.greatest": real(0, 100),
    "curriculum.on": flag(),
    "curriculum.rate": real(0, 1),
    "curriculum.aim": real(1e-6, 1e6),
    "statenet.interval": integer(1, 10**6),
    "statenet.decay": _below_1(),
    "statenet.params": Key(str),
    "statenet.learn": choice("none", "lookahead"),
    "statenet.ahead": integer(1, 1000),
    "statenet.share": real(0.01, 1),
    "statenet.learning_rate": real(0, 1, traced=True),
    "homeostasis.on": flag(),
    "homeostasis.begins_frozen": flag(),
    "homeostasis.anneal": flag(),
    **{f"homeostasis.{gate}_groups": words() for gate in ("coverage", "plateau", "quiet")},
    "homeostasis.warmup": integer(0, 10**6),
    "homeostasis.hysteresis": integer(0, 10**6),
    "homeostasis.ramp": integer(0, 10**6),
    "homeostasis.window": integer(2, 1000),
    "homeostasis.progress": real(0, 2),
    **{f"homeostasis.{name}": real(0, 1) for name in ("freeze_below", "unfreeze_at", "floor", "step")},
    **{f"homeostasis.{name}": integer(1, 10**6) for name in ("stall", "patience", "patience_most")},
    "homeostasis.relapse": real(0, 2),
    "homeostasis.quiet": real(0, 1e6),
    **{f"homeostasis.{name}": integer(1, 10**6) for name in ("quiet_patience", "quiet_most")},
    "controller.on": flag(),
    "controller.hidden": integers(1, 4096),
    **{f"rates.{part}_{b}": _rate() for part in ("encoder", "projection", "decoder") for b in BRANCHES},
    "rates.curvature": _rate(),
    "rates.controller": _rate(),
    "start.workdir": Key(str),
    "start.groups": words(),
    "start.frozen": words(),
    "targets.coverage_B": real(0, 1),
    "targets.hierarchy_B": real(-1, 1),
}


def on(losses: Any) -> dict[str, str]:
    """The branches that each loss is on for, by its name, in the order of the table; without those that are off."""
    found = {loss: getattr(losses, loss).on for loss in _OF_A_LOSS}
    return {loss: branches for loss, branches in found.items() if branches != "none"}


def phases(static: Any) -> bool:
    """Whether the run has phases."""
    return bool(static.phases.geometry_from)


def scheduled(static: Any) -> bool:
    """Whether the schedules of the group `schedules` are followed."""
    return "schedules" in static.control


def by_statenet(static: Any) -> bool:
    """Whether StateNet is among the controllers."""
    return "statenet" in static.control


def check(config: Any) -> None:
    """Raise a ConfigError where several keys contradict each other."""
    n, batch = 3**config.data.n_digits, config.train.batch_size
    if batch > n:
        raise ConfigError(
            f"config.train.batch_size={batch} is more than the {n} operations of "
            f"config.data.n_digits={config.data.n_digits}: {n} or less is allowed"
        )
    data.check_split(config.data)
    if config.data.budget > 0 and config.data.high_from > config.data.n_digits:
        digits = f"config.data.n_digits={config.data.n_digits}"
        raise ConfigError(f"config.data.high_from={config.data.high_from} is no level of {digits}: give that or less")
    used = on(config.losses)
    _check_pairs(config, used)
    _check_branches(config, used)
    if not used:
        raise ConfigError(
            "config.losses has every loss off, so nothing is trained: set config.losses.reconstruction.on=AB"
        )
    _check_radii(config, used)
    _check_phases(config)
    if "geodesic" in used:
        _check_geodesic(config)
    if config.controller.on:
        _check_controller(config, used)
    _check_control(config, used)
    if config.homeostasis.on:
        _check_homeostasis(config)


def _check_homeostasis(config: Any) -> None:
    """That its gates have groups that there are, each of one gate; that thresholds are in order; that q is measured."""
    own, every, epochs = config.homeostasis, config.evaluate.costly_every, config.train.epochs
    evaluations = epochs // config.evaluate.cheap_every
    needed = {"coverage": 2, "plateau": own.window + own.patience, "quiet": own.quiet_patience + 1}
    least = min((n for gate, n in needed.items() if own[f"{gate}_groups"]), default=0)
    gates = {gate: own[f"{gate}_groups"] for gate in ("coverage", "plateau", "quiet")}
    named = [group for groups in gates.values() for group in groups]
    there = [name for name in config.rates if name not in ("curvature", "controller")]
    there += ["curvature"] if config.model.curvature == "learned" else []
    there += ["controller"] if config.controller.on else []
    unknown = [group for group in named if group not in there]
    wants = {
        "config.homeostasis.on=True has no gate: give groups to one of config.homeostasis.coverage_groups, "
        ".plateau_groups and .quiet_groups": bool(named),
        f"config.homeostasis names {', '.join(unknown)}, which is no group here: there are {', '.join(there)}": (
            not unknown
        ),
        "config.homeostasis.coverage_groups, .plateau_groups and .quiet_groups have a group in common: give it to one "
        "of them": len({*named}) == len(named),
        "config.homeostasis.quiet_groups goes by the gradient of the controller: set config.controller.on=True, "
        "or leave the groups out": config.controller.on or not gates["quiet"],
        f"config.homeostasis.floor={own.floor}, .freeze_below={own.freeze_below} and .unfreeze_at={own.unfreeze_at} "
        "have to be in this order": own.floor <= own.freeze_below <= own.unfreeze_at,
        f"config.homeostasis.patience={own.patience} is over .patience_most={own.patience_most}, or .quiet_patience="
        f"{own.quiet_patience} over .quiet_most={own.quiet_most}": own.patience <= own.patience_most
        and own.quiet_patience <= own.quiet_most,
        f"config.homeostasis.anneal=True goes by q, which is measured after config.evaluate.costly_every={every} of "
        f"{epochs} epochs: give fewer, or set config.homeostasis.anneal=False": not own.anneal or 0 < every < epochs,
        f"config.homeostasis.on=True needs {least} evaluations for a gate to close, and there are {evaluations}: give "
        "fewer config.evaluate.cheap_every epochs, or less config.homeostasis.window and .patience": (
            evaluations > least - 1
        ),
        f"config.homeostasis.warmup={own.warmup} ends after the last of config.train.epochs={epochs}: give less": (
            own.warmup < epochs
        ),
    }
    _refuse_first(wants)


def _check_control(config: Any, used: dict[str, str]) -> None:
    """That what turns has something to turn, and that nothing is turned twice."""
    control, rho, balance = config.control, config.schedules.rho, config.balance
    moved, curvature = config.prior.homeostat or by_statenet(config), config.model.curvature
    wants = {
        "config.model.curvature=controlled goes with config.prior.homeostat=True, or with a config.control of "
        "statenet: set both, or neither": moved == (curvature == "controlled"),
        f"config.control={control} and config.controller.on=True both turn weights: set one of them": control == "none"
        or not config.controller.on,
        f"config.control={control} turns the permeability: set config.model.cross_injection=True": control == "none"
        or config.model.cross_injection,
        "config.curriculum.on=True follows the radial losses, and mixes them with the ranking: set the `on` of one of "
        f"{', '.join(factors.RADIAL)}, and config.control": not config.curriculum.on
        or (bool(_radial(used)) and control != "none"),
        f"config.control=statenet has no fixed schedule: set config.train.schedule=constant, which is "
        f"{config.train.schedule}, and config.train.warmup_epochs=0, or config.control=schedules+statenet": control
        != "statenet"
        or (config.train.schedule == "constant" and not config.train.warmup_epochs),
        f"config.schedules.rho.at={','.join(map(str, rho.at))} has to be in rising order, and to have a time for each "
        f"of config.schedules.rho.levels={','.join(map(str, rho.levels))}": 0 < len(rho.at) == len(rho.levels)
        and all(a < b for a, b in itertools.pairwise(rho.at)),
        f"config.statenet.params and .learn are of a StateNet, which there is not with config.control={control}: set "
        "config.control=schedules+statenet": by_statenet(config)
        or (not config.statenet.params and config.statenet.learn == "none"),
        f"config.balance.least={balance.least} has to be less than config.balance.greatest={balance.greatest}": (
            balance.least < balance.greatest
        ),
    }
    _refuse_first(wants)
    if config.prior.homeostat:
        _check_homeostat(config, used)
    if by_statenet(config):
        _refuse_first(
            {
                f"config.control={control} turns sigma and lambda_3: set config.losses.prior.on=AB and "
                "config.losses.alignment.on=AB": (used.get("prior") == "AB" and "alignment" in used),
                f"config.control={control} turns the mix of radial and ranking losses: set the `on` of one of "
                f"{', '.join(factors.RADIAL)}, and of one of {', '.join(factors.RANKING)}": bool(_radial(used))
                and not used.keys().isdisjoint(factors.RANKING),
                f"config.statenet.share={config.statenet.share} of config.train.batch_size={config.train.batch_size} "
                "leaves no triplets for the reference: give more": config.statenet.learn == "none"
                or config.statenet.share * config.train.batch_size >= 6,
            }
        )


def _check_homeostat(config: Any, used: dict[str, str]) -> None:
    """That there is a prior, which begins within its bounds, and one way in which c moves it."""
    own, branches = config.prior, used.get("prior", "")
    _refuse_first(
        {
            "config.prior.homeostat=True moves a prior that is off: set config.losses.prior.on": bool(branches),
            "config.prior.homeostat=True moves one c for both branches, and it acts the other way on a "
            "direction_radius than on an exp_map: set config.model.A.projection and .B.projection to the same": (
                len({config.model[b].projection for b in branches}) < 2
            ),
        }
    )
    for key, values in (("prior.sigma", own.sigma), ("model.c", config.model.c)):
        for value in _each(values, 1):
            inside = own.least <= value <= own.most
            bounds = f"config.prior.least={own.least} to config.prior.most={own.most}"
            _refuse_first({f"config.{key}={value} is outside {bounds}, where the homeostat holds it": inside})


def _refuse_first(wants: dict[str, bool]) -> None:
    """A ConfigError with the first sentence whose condition does not hold."""
    for why, holds in wants.items():
        if not holds:
            raise ConfigError(why)


def _radial(used: dict[str, str]) -> list[str]:
    return [loss for loss in factors.RADIAL if loss in used]


def _check_phases(config: Any) -> None:
    """That phases come in order, and begin before the end."""
    if config.phases.geometry_from >= config.train.epochs:
        raise ConfigError(
            f"config.phases.geometry_from={config.phases.geometry_from} is never reached in "
            f"config.train.epochs={config.train.epochs}: give an earlier epoch, or more epochs"
        )
    if config.phases.geometry_from < config.phases.structure_from:
        raise ConfigError(
            f"config.phases.geometry_from={config.phases.geometry_from} comes before the structure that it follows, "
            f"config.phases.structure_from={config.phases.structure_from}: give that epoch or a later one"
        )


def _check_pairs(config: Any, used: dict[str, str]) -> None:
    rows, parts = config.train.batch_size, config.train.microbatches
    if config.data.partners and rows % (2 * parts):
        raise ConfigError(
            f"config.data.partners=True makes pairs of a batch: config.train.batch_size={rows} has to be a multiple of "
            f"{2 * parts}, twice config.train.microbatches"
        )
    if "bands" in used and not config.data.partners:
        raise ConfigError("config.losses.bands.on speaks of pairs of a given valuation: set config.data.partners=True")
    if config.data.partners and rows < 2 * config.data.n_digits:
        least = 2 * config.data.n_digits
        raise ConfigError(
            f"config.train.batch_size={rows} has too few partners for all valuations (config.data.partners=True): "
            f"give {least} or more"
        )
    if rows < 2 * parts:
        raise ConfigError(f"config.train.batch_size={rows} leaves no pairs: give 2 rows or more in each microbatch")
    if rows < 3 * parts and not used.keys().isdisjoint(objective.USE_KEY):
        raise ConfigError(
            f"config.train.batch_size={rows} leaves no triplets for a ranking loss: give 3 rows or more in each "
            "microbatch"
        )


def _check_branches(config: Any, used: dict[str, str]) -> None:
    if config.model.A.decoder == "shared":
        raise ConfigError("config.model.A.decoder=shared: it is B that may share the decoder of A; give A its own")
    for b in BRANCHES:
        own = config.model[b]
        if own.decoder in ("residual", "relu_residual") and len(set(own.decoder_hidden)) != 1:
            widths = ",".join(map(str, own.decoder_hidden))
            raise ConfigError(
                f"config.model.{b}.decoder_hidden={widths} has to repeat one width, as 128,128: "
                "the blocks of a residual decoder add to what they get"
            )
        for loss, posterior in (("kl", "gaussian"), ("prior", "wrapped")):
            if b in used.get(loss, "") and own.posterior != posterior:
                raise ConfigError(
                    f"config.losses.{loss}.on={used[loss]} needs config.model.{b}.posterior={posterior}, which is "
                    f"{own.posterior}"
                )


def _check_radii(config: Any, used: dict[str, str]) -> None:
    """That targets of radii are in order, and within reach of a direction-radius projection."""
    direct = "direction_radius" in (config.model.A.projection, config.model.B.projection)
    limit = config.model.max_radius if direct else 1
    for group, low, high in ((config.radii, "inner", "outer"), (config.losses.bands, "between", "outer")):
        name = "radii" if group is config.radii else "losses.bands"
        if name != "radii" and "bands" not in used:
            continue
        for less, more in zip(_each(group[low], config.runs), _each(group[high], config.runs), strict=True):
            if not less < more <= limit:
                raise ConfigError(
                    f"config.{name}.{low}={less} has to be less than config.{name}.{high}={more}, and that at most "
                    f"config.model.max_radius={limit}"
                )


def _each(value: Any, runs: int) -> tuple:
    return value if isinstance(value, tuple) else (value,) * runs


def _check_controller(config: Any, used: dict[str, str]) -> None:
    """That there is what it sees, and what it turns."""
    on_b = "B" in used.get("radial", "") and "B" in used.get("geodesic", "")
    if not (config.model.cross_injection and on_b and used.get("kl") == "AB"):
        raise ConfigError(
            "config.controller.on=True turns and sees what is off: it needs config.model.cross_injection=True, "
            "config.losses.radial.on and .geodesic.on of B or AB, and config.losses.kl.on=AB"
        )
    rho, most = config.model.rho, controller.BOUNDS["rho"][1]
    if max(_each(rho, 1)) > most:
        raise ConfigError(
            f"config.model.rho={rho} is where config.controller.on=True begins, and it goes to {most} at most: give "
            f"{most} or less"
        )


def _check_geodesic(config: Any) -> None:
    """That the furthest target can be reached in every run."""
    values = (config.losses.geodesic.furthest, config.radii.outer, config.model.c)
    for furthest, outer, c in zip(*(_each(value, config.runs) for value in values), strict=True):
        limit = float(geodesic.reachable(outer, c))
        if furthest > limit:
            raise ConfigError(
                f"config.losses.geodesic.furthest={furthest} is out of reach: two points of radius "
                f"config.radii.outer={outer} are at most {limit:.4g} apart"
            )
