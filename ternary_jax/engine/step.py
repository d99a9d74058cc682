"""One optimizer step of one run: what is carried, what is observed, and the pure function between them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.custom_derivatives import SymbolicZero
from jax.flatten_util import ravel_pytree

from ternary_jax.control.chain import Control, Controls, Learner, Signals
from ternary_jax.engine.stopping import StopState
from ternary_jax.engine.task import Context, Loss, Task


class TrainState(NamedTuple):
    """All that a run carries, and all that a checkpoint holds.

    params, opt_state: of the task and the optimizer, by group; the latter of `flat` parameters
    control: state of the controller chain
    last: what the controllers see of the last step
    knobs: those of `Task.knobs`, as they were turned for the last step: part of the model where it is measured
    metrics: of the last evaluation; before the first, the infinity that is worse than any value
    stop: whether and why the run is held, and what that is decided by
    """

    params: dict[str, Any]
    opt_state: Any
    control: Any
    last: dict[str, Array]
    knobs: dict[str, Array]
    metrics: dict[str, Array]
    stop: StopState


class StepInfo(NamedTuple):
    """What is only observed of a step.

    loss: the total; terms: its parts; signals: as the task gave them
    gradient: norm by group, before clipping, and of what learns by looking ahead, 0 in the steps in which it does not;
        gradient_norm: of all groups together
    rates, knobs: the controls that were used
    """

    loss: Array
    terms: dict[str, Array]
    signals: dict[str, Array]
    gradient: dict[str, Array]
    gradient_norm: Array
    rates: dict[str, Array]
    knobs: dict[str, Array]


LEARNER = "learner"  # beside the groups in StepInfo.gradient

Step = Callable[[TrainState, tuple[Array, dict[str, Array]], Array, Any, Any], tuple[TrainState, StepInfo]]


def make_step(task: Task, static: Any, tx: optax.GradientTransformationExtraArgs, control: Control) -> Step:
    """step(state, (number, schedule rows), key, hypers, data) -> state, info; key: that of all steps of the run."""

    def train_step(state, xs, key, hypers, data):
        step, schedule = xs
        rates: dict[str, Array] = {group: state.stop.rate for group in state.params}  # noqa: C420
        control_state, controls = control.update(
            state.control, Signals(step, schedule, state.last, state.metrics), Controls(rates, None, task.knobs(hypers))
        )
        context = Context(step, jax.random.fold_in(key, step), controls, hypers, data)
        loss, gradients = _loss_and_gradients(task, static.train.microbatches, state.params, context)
        gradients, params = jax.lax.optimization_barrier((flat(gradients), flat(state.params)))
        norms = {group: optax.tree.norm(g) for group, g in gradients.items()}
        updates, opt_state = tx.update(
            gradients,
            state.opt_state,
            params,
            rates={group: hypers.train.learning_rate * factor for group, factor in controls.rates.items()},
            weight_decay=hypers.train.weight_decay,
            frozen=controls.frozen,
        )
        seen = {"loss": loss.total} | loss.terms | loss.signals
        seen |= {f"gradient/{group}": norm for group, norm in norms.items()}
        state = state._replace(
            params=_shaped(optax.apply_updates(params, updates), state.params),
            opt_state=opt_state,
            control=control_state,
            last={name: seen[name] for name in task.signals},
            knobs={name: controls.knobs[name] for name in state.knobs},
        )
        together = optax.tree.norm(norms)
        return state, StepInfo(loss.total, loss.terms, loss.signals, norms, together, controls.rates, controls.knobs)

    return train_step


def look_ahead(step: Step, task: Task, learner: Learner) -> Step:
    """A step in which a controller learns, every so many steps, from k of them: the first of these is taken.

        phi <- descend(phi, d/dphi reference(theta_k(phi))), theta_i+1 = step(theta_i, controls(phi))

    Differentiated through the controls, the losses, clipping and Adam. The schedule of a step has k rows, of the steps
    from there on. The reference is taken over the first rows of the batch of the step after the last. Steps without a
    gradient of phi report 0 for it.
    """
    if task.reference is None:
        raise ValueError(f"the task {task.name} has a learner, and no reference that it is to lower")
    reference = task.reference

    def learn(state, xs, key, hypers, data):
        number, rows = xs

        def ahead(phi):
            first, info = step(state._replace(control=learner.put(state.control, phi)), _row(xs, 0), key, hypers, data)
            last = first
            if learner.ahead > 1:
                later = jax.tree.map(lambda x: x[1:], (number + jnp.arange(learner.ahead, dtype=jnp.int32), rows))
                last = jax.lax.scan(lambda s, xs: (step(s, xs, key, hypers, data)[0], None), first, later)[0]
            end = number + learner.ahead
            context = Context(end, jax.random.fold_in(key, end), Controls({}, None, last.knobs), hypers, data)
            batch, context = _sampled(task, context)
            some = jax.tree.map(lambda rows: rows[: max(1, round(learner.share * len(rows)))], batch)
            return reference(last.params, last.knobs, some, context), (first, info)

        slope, (after, info) = jax.grad(ahead, has_aux=True)(learner.get(state.control))
        return after._replace(control=learner.descend(after.control, slope)), seen(info, optax.tree.norm(slope))

    def plain(state, xs, *rest):
        state, info = step(state, _row(xs, 0), *rest)
        return state, seen(info, jnp.float32(0))

    def seen(info, norm):
        """With the norm of the gradient of what learns, which has to be finite as all the others."""
        return info._replace(gradient=info.gradient | {LEARNER: norm})

    def train_step(state, xs, key, hypers, data):
        given = state, xs, key, hypers, data
        if learner.every == 1:
            return learn(*given)
        return jax.lax.cond(xs[0] % learner.every == 0, learn, plain, *given)

    return train_step


def _row(xs, k):
    number, rows = xs
    return number + k, {name: row[k] for name, row in rows.items()}


def flat(params: dict[str, Any]) -> dict[str, Array]:
    """Each group as one vector: an optimizer of a hundred leaves takes seconds to compile, of six vectors not."""
    return {group: ravel_pytree(tree)[0] for group, tree in params.items()}


def _shaped(vectors, params):
    return {group: ravel_pytree(tree)[1](vectors[group]) for group, tree in params.items()}


def keys(hypers: Any) -> Array:
    """(of the initial parameters, of the steps), from the seed."""
    return jax.random.split(jax.random.key(hypers.seed))


def observables(info: StepInfo) -> dict[str, Array]:
    """What has to be finite, by its name in an error: a bad term makes gradients bad, and is named before them."""
    return {
        **{f"loss term {name}": value for name, value in info.terms.items()},
        "the loss": info.loss,
        **{f"the gradient of {group}": norm for group, norm in info.gradient.items()},
    }


def first_bad(infos: StepInfo, first: Array) -> tuple[Array, Array]:
    """Step and place in `observables` of the first value of a chunk that is not finite; step -1 where all are."""
    bad = ~jnp.isfinite(jnp.stack([*observables(infos).values()], -1))
    row = jnp.argmax(jnp.any(bad, -1))
    return jnp.where(jnp.any(bad), first + row, -1), jnp.argmax(bad[row])


def _sampled(task: Task, context: Context) -> tuple[Any, Context]:
    """(batch, what its loss goes by): each has a key of its own."""
    key_batch, key_loss = jax.random.split(context.key)
    return task.sample(context._replace(key=key_batch)), context._replace(key=key_loss)


def _loss_and_gradients(task: Task, n: int, params: Any, context: Context) -> tuple[Loss, Any]:
    """Of a batch; over n microbatches, one after the other in the memory of one, their means."""
    batch, context = _sampled(task, context)

    def total(params, batch, context):
        loss = task.loss(params, batch, context)
        return loss.total, loss

    gradient = gradient_of(total)
    if n == 1:
        return gradient(params, batch, context)[::-1]

    def micro(summed, part):
        number, batch = part
        found, loss = gradient(params, batch, context._replace(key=jax.random.fold_in(context.key, number)))
        return jax.tree.map(jnp.add, summed, found), loss

    parts = jax.tree.map(lambda x: x.reshape(n, x.shape[0] // n, *x.shape[1:]), batch)
    summed, losses = jax.lax.scan(micro, jax.tree.map(jnp.zeros_like, params), (jnp.arange(n), parts))
    return jax.tree.map(lambda x: jnp.mean(x, 0), losses), jax.tree.map(lambda g: g / n, summed)


def gradient_of(f: Callable[..., tuple[Array, Any]]) -> Callable[..., tuple[Any, Any]]:
    """x, *rest -> (df/dx, what f says beside), as by jax.grad, but differentiated forwards, along the cotangent w:

        d/dy (w . df/dx) = jvp of df/dy along w,  for y any part of x and rest

    Only for y that are asked for, and linearised where df/dx is first computed, which is not computed again. Backwards
    through the way back, a gradient of all weights would have to be gone through for the few knobs. What is said beside
    it is gone through backwards, and once more. f has to be differentiable by jax's own rules, as d/dy and d/dx are
    exchanged; jvp through the gradient itself is not possible.
    """

    def total(y, given):
        return f(*_over(lambda a, b: b if a is None else a, y, given))

    @jax.custom_vjp
    def gradient(*given):
        return jax.grad(f, has_aux=True)(*given)

    def forwards(*given):
        x, *rest = jax.tree.map(lambda one: one.value, given)
        asked = jax.tree.map(lambda one: one.value if one.perturbed else None, given[1:])

        def slopes(x):
            return jax.grad(total, has_aux=True)((x, *asked), (x, *rest))

        found, along, said = jax.linearize(slopes, x, has_aux=True)
        return (found[0], said), (along, x, rest, asked)

    def backwards(kept, cotangents):
        along, x, rest, asked = kept
        w, beside = _over(lambda w: None if isinstance(w, SymbolicZero) else w, cotangents)
        found = along(_over(lambda w, x: jnp.zeros_like(x) if w is None else w, w, x))
        if not jax.tree.leaves(beside):
            return found

        def said(y):
            parts = _over(lambda w, a: None if w is None else jnp.vdot(w, a), beside, total(y, (x, *rest))[1])
            return sum(jax.tree.leaves(parts))

        return jax.tree.map(jnp.add, found, jax.grad(said)((x, *asked)))

    gradient.defvjp(forwards, backwards, symbolic_zeros=True)
    return gradient


def _over(f, *trees):
    """Mapped over leaves, None among them."""
    return jax.tree.map(f, *trees, is_leaf=lambda a: a is None)
