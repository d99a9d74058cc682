"""Generalisation, by held-out figures alone: when a run fits, when it generalises, and how far the second lies behind.

A curve is a share of the way from chance to the best: 0 knows nothing, 1 is perfect. Without a held-out set nothing is
assessed. `verdict` is the one rule; `assess` applies it to a whole log, `progress` after every evaluation of a run.
"""

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ternary_jax.metric import Metric

NOT_ASSESSABLE = "not assessable: no held-out set"
NEVER_FIT = "never fit"
WITH_THE_FIT = "generalised with the fit"
DELAYED = "delayed generalisation (grokking)"
MEMORISED = "memorised only"
FORGETTING = "forgetting"
VERDICTS = (NOT_ASSESSABLE, NEVER_FIT, WITH_THE_FIT, DELAYED, MEMORISED, FORGETTING)
RECENT = 5  # evaluations whose median is the level of the held-out curve


class Levels(NamedTuple):
    """reached: the share at which a curve has arrived, the same for both, so that the ratio compares like with like
    delay: t_gen / t_fit above which generalisation is delayed
    apart: the least number of evaluations between the two; a ratio of fewer evaluations says nothing
    lost: a fall of the held-out curve below its highest level, at the end, above which the run has forgotten
    """

    reached: float
    delay: float
    apart: int
    lost: float


# A micro plateau is 5 evaluations; the rest is not in the definitions: 95 % is grokking's usual level, and twice the
# time is beyond what one evaluation more or less makes of a ratio.
STANDARD = Levels(0.95, 2.0, 5, 0.1)


class Generalisation(NamedTuple):
    """nan, and an empty curve: not known, or never.

    verdict: one of VERDICTS
    t_fit, t_gen: steps at which the curves first reach their level, and hold it at the next evaluation
    ratio: t_gen / t_fit
    final: of the held-out curve, the median of the last RECENT evaluations
    gap: fit - held-out at every evaluation; area: its mean over steps, from the first evaluation to the last
    sharpness: of the rise of the held-out curve from a tenth to nine tenths of its way, as a multiple of the slope of a
        straight line from the first evaluation to the last; at most what two neighbouring evaluations can show
    """

    verdict: str
    t_fit: float
    t_gen: float
    ratio: float
    final: float
    gap: np.ndarray
    area: float
    sharpness: float


class Pair(NamedTuple):
    """A held-out metric, and where the same figure over the training data is: the metric `fit`, or held_out + `gap`.

    chance, best: the figures that lie at 0 and at 1 of a curve
    """

    held_out: str
    fit: str
    gap: str
    chance: float
    best: float

    def curves(self, figures: Mapping[str, Any]) -> tuple[Any, Any]:
        """(fit, held_out), as shares, of figures by name: columns of a log, or those of one evaluation."""
        held_out = figures[self.held_out]
        fit = held_out + figures[self.gap] if self.gap else figures[self.fit]
        return tuple((x - self.chance) / (self.best - self.chance) for x in (fit, held_out))


def pairs(metrics: Iterable[Metric], measured: Container[str]) -> tuple[Pair, ...]:
    """The held-out metrics that are measured with their counterpart (Metric.held_out_of, Metric.gap).

    Only metrics that have chance and a best, and of which more is better: a loss may lie any distance beyond chance.
    """
    return tuple(
        Pair(m.name, m.held_out_of, m.gap, m.chance, m.best)
        for m in metrics
        if m.name in measured and (m.held_out_of in measured or m.gap in measured)
        if m.better == 1 and math.isfinite(m.best - m.chance) and m.best != m.chance
    )


def verdict(known: Any, t_fit: Any, t_gen: Any, apart: Any, lost: Any, levels: Levels, xp: Any = np) -> Any:
    """A place in VERDICTS, from figures of one run so far: numbers, or arrays of `xp`, which is numpy or jax.numpy.

    known: evaluations that have both figures
    t_fit, t_gen: steps at which the curves reach their level; not finite where they do not
    apart: evaluations between these two; lost: how far the held-out curve is below its highest level
    """
    cases = (
        (known == 0, NOT_ASSESSABLE),
        (~xp.isfinite(t_fit), NEVER_FIT),
        (lost > levels.lost, FORGETTING),
        (~xp.isfinite(t_gen), MEMORISED),
        ((t_gen > levels.delay * t_fit) & (apart >= levels.apart), DELAYED),
    )
    found = VERDICTS.index(WITH_THE_FIT)
    for holds, name in reversed(cases):
        found = xp.where(holds, VERDICTS.index(name), found)
    return found


