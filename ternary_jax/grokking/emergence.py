"""Emergence metrics, on request: norm and rank of weights, rank of representations, local complexity.

They are pure functions of arrays; `measuring` adds those that a config asks for to the cheap metrics of a task. The
gradient norm before clipping is not among them: the engine always reports it.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from ternary_jax.engine.program import untrained
from ternary_jax.engine.task import Inner, Network, Task
from ternary_jax.errors import ConfigError
from ternary_jax.metric import Metric
from ternary_jax.orthogonal import orthogonal

SEED = 0  # seed of the inputs and directions of local complexity, the same in all runs and at all evaluations


def effective_rank(a: Array) -> Array:
    """(sum s)^2 / sum s^2 of the singular values s of a (n, m) -> (), from 1 to min(n, m); 0 for a matrix of zeros.

    It is k if k singular values are equal and the others 0, and it does not depend on the scale. Rows are not centred:
    an offset that all rows share counts as a direction.
    """
    # The square roots of the eigenvalues of a'a would be faster. But for s = 0, rounding leaves an eigenvalue of
    # eps max(s)^2; many of its roots, sqrt(eps) max(s), would dominate the sum.
    s = _singular_values(a.astype(jnp.float32))
    share = s / jnp.where(s[0] == 0, 1, s[0])  # s squared may overflow or underflow
    return jnp.sum(share) ** 2 / jnp.where(s[0] == 0, 1, jnp.sum(share * share))


def matrices(tree: Any) -> list[Array]:
    """The matrices of a tree with at least two rows and columns; the rank of a single row or column is always 1."""
    return [leaf for leaf in jax.tree.leaves(tree) if leaf.ndim == 2 and min(leaf.shape) > 1]


def local_complexity(
    preactivations: Callable[[Array], dict[str, Array]], points: Array, key: Array, radius: float, directions: int
) -> dict[str, Array]:
    """The number of units of each layer that are active at some vertices x +- radius v_p but not at all: mean over x.

    points (n, d): the x; v_1, .., v_directions: orthonormal, drawn independently for each x
    preactivations: inputs (m, d) -> {layer: (m, units)}; a unit is active above 0. Returns {layer: ()}

    For relu units, this counts the folds of the network that pass between the vertices of a cross-polytope around x
    (Humayun, Balestriero and Baraniuk, arXiv 2402.15555). For other units it counts sign changes.
    """
    n, d = points.shape
    v = radius * jnp.swapaxes(orthogonal(key, (n, d, directions)), 1, 2)
    vertices = points[:, None] + jnp.concatenate([v, -v], 1)

    def crossed(h):
        h = h.reshape(n, 2 * directions, -1)
        low, high = jnp.min(h, 1), jnp.max(h, 1)
        return jnp.mean(jnp.sum(jnp.where(jnp.isnan(low), jnp.nan, (low <= 0) & (high > 0)), -1))

    return {layer: crossed(h) for layer, h in preactivations(vertices.reshape(-1, d)).items()}


def measuring(task: Task, static: Any, hypers: Any) -> Task:
    """The task with the metrics that `static.emergence` asks for among its cheap metrics.

    hypers: of all runs. These metrics have no chance, no best and no preferred direction: `better = -1` only decides
    which value is stored as the best. A ConfigError if the task does not offer a metric.
    """
    asked = static.emergence

    def measure(params, context):
        found = {"weight_norm": optax.tree.norm(params)} if asked.weight_norm else {}
        if asked.weight_rank:
            found |= _of_weights(task, params)
        if asked.representation_rank:
            representations = _inner(task, "representation_rank").representations(params, context)
            found |= {f"representation_rank_{name}": effective_rank(x) for name, x in representations.items()}
        if asked.local_complexity:
            networks = _inner(task, "local_complexity").networks(params, context)
            for name, network in networks.items():
                found |= _of_network(f"local_complexity_{name}", network, asked)
        return found

    first = jax.tree.map(lambda x: x[0], hypers)
    # Only traced, for the names of the metrics.
    names = jax.eval_shape(lambda hypers, data: measure(*untrained(task, hypers, data)), first, task.data)

    def evaluate(params, context):
        return task.evaluate(params, context) | measure(params, context)

    nan = float("nan")
    metrics = tuple(Metric(name, -1, nan, nan, None, tag=f"emergence/{name}") for name in names)
    return task._replace(metrics=(*task.metrics, *metrics), evaluate=evaluate)


# --- inside -----------------------------------------------------------------------------------------------------------


@jax.custom_batching.sequential_vmap
def _singular_values(a):
    """One matrix after the other also where runs are vmapped: see orthogonal.py on LAPACK's batches."""
    return jnp.linalg.svd(a, compute_uv=False)


def _of_weights(task: Task, params: dict[str, Any]) -> dict[str, Array]:
    """The mean rank of the matrices of each group that has matrices."""
    found = {group: some for group, tree in params.items() if (some := matrices(tree))}
    if not found:
        raise ConfigError(
            f"config.emergence.weight_rank=True needs matrices among the parameters of {task.name}, which has none: "
            "leave it False"
        )
    return {
        f"weight_rank_{group}": jnp.mean(jnp.stack([effective_rank(a) for a in some])) for group, some in found.items()
    }


def _of_network(name: str, network: Network, asked: Any) -> dict[str, Array]:
    """Local complexity of all layers together, and of each if there are several."""
    n, d = network.inputs.shape
    for key, given, most in (("points", asked.points, n), ("directions", asked.directions, d)):
        if given > most:
            raise ConfigError(f"config.emergence.{key}={given} is more than {name} has, which is {most}: give fewer")
    rows = np.random.default_rng(SEED).choice(n, asked.points, replace=False)
    points = network.inputs[rows].astype(jnp.float32)
    found = local_complexity(network.preactivations, points, jax.random.key(SEED), asked.radius, asked.directions)
    layers = {f"{name}_{layer}": value for layer, value in found.items()} if len(found) > 1 else {}
    return {name: sum(found.values(), start=jnp.float32(0))} | layers


def _inner(task: Task, flag: str) -> Inner:
    if task.inner is None:
        raise ConfigError(
            f"config.emergence.{flag}=True needs a task that exposes its activations (Task.inner), and {task.name} "
            "has none: leave it False"
        )
    return task.inner
