"""What a grokking event is: one set of definitions, as a pure state machine that takes one evaluation at a time.

The detector of a run under way and the analysis of a log use the same machine, so both give the same verdicts, from
past values only. At evaluation t, "after" is the last `kept` = K evaluations, "before" is the K evaluations that end at
b = t - K - `within` + 1, and the past is all evaluations up to b that are in memory:

    plateau     P: the most evaluations up to b in which the loss has changed by no more than flat max(noise, floor
                span), with the noise of the same evaluations, and the span of all so far
    gain        of a metric: least value after - greatest value before, in units of its scale
    rise        gain of the first value after, over max(gains[0], over movement), in `together` metrics, with P at b
    event       a rise that was kept, and that nothing else explains: see BARS
    severity    by P and gain, from a table; where the two disagree, the lower

Metrics are signed, so that more is better. A rise lasts for as long as evaluations in a row show one, and is one event.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax.metric import Metric

SEVERITIES = ("none", "micro", "standard", "major")
CONFIRMED = SEVERITIES.index("standard")
# Other explanations of a rise, any of which makes it no event. schedule: a rate or knob has jumped. freeze: a group was
# frozen or unfrozen. spike: the rise was not kept. precision: the rise is a few steps of the finest resolution seen, or
# the loss is flat because it no longer changes at all.
BARS = ("schedule", "freeze", "spike", "precision")
DEVIATION = 0.6745  # median of |x| of a standard normal


class Thresholds(NamedTuple):
    """Lengths in evaluations.

    memory: that are looked back at, before a rise; the greatest length of a plateau that is made sure of
    flat: the range of the loss on a plateau, in standard deviations of its noise
    floor: the least such deviation, as a share of all that the loss has gone through: a series without noise has none
    plateaus: from which a plateau is micro, standard, major
    gains: over which a gain is, as a share of the scale of a metric
    within: that a rise takes at most
    kept: that it is kept at least, and that it is compared with
    together: metrics that have to rise
    over: a gain, in deviations of what the metric moves by `within` anyway
    jump: of a rate or knob between two evaluations, as a share of the greater value: a schedule change
    steps: a gain, in steps of the finest resolution seen of a metric
    """

    memory: int
    flat: float
    floor: float
    plateaus: tuple[int, int, int]
    gains: tuple[float, float, float]
    within: int
    kept: int
    together: int
    over: float
    jump: float
    steps: float

    def held(self) -> int:
        """Evaluations that have to be remembered."""
        return self.memory + self.within + self.kept - 1

    def least(self) -> int:
        """The first evaluation that can know of an event: the noise has to be known by three differences before it."""
        return max(self.plateaus[0], 5, self.within + 3) + self.within + self.kept - 1


def thresholds(given: Mapping[str, Any]) -> Thresholds:
    """The thresholds among the values of the group `grokking` of a config, by key."""
    named = ((name, given[name]) for name in Thresholds._fields)
    values: dict[str, Any] = {name: tuple(x) if isinstance(x, list) else x for name, x in named}
    return Thresholds(**values)


class Watched(NamedTuple):
    """A metric: its name, +1 where higher is better or -1, and the scale that gains are a share of."""

    name: str
    better: int
    scale: float


def scaled(metric: Metric) -> Watched | None:
    """The metric with its scale, |best - chance|, or |best - untrained| without a chance; None where it has none."""
    low = metric.untrained if math.isnan(metric.chance) else metric.chance
    scale = math.nan if low is None else abs(metric.best - low)
    return Watched(metric.name, metric.better, scale) if math.isfinite(scale) and scale > 0 else None


class Evaluation(NamedTuple):
    """What the machine sees of one evaluation.

    loss: mean since the evaluation before it
    metrics (M,): as measured; not finite where there is no figure
    controls (C,), frozen (G,): means of rates and knobs, and of the flags of frozen groups, since the one before
    """

    loss: Array
    metrics: Array
    controls: Array
    frozen: Array


class Rise(NamedTuple):
    """A rise under way; all 0 without one.

    length: evaluations that have shown it
    plateau: P when it began
    bars (4,): what has barred it, in the order of BARS: the first two for good, the others until they no longer hold
    event: whether it is an event; gain, severity: of that, the greatest so far
    """

    length: Array
    plateau: Array
    bars: Array
    event: Array
    gain: Array
    severity: Array


class Memory(NamedTuple):
    """The carried state. H = Thresholds.held(), the newest last; +inf before the first evaluation.

    loss (H,), metrics (M, H) signed, plateaus (H,) int32, 0 without one, jumped (H,), froze (H,) bool
    evaluations: so far
    least, most: of all losses
    controls, frozen: of the last evaluation
    rise: under way
    events, confirmed, excluded: how many there were; severity: of the last event
    """

    loss: Array
    metrics: Array
    plateaus: Array
    jumped: Array
    froze: Array
    evaluations: Array
    least: Array
    most: Array
    controls: Array
    frozen: Array
    rise: Rise
    events: Array
    confirmed: Array
    excluded: Array
    severity: Array


class Verdict(NamedTuple):
    """What an evaluation says, for a history: the length of the plateau, and the rise that is under way, or has just
    ended with `ended`; gains (M,): of the metrics, in units of their scale, -inf: none.
    """

    plateau: Array
    rise: Rise
    ended: Array
    gains: Array


# --- figures of a series ----------------------------------------------------------------------------------------------


def noise(x: Array) -> Array:
    """Standard deviation of the noise of a series (..., n), by second differences; +inf with less than three of these.

        median |x_i+1 - 2 x_i + x_i-1| / (0.6745 sqrt 6)

    So a trend is no noise, and a jump counts as two values of many. What is not finite is left out.
    """
    return _median(*_second(x)) / (DEVIATION * math.sqrt(6))


def movement(x: Array, lag: int) -> Array:
    """What a series moves by in `lag` steps anyway, by noise, slow waves or a slope, as a deviation of each value.

    median |x_i - x_i-lag| / (0.6745 sqrt 2);  +inf with less than three of these
    """
    ok = jnp.isfinite(x)
    x = jnp.where(ok, x, 0)
    return _median(jnp.abs(x[..., lag:] - x[..., :-lag]), ok[..., lag:] & ok[..., :-lag]) / (DEVIATION * math.sqrt(2))


def resolution(x: Array) -> Array:
    """The least difference between neighbours that is not 0, and at least that of float32, of (..., n)."""
    ok = jnp.isfinite(x)
    x = jnp.where(ok, x, 0)
    step = jnp.abs(x[..., 1:] - x[..., :-1])
    step = jnp.min(jnp.where(ok[..., 1:] & ok[..., :-1] & (step > 0), step, jnp.inf), -1)
    rounding = jnp.finfo(jnp.float32).eps * jnp.max(jnp.abs(x), -1)
    return jnp.maximum(rounding, jnp.where(jnp.isfinite(step), step, 0))


def severity(plateau: Array, gain: Array, thresholds: Thresholds) -> Array:
    """0 to 3, a place in SEVERITIES."""
    long = jnp.sum(jnp.stack([plateau >= least for least in thresholds.plateaus]), 0)
    great = jnp.sum(jnp.stack([gain > over for over in thresholds.gains]), 0)
    return jnp.minimum(long, great).astype(jnp.int32)


def _second(x):
    """|second differences| of (..., n), and which are known."""
    ok = jnp.isfinite(x)
    x = jnp.where(ok, x, 0)
    return jnp.abs(x[..., 2:] - 2 * x[..., 1:-1] + x[..., :-2]), ok[..., 2:] & ok[..., 1:-1] & ok[..., :-2]


def _nested_noise(x):
    """`noise` of the last 1, 2, ... n values of (n,), as (n,), 0 where it is not known; by one sort of them all."""
    second, known = _second(x)
    order = jnp.argsort(jnp.where(known, second, jnp.inf))
    second, known, age = second[order], known[order], jnp.arange(len(x) - 2)[::-1][order]

    def of_last(length):
        count = jnp.cumsum(known & (age + 2 < length))
        middle = [second[jnp.argmax(count >= (count[-1] + k) // 2)] for k in (1, 2)]
        return jnp.where(count[-1] >= 3, (middle[0] + middle[1]) / 2, 0)

    return jax.vmap(of_last)(jnp.arange(1, len(x) + 1)) / (DEVIATION * math.sqrt(6))


def _median(x, ok):
    """Over the last axis, of what is ok; +inf where that are less than three."""
    n = jnp.sum(ok, -1, keepdims=True)
    x = jnp.sort(jnp.where(ok, x, jnp.inf), -1)
    middle = [jnp.take_along_axis(x, jnp.maximum(n - k, 0) // 2, -1) for k in (1, 0)]
    return jnp.where(n >= 3, (middle[0] + middle[1]) / 2, jnp.inf)[..., 0]


# --- the machine ------------------------------------------------------------------------------------------------------


def begin(thresholds: Thresholds, metrics: int, controls: int, groups: int) -> Memory:
    """Before the first evaluation, of so many metrics, rates and knobs, and groups that may be frozen."""
    if metrics < thresholds.together:
        raise ValueError(f"an event needs {thresholds.together} metrics that rise together, and {metrics} are watched")
    h, zero, false, inf = thresholds.held(), jnp.int32(0), jnp.array(False), jnp.float32(jnp.inf)
    return Memory(
        loss=jnp.full(h, jnp.inf, jnp.float32),
        metrics=jnp.full((metrics, h), jnp.inf, jnp.float32),
        plateaus=jnp.zeros(h, jnp.int32),
        jumped=jnp.zeros(h, bool),
        froze=jnp.zeros(h, bool),
        evaluations=zero,
        least=inf,
        most=-inf,
        controls=jnp.zeros(controls, jnp.float32),
        frozen=jnp.zeros(groups, jnp.float32),
        rise=Rise(zero, zero, jnp.zeros(len(BARS), bool), false, jnp.float32(0), zero),
        events=zero,
        confirmed=zero,
        excluded=zero,
        severity=zero,
    )


def observe(
    m: Memory, seen: Evaluation, metrics: tuple[Watched, ...], thresholds: Thresholds
) -> tuple[Memory, Verdict]:
    """After one more evaluation."""
    better = jnp.array([one.better for one in metrics], jnp.float32)
    figures = jnp.where(jnp.isfinite(seen.metrics), better * seen.metrics, jnp.inf)
    first = m.evaluations == 0
    moved = jnp.abs(seen.controls - m.controls)
    largest = jnp.maximum(jnp.abs(seen.controls), jnp.abs(m.controls))
    m = m._replace(
        evaluations=m.evaluations + 1,
        loss=_pushed(m.loss, seen.loss),
        metrics=_pushed(m.metrics, figures),
        jumped=_pushed(m.jumped, ~first & jnp.any(moved > thresholds.jump * largest)),
        froze=_pushed(m.froze, ~first & jnp.any(jnp.abs(seen.frozen - m.frozen) > 1e-3)),  # a mean may be rounded
        controls=seen.controls,
        frozen=seen.frozen,
        least=jnp.minimum(m.least, seen.loss),
        most=jnp.maximum(m.most, seen.loss),
    )
    m = _plateau(m, thresholds)
    rises, bars, gain, gains = _rise(m, metrics, thresholds)
    m, ended, rise = _counted(m, rises, bars, gain, thresholds)
    return m, Verdict(m.plateaus[-1], rise, ended, gains)


def _pushed(x, value):
    return jnp.concatenate([x[..., 1:], jnp.asarray(value, x.dtype)[..., None]], -1)


def _plateau(m, thresholds):
    """The longest plateau up to now. The range is that of medians of three: a single spike ends no plateau."""
    n = thresholds.memory
    a, b, c = m.loss[-n - 2 : -2], m.loss[-n - 1 : -1], m.loss[-n:]
    middle = jnp.maximum(jnp.minimum(a, b), jnp.minimum(jnp.maximum(a, b), c))
    smooth = jnp.where(jnp.isfinite(a), middle, c)
    newest = smooth[::-1]
    spread = jax.lax.cummax(newest) - jax.lax.cummin(newest)
    lengths, least = jnp.arange(1, n + 1), thresholds.floor * (m.most - m.least)
    allowed = thresholds.flat * jnp.maximum(_nested_noise(m.loss[-n:]), least)
    flat = (spread <= allowed) & (lengths <= m.evaluations) & (lengths >= thresholds.plateaus[0])
    longest = jnp.max(jnp.where(flat, lengths, 0))
    length = jnp.where(longest == n, jnp.maximum(m.plateaus[-1] + 1, n), longest)
    return m._replace(plateaus=_pushed(m.plateaus, length))


def _rise(m, metrics, t):
    """Whether there is one now, what bars it, the least of the `together` greatest gains, and that of each metric."""
    scale = jnp.array([one.scale for one in metrics], jnp.float32)
    past = m.metrics[:, : t.memory]
    before, after = past[:, -t.kept :], m.metrics[:, -t.kept :]
    known = jnp.all(jnp.isfinite(before), 1) & jnp.all(jnp.isfinite(after), 1)
    top = jnp.where(known, jnp.max(before, 1), 0)
    gain = jnp.where(known, after[:, 0] - top, -jnp.inf)
    lasting = jnp.where(known, jnp.min(after, 1) - top, -jnp.inf)
    need = jnp.maximum(t.gains[0] * scale, t.over * movement(past, t.within))
    rising, kept = gain > need, lasting > need
    fine = gain > t.steps * resolution(past)
    at = m.plateaus[t.memory - 1]
    rises = (jnp.sum(rising) >= t.together) & (at >= t.plateaus[0])
    window = slice(-(2 * t.kept + t.within - 1), None)
    losses = m.loss[t.memory - t.kept : t.memory]
    bars = jnp.stack(
        [
            jnp.any(m.jumped[window]),
            jnp.any(m.froze[window]),
            jnp.sum(kept) < t.together,
            (jnp.sum(rising & fine) < t.together) | jnp.all(losses == losses[0]),
        ]
    )
    lasting = jnp.where(kept, lasting / scale, -jnp.inf)
    return rises, bars, jax.lax.top_k(lasting, t.together)[0][-1], lasting


def _counted(m, rises, bars, gain, t):
    """The rise goes on, begins or ends; events and what was excluded are counted."""
    old = m.rise
    begins = rises & (old.length == 0)
    lasting = jnp.array([True, True, False, False])
    bars = bars | (lasting & old.bars)
    here = rises & ~jnp.any(bars)
    event = old.event | here
    gain = jnp.maximum(old.gain, jnp.where(here, gain, 0))
    plateau = jnp.where(begins, m.plateaus[t.memory - 1], old.plateau)
    level = jnp.where(event, severity(plateau, gain, t), 0)
    # A bar that no longer holds was overcome: an event shows none.
    now = Rise(old.length + 1, plateau, bars & ~event, event, gain, level)
    ended = ~rises & (old.length > 0)
    none = jax.tree.map(jnp.zeros_like, old)
    rise = jax.tree.map(lambda a, b: jnp.where(rises, a, b), now, none)
    m = m._replace(
        rise=rise,
        events=_more(m.events, rises & event & ~old.event),
        confirmed=_more(m.confirmed, rises & (level >= CONFIRMED) & (old.severity < CONFIRMED)),
        excluded=_more(m.excluded, ended & ~old.event),
        severity=jnp.where(rises & event, level, m.severity),
    )
    return m, ended, jax.tree.map(lambda a, b: jnp.where(ended, a, b), old, rise)


def _more(count, condition):
    return jnp.where(condition, count + 1, count)
