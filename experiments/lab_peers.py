# pyright: reportMissingImports=false, reportCallIssue=false, reportArgumentType=false
"""Published packages that embed the residue tree: gensim's PoincareModel, and our free table by geoopt.

gensim and geoopt are of the `bench` extra, and are imported where they are called.
"""

import importlib.util
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import lab_table
import numpy as np

from ternary_jax import poincare, ternary
from ternary_jax.vae import evaluate

# The defaults of gensim 4.4, and the epochs of the examples in its documentation.
GENSIM: dict[str, Any] = dict(alpha=0.1, negative=10, regularization_coeff=1.0, epochs=50, closure=True)


METRICS = ("triplet_accuracy", "ultrametric_correlation", "distortion", "path_stress", "hierarchy")


class Spent(NamedTuple):
    """Seconds of the clock, and of all cores together."""

    wall_s: float
    cpu_s: float


class Clock:
    """The seconds since it was made."""

    def __init__(self):
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def __call__(self) -> Spent:
        return Spent(time.perf_counter() - self.wall, time.process_time() - self.cpu)


def missing(packages: Mapping[str, str]) -> dict[str, str]:
    """Of peer -> package: the peers whose package is not installed, each with what to do about it."""
    return {
        peer: f"{peer} is left out: {package} is not installed; `pip install -e '.[bench]'` installs it"
        for peer, package in packages.items()
        if importlib.util.find_spec(package) is None
    }


# --- gensim -----------------------------------------------------------------------------------------------------------


def relations(n_digits: int, closure: bool) -> list[tuple[str, str]]:
    """(node, ancestor) of the residue tree, named level/class; all ancestors with closure, else the parent alone."""
    return [
        (f"{level}/{i}", f"{above}/{i % 3**above}")
        for level in range(1, n_digits + 1)
        for i in range(3**level)
        for above in (range(level) if closure else [level - 1])
    ]


def nodes(n_digits: int) -> list[str]:
    """All nodes, the 3^D leaves last, in the order of the operations."""
    return [f"{level}/{i}" for level in range(n_digits + 1) for i in range(3**level)]


def gensim_fit(setting: Mapping[str, Any], seed: int, n_digits: int, dim: int) -> np.ndarray:
    """The points of all nodes, (n, dim) float64, in the order of `nodes`. setting: as GENSIM."""
    from gensim.models.poincare import PoincareModel

    own = {name: x for name, x in setting.items() if name not in ("epochs", "closure")}
    model = PoincareModel(relations(n_digits, setting["closure"]), size=dim, seed=seed, **own)
    model.train(epochs=setting["epochs"])
    return np.stack([model.kv[name] for name in nodes(n_digits)])


def precision_of_ancestors(z: np.ndarray, n_digits: int) -> float:
    """Mean average precision of the ancestors of each node, by distance among all nodes: what gensim is trained for."""
    names = nodes(n_digits)
    index = {name: k for k, name in enumerate(names)}
    own: dict[int, list[int]] = {}
    for node, ancestor in relations(n_digits, closure=True):
        own.setdefault(index[node], []).append(index[ancestor])
    precisions = []
    for node, ancestors in own.items():
        order = np.argsort(_distances(z[[node]], z), kind="stable")
        rank = np.empty(len(z), int)
        rank[order[order != node]] = np.arange(1, len(z))
        ranks = np.sort(rank[ancestors])
        precisions.append(np.mean(np.arange(1, len(ranks) + 1) / ranks))
    return float(np.mean(precisions))


def _distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distances of c = 1 of paired rows in float64: gensim's points come as near to the edge as 1e-5."""
    gap = (1 - (x**2).sum(-1)) * (1 - (y**2).sum(-1))
    return 2 * np.arcsinh(np.sqrt(((x - y) ** 2).sum(-1) / gap))


# --- geoopt -----------------------------------------------------------------------------------------------------------


def geoopt_fit(rate: float, seed: int, of: lab_table.Setting) -> np.ndarray:
    """The points (N, dim) of `lab_table.Fits` with Riemannian Adam, by geoopt: same start, pairs, loss and schedule."""
    import geoopt
    import torch

    torch.set_num_threads(1)  # for products this small, a second thread costs more than it does
    generator, ball = torch.Generator().manual_seed(seed), geoopt.PoincareBallExact(c=of.c)
    start = ball.expmap0(5e-3 * torch.randn(3**of.n_digits, of.dim, generator=generator))
    points = geoopt.ManifoldParameter(start, manifold=ball)
    optimizer = geoopt.optim.RiemannianAdam([points], lr=rate)
    targets = torch.tensor(np.asarray(lab_table.targets_of_tree(of.edge, of.n_digits)))
    for n in range(of.steps):
        optimizer.param_groups[0]["lr"] = rate * 0.5 * (1 + math.cos(math.pi * n / of.steps))
        i, j, v = torch_pairs(generator, of.pairs, of.n_digits)
        loss = torch_stress(ball, points, i, j, targets[v])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return points.detach().numpy()


def torch_stress(ball: Any, points: Any, i: Any, j: Any, targets: Any) -> Any:
    """`lab_table.sampled_stress` of pairs with these targets."""
    return ((ball.dist(points[i], points[j]) / targets - 1) ** 2).mean()


def torch_pairs(generator: Any, n: int, n_digits: int) -> tuple[Any, Any, Any]:
    """`lab_table.draw_pairs`, and the valuations of the pairs."""
    import torch

    def below(most):
        return (torch.rand(n, generator=generator, dtype=torch.float64) * most).long()

    i, v = below(3**n_digits), below(n_digits)
    power = 3**v
    digit = (i // power + 1 + below(2)) % 3
    rest = below(3 ** (n_digits - 1 - v))
    return i, i % power + power * digit + 3 * power * rest, v


# --- the metrics ------------------------------------------------------------------------------------------------------


def measurer(samples: evaluate.Samples, n_digits: int) -> Callable[[np.ndarray], dict[str, float]]:
    """A compiled function: leaves (N, dim) in the ball of c = 1 -> metrics that ignore a factor on all distances.

    path_stress: min over a of the mean of (d / (a t) - 1)^2 over pairs with levels uniform, t being the length of the
    path in the tree; hierarchy is of the leaves, none of whose radii is trained for by any of the peers
    """
    digits = ternary.operations(n_digits)

    @jax.jit
    def all_of(z, samples):
        d = jax.vmap(poincare.dist, (0, 0, None))(z[samples.level_i], z[samples.level_j], 1.0)
        relative = d / (2 * (n_digits - samples.level))
        stress = 1 - jnp.mean(relative) ** 2 / jnp.mean(relative**2)
        return evaluate.cheap(z, digits, 1.0), evaluate.costly(z, 1.0, samples), stress

    def measure(z):
        with jax.enable_x64(True):
            cheap, costly, stress = jax.device_get(all_of(np.asarray(z, np.float64), samples))
        named = {"hierarchy": cheap.hierarchy, "path_stress": stress} | costly._asdict()
        return {name: float(named[name]) for name in METRICS}

    return measure
