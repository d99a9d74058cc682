"""Look-ahead learning of a controller: its parameters phi descend a reference objective, k training steps later.

    phi <- descend(phi, d/dphi reference(theta_k(phi))),  theta_i+1 = step(theta_i, controls(phi))

The gradient passes through the controls, the losses, gradient clipping and the optimizer.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.custom_derivatives import SymbolicZero

LEARNER = "learner"  # key of the controller's gradient norm, among those of the groups


class LookAhead(NamedTuple):
    """How a controller of the chain learns.

    controller: its name in the chain
    get: controller state -> its parameters phi; put: controller state, phi -> controller state
    descend: controller state, gradient of phi -> controller state
    reference: params, batch, Context -> the objective to lower, which reads no knob. If the controller could change
        a weight or a length of the objective, it would lower it without a change of the parameters
    every: steps from one gradient of phi to the next; ahead: k >= 1, the training steps that it passes through
    share: fraction of the rows of a batch on which the reference is evaluated
    """

    controller: str
    get: Callable[[Any], Any]
    put: Callable[[Any, Any], Any]
    descend: Callable[[Any, Any], Any]
    reference: Callable[[Any, Any, Any], Array]
    every: int
    ahead: int
    share: float

    def changed(self, states: dict[str, Any], change: Callable[[Any, Any], Any], value: Any) -> dict[str, Any]:
        """The states of the chain in which the controller's own state is `change(own state, value)`."""
        return states | {self.controller: change(states[self.controller], value)}


def learning(step: Callable[..., Any], sampled: Callable[..., Any], own: LookAhead) -> Callable[..., Any]:
    """A training step in which the controller also learns, at every `own.every`-th step.

    step: state, (number, schedule rows), key, hypers, data -> state, info; its gradient is `forward_over_reverse`
    sampled: state, number, key, hypers, data -> batch, Context of its loss

    A learning step simulates k steps for the gradient of phi, and keeps the first of them. Its schedules have k rows,
    from this step on. The reference is evaluated on the first rows of the batch after the k steps. The other steps
    report 0 for the norm of the gradient of phi.
    """

    def learn(state, xs, key, hypers, data):
        number, rows = xs

        def ahead(phi):
            begun = state._replace(control=own.changed(state.control, own.put, phi))
            first, info = step(begun, _first(xs), key, hypers, data)
            last = first
            if own.ahead > 1:
                later = jax.tree.map(lambda x: x[1:], (number + jnp.arange(own.ahead, dtype=jnp.int32), rows))
                last = jax.lax.scan(lambda s, xs: (step(s, xs, key, hypers, data)[0], None), first, later)[0]
            batch, context = sampled(last, number + own.ahead, key, hypers, data)
            some = jax.tree.map(lambda rows: rows[: max(1, round(own.share * len(rows)))], batch)
            return own.reference(last.params, some, context), (first, info)

        slope, (after, info) = jax.grad(ahead, has_aux=True)(own.get(state.control[own.controller]))
        after = after._replace(control=own.changed(after.control, own.descend, slope))
        return after, with_norm(info, optax.tree.norm(slope))

    def plain(state, xs, *rest):
        state, info = step(state, _first(xs), *rest)
        return state, with_norm(info, jnp.float32(0))

    def with_norm(info, norm):
        """The info with the norm of the gradient of phi: like the norms of the groups, it has to be finite."""
        return info._replace(gradient=info.gradient | {LEARNER: norm})

    def learning_step(state, xs, *rest):
        return jax.lax.cond(xs[0] % own.every == 0, learn, plain, state, xs, *rest)

    return learn if own.every == 1 else learning_step


def rows_ahead(row: Array, first: Array, n: int, ahead: int) -> Array:
    """Windows (n, ahead) of a schedule (steps,), one a step from `first` on; past the end, the last value repeats."""
    steps = first + jnp.arange(n)[:, None] + jnp.arange(ahead)[None]
    return row[jnp.minimum(steps, len(row) - 1)]


def _first(xs):
    """The number and the schedule values of the first of the k steps."""
    number, rows = xs
    return number, {name: row[0] for name, row in rows.items()}


def forward_over_reverse(f: Callable[..., tuple[Array, Any]]) -> Callable[..., tuple[Any, Any]]:
    """jax.grad(f, has_aux=True), x, *rest -> (df/dx, aux), whose own VJP along a cotangent w is a forward-mode JVP:

        d/dy (w . df/dx) = jvp of df/dy along w,  for y any part of x and rest

    Reverse-over-reverse would differentiate through the gradient of every weight; forward-over-reverse costs one JVP
    per controller output. jax.linearize makes this JVP in the forward pass, together with df/dx, only for the y that
    need a gradient. aux is differentiated in reverse mode. f may have no custom derivative rules, as d/dy and d/dx are
    exchanged. A JVP of the returned function is not possible.
    """

    def total(y, given):
        return f(*_over(lambda a, b: b if a is None else a, y, given))

    @jax.custom_vjp
    def gradient(*given):
        return jax.grad(f, has_aux=True)(*given)

    def forwards(*given):
        x, *rest = jax.tree.map(lambda one: one.value, given)
        perturbed = jax.tree.map(lambda one: one.value if one.perturbed else None, given[1:])

        def slopes(x):
            return jax.grad(total, has_aux=True)((x, *perturbed), (x, *rest))

        found, jvp, aux = jax.linearize(slopes, x, has_aux=True)
        return (found[0], aux), (jvp, x, rest, perturbed)

    def backwards(residuals, cotangents):
        jvp, x, rest, perturbed = residuals
        w, w_aux = _over(lambda w: None if isinstance(w, SymbolicZero) else w, cotangents)
        found = jvp(_over(lambda w, x: jnp.zeros_like(x) if w is None else w, w, x))
        if not jax.tree.leaves(w_aux):
            return found

        def weighted_aux(y):
            parts = _over(lambda w, a: None if w is None else jnp.vdot(w, a), w_aux, total(y, (x, *rest))[1])
            return sum(jax.tree.leaves(parts))

        return jax.tree.map(jnp.add, found, jax.grad(weighted_aux)((x, *perturbed)))

    gradient.defvjp(forwards, backwards, symbolic_zeros=True)
    return gradient


def _over(f, *trees):
    """jax.tree.map that passes None to f as a leaf."""
    return jax.tree.map(f, *trees, is_leaf=lambda a: a is None)
