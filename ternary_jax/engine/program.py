"""The compiled program of a training: a pure step, scanned over the steps of a chunk, vmapped over runs.

chunk(state, first, hypers) -> state, report
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from ternary_jax.control import schedules
from ternary_jax.control.chain import Control, Controls, chain
from ternary_jax.control.look_ahead import rows_ahead
from ternary_jax.engine import declared, optimizer, stopping
from ternary_jax.engine.columns import refuse_colliding_columns
from ternary_jax.engine.plan import plan, schedule_rows
from ternary_jax.engine.step import StepInfo, TrainState, first_nonfinite, flat, make_step, prng_keys
from ternary_jax.engine.task import Context, Task
from ternary_jax.errors import ConfigError
from ternary_jax.metric import Metric

SCHEDULE = "learning_rate"  # name of the first controller of every chain, and of the schedule row that it follows


class Report(NamedTuple):
    """What the host reads of a chunk; each array has a leading axis of runs.

    info: means over the steps of the chunk
    metrics, stop: as carried at its end
    moved: whether the run took the steps of the chunk, so was not held
    counts: whether the run moved and every loss and gradient was finite
    """

    info: StepInfo
    metrics: dict[str, Array]
    stop: stopping.StopState
    moved: Array
    counts: Array


class Chunk(NamedTuple):
    """chunk(state, first step, hypers) -> state, report.

    program: a jitted function, or one compiled ahead of the first call
    shared: (schedules, data), the further arguments, the same in every call
    stream: first step -> (rows of `Task.stream`,), the last argument; () where the task has none
    """

    program: Any
    shared: Any
    stream: Callable[[int], tuple[Any, ...]]

    def __call__(self, state: TrainState, first: Any, hypers: Any) -> tuple[TrainState, Report]:
        """Dispatch a chunk that begins at the step `first`, an int.

        Streamed rows move to the device here, while it still computes the chunk before, so it has those of two chunks.
        """
        with jax.profiler.StepTraceAnnotation("chunk", step_num=first):  # a trace has its calls by their first steps
            given, streamed = jax.device_put((np.int32(first), self.stream(first)))
            return self.program(state, given, hypers, *self.shared, *streamed)

    def inputs(self, state: Any, hypers: Any) -> tuple[Any, ...]:
        """What the program is lowered for, ahead of the first call: a state of these shapes, a step, hypers, tables,
        and where the task streams its data, rows.
        """
        return state, jax.ShapeDtypeStruct((), jnp.int32), hypers, *self.shared, *self.stream(0)


def measured_metrics(task: Task, static: Any) -> dict[str, Metric]:
    """The metrics that the config measures, by name."""
    return {m.name: m for m in task.metrics if static.evaluate.costly_every or not m.costly}


def carried_metrics(task: Task, static: Any) -> dict[str, Metric]:
    """The metrics in the carry; without the costly ones if these are only measured after the last step."""
    costly = plan(static, task.samples_per_epoch).costly
    return {name: m for name, m in measured_metrics(task, static).items() if costly or not m.costly}


def control_chain(task: Task) -> Control:
    """The whole chain: the schedule of the learning rate, then the controllers of the task."""
    if SCHEDULE in task.controllers:
        raise ConfigError(f"the task {task.name} has a controller called {SCHEDULE}, as the engine has: rename it")
    return chain({SCHEDULE: schedules.follow(SCHEDULE), **task.controllers})


def evaluation_context(state: TrainState, step: Any, hypers: Any, data: Any) -> Context:
    """The Context of an evaluation of a state after `step` steps."""
    return Context(step, None, Controls({}, None, state.knobs), hypers, data, state.task)


def untrained(task: Task, hypers: Any, data: Any) -> tuple[Any, Context]:
    """(params, Context) of a run before its first step, for an evaluation of the untrained model."""
    state = make_init(task, optimizer.adamw_by_group(0.0), chain({}), {})(hypers)
    return state.params, evaluation_context(state, jnp.int32(0), hypers, data)


def make_train(task: Task, static: Any) -> tuple[Any, Chunk]:
    """(init, chunk), jitted and vmapped over runs: hypers -> state, and (state, first step, hypers) -> (state, report).

    Every array of hypers, state and report has a leading axis of runs. The first step is a scalar, the same for all
    runs and a multiple of the chunk. The state passed to a chunk is donated: its arrays cannot be read afterwards.
    """
    steps, control = plan(static, task.samples_per_epoch), control_chain(task)
    shared = jax.device_put((schedule_rows(task, static), task.data))
    tx = optimizer.adamw_by_group(static.train.clip_norm, differentiable=task.look_ahead is not None)
    train_step, evaluate = make_step(task, static, tx, control), make_evaluate(task, static)
    stream = _stream(task, steps.chunk)

    def train_chunk(state, first, hypers, table, data, *streamed):
        rows = {name: _rows(row, first, steps.chunk, task.look_ahead) for name, row in table.items()}
        xs = (first + jnp.arange(steps.chunk, dtype=jnp.int32), rows, *streamed)
        key = prng_keys(hypers)[1]
        unravel: list[Any] = []

        def step(state, xs):  # scan stacks each info as one vector: fifty stacked arrays take longer to compile
            state, info = train_step(state, xs, key, hypers, data)
            row, back = ravel_pytree(info)
            unravel[:] = [back]
            return state, row

        after, rows = jax.lax.scan(step, state, xs)
        infos = jax.vmap(unravel[0])(rows)
        refuse_colliding_columns(task, infos)
        after = after._replace(stop=stopping.add(after.stop, infos.loss, steps.chunk))
        after = evaluate(after, first + steps.chunk, hypers, data)
        bad_step, bad_term = first_nonfinite(infos, first)
        undone = state._replace(stop=stopping.stop_at_nonfinite(state.stop, bad_step, bad_term, static))
        # A run that has stopped, or that is not at the first step of this chunk, is held: it keeps its state.
        moves = (state.stop.reason == stopping.RUNNING) & (state.stop.at == first)
        after = _select(moves, _select(bad_step >= 0, undone, after), state)
        info = jax.tree.map(lambda x: jnp.mean(x, 0), infos)
        return after, Report(info, after.metrics, after.stop, moves, moves & (bad_step < 0))

    axes = (0, None, 0, None, None, *[None] * (task.stream is not None))
    mapped = jax.jit(jax.vmap(train_chunk, in_axes=axes), donate_argnums=0)
    init = jax.jit(jax.vmap(make_init(task, tx, control, carried_metrics(task, static))))
    return init, Chunk(mapped, shared, stream)


def make_evaluate(task: Task, static: Any) -> Callable[..., TrainState]:
    """state, end, hypers, data -> the state with the metrics that are due, and with the stop state judged by them."""
    steps, metrics_of = plan(static, task.samples_per_epoch), carried_metrics(task, static)

    def evaluate(state, end, hypers, data):
        context = evaluation_context(state, end, hypers, data)

        def cheap(state):
            metrics = state.metrics | declared.metrics(task, task.evaluate(state.params, context), costly=False)
            if steps.costly:
                metrics = jax.lax.cond(steps.due(end, steps.costly), costly, lambda metrics: metrics, metrics)
            elif static.evaluate.costly_every:
                declared.check_costly(task, state.params, context)
            return state._replace(metrics=metrics, stop=stopping.evaluated(state.stop, metrics, metrics_of, static))

        def costly(metrics):
            return metrics | declared.metrics(task, task.costly(state.params, context), costly=True)

        with jax.named_scope("evaluate"):
            return jax.lax.cond(steps.due(end, steps.cheap), cheap, lambda state: state, state)

    return evaluate


def make_init(task: Task, tx: Any, control: Control, metrics: Mapping[str, Metric]) -> Callable[[Any], TrainState]:
    """hypers -> the state of a run before its first step. control: the whole chain; metrics: those in the carry."""

    def init(hypers):
        key = prng_keys(hypers)[0]
        params = declared.params(task, task.init(key, hypers))
        return TrainState(
            params=params,
            opt_state=tx.init(flat(params)),
            control=control.init(hypers),
            last={name: jnp.float32(jnp.inf) for name in task.signals},
            knobs={name: jnp.asarray(value, jnp.float32) for name, value in task.knobs(hypers).items()},
            metrics={name: jnp.float32(-jnp.inf * metric.better) for name, metric in metrics.items()},
            stop=stopping.init(),
            # A PRNG stream of its own, so that the parameters do not depend on whether the task carries a state.
            task=task.state.init(jax.random.fold_in(key, 1), hypers) if task.state else (),
        )

    return init


def _stream(task: Task, n: int) -> Callable[[int], tuple[Any, ...]]:
    """First step -> (the rows of `Task.stream` of n steps,), or () where the task has none."""
    of_steps = task.stream
    if of_steps is None:
        return lambda first: ()
    if task.look_ahead:
        raise ConfigError(
            f"Task.stream and Task.look_ahead of {task.name} are both given, and a controller that looks ahead needs "
            "the rows of later steps: give the data in Task.data, or no look_ahead"
        )
    return lambda first: (declared.streamed(task, of_steps(int(first), n), n),)


def _rows(row, first, n, look_ahead):
    """The schedule of n steps, (n,); where a controller looks k steps ahead, that of k steps from each on, (n, k)."""
    if look_ahead is None:
        return jax.lax.dynamic_slice_in_dim(row, first, n)
    return rows_ahead(row, first, n, look_ahead.ahead)


def _select(condition, if_true, if_false):
    return jax.tree.map(functools.partial(jnp.where, condition), if_true, if_false)
