"""Reference of the losses of a batch, row by row in Python floats (float64), without the package.

The mean of an empty sequence is 0.
"""

import itertools
import math

import numpy as np

TRITS = (-1, 0, 1)


def mean_of(values):
    values = list(values)
    return sum(values) / len(values) if values else 0.0


def smooth_l1(x):
    return x * x / 2 if abs(x) < 1 else abs(x) - 0.5


def cross_entropy(logits, x):
    total = 0.0
    for row, trits in zip(logits, x, strict=True):
        for scores, trit in zip(row, trits, strict=True):
            total -= math.log(math.exp(scores[TRITS.index(trit)]) / sum(math.exp(s) for s in scores))
    return total / len(x)


def gaussian_kl(mean, log_variance, free_bits):
    total = 0.0
    for k in range(len(mean[0])):
        nats = [
            0.5 * (math.exp(w[k]) + m[k] ** 2 - 1) - math.log(math.exp(w[k] / 2))
            for m, w in zip(mean, log_variance, strict=True)
        ]
        total += max(free_bits, mean_of(nats))
    return total


def radial_targets(inner, outer, c0, n_digits):
    targets = []
    for v in range(n_digits + 1):
        f = (v * inner + (n_digits - v) * outer) / n_digits
        targets.append(math.log((1 + f) / (1 - f)) / math.sqrt(c0))
    return targets


def squared(r, v, targets, growth):
    return mean_of((1 + math.exp(growth * b)) * (a - targets[b]) ** 2 for a, b in zip(r, v, strict=True))


def margin(r_i, r_j, v_i, v_j, targets, share):
    violations = []
    for a, b, k, m in zip(r_i, r_j, v_i, v_j, strict=True):
        if k < m:
            violations.append(max(0.0, share * (targets[k] - targets[m]) - (a - b)))
        elif m < k:
            violations.append(max(0.0, share * (targets[m] - targets[k]) - (b - a)))
    return mean_of(violations)


def rank(r_i, r_j, v_i, v_j, temperature):
    terms = []
    for a, b, k, m in zip(r_i, r_j, v_i, v_j, strict=True):
        outer, inner = (a, b) if k < m else (b, a)
        if k != m:
            terms.append(abs(k - m) / (1 + math.exp((outer - inner) / temperature)))
    return mean_of(terms)


def stratification(r, v, targets):
    n_digits = len(targets) - 1
    return mean_of((1 + b / n_digits) * smooth_l1(a - targets[b]) for a, b in zip(r, v, strict=True))


def members(r, v, n_digits):
    return {k: [float(a) for a, b in zip(r, v, strict=True) if b == k] for k in range(n_digits + 1) if k in v}


def variance(values):
    return sum((a - mean_of(values)) ** 2 for a in values) / (len(values) - 1) if len(values) > 1 else 0.0


def monotonic(r, v, targets, share, softness, pull):
    means = {k: mean_of(a) for k, a in members(r, v, len(targets) - 1).items()}
    present, terms = sorted(means), []
    for outer, inner in itertools.pairwise(present):
        short = share * (targets[outer] - targets[inner]) - (means[outer] - means[inner])
        terms.append(softness * math.log1p(math.exp(short / softness)))
    return mean_of(terms) + pull * mean_of((m - targets[k]) ** 2 for k, m in means.items())


def level_means(r, v, targets):
    return mean_of((mean_of(a) - targets[k]) ** 2 for k, a in members(r, v, len(targets) - 1).items())


def floor(r, v, reference, kappa):
    n_digits = len(reference) - 1
    groups = members(r, v, n_digits)
    return mean_of(
        max(0.0, kappa - variance(a) / reference[k]) ** 2 for k, a in groups.items() if len(a) > 1 and k < n_digits
    )


def band_variance(targets):
    last, variances = len(targets) - 1, []
    for v, target in enumerate(targets):
        outer = (targets[v - 1] - target) / 2 if v > 0 else (target - targets[1]) / 2
        inner = (target - targets[v + 1]) / 2 if v < last else (targets[v - 1] - target) / 2
        variances.append((outer + inner) ** 2 / 12)
    return variances


def separation(r, v, n_digits, gap):
    means = [mean_of(a) for _, a in sorted(members(r, v, n_digits).items())]
    return sum(max(0.0, inner - outer + gap) for outer, inner in itertools.pairwise(means))


def geodesic_targets(furthest, scale, n_digits):
    return [furthest / math.exp(v / scale) for v in range(n_digits)] + [0.0]


def pair_distance(d, pair_v, targets):
    n_digits = len(targets) - 1
    return mean_of(smooth_l1(a - targets[v]) for a, v in zip(d, pair_v, strict=True) if v != n_digits)


def ranking(d_j, d_k, v_j, v_k, margin):
    terms = []
    for a, b, k, m in zip(d_j, d_k, v_j, v_k, strict=True):
        if k > m:
            terms.append(max(0.0, a - b + margin))
        if k < m:
            terms.append(max(0.0, b - a + margin))
    return mean_of(terms)


def leading_zero_trits(row):
    for k, trit in enumerate(row):
        if trit != 0:
            return k
    return len(row)


def zero_pull(r, x, targets):
    return mean_of(smooth_l1(a - targets[leading_zero_trits(row)]) for a, row in zip(r, x, strict=True))


