"""What a controller is, what it sees, what it may turn, and how controllers compose by name."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jax import Array


class Signals(NamedTuple):
    """What a controller may see, of one run.

    step: optimizer steps done; the same for all runs, so that a `cond` on it stays a branch under vmap
    schedule: the rows of all open-loop schedules at this step, by name; the same for all runs
    last: what the task named in `signals`, as the last step observed it; +inf before the first
    metrics: of the last evaluation, which comes after every `Plan.cheap` steps; before the first, the infinity that is
        worse than any value
    """

    step: Array
    schedule: dict[str, Array]
    last: dict[str, Array]
    metrics: dict[str, Array]


class Controls(NamedTuple):
    """What a controller may turn, of one run. A group is a key of the parameters.

    rates: factor on the learning rate of each group; the first controller gets 0.5 ** rollbacks, which is 1 without any
    frozen: bool of each group: its parameters and optimizer state stay as they are, its gradient is not in the clip
        norm. None if no controller freezes a group: the optimizer then selects nothing
    knobs: what the task reads in its sampling and its loss: weights, temperatures, permeability
    """

    rates: dict[str, Array]
    frozen: dict[str, Array] | None
    knobs: dict[str, Array]


class Control(NamedTuple):
    """A controller: carried state, and a pure update from one step to the next.

    init: hypers -> state; a traced value that `update` needs is kept in the state
    update: state, Signals, Controls of the one before it in the chain -> state, Controls, info: scalars by name that
        are only observed. A row of the log has them as control/CONTROLLER/NAME
    """

    init: Callable[[Any], Any]
    update: Callable[[Any, Signals, Controls], tuple[Any, Controls, Any]]


def chain(members: Mapping[str, Control]) -> Control:
    """Members in the order of the mapping, each of which sees the Controls of the one before it.

    State and info are dicts by the names of the members. A chain of none changes nothing and carries nothing.
    """

    def init(hypers):
        return {name: member.init(hypers) for name, member in members.items()}

    def update(states, signals, controls):
        after, infos = {}, {}
        for name, member in members.items():
            after[name], controls, infos[name] = member.update(states[name], signals, controls)
        return after, controls, infos

    return Control(init, update)
