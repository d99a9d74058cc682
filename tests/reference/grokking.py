"""Reference of the grokking events: their definition in plain Python, over lists of a whole history."""

import itertools
import math
import statistics
from typing import Any


def lacking(x):
    return x is None or not math.isfinite(x)


def noise(x):
    triples = [w for w in zip(x, x[1:], x[2:], strict=False) if not any(map(lacking, w))]
    if len(triples) < 3:
        return math.inf
    return statistics.median(abs(c - 2 * b + a) for a, b, c in triples) / (0.6745 * math.sqrt(6))


def movement(x, lag):
    pairs = [(a, b) for a, b in zip(x, x[lag:], strict=False) if not (lacking(a) or lacking(b))]
    if len(pairs) < 3:
        return math.inf
    return statistics.median(abs(b - a) for a, b in pairs) / (0.6745 * math.sqrt(2))


def resolution(x):
    steps = [abs(b - a) for a, b in itertools.pairwise(x) if not (lacking(a) or lacking(b)) and a != b]
    return max(min(steps, default=0), 2**-23 * max((abs(a) for a in x if not lacking(a)), default=0))


def severity(plateau, gain, t):
    by_plateau = 3 if plateau > 25 else 2 if plateau >= 15 else 1 if plateau >= 5 else 0
    by_gain = 3 if gain > t.gains[2] else 2 if gain > t.gains[1] else 1 if gain > t.gains[0] else 0
    return min(by_plateau, by_gain)


def plateaus(losses, t):
    """The length of the longest plateau up to each evaluation; 0 without one."""
    found = []
    smooth = [sorted(losses[i - 2 : i + 1])[1] if i >= 2 else losses[i] for i in range(len(losses))]
    for i in range(len(losses)):
        span = max(losses[: i + 1]) - min(losses[: i + 1])
        length = 0
        for n in range(min(t.memory, i + 1), t.plateaus[0] - 1, -1):
            part = smooth[i + 1 - n : i + 1]
            deviation = noise(losses[i + 1 - n : i + 1])
            deviation = 0 if math.isinf(deviation) else deviation
            if max(part) - min(part) <= t.flat * max(deviation, t.floor * span):
                length = n
                break
        if length == t.memory:
            length = max(length, found[-1] + 1 if found else 0)
        found.append(length)
    return found


def jumped(rows, share):
    """Whether any of a row of values has moved since the last one by more than a share of the greater."""
    out = [False]
    for old, new in itertools.pairwise(rows):
        out.append(any(abs(b - a) > share * max(abs(a), abs(b)) for a, b in zip(old, new, strict=True)))
    return out


def rises(losses, metrics, scales, schedule, frozen, t):
    """Every rise: dict(begin, end (None where it goes on), plateau, bars, event (the evaluation, or None), gain, ...).

    metrics: a list of values per metric, signed; schedule, frozen: a row of values per evaluation
    """
    lengths, changes, freezes = plateaus(losses, t), jumped(schedule, t.jump), jumped(frozen, 0)
    found: list[dict[str, Any]] = []
    now: dict[str, Any] | None = None
    for i in range(len(losses)):
        b = i - t.kept - t.within + 1
        candidate = None
        if b >= t.kept - 1 and lengths[b] >= t.plateaus[0]:
            candidate = _candidate(i, b, losses, metrics, scales, t)
        if candidate is None:
            if now:
                now["end"] = i - 1
            now = None
            continue
        if now is None:
            now = dict(
                begin=i, end=None, plateau=lengths[b], event=None, gain=0, severity=0, schedule=False, freeze=False
            )
            found.append(now)
        span = range(max(0, b - t.kept + 1), i + 1)
        now["schedule"] |= now["event"] is None and any(changes[j] for j in span)
        now["freeze"] |= now["event"] is None and any(freezes[j] for j in span)
        barred = now["schedule"] or now["freeze"] or any(changes[j] or freezes[j] for j in span)
        now["spike"], now["precision"], gain = candidate
        if not (barred or now["spike"] or now["precision"]):
            now["event"] = i if now["event"] is None else now["event"]
            now["gain"] = max(now["gain"], gain)
            now["severity"] = severity(now["plateau"], now["gain"], t)
    return found


def _candidate(i, b, losses, metrics, scales, t):
    """None, or (spike, precision, gain)."""
    up, kept, fine, gains = 0, 0, 0, []
    for values, scale in zip(metrics, scales, strict=True):
        past = values[max(0, b - t.memory + 1) : b + 1]
        before, after = values[b - t.kept + 1 : b + 1], values[i - t.kept + 1 : i + 1]
        if any(map(lacking, before + after)):
            continue
        need = max(t.gains[0] * scale, t.over * movement(past, t.within))
        gain, lasting = after[0] - max(before), min(after) - max(before)
        up += gain > need
        fine += gain > need and gain > t.steps * resolution(past)
        if lasting > need:
            kept += 1
            gains.append(lasting / scale)
    if up < t.together:
        return None
    flat = losses[b - t.kept + 1 : b + 1]
    gain = sorted(gains)[-t.together] if kept >= t.together else 0
    return kept < t.together, fine < t.together or len(set(flat)) == 1, gain
