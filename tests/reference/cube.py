"""The cube of ternary_jax.lattice.cube in numpy float64, one cell and one sample after the other.

A cell is (x, y, z); its weights are made by `weights_of`, from the parameters of the program.
"""

from math import sqrt
from typing import Any

import numpy as np

STEPS = ((0, 0, -1), (0, 0, 1), (0, -1, 0), (0, 1, 0), (-1, 0, 0), (1, 0, 0))  # (x, y, z)


def gelu(u):
    """The tanh form of GELU, as jax.nn.gelu has it by default."""
    return 0.5 * u * (1 + np.tanh(sqrt(2 / np.pi) * (u + 0.044715 * u**3)))


def normalised(state):
    return state / np.sqrt(np.mean(state**2) + 1e-6)


def weights_of(params, model, number):
    """{"in": (kernel, bias), "out": (kernel, bias), "mix": (7, h), "code": (2 h,)} of cell `number`, float64."""
    own, shared = ({k: np.asarray(v, float) for k, v in params.get(g, {}).items()} for g in ("cells", "shared"))
    found: dict[str, Any] = {"code": 0.0}
    share = np.exp(own["choice"][number]) if model.weights == "prototypes" else np.ones(1)
    share = share / share.sum()
    for name in ("in", "out"):
        if model.weights == "own":
            kernel, bias = own[f"{name}_kernel"][number], own[f"{name}_bias"][number]
        elif model.weights == "prototypes":
            kernel = sum(s * k for s, k in zip(share, shared[f"{name}_kernel"], strict=True))
            bias = sum(s * b for s, b in zip(share, shared[f"{name}_bias"], strict=True))
        else:
            kernel, bias = shared[f"{name}_kernel"], shared[f"{name}_bias"]
        if model.weights == "rank":
            kernel = kernel + own[f"{name}_left"][number] @ own[f"{name}_right"][number]
        found[name] = kernel, bias
    if model.cell == "gated":
        mix = own["mix"][number] if model.weights == "own" else shared["mix"]
        found["mix"] = sum(s * m for s, m in zip(share, mix, strict=True)) if model.weights == "prototypes" else mix
    if model.weights == "code":
        found["code"] = own["code"][number] @ shared["code_kernel"]
    return found


def public(state, model):
    return np.where(np.arange(len(state)) < model.channels - model.private, state, 0)


class Cube:
    """The states {(x, y, z): (C,)} of one sample, and what updates them. closed: cells that are not there."""

    def __init__(self, params, model, size, closed=()):
        self.params, self.model, (self.width, self.height, self.depth) = params, model, size
        self.closed = set(closed)
        cells = [(x, y, z) for z in range(self.depth) for y in range(self.height) for x in range(self.width)]
        self.number = {cell: k for k, cell in enumerate(cells)}
        self.weights = {cell: weights_of(params, model, k) for cell, k in self.number.items()}
        first = np.asarray(params["start"]["state"], float)
        self.states = {cell: first[k if len(first) > 1 else 0] for cell, k in self.number.items()}
        self.close()

    def close(self):
        """Set the states of the closed cells to zeros."""
        self.states |= {cell: np.zeros(self.model.channels) for cell in self.closed}

    def seen(self, cell, states):
        """What the six neighbours of a cell show, None where there is none."""
        there = [n if n in states and n not in self.closed else None for n in self.around(cell)]
        return [None if n is None else self.shown(n, states[n]) for n in there]

    def driven(self, face, x, y):
        own = {name: np.asarray(v, float) for name, v in self.params["drive"].items()}
        return face[y, x] * own["weights"] + own["bias"]

    def shown(self, cell, state):
        """What a cell in this state shows: its v, or its normalised state."""
        z = public(normalised(state), self.model)
        if self.model.cell == "concatenated":
            return z
        kernel, bias = self.weights[cell]["in"]
        return np.split(z @ kernel + bias + self.weights[cell]["code"], 2)[1]

    def update(self, cell, states, neighbours):
        """f of a cell from the states (of all cells, for itself) and what its six neighbours show (None outside)."""
        own, z = self.weights[cell], normalised(states[cell])
        kernel, bias = own["in"]
        seen = [self.shown(cell, states[cell]), *neighbours]
        size = len(seen[0])
        seen = [np.zeros(size) if s is None else s for s in seen]
        if self.model.cell == "gated":
            u = np.split(z @ kernel + bias + own["code"], 2)[0]
            v = sum(w * s for w, s in zip(own["mix"], seen, strict=True))
        else:
            u, v = np.split(np.concatenate([z, *seen[1:]]) @ kernel + bias + own["code"], 2)
        kernel, bias = own["out"]
        return ((1 + gelu(u)) * v) @ kernel + bias

    def around(self, cell):
        x, y, z = cell
        return [(x + dx, y + dy, z + dz) for dx, dy, dz in STEPS]

    def step(self, face):
        """One update of all cells at once. face: None where nothing drives."""
        model, states = self.model, dict(self.states)
        if not model.carry:
            for x, y, z in states:
                if z == 0 and face is not None:
                    states[x, y, z] = states[x, y, z] + self.driven(face, x, y)
        after = {}
        for cell in states:
            x, y, z = cell
            target = self.update(cell, states, self.seen(cell, states))
            if model.carry and (z > 0 or face is not None):
                below = self.driven(face, x, y) if z == 0 else states[x, y, z - 1]
                target = target + public(below, model)
            after[cell] = states[cell] + model.leak * (target - states[cell])
        self.states = after
        self.close()

    def sweep(self, face):
        """Layer after layer, `repeats` times each. Layers behind it are at rest, those before it are done."""
        model, start = self.model, dict(self.states)
        for z in range(self.depth):
            layer = [(x, y, z) for y in range(self.height) for x in range(self.width)]
            for x, y, _ in layer:
                below = self.driven(face, x, y) if z == 0 else self.states[x, y, z - 1]
                if model.carry:
                    self.states[x, y, z] = start[x, y, z] + public(below, model)
                elif z == 0:
                    self.states[x, y, z] = start[x, y, z] + below
            self.close()
            for _ in range(model.repeats):
                states = dict(self.states)
                for cell in layer:
                    change = self.update(cell, states, self.seen(cell, states))
                    self.states[cell] = states[cell] + change if model.carry else change
                self.close()

    def read(self):
        """The face (height, width) of the last layer."""
        own = {name: np.asarray(v, float) for name, v in self.params["readout"].items()}
        face = np.zeros((self.height, self.width))
        for y in range(self.height):
            for x in range(self.width):
                k = (y * self.width + x) if len(own["bias"]) > 1 else 0
                face[y, x] = self.states[x, y, self.depth - 1] @ own["weights"][k] + own["bias"][k]
        return face
