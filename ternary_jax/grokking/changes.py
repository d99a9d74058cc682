"""Changes of a whole series, in numpy: change points of its level, phase transitions, regimes of gradient norms.

Every threshold is scaled by the noise of the series itself, as `definitions.noise` measures it.
"""

import math

import jax
import numpy as np

from ternary_jax.grokking import definitions

SMALLEST = 0.02  # least change of level, as a fraction of the range: a slope without noise is not a series of changes
_noise = jax.jit(definitions.noise)


def noise(x: np.ndarray) -> float:
    """Standard deviation of the noise of a series (n,), 0 if it is too short."""
    x = np.asarray(x, np.float32)
    found = float(_noise(np.pad(x, (0, -len(x) % 256), constant_values=np.inf)))  # padded: few shapes to compile
    return found if math.isfinite(found) else 0.0


def penalty(x: np.ndarray) -> float:
    """The cost of a change point in squared error: 3 s^2 log n, s the noise, at least SMALLEST times the range."""
    return 3 * max(noise(x), SMALLEST * float(np.ptp(x)), 1e-12) ** 2 * math.log(max(len(x), 2))


def change_points(x: np.ndarray, cost: float, least: int = 2) -> list[int]:
    """The indices at which the pieces of the best piecewise constant fit of (n,) begin, without the first.

    It minimises the squared error + cost per change, over pieces of `least` or more values; exact, by PELT (Killick,
    Fearnhead & Eckley 2012): a begin that is worse than the best by more than the cost of a change is pruned.
    """
    x = np.asarray(x, np.float64) - np.mean(x)
    n = len(x)
    sums, squares = (np.concatenate([[0.0], np.cumsum(y)]) for y in (x, x * x))
    best, before = np.full(n + 1, np.inf), np.zeros(n + 1, int)
    best[0] = -cost
    begins = np.zeros(0, int)
    for end in range(least, n + 1):
        begins = np.append(begins, end - least)
        error = squares[end] - squares[begins] - (sums[end] - sums[begins]) ** 2 / (end - begins)
        total = best[begins] + error
        k = int(np.argmin(total))
        best[end], before[end] = total[k] + cost, begins[k]
        begins = begins[total <= best[end]]
    found, end = [], n
    while end > 0 and before[end] > 0:
        end = int(before[end])
        found.append(end)
    return found[::-1]


def transitions(x: np.ndarray, window: int = 10) -> list[int]:
    """Phase transitions: the indices with the greatest curvature of the moving average m over `window` values.

        |m_i+1 - 2 m_i + m_i-1| > 2 standard deviations of it over the series

    and above the greatest of n values from noise s alone, sqrt(2 log n) 2 s / window. Neighbours are one transition, at
    their maximum; the index is that of the newest value in m_i+1.
    """
    if len(x) < window + 3:
        return []
    mean = np.convolve(x, np.full(window, 1 / window), "valid")
    bend = np.abs(mean[2:] - 2 * mean[1:-1] + mean[:-2])
    by_noise = math.sqrt(2 * math.log(len(bend))) * 2 * noise(x) / window if len(bend) > 1 else 0.0
    rounding = 1e-6 * float(np.max(np.abs(x)))  # the resolution of float32
    return [k + window for k in _peaks(bend, max(2 * float(np.std(bend)), by_noise, rounding), window)]


def regimes(norms: np.ndarray, window: int = 20, share: float = 0.5) -> list[int]:
    """The indices at which the gradient norm moves to another regime.

        |mean of the next `window` - mean of the last `window`| > share (mean of the last)

    and above 4 standard deviations of such a difference, s sqrt(2 / window). Neighbours are one, at their maximum.
    """
    n = len(norms)
    if n < 2 * window:
        return []
    mean = np.convolve(norms, np.full(window, 1 / window), "valid")
    last, later = mean[: n - 2 * window + 1], mean[window:]
    difference = np.abs(later - last)
    over = np.maximum(share * np.abs(last), 4 * noise(norms) * math.sqrt(2 / window))
    return [k + window for k in _peaks(np.where(difference > over, difference, 0), 0.0, window)]


def _peaks(x, over, apart):
    """The index of the maximum of each group of values over a threshold; indices less than `apart` away are a group."""
    found: list[list[int]] = []
    for k in np.flatnonzero(x > over):
        if found and k - found[-1][-1] < apart:
            found[-1].append(int(k))
        else:
            found.append([int(k)])
    return [group[int(np.argmax(x[group]))] for group in found]
