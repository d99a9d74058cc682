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


def dimensions(rows):
    square = np.mean([cosine(a, b) ** 2 for a in rows for b in rows])
    return 1 / square if square else 0.0


def ranks(outputs, candidates, truth, numbers=None):
    """The mean place of the true candidate over all orders of those as near as it, without others of its number."""
    found, numbers = [], range(len(candidates)) if numbers is None else numbers
    for output, own in zip(outputs, truth, strict=True):
        counted = [k for k in range(len(candidates)) if k == own or numbers[k] != numbers[own]]
        near = {k: cosine(output, candidates[k]) for k in counted}
        places = [place for place, value in enumerate(sorted(near.values(), reverse=True), 1) if value == near[own]]
        found.append(np.mean(places))
    return np.array(found)


def infonce(outputs, targets, truth, temperature):
    losses = []
    for output, own in zip(outputs, truth, strict=True):
        odds = [math.exp(cosine(output, target) / temperature) for target in targets]
        right = sum(value for value, number in zip(odds, truth, strict=True) if number == own)
        losses.append(-math.log(right / sum(odds)))
    return np.mean(losses)
