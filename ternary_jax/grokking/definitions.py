"""The definition of a grokking event, as a pure state machine that takes one evaluation at a time.

The detector in a run and the analysis of a log use the same state machine, so both give the same verdicts, from past
values only. At evaluation t, "after" is the last `kept` = K evaluations, "before" is the K evaluations that end at
b = t - K - `within` + 1, and the past is all evaluations up to b that are in memory:

    plateau     P: the greatest number of evaluations up to b over which the loss has a range of at most
                flat * max(noise, floor * span); noise: of these evaluations; span: range of all losses so far
    gain        of a metric: least value after - greatest value before, in units of its scale
    rise        the gain of the first value after exceeds max(gains[0], over movement) in `together` metrics, with P at
                b at least that of a micro plateau
    event       a rise that lasted for K evaluations, and that has no other explanation, see EXPLANATIONS
    severity    by P and gain, from a table; the lower of the two

Metrics are signed, so that more is better. Consecutive evaluations that show a rise belong to one rise, and one event.
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
# Other explanations of a rise; a rise with one of them is no event. schedule: a rate or knob has jumped. freeze: a
# group was frozen or unfrozen. spike: the rise did not last. precision: the rise is a few steps of the finest
# resolution of the metric, or the loss is exactly constant.
EXPLANATIONS = ("schedule", "freeze", "spike", "precision")
DEVIATION = 0.6745  # median of |x| of a standard normal


class Thresholds(NamedTuple):
    """The thresholds of an event; lengths in evaluations.

    memory: length of the past before a rise; up to this length, plateaus are measured exactly
    flat: greatest range of the loss on a plateau, in standard deviations of its noise
    floor: least such deviation, as a fraction of the range of all losses so far, for a series without noise
    plateaus: least lengths of a micro, standard and major plateau
    gains: gains above which a rise is micro, standard, major, as fractions of the scale of a metric
    within: greatest duration of a rise
    kept: time for which a rise has to last; also the length of "before" and "after"
    together: number of metrics that have to rise
    over: least gain, in deviations of the usual movement of the metric over `within` evaluations
    jump: change of a rate or knob between two evaluations, relative to the greater value, that counts as a schedule
    steps: least gain, in steps of the finest resolution of the metric
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
        """The number of evaluations that the memory holds."""
        return self.memory + self.within + self.kept - 1

    def least(self) -> int:
        """The first evaluation that can show an event: the noise needs three second differences before it."""
        return max(self.plateaus[0], 5, self.within + 3) + self.within + self.kept - 1


def thresholds(given: Mapping[str, Any]) -> Thresholds:
    """Thresholds from the values of the config group `grokking`, by key."""
    named = ((name, given[name]) for name in Thresholds._fields)
    values: dict[str, Any] = {name: tuple(x) if isinstance(x, list) else x for name, x in named}
    return Thresholds(**values)


class Watched(NamedTuple):
    """A metric of the detector. better: +1 if higher is better, else -1; scale: the unit of its gains."""

    name: str
    better: int
    scale: float


def scaled(metric: Metric) -> Watched | None:
    """The metric with its scale, |best - chance|, or |best - untrained| without a chance; None if both are unknown."""
    low = metric.untrained if math.isnan(metric.chance) else metric.chance
    scale = math.nan if low is None else abs(metric.best - low)
    return Watched(metric.name, metric.better, scale) if math.isfinite(scale) and scale > 0 else None


class Evaluation(NamedTuple):
    """The input of the state machine.

    loss: mean since the previous evaluation
    metrics (M,): as measured; not finite where unknown
    controls (C,), frozen (G,): means of rates and knobs, and of the frozen flags of groups, since the previous one
    """

    loss: Array
    metrics: Array
    controls: Array
    frozen: Array


class Rise(NamedTuple):
    """The current rise; all 0 without one.

    length: evaluations that have shown it
    plateau: P at its first evaluation
    bars (4,): which of EXPLANATIONS explain the rise; all False once it is an event. The first two stay set until
        the rise ends; the last two are computed anew at every evaluation
    event: whether it is an event; gain, severity: the greatest of the event so far
    """

    length: Array
    plateau: Array
    bars: Array
    event: Array
    gain: Array
    severity: Array


