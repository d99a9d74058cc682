"""What a controller of the ternary task declares in its own file, as CONTROLLER."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ternary_jax.config.keys import Key
from ternary_jax.control.chain import Control
from ternary_jax.control.look_ahead import LookAhead
from ternary_jax.vae.factors import Factor


class Scope(NamedTuple):
    """What a controller is made for, beside the config.

    groups: names of the groups of parameters, by branch
    plan: lengths in steps, the `engine.plan.Plan` of the run
    losses: loss -> the branches that it is on for; without the losses that are off
    reference: params, batch, Context -> the objective by the weights of the config, for a controller that looks ahead
    """

    groups: Mapping[str, tuple[str, ...]]
    plan: Any
    losses: Mapping[str, str]
    reference: Callable[[Any, Any, Any], Any]


class Part(NamedTuple):
    """What a controller adds to a task.

    control: its member of the chain; None for a controller that acts in the loss alone
    schedules: arrays of one row a step, by name
    signals: names that it reads in `Signals.last`
    look_ahead: how it learns from the steps that follow, if it does
    """

    control: Control | None
    schedules: Mapping[str, Any] = {}
    signals: tuple[str, ...] = ()
    look_ahead: LookAhead | None = None


def _nothing(*_: Any) -> dict[str, Any]:
    return {}


class Controller(NamedTuple):
    """A controller of the ternary task.

    name: in the chain; a row of the log shows its info as control/NAME/...
    keys: of its config, by dotted name
    on: config, or its static values -> whether a run has this controller
    make: static values, Scope -> Part
    place: in the chain, ascending; StateNet, which corrects what the others have set, is the last, at 100
    check: config, the losses that are on; raises a ConfigError if keys contradict each other, whether it is on or not
    knobs: static values, hypers -> the knobs that it needs, with their values before any controller
    factors: what its knobs do to the weights of the losses
    observe: {branch: what its losses see}, loss terms, key of the loss -> signals that are computed for it alone
    """

    name: str
    keys: Mapping[str, Key]
    on: Callable[[Any], bool]
    make: Callable[[Any, Scope], Part]
    place: int = 90
    check: Callable[[Any, Mapping[str, str]], Any] = _nothing
    knobs: Callable[[Any, Any], dict[str, Any]] = _nothing
    factors: tuple[Factor, ...] = ()
    observe: Callable[[Any, Any, Any], dict[str, Any]] = _nothing
