"""What is known of the generalisation of a run under way: `generalisation.assess` of what has been evaluated so far.

After every evaluation, by what is carried alone, so that it is a part of the detector.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax.grokking import generalisation
from ternary_jax.grokking.generalisation import VERDICTS, Levels

RECENT = 5  # evaluations, of whose held-out figures the median is taken


class Reached(NamedTuple):
    """step, place: of the first evaluation at a level, if the next was there, too, or is yet to come; inf, 0 if none.

    sure: the next was there; here: the last evaluation was
    """

    step: Array
    place: Array
    sure: Array
    here: Array


class Progress(NamedTuple):
    """Of one held-out metric. known: evaluations that had figures; recent: (RECENT,), the newest last, inf before the
    first; top: the greatest median of them.
    """

    known: Array
    fit: Reached
    gen: Reached
    recent: Array
    top: Array


def begin() -> Progress:
    """Before the first evaluation."""
    false, zero, inf = jnp.array(False), jnp.int32(0), jnp.float32(jnp.inf)
    none = Reached(inf, zero, false, false)
    return Progress(zero, none, none, jnp.full(RECENT, jnp.inf, jnp.float32), -inf)


def observe(p: Progress, step: Array, fit: Array, held_out: Array, levels: Levels) -> Progress:
    """After one more evaluation, at this step; where a figure is not finite, nothing is known of it."""
    ok = jnp.isfinite(fit) & jnp.isfinite(held_out)
    fit, held_out = jnp.where(ok, fit, 0), jnp.where(ok, held_out, 0)
    recent = jnp.concatenate([p.recent[1:], held_out[None].astype(p.recent.dtype)])
    after = Progress(
        known=p.known + 1,
        fit=_reached(p.fit, step, p.known, fit >= levels.reached),
        gen=_reached(p.gen, step, p.known, held_out >= levels.reached),
        recent=recent,
        top=jnp.maximum(p.top, _middle(recent)),
    )
    return jax.tree.map(lambda a, b: jnp.where(ok, a, b), after, p)


def verdict(p: Progress, levels: Levels) -> Array:
    """A place in VERDICTS."""
    late = (p.gen.step > levels.delay * p.fit.step) & (p.gen.place - p.fit.place >= levels.apart)
    cases = (
        (p.known == 0, generalisation.NOT_ASSESSABLE),
        (~jnp.isfinite(p.fit.step), generalisation.NEVER_FIT),
        (p.top - _middle(p.recent) > levels.lost, generalisation.FORGETTING),
        (~jnp.isfinite(p.gen.step), generalisation.MEMORISED),
        (late, generalisation.DELAYED),
    )
    found = jnp.int32(VERDICTS.index(generalisation.WITH_THE_FIT))
    for holds, name in cases[::-1]:
        found = jnp.where(holds, VERDICTS.index(name), found)
    return found


def _reached(r, step, place, here):
    stays = r.sure | (r.here & here)
    return Reached(
        step=jnp.where(stays, r.step, jnp.where(here, jnp.asarray(step, r.step.dtype), jnp.inf)),
        place=jnp.where(stays, r.place, jnp.where(here, place, 0)),
        sure=stays,
        here=here,
    )


def _middle(recent):
    """The median of what there is; -inf of nothing."""
    n, x = jnp.sum(jnp.isfinite(recent)), jnp.sort(recent)
    return jnp.where(n > 0, (x[jnp.maximum(n - 1, 0) // 2] + x[jnp.minimum(n // 2, RECENT - 1)]) / 2, -jnp.inf)
