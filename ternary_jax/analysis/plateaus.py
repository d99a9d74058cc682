"""What the loss did over each plateau of the detector's definition, and whether a rise can follow it.

The definition measures the noise of the loss by second differences. Over few evaluations a curve that bends has large
second differences too, so a loss that falls from 12.4 to 2.9 in seven evaluations passes as flat within its noise. The
definition stays as it is, because the detector in a run and stored results use it: the report says over which of its
plateaus the loss fell, and counts them as no plateaus.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ternary_jax.grokking.definitions import Thresholds, Watched
from ternary_jax.grokking.history import History
from ternary_jax.metric import Metric

FALL = 0.1  # least fall of the loss over a stretch, as a share of its whole range, with which it is no plateau
MOST = 512  # evaluations of a stretch that are compared, evenly spaced; pairs take the square of it in memory
PAIRS = 0.75  # least share of pairs of evaluations of which the later has the lower loss; noise has half of them


def falls(x: np.ndarray, whole: float) -> bool:
    """Whether a series (n,) falls: the later value of most pairs is the lower, and the fall is a good part of `whole`.

    The fall is the difference of the medians of the first and the last third. Noise alone has fewer such pairs; a slow
    drift has a small fall. The ends alone were rejected: in noise, they differ by as much as anything.
    """
    x = x[:: -(-len(x) // MOST)]
    n, third = len(x), max(1, len(x) // 3)
    later = np.triu(np.ones((n, n), bool), 1)
    lower = (x[None, :] < x[:, None])[later]
    fall = np.median(x[:third]) - np.median(x[-third:])
    return bool(lower.size and np.mean(lower) >= PAIRS and fall > FALL * whole)


def described(
    run: Mapping[str, Any],
    history: History,
    watched: Sequence[Watched],
    metrics: Mapping[str, Metric],
    t: Thresholds,
) -> dict[str, Any]:
    """The analysis of a run, with more of each plateau, and of the plateau before each rise.

    loss: [at its begin, at its end]; falls: whether the loss falls over it, so that it is no plateau
    can_rise: of a plateau, the watched metrics that are further below their best, at its end, than the least gain
    """
    loss, step = history.columns["loss"], history.columns["step"]
    finite = loss[np.isfinite(loss)]
    whole = float(np.ptp(finite)) if finite.size else 0.0

    def about(begin, end):
        part = loss[begin : end + 1]
        return {"loss": [float(part[0]), float(part[-1])], "falls": falls(part, whole)}

    def can_rise(end):
        at = {one: history.columns[one.name][end] for one in watched if one.name in history.columns}
        return [one.name for one, x in at.items() if one.better * (metrics[one.name].best - x) > t.gains[0] * one.scale]

    def of_plateau(plateau):
        begin, end = (int(np.searchsorted(step, plateau[name]["step"])) for name in ("begin", "end"))
        return plateau | about(begin, end) | {"can_rise": can_rise(end)}

    def of_rise(rise):
        end = int(np.searchsorted(step, rise["step"])) - t.within
        return rise | {"before": about(end - rise["plateau"] + 1, end)}

    return {
        **run,
        "plateaus": [of_plateau(one) for one in run["plateaus"]],
        "rises": [of_rise(one) for one in run["rises"]],
    }