def assess(
    steps: np.ndarray, fit: np.ndarray, held_out: np.ndarray | None, levels: Levels = STANDARD
) -> Generalisation:
    """Of one run: steps, fit, held_out (n,), of which held_out is None where nothing is held out."""
    nan = math.nan
    known = np.zeros(len(steps), bool) if held_out is None else np.isfinite(fit) & np.isfinite(held_out)
    if held_out is None or not known.any():
        return Generalisation(NOT_ASSESSABLE, nan, nan, nan, nan, np.zeros(0), nan, nan)
    steps, fit, held_out = np.asarray(steps, float)[known], fit[known], held_out[known]
    n = len(steps)
    at_fit, at_gen = (_reached(x, levels.reached) for x in (fit, held_out))
    t_fit, t_gen = (nan if k is None else float(steps[k]) for k in (at_fit, at_gen))
    level = np.array([np.median(held_out[max(0, k + 1 - RECENT) : k + 1]) for k in range(n)])
    final = float(level[-1])
    place = verdict(n, t_fit, t_gen, (at_gen or 0) - (at_fit or 0), np.max(level) - final, levels)
    gap = fit - held_out
    span = float(steps[-1] - steps[0])
    area = float(np.trapezoid(gap, steps)) / span if span > 0 else nan
    told = VERDICTS[int(place)]
    return Generalisation(told, t_fit, t_gen, t_gen / t_fit, final, gap, area, sharpness(steps, held_out))


def sharpness(steps: np.ndarray, curve: np.ndarray) -> float:
    """0.8 (last step - first) / (t_90 - t_10), where t_q is when (n,) first is q of the way from its least before its
    highest to that; nan where it does not rise by a tenth of the whole scale.
    """
    top = int(np.argmax(curve))
    low = int(np.argmin(curve[: top + 1]))
    rise = curve[top] - curve[low]
    if top == low or rise < 0.1:
        return math.nan
    place = (curve - curve[low]) / rise
    way, t = np.maximum.accumulate(place[low : top + 1]), steps[low : top + 1]
    t10, t90 = (_when(t, way, q) for q in (0.1, 0.9))
    least = float(np.min(np.diff(steps))) * 0.8  # a jump from one evaluation to the next took no longer than that
    return 0.8 * float(steps[-1] - steps[0]) / max(t90 - t10, least)


def _when(t, way, q):
    k = int(np.argmax(way >= q))
    return float(t[k - 1] + (t[k] - t[k - 1]) * (q - way[k - 1]) / (way[k] - way[k - 1])) if k else float(t[0])


def _reached(curve, level):
    """The first place at which the curve is at the level, and at the next, or is the last; None without one."""
    there = curve >= level
    there &= np.append(there[1:], True)
    return int(np.argmax(there)) if there.any() else None


def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """(median, low, high) over seeds, by order statistics: exact for any distribution, so +inf may stand for never.

    The k-th least and k-th greatest of n, for the greatest k with 2 P(Binomial(n, 1/2) < k) <= 1 - confidence; nan for
    both where n is less than 6, as not even the least and the greatest then are such an interval.
    """
    x = np.sort(np.asarray(values, float))
    n = len(x)
    if not n:
        return math.nan, math.nan, math.nan
    a, b = x[(n - 1) // 2], x[n // 2]
    middle = float(a) if a == b else float((a + b) / 2)
    outside, k = 0.0, 0
    while k < n // 2 and 2 * (outside + math.comb(n, k) / 2**n) <= 1 - confidence:
        outside += math.comb(n, k) / 2**n
        k += 1
    return (middle, float(x[k - 1]), float(x[n - k])) if k else (middle, math.nan, math.nan)


def ratios(found: Sequence[Generalisation]) -> tuple[float, float, float]:
    """(median, low, high) of t_gen / t_fit over the runs that fit; one that has not generalised counts as +inf."""
    each = [one.ratio for one in found if math.isfinite(one.t_fit)]
    return median_interval([math.inf if math.isnan(ratio) else ratio for ratio in each])