def zero_correlation(r, x, aim):
    counts = [sum(trit == 0 for trit in row) for row in x]
    m, n = mean_of(counts), mean_of(r)
    spread = math.sqrt(mean_of((a - m) ** 2 for a in counts) * mean_of((b - n) ** 2 for b in r))
    if spread == 0:
        return aim**2
    return (mean_of((a - m) * (b - n) for a, b in zip(counts, r, strict=True)) / spread - aim) ** 2


def outside(length, v, furthest, ratio, width, n_digits, top):
    terms = []
    for a, k in zip(length, v, strict=True):
        if k == n_digits and not top:
            continue
        centre, finest = furthest * ratio**k, furthest * ratio**n_digits / math.e
        levels_out = math.log(max(a, finest) / centre) / math.log(1 / ratio)  # in levels: positive is outward
        above = max(0.0, levels_out - width) if k > 0 else 0.0
        below = max(0.0, -levels_out - width) if k < n_digits else 0.0
        terms.append((above**2 + below**2) * math.log(ratio) ** 2)
    return mean_of(terms)


def spread(r, x, outer, between, c0):
    place = {0: outer, 1: between}
    targets = {trit: math.log((1 + f) / (1 - f)) / math.sqrt(c0) for trit, f in place.items()}
    return mean_of((a - targets[row[0]]) ** 2 for a, row in zip(r, x, strict=True) if row[0] != -1)


def padic_targets(scale, n_digits):
    return [scale / 3**v for v in range(n_digits)] + [0.0]


def padic(length, v, targets):
    return mean_of((a - targets[b]) ** 2 for a, b in zip(length, v, strict=True))


def triplet_margin(v_j, v_k, least, slope):
    return [least + slope * max(a - b, b - a) for a, b in zip(v_j, v_k, strict=True)]


def ordered(d_j, d_k, v_j, v_k, margins):
    terms = []
    for a, b, k, m, margin in zip(d_j, d_k, v_j, v_k, margins, strict=True):
        near, far = (a, b) if k > m else (b, a)
        terms += [max(0.0, near - far + margin)] if k != m else []
    return mean_of(terms)


def violated(d_p, d_n, found, margins):
    short = [a - b + m for a, b, m, there in zip(d_p, d_n, margins, found, strict=True) if there]
    return mean_of(s for s in short if s > 0)


def mine(d, v, n_digits):
    """(positive, negative) of each row, or None without both, from all distances and pair valuations (n, n)."""
    triplets = []
    for near, level in zip(d, v, strict=True):
        positive = negative = None
        for j, k in enumerate(level):
            if k < n_digits and (positive is None or (k, near[j]) > (level[positive], near[positive])):
                positive = j
        for j, k in enumerate(level):
            if positive is not None and k < level[positive] and (negative is None or near[j] < near[negative]):
                negative = j
        triplets.append(None if negative is None else (positive, negative))
    return triplets


def repulsion(d, pair_v, width, n_digits):
    return mean_of(math.exp(-((a / width) ** 2)) for a, v in zip(d, pair_v, strict=True) if v != n_digits)


def softmax(scores):
    total = sum(math.exp(s) for s in scores)
    return [math.exp(s) / total for s in scores]


def entropy(p):
    return -sum(q * math.log(q) for q in p if q > 0)


def entropy_of_mean(logits):
    digits = zip(*logits, strict=True)
    return sum(entropy([mean_of(q) for q in zip(*map(softmax, rows), strict=True)]) for rows in digits)


def entropy_of_rows(logits):
    return mean_of(entropy(softmax(scores)) for row in logits for scores in row)


def focus(logits, x, share, power, least):
    return mean_of(
        ((1 - s) ** power + least) * cross_entropy([row], [trits])
        for row, trits, s in zip(logits, x, share, strict=True)
    )


def centroid(z, rows, level, c):
    """The centroid loss, computed on the hyperboloid, where gradient descent finds the means."""
    balls = {}
    for point, row in zip(z, rows, strict=True):
        balls.setdefault(row % 3**level, []).append(point)
    return mean_of(d**2 for points in balls.values() if len(points) > 1 for d in to_mean(np.array(points), c))


def to_mean(z, c):
    """Distances of points (n, dim) of the ball to their Frechet mean."""
    square = c * np.square(z).sum(1, keepdims=True)
    x = np.concatenate([1 + square, 2 * math.sqrt(c) * z], 1) / (1 - square)  # <x, x> = -1
    form = np.r_[-1.0, np.ones(z.shape[1])]
    m = np.eye(len(form))[0]
    for _ in range(500):
        apart = np.arccosh(np.maximum(1, -(x * form) @ m))
        logs = x + ((x * form) @ m)[:, None] * m
        stretch = np.divide(apart, np.sinh(apart), out=np.ones_like(apart), where=apart > 1e-9)
        steep = np.divide(apart, np.tanh(apart), out=np.ones_like(apart), where=apart > 1e-9)
        step = (stretch[:, None] * logs).mean(0) / steep.mean()
        length = math.sqrt(max(0.0, (step * form) @ step))
        m = math.cosh(length) * m + (math.sinh(length) / length if length > 1e-12 else 1.0) * step
        m /= math.sqrt(-(m * form) @ m)
        if length < 1e-13:
            break
    half = np.sqrt(np.maximum(0, ((x - m) * form * (x - m)).sum(1))) / 2
    return 2 * np.arcsinh(half) / math.sqrt(c)
