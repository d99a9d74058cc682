"""One optimizer step of one run: its carry `TrainState`, its info `StepInfo`, and the pure function between them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.flatten_util import ravel_pytree

from ternary_jax.control.chain import Control, Controls, Signals
from ternary_jax.control.look_ahead import forward_over_reverse, learning
from ternary_jax.engine import declared
from ternary_jax.engine.stopping import StopState
from ternary_jax.engine.task import Context, Loss, Task


class TrainState(NamedTuple):
    """The carry of a run, and the content of a checkpoint.

    params: parameters of the task, by group
    opt_state: optimizer state of the `flat` parameters, by group
    control: states of the controllers, by name
    last: `Task.signals` of the last step, which the controllers read
    knobs: `Task.knobs` as the controllers set them for the last step; an evaluation uses these
    metrics: of the last evaluation; before the first, the infinity that is worse than any value
    stop: whether and why the run is held, and the running values that decide it
    task: the arrays of `Task.state`; () without
    """

    params: dict[str, Any]
    opt_state: Any
    control: dict[str, Any]
    last: dict[str, Array]
    knobs: dict[str, Array]
    metrics: dict[str, Array]
    stop: StopState
    task: Any


class StepInfo(NamedTuple):
    """Values of a step that are logged and never carried.

    loss: the total
    terms, signals: as in the task's `Loss`
    gradient: norm by group, before clipping; "learner": of a controller that looks ahead, 0 while it does not learn
    gradient_norm: norm over all groups
    rates, knobs: the controls that the step used
    control: the infos of the controllers, by name
    """

    loss: Array
    terms: dict[str, Array]
    signals: dict[str, Array]
    gradient: dict[str, Array]
    gradient_norm: Array
    rates: dict[str, Array]
    knobs: dict[str, Array]
    control: dict[str, Any]


Step = Callable[[TrainState, tuple[Any, ...], Array, Any, Any], tuple[TrainState, StepInfo]]


def make_step(task: Task, static: Any, tx: optax.GradientTransformationExtraArgs, control: Control) -> Step:
    """step(state, (number, schedule rows), key, hypers, data) -> state, info; one key serves all steps of the run.

    Where the task streams its data, the row of the step follows the schedule rows.

    Where a controller looks ahead, schedule rows have an axis of the steps that it differentiates through. The named
    scopes are those by which a trace of the profiler is read; they add no equation.
    """
    gradient = _gradient(task, static.train.microbatches)

    def train_step(state, xs, key, hypers, data):
        step, schedule, *streamed = xs
        signals = Signals(step, schedule, state.last, state.metrics)
        rates: dict[str, Array] = {group: state.stop.rate for group in state.params}  # noqa: C420
        given = Controls(rates, None, task.knobs(hypers))
        with jax.named_scope("controllers"):
            control_state, controls, infos = control.update(state.control, signals, given)
        context = Context(step, jax.random.fold_in(key, step), controls, hypers, data, state.task, signals, *streamed)
        batch, context = _sampled(task, context)
        gradients, loss = gradient(state.params, batch, context)
        gradients, params = jax.lax.optimization_barrier((flat(gradients), flat(state.params)))
        norms = {group: optax.tree.norm(g) for group, g in gradients.items()}
        with jax.named_scope("optimizer"):
            updates, opt_state = tx.update(
                gradients,
                state.opt_state,
                params,
                rates={group: hypers.train.learning_rate * factor for group, factor in controls.rates.items()},
                weight_decay=hypers.train.weight_decay,
                frozen=controls.frozen,
            )
        readable = {"loss": loss.total} | loss.terms | loss.signals
        readable |= {f"gradient/{group}": norm for group, norm in norms.items()}
        state = state._replace(
            params=_shaped(optax.apply_updates(params, updates), state.params),
            opt_state=opt_state,
            control=control_state,
            last=declared.signals(task, readable),
            knobs={name: controls.knobs[name] for name in state.knobs},
            task=task.state.advance(state.task, batch, loss.aux) if task.state else state.task,
        )
        norm, used = optax.tree.norm(norms), (controls.rates, controls.knobs)
        return state, StepInfo(loss.total, loss.terms, loss.signals, norms, norm, *used, infos)

    def sampled_after(state, number, key, hypers, data):
        """(batch, context of its loss) of step `number`, with the knobs that the state carries."""
        controls = Controls({}, None, state.knobs)
        return _sampled(task, Context(number, jax.random.fold_in(key, number), controls, hypers, data, state.task))

    return learning(train_step, sampled_after, task.look_ahead) if task.look_ahead else train_step


def _gradient(task: Task, parts: int) -> Callable[..., tuple[Any, Loss]]:
    """params, batch, Context -> (gradient of the total, Loss), accumulated over `parts` microbatches."""

    def total(params: Any, batch: Any, context: Context) -> tuple[Array, Loss]:
        with jax.named_scope("loss"):  # its gradient is named transpose(jvp(loss))
            loss = declared.loss(task, task.loss(params, batch, context))
        return loss.total, loss

    gradient = forward_over_reverse(total) if task.look_ahead else jax.grad(total, has_aux=True)
    return gradient if parts == 1 else _in_parts(gradient, parts)


def prng_keys(hypers: Any) -> Array:
    """Two PRNG keys from the seed: that of the initial parameters, and that of the steps."""
    return jax.random.split(jax.random.key(hypers.seed))


def flat(params: dict[str, Any]) -> dict[str, Array]:
    """Each group as one vector: an optimizer over a hundred leaves takes seconds longer to compile than over six."""
    return {group: ravel_pytree(tree)[0] for group, tree in params.items()}


def _shaped(vectors, params):
    return {group: ravel_pytree(tree)[1](vectors[group]) for group, tree in params.items()}


def observables(info: StepInfo) -> dict[str, Array]:
    """The values that have to be finite, by their names in an error; terms first, as a bad term makes gradients bad."""
    return {
        **{f"loss term {name}": value for name, value in info.terms.items()},
        "the loss": info.loss,
        **{f"the gradient of {group}": norm for group, norm in info.gradient.items()},
    }


def first_nonfinite(infos: StepInfo, first: Array) -> tuple[Array, Array]:
    """(step, index into `observables`) of the first value of a chunk that is not finite; step -1 without one."""
    bad = ~jnp.isfinite(jnp.stack([*observables(infos).values()], -1))
    row = jnp.argmax(jnp.any(bad, -1))
    return jnp.where(jnp.any(bad), first + row, -1), jnp.argmax(bad[row])


def _sampled(task: Task, context: Context) -> tuple[Any, Context]:
    """(batch, context of its loss), drawn with different keys."""
    key_batch, key_loss = jax.random.split(context.key)
    with jax.named_scope("sample"):
        batch = task.sample(context._replace(key=key_batch))
    return batch, context._replace(key=key_loss)


def _in_parts(gradient: Callable[..., tuple[Any, Loss]], n: int) -> Callable[..., tuple[Any, Loss]]:
    """The mean gradient and loss over n microbatches, in the memory of one; `aux` of all rows of the batch."""

    def of_parts(params, batch, context):
        def part(summed, x):
            number, batch = x
            found, loss = gradient(params, batch, context._replace(key=jax.random.fold_in(context.key, number)))
            return jax.tree.map(jnp.add, summed, found), loss

        parts = jax.tree.map(lambda x: x.reshape(n, x.shape[0] // n, *x.shape[1:]), batch)
        summed, losses = jax.lax.scan(part, jax.tree.map(jnp.zeros_like, params), (jnp.arange(n), parts))
        aux = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), losses.aux)
        loss = jax.tree.map(lambda x: jnp.mean(x, 0), losses._replace(aux=()))
        return jax.tree.map(lambda g: g / n, summed), loss._replace(aux=aux)

    return of_parts