class Memory(NamedTuple):
    """The carried state. Arrays over H = Thresholds.held() evaluations have the newest last.

    loss (H,), metrics (M, H) signed: +inf before the first evaluation
    plateaus (H,): length of the plateau at each, int32, 0 without one; jumped, froze (H,): whether a control changed
    evaluations: count so far; least, most: of all losses
    controls, frozen: of the last evaluation
    rise: the current one
    events, confirmed, excluded: counts; severity: of the last event
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
    """The output of the state machine for one evaluation.

    plateau: its length; rise: the current rise, or with `ended` the one that has just ended
    gains (M,): of the metrics, in units of their scale; -inf: no lasting gain
    """

    plateau: Array
    rise: Rise
    ended: Array
    gains: Array


# --- figures of a series ----------------------------------------------------------------------------------------------


def noise(x: Array) -> Array:
    """Standard deviation of the noise of a series (..., n), by second differences; +inf with less than three of these.

        median |x_i+1 - 2 x_i + x_i-1| / (0.6745 sqrt 6)

    A linear trend does not count as noise; a jump affects only two differences. Values that are not finite are ignored.
    """
    return _median(*_second(x)) / (DEVIATION * math.sqrt(6))


def movement(x: Array, lag: int) -> Array:
    """The usual movement of a series over `lag` steps, from noise, slow waves or a slope, as a standard deviation.

    median |x_i - x_i-lag| / (0.6745 sqrt 2);  +inf with less than three of these
    """
    ok = jnp.isfinite(x)
    x = jnp.where(ok, x, 0)
    return _median(jnp.abs(x[..., lag:] - x[..., :-lag]), ok[..., lag:] & ok[..., :-lag]) / (DEVIATION * math.sqrt(2))


def resolution(x: Array) -> Array:
    """The least nonzero difference between neighbours in (..., n), and at least the rounding of float32."""
    ok = jnp.isfinite(x)
    x = jnp.where(ok, x, 0)
    step = jnp.abs(x[..., 1:] - x[..., :-1])
    step = jnp.min(jnp.where(ok[..., 1:] & ok[..., :-1] & (step > 0), step, jnp.inf), -1)
    rounding = jnp.finfo(jnp.float32).eps * jnp.max(jnp.abs(x), -1)
    return jnp.maximum(rounding, jnp.where(jnp.isfinite(step), step, 0))


def severity(plateau: Array, gain: Array, thresholds: Thresholds) -> Array:
    """Index into SEVERITIES, 0 to 3."""
    long = jnp.sum(jnp.stack([plateau >= least for least in thresholds.plateaus]), 0)
    great = jnp.sum(jnp.stack([gain > over for over in thresholds.gains]), 0)
    return jnp.minimum(long, great).astype(jnp.int32)


def _second(x):
    """(|second differences| of (..., n), mask of those that are known)."""
    ok = jnp.isfinite(x)
    x = jnp.where(ok, x, 0)
    return jnp.abs(x[..., 2:] - 2 * x[..., 1:-1] + x[..., :-2]), ok[..., 2:] & ok[..., 1:-1] & ok[..., :-2]


def _nested_noise(x):
    """`noise` of the last 1, 2, ... n values of (n,), as (n,), 0 where unknown; one sort serves all lengths."""
    second, known = _second(x)
    order = jnp.argsort(jnp.where(known, second, jnp.inf))
    second, known, age = second[order], known[order], jnp.arange(len(x) - 2)[::-1][order]

    def of_last(length):
        count = jnp.cumsum(known & (age + 2 < length))
        middle = [second[jnp.argmax(count >= (count[-1] + k) // 2)] for k in (1, 2)]
        return jnp.where(count[-1] >= 3, (middle[0] + middle[1]) / 2, 0)

    return jax.vmap(of_last)(jnp.arange(1, len(x) + 1)) / (DEVIATION * math.sqrt(6))


def _median(x, ok):
    """Median over the last axis of the values with `ok`; +inf with less than three of them."""
    n = jnp.sum(ok, -1, keepdims=True)
    x = jnp.sort(jnp.where(ok, x, jnp.inf), -1)
    middle = [jnp.take_along_axis(x, jnp.maximum(n - k, 0) // 2, -1) for k in (1, 0)]
    return jnp.where(n >= 3, (middle[0] + middle[1]) / 2, jnp.inf)[..., 0]


# --- the machine ------------------------------------------------------------------------------------------------------


def begin(thresholds: Thresholds, metrics: int, controls: int, groups: int) -> Memory:
    """The memory before the first evaluation, for so many metrics, controls (rates and knobs) and groups."""
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
        rise=Rise(zero, zero, jnp.zeros(len(EXPLANATIONS), bool), false, jnp.float32(0), zero),
        events=zero,
        confirmed=zero,
        excluded=zero,
        severity=zero,
    )


def observe(
    m: Memory, evaluation: Evaluation, metrics: tuple[Watched, ...], thresholds: Thresholds
) -> tuple[Memory, Verdict]:
    """The memory after one more evaluation, and its verdict."""
    better = jnp.array([one.better for one in metrics], jnp.float32)
    figures = jnp.where(jnp.isfinite(evaluation.metrics), better * evaluation.metrics, jnp.inf)
    first = m.evaluations == 0
    change = jnp.abs(evaluation.controls - m.controls)
    largest = jnp.maximum(jnp.abs(evaluation.controls), jnp.abs(m.controls))
    m = m._replace(
        evaluations=m.evaluations + 1,
        loss=_pushed(m.loss, evaluation.loss),
        metrics=_pushed(m.metrics, figures),
        jumped=_pushed(m.jumped, ~first & jnp.any(change > thresholds.jump * largest)),
        froze=_pushed(m.froze, ~first & jnp.any(jnp.abs(evaluation.frozen - m.frozen) > 1e-3)),  # a mean may be rounded
        controls=evaluation.controls,
        frozen=evaluation.frozen,
        least=jnp.minimum(m.least, evaluation.loss),
        most=jnp.maximum(m.most, evaluation.loss),
    )
    m = _measure_plateau(m, thresholds)
    rises, bars, gain, gains = _find_rise(m, metrics, thresholds)
    m, ended, rise = _update_rise(m, rises, bars, gain, thresholds)
    return m, Verdict(m.plateaus[-1], rise, ended, gains)


def _pushed(x, value):
    return jnp.concatenate([x[..., 1:], jnp.asarray(value, x.dtype)[..., None]], -1)


def _measure_plateau(m, thresholds):
    """Add the longest plateau that ends now. Its range is that of medians of three: a single spike ends no plateau."""
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


def _find_rise(m, metrics, t):
    """(whether there is a rise now, its bars, the least of the `together` greatest gains, the gain of each metric)."""
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


def _update_rise(m, rises, bars, gain, t):
    """Start, continue or end the rise, and count events and excluded rises. -> memory, ended, rise of the Verdict."""
    old = m.rise
    begins = rises & (old.length == 0)
    lasting = jnp.array([True, True, False, False])
    bars = bars | (lasting & old.bars)
    here = rises & ~jnp.any(bars)
    event = old.event | here
    gain = jnp.maximum(old.gain, jnp.where(here, gain, 0))
    plateau = jnp.where(begins, m.plateaus[t.memory - 1], old.plateau)
    level = jnp.where(event, severity(plateau, gain, t), 0)
    # An event stays an event for the rest of the rise, and reports no explanation, even if one holds later.
    now = Rise(old.length + 1, plateau, bars & ~event, event, gain, level)
    ended = ~rises & (old.length > 0)
    none = jax.tree.map(jnp.zeros_like, old)
    rise = jax.tree.map(lambda a, b: jnp.where(rises, a, b), now, none)
    m = m._replace(
        rise=rise,
        events=_incremented(m.events, rises & event & ~old.event),
        confirmed=_incremented(m.confirmed, rises & (level >= CONFIRMED) & (old.severity < CONFIRMED)),
        excluded=_incremented(m.excluded, ended & ~old.event),
        severity=jnp.where(rises & event, level, m.severity),
    )
    return m, ended, jax.tree.map(lambda a, b: jnp.where(ended, a, b), old, rise)


def _incremented(count, condition):
    return jnp.where(condition, count + 1, count)
