"""The detector of grokking, as a config asks for it, behind the controllers of any task."""

from typing import Any

import jax
import jax.numpy as jnp

from ternary_jax.config.checks import length, unit
from ternary_jax.control.chain import Controls, Signals, chain
from ternary_jax.engine.plan import plan, schedule_rows
from ternary_jax.engine.program import carried
from ternary_jax.engine.task import Task
from ternary_jax.errors import ConfigError
from ternary_jax.grokking import definitions, generalisation, online
from ternary_jax.grokking.definitions import Watched

NAME = "grokking"  # in the chain of controllers, and so in the columns control/grokking/...
LOSS = "loss"  # the total, among the signals of the last step


def detecting(task: Task, static: Any) -> Task:
    """The task with the detector as its last controller: it turns nothing, and sees what the others have turned."""
    metrics, thresholds = metrics_of(task, static), definitions.thresholds(static.grokking._asdict())
    measured, control = tuple(carried(task, static)), chain(task.controllers)
    signals = Signals(jnp.int32(0), _zeros(schedule_rows(task, static)), _zeros(task.signals), _zeros(measured))

    def turned(hypers):
        """Shapes of the Controls as the other controllers leave them."""
        rates = _zeros(jax.eval_shape(task.init, jax.random.key(0), hypers))
        given = Controls(rates, None, task.knobs(hypers))
        return jax.eval_shape(lambda: control.update(control.init(hypers), signals, given)[1])

    pairs = generalisation.pairs((m for m in task.metrics if not m.costly), measured)
    every = plan(static, task.samples_per_epoch).cheap
    detector = online.detector(turned, LOSS, metrics, pairs, every, thresholds)
    return task._replace(
        controllers={**task.controllers, NAME: detector}, signals=tuple(dict.fromkeys([*task.signals, LOSS]))
    )


def metrics_of(task: Task, static: Any) -> tuple[Watched, ...]:
    """What the detector goes by: the metrics of the config, or all that every evaluation measures, of a scale."""
    scaled = {m.name: one for m in task.metrics if not m.costly and (one := definitions.scaled(m))}
    check_evaluations(static)
    check_metrics(static.grokking, scaled)
    return tuple(scaled[name] for name in static.grokking.metrics or scaled)


def check_evaluations(static: Any) -> None:
    """There are enough evaluations for an event to be found."""
    least, every = definitions.thresholds(static.grokking._asdict()).least(), static.evaluate.cheap_every
    evaluations = length(static.train) // every
    if evaluations <= least:
        most = length(static.train) // (least + 1)
        fix = (
            f"evaluate.cheap_every to {most} or less" if most else f"train.{unit(static.train)} to {least + 1} or more"
        )
        raise ConfigError(
            f"config.grokking.on=True needs more than {least} evaluations, and there are {evaluations}: set "
            f"config.{fix}, or config.grokking.on to false"
        )


def check_metrics(own: Any, scaled: dict[str, Watched]) -> None:
    """The metrics that are named have a scale and differ, and there are enough of them to rise together."""
    there = f"there are {', '.join(scaled)}; name some of these, or set config.grokking.on to false"
    if unknown := [name for name in own.metrics if name not in scaled]:
        raise ConfigError(
            f"config.grokking.metrics={unknown[0]} is not measured at every evaluation, or has no scale: {there}"
        )
    names = own.metrics or tuple(scaled)
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"config.grokking.metrics has {twice[0]} twice: a metric does not confirm itself")
    if len(names) < own.together:
        raise ConfigError(
            f"config.grokking.together={own.together} metrics have to rise, and config.grokking.metrics names "
            f"{len(names)}: {there}"
        )


def _zeros(names):
    return {name: jnp.float32(0) for name in names}
