"""What other models make of a map of faces, on fresh samples: shared by the experiments with lattices."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from lab_lattice import rounded

from ternary_jax import terminal
from ternary_jax.lattice import baselines, models, targets

SAMPLES = 4096  # faces for the fit of closed forms, and as many to measure
PARTS = 10_000, 10_001  # seeds of the two
Networks = dict[str, tuple[Callable[[int, int], Any], int, int]]  # (planes, cells) -> network; steps, batch
NETWORKS: Networks = {
    "perceptron": (lambda planes, cells: models.Perceptron(256, cells * planes), 3000, 256),
    "transformer": (lambda planes, cells: models.Transformer(36, 4, 3, planes), 1500, 32),
}
Draw = Callable[[Any, int], tuple[Any, Any]]


def drawing(made: targets.Target, side: int, amplitude: float) -> Draw:
    """(key, n) -> n faces of side x side cells and their targets, as rows."""

    def draw(key, n):
        x = targets.inputs(key, n, side, side, amplitude, made.signs)
        return x.reshape(n, -1), made.apply(jnp.asarray(made.table[0]), x).reshape(n, -1)

    return draw


def wanted(static: Any, given: Any, number: int = 0) -> Any:
    """What should be shown of faces (B, height, width). number: data.map"""
    lattice, data = static.lattice, static.data
    target = targets.make(data.target, lattice.width, lattice.height, data.shift, data.maps)
    return target.apply(jnp.asarray(target.table[number % len(target.table)]), given)[:, 0]


def fit_and_fresh(draw: Draw) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Faces and targets (n, S) to fit a closed form, and others to measure, float64."""
    fit, fresh = ([np.asarray(a, float) for a in draw(jax.random.key(part), SAMPLES)] for part in PARTS)
    return fit, fresh


def closed_forms(draw: Draw) -> dict[str, float]:
    """r2 of the mean, of an affine map of each cell, and of ridge."""
    fit, fresh = fit_and_fresh(draw)
    slope, offset = baselines.affine_per_cell(*fit)
    matrix, constant = baselines.ridge(fit[0], fit[1])
    tiled = np.tile(fresh[0], fresh[1].shape[1] // fresh[0].shape[1])
    return {
        "mean": baselines.score(np.broadcast_to(fit[1].mean(0), fresh[1].shape), fresh[1]),
        "each cell affine": baselines.score(slope * tiled + offset, fresh[1]),
        "ridge": baselines.score(fresh[0] @ matrix + constant, fresh[1]),
    }


def networks(draw: Draw, planes: int, seeds: int, name: str, kinds: Networks = NETWORKS) -> dict[str, Any]:
    """r2 of each network by seed, and its parameters; name: of the target, for the progress."""
    (_, fresh), found = fit_and_fresh(draw), {}
    for kind, (make, steps, batch) in kinds.items():
        network, scores, parameters = make(planes, fresh[0].shape[1]), [], 0
        run = jax.jit(
            lambda key, n=network, s=steps, b=batch: baselines.train(n, lambda key: draw(key, b), key, s, 3e-3)
        )
        for seed in range(seeds):
            params = run(jax.random.key(seed))
            scores.append(baselines.score(network.apply(params, jnp.float32(fresh[0])), fresh[1]))
            terminal.progress(f"{name}: {kind}, seed {seed + 1}, r2 {scores[-1]:.4f}")
            parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
        found |= {kind: rounded(scores), f"{kind}, parameters": parameters}
    terminal.progress()
    return found
