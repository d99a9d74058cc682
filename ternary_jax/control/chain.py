"""What a controller is, what it sees, what it may turn, and how controllers compose."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jax import Array


class Signals(NamedTuple):
    """What a controller may see, of one run.

    step: optimizer steps done; the same for all runs, so that a `cond` on it stays a branch under vmap
    schedule: the rows of all open-loop schedules at this step, by name; the same for all runs
    last: what the task named in `signals`, as the last step observed it; +inf before the first
    metrics: of the last evaluation; before the first, the infinity that is worse than any value
    """

    step: Array
    schedule: dict[str, Array]
    last: dict[str, Array]
    metrics: dict[str, Array]


class Controls(NamedTuple):
    """What a controller may turn, of one run. A group is a key of the parameters.

    rates: factor on the learning rate of each group; it comes as 1, less a half for every rollback
    frozen: bool of each group: its parameters and optimizer state stay as they are, its gradient is not in the clip
        norm. None where no controller freezes, and then nothing is selected
    knobs: what the task reads in its sampling and its loss: weights, temperatures, permeability
    """

    rates: dict[str, Array]
    frozen: dict[str, Array] | None
    knobs: dict[str, Array]


class Control(NamedTuple):
    """A controller: carried state, and a pure update from one step to the next.

    init: hypers -> state
    update: state, Signals, Controls of the one before it in the chain -> state, Controls
    """

    init: Callable[[Any], Any]
    update: Callable[[Any, Signals, Controls], tuple[Any, Controls]]


class Learner(NamedTuple):
    """What a controller of the chain learns by: its parameters get the gradient of the reference objective k steps on.

    get: state of the chain -> parameters
    put: state of the chain, parameters -> state of the chain
    descend: state of the chain, gradient of the parameters -> state of the chain
    every: steps from one gradient to the next; ahead: k >= 1, the steps that each is taken through
    share: of the rows of a batch, that the reference is taken over
    """

    get: Callable[[Any], Any]
    put: Callable[[Any, Any], Any]
    descend: Callable[[Any, Any], Any]
    every: int
    ahead: int
    share: float


def chain(*members: Control) -> Control:
    """Each member sees the Controls of the one before it. A chain of none changes nothing and carries nothing."""

    def init(hypers):
        return tuple(member.init(hypers) for member in members)

    def update(states, signals, controls):
        after = []
        for member, state in zip(members, states, strict=True):
            state, controls = member.update(state, signals, controls)
            after.append(state)
        return tuple(after), controls

    return Control(init, update)
