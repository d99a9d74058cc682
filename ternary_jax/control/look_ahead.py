"""A controller that learns by looking ahead: its parameters descend a reference objective, some steps further on.

    phi <- descend(phi, d/dphi reference(theta_k(phi))),  theta_i+1 = step(theta_i, controls(phi))

Differentiated through the controls, the losses, clipping and the optimizer.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.custom_derivatives import SymbolicZero

LEARNER = "learner"  # beside the groups in the gradient norms of a step


class LookAhead(NamedTuple):
    """How a controller of the chain learns.

    controller: its name in the chain
    get: its state -> its parameters; put: its state, parameters -> its state
    descend: its state, gradient of the parameters -> its state
    reference: params, batch, Context -> the objective of constant weights that it is to lower. With the weights that it
        turns it would win by lowering these
    every: steps from one gradient to the next; ahead: k >= 1, the steps that each is taken through
    share: of the rows of a batch, that the reference is taken over
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
        """The states of the chain with `change(own state, value)` for that of the controller."""
        return states | {self.controller: change(states[self.controller], value)}


def learning(step: Callable[..., Any], sampled: Callable[..., Any], own: LookAhead) -> Callable[..., Any]:
    """A step in which the controller learns, every so many steps, from the k that follow: the first of these is taken.

    step: state, (number, schedule rows), key, hypers, data -> state, info; its gradient is `forward_over_reverse`
    sampled: state, number, key, hypers, data -> batch, Context of its loss

    The schedule of a step has k rows, of the steps from there on. The reference is taken over the first rows of the
    batch of the step after the last. Steps without a gradient of phi report 0 for its norm.
    """

    def learn(state, xs, key, hypers, data):
        number, rows = xs

        def ahead(phi):
            begun = state._replace(control=own.changed(state.control, own.put, phi))
            first, info = step(begun, _row(xs, 0), key, hypers, data)
            last = first
            if own.ahead > 1:
                later = jax.tree.map(lambda x: x[1:], (number + jnp.arange(own.ahead, dtype=jnp.int32), rows))
                last = jax.lax.scan(lambda s, xs: (step(s, xs, key, hypers, data)[0], None), first, later)[0]
            batch, context = sampled(last, number + own.ahead, key, hypers, data)
            some = jax.tree.map(lambda rows: rows[: max(1, round(own.share * len(rows)))], batch)
            return own.reference(last.params, some, context), (first, info)

        slope, (after, info) = jax.grad(ahead, has_aux=True)(own.get(state.control[own.controller]))
        after = after._replace(control=own.changed(after.control, own.descend, slope))
        return after, seen(info, optax.tree.norm(slope))

    def plain(state, xs, *rest):
        state, info = step(state, _row(xs, 0), *rest)
        return state, seen(info, jnp.float32(0))

    def seen(info, norm):
        """With the norm of the gradient of what learns, which has to be finite as all the others."""
        return info._replace(gradient=info.gradient | {LEARNER: norm})

    def learning_step(state, xs, key, hypers, data):
        given = state, xs, key, hypers, data
        if own.every == 1:
            return learn(*given)
        return jax.lax.cond(xs[0] % own.every == 0, learn, plain, *given)

    return learning_step


def rows_ahead(row: Array, first: Array, n: int, ahead: int) -> Array:
    """Of n steps from `first` on the rows of the next `ahead`, (n, ahead), the last row of all repeated."""
    steps = first + jnp.arange(n)[:, None] + jnp.arange(ahead)[None]
    return row[jnp.minimum(steps, len(row) - 1)]


def _row(xs, k):
    number, rows = xs
    return number + k, {name: row[k] for name, row in rows.items()}


def forward_over_reverse(f: Callable[..., tuple[Array, Any]]) -> Callable[..., tuple[Any, Any]]:
    """x, *rest -> (df/dx, aux) as by jax.grad(f, has_aux=True), differentiated forwards, along the cotangent w:

        d/dy (w . df/dx) = jvp of df/dy along w,  for y any part of x and rest

    Reverse-over-reverse would differentiate through the gradient of every weight; forward-over-reverse costs one JVP
    per controller output. It is taken for the y that are asked for alone, and linearised where df/dx is first computed.
    aux is differentiated backwards. f has to be differentiable by the rules of jax itself, as d/dy and d/dx are
    exchanged; a jvp through the gradient is not possible.
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
