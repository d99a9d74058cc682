"""The interface of a controller: its inputs (Signals), its outputs (Controls), and composition of several (chain)."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jax import Array


class Signals(NamedTuple):
    """The inputs of a controller, of one run.

    step: optimizer steps done; the same for all runs, so that a `cond` on it stays a branch under vmap
    schedule: the values of all open-loop schedules at this step, by name; the same for all runs
    last: values from the last step of the signals that the task lists in `signals`; +inf before the first step
    metrics: of the last evaluation, which comes every `Plan.cheap` steps; before the first evaluation, the infinity
        that is worse than any value
    """

    step: Array
    schedule: dict[str, Array]
    last: dict[str, Array]
    metrics: dict[str, Array]


class Controls(NamedTuple):
    """The outputs of a controller, of one run. A group is a top-level key of the parameters.

    rates: factor on the learning rate of each group; the first controller receives 0.5 ** rollbacks
    frozen: a bool for each group: its parameters and optimizer state do not change, and the clip norm excludes its
        gradient. None if no controller freezes a group: the optimizer then needs no select
    knobs: values that the task reads in its sampling and its loss: weights, temperatures, permeability
    """

    rates: dict[str, Array]
    frozen: dict[str, Array] | None
    knobs: dict[str, Array]


class Control(NamedTuple):
    """A controller: carried state, and a pure update from one step to the next.

    init: hypers -> state; a traced value that `update` needs is part of the state
    update: state, Signals, Controls of the previous controller in the chain -> state, Controls, info. The info has
        scalars by name for observation only; a row of the log shows them as control/CONTROLLER/NAME
    """

    init: Callable[[Any], Any]
    update: Callable[[Any, Signals, Controls], tuple[Any, Controls, Any]]


def chain(members: Mapping[str, Control]) -> Control:
    """One controller made of members, in the order of the mapping: each receives the Controls of the previous one.

    State and info are dicts by the names of the members. A chain without members leaves the Controls unchanged.
    """

    def init(hypers):
        return {name: member.init(hypers) for name, member in members.items()}

    def update(states, signals, controls):
        after, infos = {}, {}
        for name, member in members.items():
            after[name], controls, infos[name] = member.update(states[name], signals, controls)
        return after, controls, infos

    return Control(init, update)
