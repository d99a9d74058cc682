"""Homeostasis of the two branches: gates that freeze groups and open again, by what an evaluation says of them.

The coverage gate goes by the metrics of A, the plateau gate by those of B, the quiet gate by q of B and the norm of the
gradient of the learned controller. Orders are -hierarchy, as a hierarchy is the better the lower.
"""

from typing import Any

import jax.numpy as jnp

from ternary_jax.config.checks import length, unit
from ternary_jax.config.keys import flag, integer, real, words
from ternary_jax.control import gates
from ternary_jax.errors import ConfigError
from ternary_jax.vae.branch import BRANCHES
from ternary_jax.vae.controllers.declaration import Controller, Part

NORM = "gradient/controller"
GATES = gates.Gates._fields


def _make(static, scope):
    own, plan = static.homeostasis, scope.plan
    times = {name: getattr(own, name) * plan.unit for name in ("warmup", "hysteresis", "ramp")}
    rest = {name: getattr(own, name) for name in gates.Rule._fields if name not in times}
    groups = gates.Gates(own.coverage_groups, own.plateau_groups, own.quiet_groups)

    def see(signals):
        found = signals.metrics
        zero = jnp.zeros([])
        q = {b: found[f"q_{b}"] if own.anneal else zero for b in BRANCHES}
        return gates.GateInputs(
            coverage=found["coverage_A"],
            order=-found["hierarchy_A"],
            q=q["A"],
            plateau_order=-found["hierarchy_B"],
            plateau_q=q["B"],
            norm=signals.last[NORM] if groups.quiet else zero,
            norm_q=q["B"],
        )

    rule = gates.Rule(**times, **rest)
    control = gates.gated(rule, groups, see, plan.cheap, own.window, own.begins_frozen, own.anneal)
    return Part(control, signals=(NORM,) if groups.quiet else ())


# --- checks -----------------------------------------------------------------------------------------------------------


def check(config: Any, losses: Any) -> None:
    """Gates have groups of the model, thresholds are in order, and a gate can change within the run."""
    own = config.homeostasis
    if own.on:
        named = [group for gate in GATES for group in own[f"{gate}_groups"]]
        _check_there_are_gates(named)
        _check_groups(config, named)
        _check_groups_differ(named)
        _check_quiet(config)
        _check_thresholds(own)
        _check_patience(own)
        _check_q(config)
        _check_evaluations(config)
        _check_warmup(config)


def _check_there_are_gates(named):
    if not named:
        raise ConfigError(
            "config.homeostasis.on=True has no gate: give groups to one of config.homeostasis.coverage_groups, "
            ".plateau_groups and .quiet_groups"
        )


def _check_groups(config, named):
    there = [name for name in config.rates if name not in ("curvature", "controller")]
    there += ["curvature"] if config.model.curvature == "learned" else []
    there += ["controller"] if config.controller.on else []
    if unknown := [group for group in named if group not in there]:
        raise ConfigError(
            f"config.homeostasis names {', '.join(unknown)}, which is no group here: there are {', '.join(there)}"
        )


def _check_groups_differ(named):
    if len({*named}) != len(named):
        raise ConfigError(
            "config.homeostasis.coverage_groups, .plateau_groups and .quiet_groups have a group in common: give it to "
            "one of them"
        )


def _check_quiet(config):
    if config.homeostasis.quiet_groups and not config.controller.on:
        raise ConfigError(
            "config.homeostasis.quiet_groups goes by the gradient of the controller: set config.controller.on=True, or "
            "leave the groups out"
        )


def _check_thresholds(own):
    if not own.floor <= own.freeze_below <= own.unfreeze_at:
        raise ConfigError(
            f"config.homeostasis.floor={own.floor}, .freeze_below={own.freeze_below} and .unfreeze_at="
            f"{own.unfreeze_at} have to be in this order"
        )


def _check_patience(own):
    if own.patience > own.patience_most or own.quiet_patience > own.quiet_most:
        raise ConfigError(
            f"config.homeostasis.patience={own.patience} is over .patience_most={own.patience_most}, or "
            f".quiet_patience={own.quiet_patience} over .quiet_most={own.quiet_most}: give less"
        )


def _check_q(config):
    every, lasts = config.evaluate.costly_every, length(config.train)
    if config.homeostasis.anneal and not 0 < every < lasts:
        raise ConfigError(
            f"config.homeostasis.anneal=True goes by q, which is measured after config.evaluate.costly_every={every} "
            f"of {lasts} {unit(config.train)}: give fewer, or set config.homeostasis.anneal=False"
        )


def _check_evaluations(config):
    own, evaluations = config.homeostasis, length(config.train) // config.evaluate.cheap_every
    needed = {"coverage": 2, "plateau": own.window + own.patience, "quiet": own.quiet_patience + 1}
    least = min(n for gate, n in needed.items() if own[f"{gate}_groups"])
    if evaluations < least:
        raise ConfigError(
            f"config.homeostasis.on=True needs {least} evaluations for a gate to close, and there are {evaluations}: "
            "give less config.evaluate.cheap_every, or less config.homeostasis.window and .patience"
        )


def _check_warmup(config):
    warmup, lasts = config.homeostasis.warmup, length(config.train)
    if warmup >= lasts:
        raise ConfigError(
            f"config.homeostasis.warmup={warmup} ends after the last of config.train.{unit(config.train)}={lasts}: "
            "give less"
        )


CONTROLLER = Controller(
    name="homeostasis",
    keys={
        "homeostasis.on": flag(),
        "homeostasis.begins_frozen": flag(),
        "homeostasis.anneal": flag(),
        **{f"homeostasis.{gate}_groups": words() for gate in GATES},
        **{f"homeostasis.{name}": integer(0, 10**6) for name in ("warmup", "hysteresis", "ramp")},
        "homeostasis.window": integer(2, 1000),
        **{f"homeostasis.{name}": real(0, 2) for name in ("progress", "relapse")},
        **{f"homeostasis.{name}": real(0, 1) for name in ("freeze_below", "unfreeze_at", "floor", "step")},
        **{f"homeostasis.{name}": integer(1, 10**6) for name in ("stall", "patience", "patience_most")},
        "homeostasis.quiet": real(0, 1e6),
        **{f"homeostasis.{name}": integer(1, 10**6) for name in ("quiet_patience", "quiet_most")},
    },
    on=lambda static: static.homeostasis.on,
    make=_make,
    place=70,
    check=check,
)
