"""Column names of the rows in metrics.jsonl: each value that a step reports, by the name under which it is logged."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from ternary_jax.engine import performance
from ternary_jax.engine.task import Task
from ternary_jax.errors import ConfigError

# Columns that say where and when a row was measured. A task without epochs has no column "epoch".
PLACE = ("run", "seed", "step", "epoch", "wall_s", "samples_per_s")


def columns(info: Any) -> dict[str, Any]:
    """The values of a `StepInfo`, by column."""
    return {name: value for _, name, value in _named(info)}


def tags(info: Any) -> dict[str, str]:
    """GROUP/NAME of each column of a `StepInfo` in TensorBoard, which draws the tags of a group together.

    A column with a slash has its group. "loss" stands in the group of that name, as the total of loss/NAME.
    """
    own = {"gradient_norm": "gradient"} | {name: f"signal/{name}" for name in info.signals}
    return {name: own.get(name, name) for _, name, _ in _named(info)}


def refuse_colliding_metrics(task: Task) -> None:
    """Raise a ConfigError where two metrics, or a metric and a column of the engine, share a name."""
    _refuse_shared(task, [*_reserved(task), ("loss", "the total loss"), ("gradient_norm", "the norm of all gradients")])


def refuse_colliding_columns(task: Task, info: Any) -> None:
    """Raise a ConfigError where two values of a row share a column, or two that controllers read share a name."""
    _refuse_shared(task, [*_reserved(task), *((name, what) for what, name, _ in _named(info))])
    readable = [("loss", "the total loss"), *((name, "a loss term") for name in info.terms)]
    _refuse_shared(task, [*readable, *((name, "a signal") for name in info.signals)])


def _named(info: Any) -> Iterable[tuple[str, str, Any]]:
    """(description, column, value) of every value of a `StepInfo`."""
    yield "the total loss", "loss", info.loss
    yield from (("a loss term", f"loss/{name}", value) for name, value in info.terms.items())
    yield from (("a signal", name, value) for name, value in info.signals.items())
    yield "the norm of all gradients", "gradient_norm", info.gradient_norm
    yield from (("a gradient norm", f"gradient/{group}", norm) for group, norm in info.gradient.items())
    yield from (("a learning rate", f"rate/{group}", factor) for group, factor in info.rates.items())
    yield from (("a knob", f"control/{name}", value) for name, value in info.knobs.items())
    for controller, infos in info.control.items():
        yield from (("the info of a controller", f"control/{controller}/{name}", x) for name, x in infos.items())


def _reserved(task):
    # The columns of `performance` are reserved at every log.level, as a workdir may go on with another one.
    return [
        *((name, "a column of every row") for name in PLACE),
        *((name, "a column of log.level=performance") for name in performance.COLUMNS),
        *((metric.name, "a metric") for metric in task.metrics),
    ]


def _refuse_shared(task, named):
    count = Counter(name for name, _ in named)
    if duplicates := [name for name, n in count.items() if n > 1]:
        uses = " and ".join(dict.fromkeys(what for name, what in named if name == duplicates[0]))
        raise ConfigError(f"the task {task.name} has two values called {duplicates[0]}, {uses}: rename one of them")
