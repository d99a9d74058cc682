"""The energy-flow lattice as a plain float64 loop over samples, flows and cells, written from the formulas alone.

It shares no code with the package: weights come as nested dicts of arrays, settings as plain arguments.
"""

import math

import numpy as np


def gelu(x):
    """The tanh form."""
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def norm(x, weights):
    centred = x - x.mean()
    return centred / math.sqrt((centred**2).mean() + 1e-6) * weights["scale"] + weights["bias"]


def linear(x, weights):
    return x @ weights["kernel"] + weights.get("bias", 0)


def neuron(x, energy, weights):
    x = linear(x, weights["place"])
    if "energy" in weights:
        x = x + linear(energy, weights["energy"])
    x = linear(gelu(norm(x, weights["norm_0"])), weights["hidden"])
    return linear(gelu(norm(x, weights["norm_1"])), weights["out"])


def carrier(x, energy, hidden, weights):
    """hidden (layers, h) -> hidden (layers, h)."""
    found = []
    for layer, h in enumerate(hidden):
        given = linear(x, weights[f"input_{layer}"])
        if "energy" in weights and layer == 0:
            given = given + linear(energy, weights["energy"])
        kept = linear(h, weights[f"recurrent_{layer}"])
        (r, z, n), (ur, uz, un) = np.split(given, 3), np.split(kept, 3)
        n = np.tanh(n + sigmoid(r + ur) * (un + weights[f"bias_{layer}"]))
        z = sigmoid(z + uz)
        x = (1 - z) * n + z * h
        found.append(x)
    return np.array(found)


def head(h, weights):
    if "hidden" in weights:
        h = gelu(linear(h, weights["hidden"]))
    return linear(h, weights["out"])


def features(position, size, frequencies):
    q = np.array([2 * v / (n - 1) - 1 for v, n in zip(position, size, strict=True)])
    parts = [q]
    for k in range(frequencies):
        parts += [np.sin(math.pi * 2**k * q), np.cos(math.pi * 2**k * q)]
    return np.concatenate(parts)


def wall(value, last):
    """Reflected once, then clipped."""
    if value < 0:
        value = -value
    if value > last:
        value = 2 * last - value
    return min(max(value, 0), last)


def passed(before, after, left, barrier):
    """(position, whether the flow belongs to the left side) of a step at a hard barrier (x, first row, last row)."""
    plane, first, last = barrier
    ends_beyond = after[0] > plane if left else after[0] < plane
    if not ends_beyond:
        return after, left
    share = (plane - before[0]) / (after[0] - before[0])
    y = before[1] + share * (after[1] - before[1])
    if first - 0.5 <= y <= last + 0.5:
        return after, not left
    return np.array([plane, after[1], after[2]]), left


def spread(points, values, width, height):
    """The sum of bilinear weights, cell by cell: points (n, 2), values (n,) -> (height, width)."""
    out = np.zeros((height, width))
    for (x, y), value in zip(points, values, strict=True):
        for row in range(height):
            for column in range(width):
                out[row, column] += max(0, 1 - abs(x - column)) * max(0, 1 - abs(y - row)) * value
    return out


def run(params, face, size, steps, frequencies, reach, layers, hidden_width, channels, planes, exchange, barrier=None):
    """One sample (height, width) -> (planes, height, width) outputs, (n, 3) positions.

    exchange: ("pool" or another word for none, whether energies pass linearly)
    barrier: (x, first open row, last open row), or None

    Reflecting walls; energy (1 + factor); a way that depends on the energy where the weights have it.
    """
    width, height, depth = size
    drift = (depth - 1) / (steps - 1)
    own = params["cells"]["hidden"] if "cells" in params else np.zeros(width * height)
    flows: list = [
        dict(
            position=np.array([column, row, (depth - 1) / 2 if planes == 2 else 0.0]),
            energy=face[row, column] * (params["spread"]["weights"] if channels > 1 else np.ones(1)),
            hidden=np.zeros((layers, hidden_width)) + own[row * width + column],
            left=barrier is not None and column < barrier[0],
        )
        for row in range(height)
        for column in range(width)
    ]
    for _ in range(steps):
        before = [flow["energy"] for flow in flows]
        for flow in flows:
            x = neuron(features(flow["position"], size, frequencies), flow["energy"], params["neuron"])
            flow["hidden"] = carrier(x, flow["energy"], flow["hidden"], params["carrier"])
            h = flow["hidden"][-1]
            turned = np.tanh(head(h, params["movement"]))
            forward = turned[2] + 1 if planes == 1 else turned[2]
            x, y, z = flow["position"] + np.array([reach * turned[0], reach * turned[1], drift * forward])
            after = np.array([wall(x, width - 1), wall(y, height - 1), min(max(z, 0), depth - 1)])
            if barrier is not None:
                after, flow["left"] = passed(flow["position"], after, flow["left"], barrier)
            flow["position"] = after
            flow["energy"] = flow["energy"] * (1 + head(h, params["energy"]))
        if exchange[0] == "pool":
            weights, bend = params["exchange"], (lambda x: x) if exchange[1] else gelu
            total = sum(
                bend(linear(energy, weights["message"])) * linear(flow["hidden"][-1], weights["message_gate"])
                for energy, flow in zip(before, flows, strict=True)
            ) / math.sqrt(len(flows))
            for flow in flows:
                read = bend(total * linear(flow["hidden"][-1], weights["answer_gate"]))
                flow["energy"] = flow["energy"] + linear(read, weights["answer"])
    points, values = np.array([flow["position"] for flow in flows]), np.array([f["energy"].mean() for f in flows])
    if planes == 1:
        return spread(points[:, :2], values, width, height)[None], points
    far = points[:, 2] / (depth - 1)
    near = spread(points[:, :2], values * (1 - far), width, height)
    return np.stack([near, spread(points[:, :2], values * far, width, height)]), points
