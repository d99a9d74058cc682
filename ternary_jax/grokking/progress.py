"""The verdict of `generalisation.assess` on the evaluations so far, from a carried state of constant size.

It runs inside the detector.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax.grokking import generalisation
from ternary_jax.grokking.generalisation import RECENT, Levels


class Reached(NamedTuple):
    """The first evaluation at a level that the next evaluation confirms, or that has no next one yet.

    step, place: its step and its index among the evaluations; inf and 0 without one
    sure: the next evaluation confirmed it; here: the newest evaluation is at the level
    """

    step: Array
    place: Array
    sure: Array
    here: Array


class Progress(NamedTuple):
    """The carried state, of one held-out metric.

    known: number of evaluations with both values
    fit, gen: first evaluations at which the curves reach their level
    recent (RECENT,): held-out values, the newest last, inf before the first; top: their greatest median so far
    """

    known: Array
    fit: Reached
    gen: Reached
    recent: Array
    top: Array


def begin() -> Progress:
    """The state before the first evaluation."""
    false, zero, inf = jnp.array(False), jnp.int32(0), jnp.float32(jnp.inf)
    none = Reached(inf, zero, false, false)
    return Progress(zero, none, none, jnp.full(RECENT, jnp.inf, jnp.float32), -inf)


def observe(p: Progress, step: Array, fit: Array, held_out: Array, levels: Levels) -> Progress:
    """The state after one more evaluation; an evaluation with a value that is not finite does not change it."""
    ok = jnp.isfinite(fit) & jnp.isfinite(held_out)
    fit, held_out = jnp.where(ok, fit, 0), jnp.where(ok, held_out, 0)
    recent = jnp.concatenate([p.recent[1:], held_out[None].astype(p.recent.dtype)])
    after = Progress(
        known=p.known + 1,
        fit=_reached(p.fit, step, p.known, fit >= levels.reached),
        gen=_reached(p.gen, step, p.known, held_out >= levels.reached),
        recent=recent,
        top=jnp.maximum(p.top, _median(recent)),
    )
    return jax.tree.map(lambda a, b: jnp.where(ok, a, b), after, p)


def verdict(p: Progress, levels: Levels) -> Array:
    """Index into VERDICTS, for the evaluations so far."""
    apart, lost = p.gen.place - p.fit.place, p.top - _median(p.recent)
    return generalisation.verdict(p.known, p.fit.step, p.gen.step, apart, lost, levels, jnp)


def _reached(r, step, place, here):
    stays = r.sure | (r.here & here)
    return Reached(
        step=jnp.where(stays, r.step, jnp.where(here, jnp.asarray(step, r.step.dtype), jnp.inf)),
        place=jnp.where(stays, r.place, jnp.where(here, place, 0)),
        sure=stays,
        here=here,
    )


def _median(recent):
    """The median of the finite values; -inf without any."""
    n, x = jnp.sum(jnp.isfinite(recent)), jnp.sort(recent)
    return jnp.where(n > 0, (x[jnp.maximum(n - 1, 0) // 2] + x[jnp.minimum(n // 2, RECENT - 1)]) / 2, -jnp.inf)
