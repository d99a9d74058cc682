"""Cosines, ranks and the losses of vectors by plain float64 loops over rows."""

import math

import numpy as np


def cosine(a, b):
    """Of two vectors; 0 where one of them is zero."""
    return a @ b / (math.sqrt(a @ a) * math.sqrt(b @ b)) if a.any() and b.any() else 0.0


def mean_cosine(outputs, targets):
    return np.mean([cosine(a, b) for a, b in zip(outputs, targets, strict=True)])


def pair_cosine(rows):
    return np.mean([cosine(a, b) for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j])


def ranks(outputs, candidates, truth):
    """The mean place of the true candidate over all orders of the candidates that are as near as it."""
    found = []
    for output, own in zip(outputs, truth, strict=True):
        near = [cosine(output, candidate) for candidate in candidates]
        places = [place for place, value in enumerate(sorted(near, reverse=True), 1) if value == near[own]]
        found.append(np.mean(places))
    return np.array(found)


def infonce(outputs, targets, truth, temperature):
    losses = []
    for output, own in zip(outputs, truth, strict=True):
        odds = [math.exp(cosine(output, target) / temperature) for target in targets]
        right = sum(value for value, number in zip(odds, truth, strict=True) if number == own)
        losses.append(-math.log(right / sum(odds)))
    return np.mean(losses)
