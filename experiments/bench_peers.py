"""Which package embeds the residue tree best, and how fast? gensim, geoopt and our free table, in one run.

    python experiments/bench_peers.py             writes results/bench_peers.json

The leaves are the 3^5 operations, in the same dimension. The peers are trained for different things:

- gensim's PoincareModel ranks the ancestors of each node before other nodes, by one point for each node of the tree,
  the inner ones too. It gets the transitive closure of the edges, which its documentation recommends, or the edges.
- ours and its twin in geoopt fit distances of leaves to lengths of paths in the tree, by Riemannian Adam on the same
  loss, pairs of every valuation equally often. They have no inner nodes. geoopt moves points back to a norm of 0.996
  after each step (in float32); ours stays exact, so that its points may go further out, and has a row with this limit.

So gensim never sees a distance, and the tables never see an ancestor. Triplets, which only compare distances, are the
common ground. Each peer has a small grid of settings and takes the one with the most triplets on the first seed, gensim
around its defaults; the figures are of the others, in turns. Seconds are of one seed. Needs the `bench` extra; what
is not installed is left out.
"""

import argparse
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import lab
import lab_peers
import lab_table
import lab_tree_rows
import numpy as np
import optax

from ternary_jax import terminal
from ternary_jax.riemannian import riemannian_adam
from ternary_jax.tables import columns
from ternary_jax.vae import baselines, evaluate

RATES = (16.0, 32.0, 64.0, 128.0, 256.0)
EDGE_OF_GEOOPT = 1 - 4e-3  # of float32: geoopt moves points back to this norm after each step
PACKAGES = {"gensim": "gensim", "geoopt": "geoopt"}  # the package that a peer needs, beside ours
# One change of its defaults at a time, by the name of the setting.
GENSIM: dict[str, dict[str, Any]] = {
    "defaults": {},
    "edges alone": dict(closure=False),
    "alpha 0.03": dict(alpha=0.03),
    "20 negatives": dict(negative=20),
    "100 epochs": dict(epochs=100),
}
TRAINED_FOR = dict.fromkeys(("geoopt", "ternary_jax", "ternary_jax, as far out as geoopt"), "lengths of paths") | {
    "gensim": "ranks of ancestors"
}
Fit = Callable[[Any, int], np.ndarray]  # setting, seed -> points of the leaves, or of all nodes by gensim


class Measured:
    """The fits of a run: each is timed and measured once."""

    def __init__(self, of: lab_table.Setting):
        self.of = of
        self.metrics = lab_peers.measurer(evaluate.draw_samples(n_digits=of.n_digits), of.n_digits)

    def __call__(self, fit: Fit, setting: Any, seed: int) -> dict[str, float]:
        clock = lab_peers.Clock()
        z = fit(setting, seed)
        spent, n = clock(), 3**self.of.n_digits
        row = self.metrics(z[-n:]) | spent._asdict()
        if len(z) > n:
            row["ancestors"] = lab_peers.precision_of_ancestors(z, self.of.n_digits)
        return row


def peers(of: lab_table.Setting) -> tuple[dict[str, Fit], dict[str, dict[str, Any]], lab_peers.Spent]:
    """Fits and grids of settings by peer, without those that are not installed; and the cost of compiling ours."""
    clock = lab_peers.Clock()
    free = lab_table.Fits(lambda rate: riemannian_adam(rate, of.c, mask=True), 1, of)
    compiling = clock()
    within = optax.GradientTransformation(lambda params: optax.EmptyState(), no_further)
    inner = lab_table.Fits(lambda rate: optax.chain(riemannian_adam(rate, of.c, mask=True), within), 1, of)

    def ours(fits):
        return lambda rate, seed: np.asarray(fits(jnp.array([rate]), jax.random.key(seed)[None])[0][0])

    def gensim(setting, seed):
        return lab_peers.gensim_fit(setting, seed, of.n_digits, of.dim)

    def geoopt(rate, seed):
        return lab_peers.geoopt_fit(rate, seed, of)

    every: dict[str, Fit] = {"gensim": gensim, "geoopt": geoopt, "ternary_jax": ours(free)}
    every["ternary_jax, as far out as geoopt"] = ours(inner)
    left_out = lab_peers.missing(PACKAGES)
    for sentence in left_out.values():
        terminal.say(sentence)
    rates = {f"rate {rate:g}": rate for rate in RATES}
    around = {name: lab_peers.GENSIM | change for name, change in GENSIM.items()}
    grids = {name: around if name == "gensim" else rates for name in every}
    return {name: fit for name, fit in every.items() if name not in left_out}, grids, compiling


