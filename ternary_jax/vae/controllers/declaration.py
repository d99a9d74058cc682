"""The declaration of a controller of the ternary task, which its file holds as CONTROLLER."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ternary_jax.config.keys import Key
from ternary_jax.control.chain import Control
from ternary_jax.control.look_ahead import LookAhead
from ternary_jax.vae.loss_factors import Factor


class Scope(NamedTuple):
    """The inputs of `Controller.make` beside the config.

    groups: names of the groups of parameters, by branch
    plan: the `engine.plan.Plan` of the run, lengths in steps
    losses: {loss: its branches}, of the losses that are on
    reference: params, batch, Context -> R of `reference_objective`, which reads no knob, for a `LookAhead`
    stored: {controller: its `Controller.stored`}, read from disk before any controller is made
    """

    groups: Mapping[str, tuple[str, ...]]
    plan: Any
    losses: Mapping[str, str]
    reference: Callable[[Any, Any, Any], Any]
    stored: Mapping[str, Any]


class ControllerParts(NamedTuple):
    """The parts of a controller that a task takes.

    control: its member of the chain; None for a controller that acts only in the loss
    schedules: arrays with one row a step, by name
    signals: names that it reads in `Signals.last`
    look_ahead: its learning rule, for a controller that learns by looking ahead
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
    keys: its config keys, by dotted name
    on: config, or its static values -> whether a run has this controller
    make: static values, Scope -> ControllerParts
    stored: static values -> the arrays that it needs from disk
    place: position in the chain, ascending; StateNet corrects the outputs of all others, so it has the last, 100
    check: config, losses that are on; raises a ConfigError if keys contradict each other. It runs for every config,
        also if the controller is off
    knobs: static values, hypers -> the knobs that it needs, with their values before any controller
    factors: how its knobs scale the weights of the losses
    observe: {branch: BranchOutput}, loss terms, key of the loss -> signals that only this controller needs
    """

    name: str
    keys: Mapping[str, Key]
    on: Callable[[Any], bool]
    make: Callable[[Any, Scope], ControllerParts]
    stored: Callable[[Any], Any] = _nothing
    place: int = 90
    check: Callable[[Any, Mapping[str, str]], Any] = _nothing
    knobs: Callable[[Any, Any], dict[str, Any]] = _nothing
    factors: tuple[Factor, ...] = ()
    observe: Callable[[Any, Any, Any], dict[str, Any]] = _nothing
