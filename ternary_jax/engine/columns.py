"""The names of the columns of a row: what is observed of a step, by the name under which it is logged."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from ternary_jax.engine.task import Task

# Where and when a row was measured. An epoch is there where the task knows what one is.
PLACE = ("run", "seed", "step", "epoch", "wall_s", "samples_per_s")


def columns(info: Any) -> dict[str, Any]:
    """The values of a `StepInfo` by column."""
    return {name: value for _, name, value in _named(info)}


def refuse_colliding_metrics(task: Task) -> None:
    """Two metrics, or a metric and a column of the engine, do not share a name."""
    _refuse_twice(task, [*_taken(task), ("loss", "the total loss"), ("gradient_norm", "the norm of all gradients")])


def refuse_colliding_columns(task: Task, info: Any) -> None:
    """No two values of a row share a column, and no two values that controllers see share a name."""
    _refuse_twice(task, [*_taken(task), *((name, what) for what, name, _ in _named(info))])
    seen = [("loss", "the total loss"), *((name, "a loss term") for name in info.terms)]
    _refuse_twice(task, [*seen, *((name, "a signal") for name in info.signals)])


def _named(info: Any) -> Iterable[tuple[str, str, Any]]:
    """(what it is, column, value) of all that a step shows."""
    yield "the total loss", "loss", info.loss
    yield from (("a loss term", f"loss/{name}", value) for name, value in info.terms.items())
    yield from (("a signal", name, value) for name, value in info.signals.items())
    yield "the norm of all gradients", "gradient_norm", info.gradient_norm
    yield from (("a gradient norm", f"gradient/{group}", norm) for group, norm in info.gradient.items())
    yield from (("a learning rate", f"rate/{group}", factor) for group, factor in info.rates.items())
    yield from (("a knob", f"control/{name}", value) for name, value in info.knobs.items())
    for controller, own in info.control.items():
        yield from (("the info of a controller", f"control/{controller}/{name}", x) for name, x in own.items())


def _taken(task):
    return [
        *((name, "a column of every row") for name in PLACE),
        *((metric.name, "a metric") for metric in task.metrics),
    ]


def _refuse_twice(task, named):
    count = Counter(name for name, _ in named)
    if twice := [name for name, n in count.items() if n > 1]:
        uses = " and ".join(dict.fromkeys(what for name, what in named if name == twice[0]))
        raise ValueError(f"the task {task.name} has two values called {twice[0]}, {uses}: rename one of them")
