"""Homeostasis of the two branches: `control.gates` that freeze and unfreeze groups according to evaluation metrics.

The coverage gate reads the metrics of A, the plateau gate those of B, the quiet gate q of B and the gradient norm of
the learned controller. The order metrics are -hierarchy, as a lower hierarchy is better.
"""

from typing import Any

import jax.numpy as jnp

from ternary_jax.config.checks import length, unit
from ternary_jax.config.keys import flag, integer, real, words
from ternary_jax.control import gates
from ternary_jax.errors import ConfigError
from ternary_jax.vae.branch import BRANCHES
from ternary_jax.vae.controllers.declaration import Controller, ControllerParts

NORM = "gradient/controller"
GATES = gates.Gates._fields


def _make(static, scope):
    own, plan = static.homeostasis, scope.plan
    times = {name: getattr(own, name) * plan.unit for name in ("warmup", "hysteresis", "ramp")}
    rest = {name: getattr(own, name) for name in gates.Rule._fields if name not in times}
    groups = gates.Gates(own.coverage_groups, own.plateau_groups, own.quiet_groups)

    def read(signals):
        metrics = signals.metrics
        zero = jnp.zeros([])
        q = {b: metrics[f"q_{b}"] if own.anneal else zero for b in BRANCHES}
        return gates.GateInputs(
            coverage=metrics["coverage_A"],
            order=-metrics["hierarchy_A"],
            q=q["A"],
            plateau_order=-metrics["hierarchy_B"],
            plateau_q=q["B"],
            norm=signals.last[NORM] if groups.quiet else zero,
            norm_q=q["B"],
        )

    rule = gates.Rule(**times, **rest)
    control = gates.gated(rule, groups, read, plan.cheap, own.window, own.begins_frozen, own.anneal)
    return ControllerParts(control, signals=(NORM,) if groups.quiet else ())


# --- checks -----------------------------------------------------------------------------------------------------------


def check(config: Any, losses: Any) -> None:
    """Check the groups of the gates, the order of the thresholds, and that a gate can change within the run."""
    if config.homeostasis.on:
        _check_groups(config)
        _check_thresholds(config.homeostasis)
        _check_lengths(config)
        _check_evaluations(config)


def _check_groups(config):
    named = [group for gate in GATES for group in config.homeostasis[f"{gate}_groups"]]
    there = [name for name in config.rates if name not in ("curvature", "controller")]
    there += ["curvature"] if config.model.curvature == "learned" else []
    there += ["controller"] if config.controller.on else []
    keys = "config.homeostasis.coverage_groups, .plateau_groups and .quiet_groups"
    if not named:
        raise ConfigError(f"config.homeostasis.on=True has no gate, as {keys} are empty: give groups to one of them")
    if unknown := [group for group in named if group not in there]:
        raise ConfigError(
            f"config.homeostasis names {', '.join(unknown)}, which is no group here: there are {', '.join(there)}"
        )
    if len({*named}) != len(named):
        raise ConfigError(f"{keys} have a group in common: give it to one of them")
    if config.homeostasis.quiet_groups and not config.controller.on:
        raise ConfigError(
            "config.homeostasis.quiet_groups needs the gradient of the learned controller: set "
            "config.controller.on=True, or leave the groups out"
        )


def _check_thresholds(own):
    if not own.floor <= own.freeze_below <= own.unfreeze_at:
        raise ConfigError(
            f"config.homeostasis.floor={own.floor}, .freeze_below={own.freeze_below} and .unfreeze_at="
            f"{own.unfreeze_at} have to be in this order"
        )
    for least, most in (("patience", "patience_most"), ("quiet_patience", "quiet_most")):
        if own[least] > own[most]:
            raise ConfigError(f"config.homeostasis.{least}={own[least]} is over .{most}={own[most]}: lower the first")


def _check_lengths(config):
    every, warmup, total = config.evaluate.costly_every, config.homeostasis.warmup, length(config.train)
    if config.homeostasis.anneal and not 0 < every < total:
        raise ConfigError(
            f"config.homeostasis.anneal=True reads q, which is measured after config.evaluate.costly_every={every} of "
            f"{total} {unit(config.train)}: give fewer, or set config.homeostasis.anneal=False"
        )
    if warmup >= total:
        raise ConfigError(
            f"config.homeostasis.warmup={warmup} has to be less than config.train.{unit(config.train)}={total}"
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
