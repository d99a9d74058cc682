"""Adds the grokking detector to any task, as the config asks for it, behind the task's controllers."""

from typing import Any

import jax
import jax.numpy as jnp

from ternary_jax.config.checks import length, unit
from ternary_jax.control.chain import Controls, Signals, chain
from ternary_jax.engine.plan import plan, schedule_rows
from ternary_jax.engine.program import carried_metrics
from ternary_jax.engine.task import Task
from ternary_jax.errors import ConfigError
from ternary_jax.grokking import definitions, generalisation, online
from ternary_jax.grokking.definitions import Watched

NAME = "grokking"  # the detector's name in the chain, and in the columns control/grokking/...
LOSS = "loss"  # the signal of the last step with the total loss


def detecting(task: Task, static: Any) -> Task:
    """The task with the detector as its last controller: it reads the Controls of the others and changes nothing."""
    metrics, thresholds = metrics_of(task, static), definitions.thresholds(static.grokking._asdict())
    measured, control = tuple(carried_metrics(task, static)), chain(task.controllers)
    signals = Signals(jnp.int32(0), _zeros(schedule_rows(task, static)), _zeros(task.signals), _zeros(measured))

    def controls(hypers):
        """Shapes of the Controls after the other controllers."""
        rates = _zeros(jax.eval_shape(task.init, jax.random.key(0), hypers))
        given = Controls(rates, None, task.knobs(hypers))
        return jax.eval_shape(lambda: control.update(control.init(hypers), signals, given)[1])

    pairs = generalisation.pairs((m for m in task.metrics if not m.costly), measured)
    every = plan(static, task.samples_per_epoch).cheap
    detector = online.detector(controls, LOSS, metrics, pairs, every, thresholds)
    return task._replace(
        controllers={**task.controllers, NAME: detector}, signals=tuple(dict.fromkeys([*task.signals, LOSS]))
    )


def metrics_of(task: Task, static: Any) -> tuple[Watched, ...]:
    """The metrics of the detector: those of the config, or all cheap metrics that have a scale."""
    scaled = {m.name: one for m in task.metrics if not m.costly and (one := definitions.scaled(m))}
    _check_evaluations(static)
    _check_metrics(static.grokking, scaled)
    return tuple(scaled[name] for name in static.grokking.metrics or scaled)


def _check_evaluations(static):
    least, total = definitions.thresholds(static.grokking._asdict()).least(), length(static.train)
    evaluations, most = total // static.evaluate.cheap_every, total // (least + 1)
    if evaluations <= least:
        fix = f"evaluate.cheap_every to {most}" if most else f"train.{unit(static.train)} to {least + 1}"
        raise ConfigError(
            f"config.grokking.on=True needs more than {least} evaluations, and there are {evaluations}: set "
            f"config.{fix} or {'less' if most else 'more'}, or config.grokking.on to false"
        )


def _check_metrics(own, scaled):
    there = f"there are {', '.join(scaled)}; name some of these, or set config.grokking.on to false"
    if unknown := [name for name in own.metrics if name not in scaled]:
        raise ConfigError(
            f"config.grokking.metrics={unknown[0]} is not measured at every evaluation, or has no scale: {there}"
        )
    names = own.metrics or tuple(scaled)
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"config.grokking.metrics has {twice[0]} twice, and each may occur once: remove one")
    if len(names) < own.together:
        raise ConfigError(
            f"config.grokking.together={own.together} is more than the {len(names)} metrics that the detector reads: "
            f"give less, or more config.grokking.metrics; {there}"
        )


def _zeros(names):
    return {name: jnp.float32(0) for name in names}
