"""Open loop: what sets how freely the two branches explore, as schedules over t, the share of the run that is done.

t = e / E at epoch e, a real number, of E epochs: (steps,), from `done`. All lengths and times are shares of the run
too, as those of the originals were epochs of 300. What is returned is (steps,) float32, rows for `schedules.follow`.
All of them are continuous in t. In the originals the KL weight of branch B came in one step from 0 to 0.21, which cost
it the order it had learned, and the swing of the temperature grew fivefold within an epoch.
"""

from collections.abc import Sequence

import numpy as np


def done(steps: int) -> np.ndarray:
    """t = n / steps of the steps n = 0, 1, ..., (steps,) float64."""
    return np.arange(steps) / steps


def permeability(t: np.ndarray, boundaries: Sequence[float], levels: Sequence[float]) -> np.ndarray:
    """rho: levels[0] until boundaries[0], from each boundary straight to the next level, levels[-1] after the last.

    In the originals 0.1, 0.3 and 0.7 at epochs 40, 120 and 250 of 300.
    """
    return _through(t, boundaries, levels)


def temperature(t: np.ndarray, first: float, last: float, lag: float, period: float, amplitude: float) -> np.ndarray:
    """T(s) = (first + (last - first) s) (1 + amplitude cos(2 pi s / period)) at s = max(0, t - lag).

    amplitude: as a share of the level, less than 1, so that T > 0 needs no floor. A branch with a lag does later what
    one without does, and does not come to its end. In the originals A went from 1 to 0.3, with 0.1 of it in swings of
    30 epochs of 300; B from 0.9 to 0.39 at epoch 250, at a lag of 30, and 0.3 from there, without swings.
    """
    s = np.maximum(0, t - lag)
    return _row((first + (last - first) * s) * (1 + amplitude * np.cos(2 * np.pi * s / period)))


def kl_weight(t: np.ndarray, warmup: float, level: float, final: float) -> np.ndarray:
    """beta: from 0 straight to `level` at t = warmup, from there straight to `final` at t = 1.

    In the originals 0.3 at epoch 50 of 300, and 0.8 at the end.
    """
    return _through(t, (0, warmup, 1), (0, level, final))


def kl_weight_behind(t: np.ndarray, ahead: np.ndarray, lag: float, ramp: float, share: float) -> np.ndarray:
    """beta of a branch that follows another's, `ahead`: share min(1, max(0, t - lag) / ramp) ahead.

    In the originals, which had no ramp, sin(pi / 4) of it from epoch 50 of 300 on.
    """
    return _row(_through(t, (lag, lag + ramp), (0, share)) * ahead)


def entropy_alignment(t: np.ndarray, mean: float, amplitude: float, period: float) -> np.ndarray:
    """lambda_3 = mean - amplitude sin(2 pi t / period): 0.3, 0.15 and 30 epochs of 300 in the originals."""
    return _row(mean - amplitude * np.sin(2 * np.pi * t / period))


def _through(t, at, levels):
    """Straight from point to point, level outside; at: increasing."""
    if len(at) != len(levels) or not np.all(np.diff(at) > 0):
        raise ValueError(f"a schedule through {tuple(levels)} at {tuple(at)}: give one time for each, in rising order")
    return _row(np.interp(t, at, levels))


def _row(values):
    return np.asarray(values, np.float32)
