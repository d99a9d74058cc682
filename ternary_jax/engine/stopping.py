"""When a run ends before its epochs: decided on the device, at the ends of chunks, and carried.

A stopped run is held where it stopped, so that it does not matter which other runs go on beside it, nor that the host
learns of it one chunk later.
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
    """reason: one of the above
    at: the step that the run has come to. All runs are at the same step, except those that were rolled back
    rate: factor on the learning rate, halved by every rollback; rollbacks: how many
    bad_step: of the last loss or gradient that was not finite, -1 without one; bad_term: which of `step.observables`
    loss_sum, loss_steps: of the loss since the last evaluation
    first_loss, best_loss, best_watch: inf, inf, -inf before the first evaluation
    loss_waited, watch_waited: evaluations without progress of the loss, of the watched metric
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
    """Of a run that is at its beginning."""
    zeros = StopState(*(jnp.int32(0),) * len(StopState._fields))
    floats = dict(rate=1.0, loss_sum=0.0, first_loss=jnp.inf, best_loss=jnp.inf, best_watch=-jnp.inf)
    return zeros._replace(bad_step=jnp.int32(-1), **{name: jnp.float32(x) for name, x in floats.items()})


def add(stop: StopState, losses: Array, steps: int) -> StopState:
    """After a chunk of so many steps: its losses, (steps,), count into the mean that the next evaluation judges."""
    return stop._replace(
        at=stop.at + steps, loss_sum=stop.loss_sum + jnp.sum(losses), loss_steps=stop.loss_steps + steps
    )


def evaluated(stop: StopState, metrics: dict[str, Array], of: dict[str, Metric], static: Any) -> StopState:
    """Count the progress that an evaluation shows; set the reason if a rule stops the run. What is off is not traced.

    grew: loss > stop.divergence |first loss|
    targets: every targets.METRIC is met, and by no collapse
    converged: the loss gained less than stop.loss_share for stop.loss_patience evaluations in a row, with the watched
        metric at stop.watch_threshold or better
    plateau: below that threshold, the watched metric gained less than stop.watch_share for stop.watch_patience of them
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
    targets = targets_of(static) if s.on_targets else {}
    if targets:
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
    for reason, holds in reversed(verdicts):  # the first of them has the last word
        stop = stop._replace(reason=jnp.where(holds, reason, stop.reason))
    return stop


def went_bad(stop: StopState, bad_step: Array, bad_term: Array, static: Any) -> StopState:
    """After a loss or gradient that was not finite: stop, or go back at half the rate, max_rollbacks times at most."""
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
    """targets.METRIC of the config, by metric."""
    return static.targets._asdict() if hasattr(static, "targets") else {}


def describe(reason: int, watch: str, train: Any) -> str:
    """The reason in words, for summary.json. train: the group of the config, which says what the run is counted in."""
    done = f"{unit(train)} done"
    return (done, "converged", "diverged", f"{watch} plateau", "targets reached", "diverged")[reason]


def check(static: Any, metrics: dict[str, Metric]) -> None:
    """Raise a ConfigError where the config speaks of a metric that is not measured, or not when it is asked for."""
    targets = targets_of(static)
    check_measured("stop.watch", static.stop.watch, metrics)
    check_often("stop.watch", static.stop.watch, static, metrics)
    for name in targets:
        check_measured(f"targets.{name}", name, metrics)
    if (best := static.checkpoint.best_metric) != "loss":
        check_measured("checkpoint.best_metric", best, metrics)
        check_often("checkpoint.best_metric", best, static, metrics)
    if static.stop.on_targets and not targets:
        raise ConfigError("config.stop.on_targets=True needs targets: set targets.METRIC, or leave it False")


def check_measured(key: str, name: str, metrics: dict[str, Metric]) -> None:
    """A metric that a key names is measured."""
    if name not in metrics:
        raise ConfigError(f"config.{key}={name} is not measured: there are {', '.join(metrics)}")


def check_often(key: str, name: str, static: Any, metrics: dict[str, Metric]) -> None:
    """A metric that decides at every evaluation is measured at every evaluation."""
    costly, cheap = static.evaluate.costly_every, static.evaluate.cheap_every
    if metrics[name].costly and costly != cheap:
        raise ConfigError(
            f"config.{key}={name} is measured every {costly} {unit(static.train)} only: name a cheap one, or set "
            f"evaluate.costly_every to evaluate.cheap_every={cheap}"
        )
