"""Early stopping of a run: decided on the device at the end of a chunk, and carried.

A stopped run keeps its state, so its result depends neither on the other runs of the batch, nor on the host, which
reads the decision one chunk later.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from ternary_jax.config.checks import unit
from ternary_jax.errors import ConfigError
from ternary_jax.metric import Metric

RUNNING, CONVERGED, GREW, PLATEAU, TARGETS, NOT_FINITE = range(6)
DIVERGED = (GREW, NOT_FINITE)


class StopState(NamedTuple):
    """State of the stopping rules.

    reason: RUNNING, CONVERGED, GREW, PLATEAU, TARGETS or NOT_FINITE
    at: steps that the run has done, the same for all runs, except those that were rolled back
    rate: factor on the learning rate, halved by every rollback
    rollbacks: number of rollbacks
    bad_step: step of the last loss or gradient that was not finite; -1 without one
    bad_term: index of that value in `step.observables`
    loss_sum, loss_steps: sum and number of the losses since the last evaluation
    first_loss, best_loss, best_watch: inf, inf, -inf before the first evaluation
    loss_waited, watch_waited: evaluations without progress of the loss, of the metric `stop.watch`
    """

    reason: Array
    at: Array
    rate: Array
    rollbacks: Array
    bad_step: Array
    bad_term: Array
    loss_sum: Array
    loss_steps: Array
    first_loss: Array
    best_loss: Array
    best_watch: Array
    loss_waited: Array
    watch_waited: Array


def init() -> StopState:
    """The stop state of a run before its first step."""
    zeros = StopState(*(jnp.int32(0),) * len(StopState._fields))
    floats = dict(rate=1.0, loss_sum=0.0, first_loss=jnp.inf, best_loss=jnp.inf, best_watch=-jnp.inf)
    return zeros._replace(bad_step=jnp.int32(-1), **{name: jnp.float32(x) for name, x in floats.items()})


def add(stop: StopState, losses: Array, steps: int) -> StopState:
    """Count a chunk: its losses, (steps,), enter the mean loss that the next evaluation judges."""
    return stop._replace(
        at=stop.at + steps, loss_sum=stop.loss_sum + jnp.sum(losses), loss_steps=stop.loss_steps + steps
    )


def evaluated(stop: StopState, metrics: dict[str, Array], of: dict[str, Metric], static: Any) -> StopState:
    """Judge an evaluation: count progress, set the reason if a rule stops the run. A rule that is off is not traced.

    GREW: loss > stop.divergence |first loss|
    TARGETS: every targets.METRIC is met, without a collapse
    CONVERGED: the loss gained less than stop.loss_share for stop.loss_patience evaluations in a row, with the metric
        stop.watch at stop.watch_threshold or better
    PLATEAU: below that threshold, stop.watch gained less than stop.watch_share for stop.watch_patience in a row
    """
    s = static.stop
    loss = stop.loss_sum / jnp.maximum(stop.loss_steps, 1)
    stop = stop._replace(loss_sum=0 * loss, loss_steps=0 * stop.loss_steps)
    sign = of[s.watch].better
    watch, threshold = sign * metrics[s.watch], sign * s.watch_threshold
    verdicts = []
    if s.divergence:
        first = jnp.where(jnp.isinf(stop.first_loss), loss, stop.first_loss)
        stop = stop._replace(first_loss=first)
        verdicts.append((GREW, loss > s.divergence * jnp.abs(first)))
    if s.on_targets and (targets := targets_of(static)):
        met = [of[name].meets(metrics[name], value) for name, value in targets.items()]
        verdicts.append((TARGETS, jnp.all(jnp.stack(met))))
    if s.loss_patience:
        gained = jnp.isinf(stop.best_loss) | (loss < stop.best_loss - s.loss_share * jnp.abs(stop.best_loss))
        waited = jnp.where(gained, 0, stop.loss_waited + 1)
        stop = stop._replace(best_loss=jnp.where(gained, loss, stop.best_loss), loss_waited=waited)
        verdicts.append((CONVERGED, (waited >= s.loss_patience) & (watch >= threshold)))
    if s.watch_patience:
        gained = watch > stop.best_watch + s.watch_share
        waited = jnp.where(gained, 0, stop.watch_waited + 1)
        stop = stop._replace(best_watch=jnp.where(gained, watch, stop.best_watch), watch_waited=waited)
        verdicts.append((PLATEAU, (waited >= s.watch_patience) & (watch < threshold)))
    for reason, holds in reversed(verdicts):  # the first verdict that holds is written last
        stop = stop._replace(reason=jnp.where(holds, reason, stop.reason))
    return stop


def stop_at_nonfinite(stop: StopState, bad_step: Array, bad_term: Array, static: Any) -> StopState:
    """After a loss or gradient that is not finite: stop, or roll back at half the rate, at most max_rollbacks times."""
    allowed = static.train.max_rollbacks if static.train.on_nan == "rollback" else 0
    again = stop.rollbacks < allowed
    return stop._replace(
        reason=jnp.where(again, RUNNING, NOT_FINITE),
        rate=jnp.where(again, stop.rate / 2, stop.rate),
        rollbacks=jnp.where(again, stop.rollbacks + 1, stop.rollbacks),
        bad_step=bad_step,
        bad_term=bad_term,
    )


def targets_of(static: Any) -> dict[str, float]:
    """The values of targets.METRIC in the config, by metric."""
    return static.targets._asdict() if hasattr(static, "targets") else {}


def describe(reason: int, watch: str, train: Any) -> str:
    """The reason in words, for summary.json. train: the config group, which has the unit that the run is counted in."""
    done = f"{unit(train)} done"
    return (done, "converged", "diverged", f"{watch} plateau", "targets reached", "diverged")[reason]


def check(static: Any, metrics: dict[str, Metric]) -> None:
    """Raise a ConfigError where a key names a metric that is not measured, or not at every evaluation that reads it."""
    targets, every_evaluation = targets_of(static), {"stop.watch": static.stop.watch}
    if (best := static.checkpoint.best_metric) != "loss":
        every_evaluation["checkpoint.best_metric"] = best
    for key, name in (every_evaluation | {f"targets.{name}": name for name in targets}).items():
        if name not in metrics:
            raise ConfigError(f"config.{key}={name} is not measured: set it to one of {', '.join(metrics)}")
    costly, cheap = static.evaluate.costly_every, static.evaluate.cheap_every
    for key, name in every_evaluation.items():
        if metrics[name].costly and costly != cheap:
            raise ConfigError(
                f"config.{key}={name} is measured every {costly} {unit(static.train)} only: name a cheap one, or set "
                f"evaluate.costly_every to evaluate.cheap_every={cheap}"
            )
    if static.stop.on_targets and not targets:
        raise ConfigError("config.stop.on_targets=True needs targets: set targets.METRIC, or leave it False")
