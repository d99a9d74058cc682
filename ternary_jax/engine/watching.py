"""The detector of grokking, as a config asks for it, behind the controllers of any task."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp

from ternary_jax.control.chain import Control, Controls, Signals
from ternary_jax.engine.task import Task
from ternary_jax.grokking import definitions, generalisation, online
from ternary_jax.grokking.definitions import Watched
from ternary_jax.keys import ConfigError

LOSS = "loss"  # the total, among the signals of the last step


def detector(
    task: Task, static: Any, control: Control, metrics: Iterable[str], schedule: Iterable[str], every: int
) -> Control:
    """To go behind `control`, whose rates and knobs it has to know of before there is a step.

    metrics: all that a run carries; schedule: the names of the open-loop schedules; every: steps from one evaluation to
    the next
    """
    metrics, thresholds = tuple(metrics), definitions.thresholds(static.grokking._asdict())
    signals = Signals(jnp.int32(0), _zeros(schedule), _zeros(task.signals), _zeros(metrics))

    def turned(hypers):
        rates = _zeros(jax.eval_shape(task.init, jax.random.key(0), hypers))
        given = Controls(rates, None, task.knobs(hypers))
        return jax.eval_shape(lambda: control.update(control.init(hypers), signals, given)[1])

    pairs = generalisation.pairs(((m.name, m.better, m.best, m.chance) for m in task.metrics if not m.costly), metrics)
    return online.detector(turned, LOSS, metrics_of(task, static), pairs, every, thresholds)


def metrics_of(task: Task, static: Any) -> tuple[Watched, ...]:
    """What the detector goes by: the metrics of the config, or all that every evaluation measures, of a scale.

    Raises ConfigError where there are too few, and where there are too few evaluations to find anything.
    """
    own, least = static.grokking, definitions.thresholds(static.grokking._asdict()).least()
    evaluations = static.train.epochs // static.evaluate.cheap_every
    if evaluations <= least:
        most = static.train.epochs // (least + 1)
        fix = f"evaluate.cheap_every to {most} or less" if most else f"train.epochs to {least + 1} or more"
        raise ConfigError(
            f"config.grokking.on=True needs more than {least} evaluations, and there are {evaluations}: set "
            f"config.{fix}, or config.grokking.on to false"
        )
    scaled = {
        m.name: one
        for m in task.metrics
        if not m.costly and (one := definitions.watched(m.name, m.better, m.best, m.chance, m.untrained))
    }
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
    return tuple(scaled[name] for name in names)


def _zeros(names):
    return {name: jnp.float32(0) for name in names}
