"""Generalisation from held-out metrics: the step at which a run fits, the step at which it generalises, and the delay.

A curve is a metric scaled so that 0 is chance and 1 is the best. Without a held-out set there is no assessment.
`verdict` is the rule; `assess` applies it to a whole log, `progress` after every evaluation of a run.
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
    """The thresholds of a verdict.

    reached: level at which a curve counts as fit or generalised; the same for both, so that their ratio is meaningful
    delay: t_gen / t_fit above which generalisation is delayed
    apart: least number of evaluations between the two for a delay; with fewer, the ratio is not reliable
    lost: fall of the held-out curve from its highest level to the end, above which the run has forgotten
    """

    reached: float
    delay: float
    apart: int
    lost: float


# A micro plateau has 5 evaluations. 95 % is the usual level in work on grokking; a ratio of 2 exceeds the effect of one
# evaluation more or less.
STANDARD = Levels(0.95, 2.0, 5, 0.1)


class Generalisation(NamedTuple):
    """The assessment of one run; nan or an empty curve where unknown or never reached.

    verdict: one of VERDICTS
    t_fit, t_gen: steps at which the curves first reach their level, and hold it at the next evaluation
    ratio: t_gen / t_fit
    final: median of the last RECENT held-out values
    gap: fit - held-out at every evaluation; area: its mean over steps, from the first evaluation to the last
    sharpness: slope of the held-out curve from 10 % to 90 % of its rise, relative to a straight line from the first
        evaluation to the last; limited by the distance of two evaluations
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
    """A held-out metric and its counterpart on the training data: the metric `fit`, or held_out + `gap`.

    chance, best: the values at 0 and at 1 of a curve
    """

    held_out: str
    fit: str
    gap: str
    chance: float
    best: float

    def curves(self, figures: Mapping[str, Any]) -> tuple[Any, Any]:
        """The curves (fit, held_out). figures: metrics by name, columns of a log or values of one evaluation."""
        held_out = figures[self.held_out]
        fit = held_out + figures[self.gap] if self.gap else figures[self.fit]
        return tuple((x - self.chance) / (self.best - self.chance) for x in (fit, held_out))


def pairs(metrics: Iterable[Metric], measured: Container[str]) -> tuple[Pair, ...]:
    """The measured held-out metrics whose counterpart is measured too (Metric.held_out_of, Metric.gap).

    A metric needs a chance, a best and `better = 1`: a loss may lie any distance beyond chance.
    """
    return tuple(
        Pair(m.name, m.held_out_of, m.gap, m.chance, m.best)
        for m in metrics
        if m.name in measured and (m.held_out_of in measured or m.gap in measured)
        if m.better == 1 and math.isfinite(m.best - m.chance) and m.best != m.chance
    )


def verdict(known: Any, t_fit: Any, t_gen: Any, apart: Any, lost: Any, levels: Levels, xp: Any = np) -> Any:
    """Index into VERDICTS, of one run so far. Arguments: numbers, or arrays of `xp`, which is numpy or jax.numpy.

    known: number of evaluations with both values
    t_fit, t_gen: steps at which the curves reach their level; not finite if they do not
    apart: evaluations between these two; lost: distance of the held-out curve below its highest level
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
    """The assessment of one run. steps, fit, held_out: (n,); held_out is None without a held-out set."""
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
    name = VERDICTS[int(place)]
    return Generalisation(name, t_fit, t_gen, t_gen / t_fit, final, gap, area, sharpness(steps, held_out))


def sharpness(steps: np.ndarray, curve: np.ndarray) -> float:
    """Sharpness of the rise of a curve (n,): 0.8 (last step - first) / (t_90 - t_10); nan if it rises by less than 0.1.

    The rise is from the minimum before the maximum to the maximum; t_q is the step of its first q %.
    """
    top = int(np.argmax(curve))
    low = int(np.argmin(curve[: top + 1]))
    rise = curve[top] - curve[low]
    if top == low or rise < 0.1:
        return math.nan
    fraction = np.maximum.accumulate(((curve - curve[low]) / rise)[low : top + 1])
    t10, t90 = (_crossing(steps[low : top + 1], fraction, q) for q in (0.1, 0.9))
    least = float(np.min(np.diff(steps))) * 0.8  # of a jump between two evaluations
    return 0.8 * float(steps[-1] - steps[0]) / max(t90 - t10, least)


def _crossing(t, x, q):
    """The time at which x, rising over times t, first reaches q, by linear interpolation."""
    k = int(np.argmax(x >= q))
    return float(t[k - 1] + (t[k] - t[k - 1]) * (q - x[k - 1]) / (x[k] - x[k - 1])) if k else float(t[0])


def _reached(curve, level):
    """The first index at which the curve is at the level, and at the next one too if there is one; None without one."""
    there = curve >= level
    there &= np.append(there[1:], True)
    return int(np.argmax(there)) if there.any() else None


def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """(median, low, high) over seeds, by order statistics: exact for any distribution, and valid with +inf for never.

    low and high: the k-th least and k-th greatest of n, for the greatest k with
    2 P(Binomial(n, 1/2) < k) <= 1 - confidence; nan if there is no such k >= 1, which for 95 % is n < 6.
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
    """(median, low, high) of t_gen / t_fit over the runs that fit; a run that does not generalise counts as +inf."""
    each = [one.ratio for one in found if math.isfinite(one.t_fit)]
    return median_interval([math.inf if math.isnan(ratio) else ratio for ratio in each])