def no_further(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
    """Updates that end at a norm of EDGE_OF_GEOOPT if they would end further out."""
    to = params + updates
    norm = jnp.linalg.norm(to, axis=-1, keepdims=True)
    return jnp.where(norm > EDGE_OF_GEOOPT, to * EDGE_OF_GEOOPT / norm, to) - params, state


def chosen(
    fits: Mapping[str, Fit], grids: Mapping[str, Mapping[str, Any]], measured: Measured
) -> tuple[dict[str, str], dict[str, dict[str, float]]]:
    """The setting of each peer with the most triplets on seed 0; and the triplets of all that were tried."""
    tried: dict[str, dict[str, float]] = {}
    for name, fit in fits.items():
        tried[name] = {}
        for label, setting in grids[name].items():
            tried[name][label] = measured(fit, setting, 0)["triplet_accuracy"]
            terminal.say(f"{name}, {label}: triplets {tried[name][label]:.4f}")
    return {name: max(one, key=one.__getitem__) for name, one in tried.items()}, tried


def closed_form(of: lab_table.Setting, measured: Measured) -> dict[str, float]:
    """The metrics of the closed form `tree` in the same ball, which needs no training."""
    z = np.asarray(baselines.tree(baselines.Tree(of.n_digits, of.dim), of.c))
    return measured.metrics(z)


def main() -> None:
    """Choose settings, fit in turns, print and write."""
    parser = lab.parser(__doc__, quick="3^3 operations, 150 steps, one epoch", seeds=5)
    parser.add_argument("--digits", type=int, default=5, help="levels of the tree")
    parser.add_argument("--dim", type=int, default=16, help="dimension of the ball; 4 or more, for the closed form")
    given = parser.parse_args()
    of = lab_table.Setting(
        3 if given.quick else given.digits, given.dim, 1.0, 1.0, 150 if given.quick else 1800, 512, 1
    )
    found = compared(of, given)
    print(columns(lab_tree_rows.peers(found)))
    lab.write("bench_peers", found, given)


def compared(of: lab_table.Setting, given: argparse.Namespace) -> dict[str, Any]:
    """The content of the result: metrics and seconds of each peer and seed, the settings tried and chosen."""
    if given.quick:
        lab_peers.GENSIM["epochs"] = 1
    measured = Measured(of)
    fits, grids, compiling = peers(of)
    best, tried = chosen(fits, grids, measured)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in fits}
    for seed in range(1, given.seeds):
        for name, fit in fits.items():
            runs[name].append(measured(fit, grids[name][best[name]], seed))
            terminal.say(f"{name}, seed {seed}: " + ", ".join(f"{k} {x:.4f}" for k, x in runs[name][-1].items()))
    rows = {}
    for name, own in runs.items():
        metrics = {key: [run[key] for run in own] for key in own[0]}
        seconds = {key: metrics.pop(key) for key in ("wall_s", "cpu_s")}
        rows[name] = {"trained_for": TRAINED_FOR[name], "setting": best[name], "metrics": metrics, **seconds}
    for name in rows.keys() & {"ternary_jax", "ternary_jax, as far out as geoopt"}:
        rows[name]["compiling"] = compiling._asdict()
    exact = {"trained_for": "nothing", "metrics": {key: [x] for key, x in closed_form(of, measured).items()}}
    return {"setting": of._asdict(), "rows": rows | {"closed form tree": exact}, "tried": tried}


if __name__ == "__main__":
    main()
