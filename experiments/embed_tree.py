"""What is Riemannian optimisation worth? The 3-adic tree as a free table of points, three optimizers, every rate.

243 operations (3^5, the leaves of the residue tree) are one point of the ball each, with no encoder between them and
the loss: relative stress against the path lengths of the tree. Riemannian Adam, Riemannian SGD and Euclidean Adam with
projection descend it from the same starts on the same pairs, each over its own grid of learning rates, all with a
cosine decay. All runs of one optimizer, rates x seeds, are one compiled program. The rate is chosen on some of the
seeds and reported on the others.

    python experiments/embed_tree.py            writes results/embed_tree.json and results/embed_tree.png
"""

import argparse
import itertools
import json
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
from jax import Array

from ternary_jax import poincare, ternary
from ternary_jax.optimizer import keep_inside, riemannian_adam, riemannian_sgd
from ternary_jax.vae import baselines, evaluate

C = 1.0
N_DIGITS = 5
CHUNKS = 10
POINTS_PER_CHUNK = 15  # of the drawn loss curves


class Optimizer(NamedTuple):
    """One row of the comparison.

    label: as printed.
    make: learning-rate schedule -> optax transformation of a table of points.
    rates: the grid, a factor of 2 to 3 between neighbours, wide enough to hold the best inside.
    colour: in the curves.
    """

    label: str
    make: Callable[[Callable[[Array], Array]], optax.GradientTransformation]
    rates: tuple[float, ...]
    colour: str


OPTIMIZERS = (
    Optimizer(
        "Riemannian Adam",
        lambda rate: riemannian_adam(rate, C, mask=True),
        (0.3, 1.0, 3.0, 8.0, 16.0, 32.0, 64.0),
        "#1b6ca8",
    ),
    Optimizer(
        "Riemannian SGD",
        lambda rate: riemannian_sgd(rate, C, mask=True, momentum=0.9),
        (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0),
        "#3a9278",
    ),
    Optimizer(
        "Euclidean Adam + projection",
        lambda rate: optax.chain(optax.adam(rate), keep_inside(C, mask=True)),
        (0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08),
        "#c8553d",
    ),
)


class Outcome(NamedTuple):
    """All runs of one optimizer in one dimension; R rates, S seeds, the first `n_choose` of which choose the rate.

    stress: (R, S), of the final table over all pairs.
    losses: (R, S, steps), on the pairs of each step.
    points: (R, S, N, dim).
    best: index of the rate chosen.
    compile_s, run_s: seconds.
    """

    stress: np.ndarray
    losses: np.ndarray
    points: np.ndarray
    best: int
    compile_s: float
    run_s: float


def fit(optimizer: Optimizer, dim: int, args: argparse.Namespace) -> Outcome:
    """Run rates x seeds as one program, in chunks that report progress."""
    targets = baselines.table_targets(args.edge, N_DIGITS)

    def transformation(rate):
        return optimizer.make(lambda n: rate * 0.5 * (1 + jnp.cos(jnp.pi * n / args.steps)))

    def start(rate, key):
        points = baselines.table_init(jax.random.fold_in(key, 0), dim, C, N_DIGITS)
        return baselines.TableState(points, transformation(rate).init(points))

    def chunk(state, steps, rate, key):
        key = jax.random.fold_in(key, 1)
        return baselines.table_fit(state, steps, key, transformation(rate), targets, C, args.pairs, N_DIGITS)

    seeds = jax.random.split(jax.random.key(0), args.seeds)
    n_runs = len(optimizer.rates) * args.seeds
    rates = jnp.repeat(jnp.array(optimizer.rates), args.seeds)
    keys = jnp.tile(seeds, len(optimizer.rates))
    began = time.perf_counter()
    state = jax.jit(jax.vmap(start))(rates, keys)
    steps = jnp.arange(args.steps).reshape(CHUNKS, -1)
    program = jax.jit(jax.vmap(chunk, (0, None, 0, 0)), donate_argnums=0).lower(state, steps[0], rates, keys).compile()
    compiled = time.perf_counter()
    losses = []
    for k in range(CHUNKS):
        state, loss = program(state, steps[k], rates, keys)
        losses.append(np.asarray(loss))
        progress(f"{optimizer.label}, {dim}-d: {n_runs} runs, step {(k + 1) * steps.shape[1]} of {args.steps}")
    done = time.perf_counter()
    table = (len(optimizer.rates), args.seeds)
    stress = np.asarray(_stress(state.points, targets)).reshape(table)
    # A run that has left the ball is NaN, and is no candidate.
    score = np.where(np.isnan(stress[:, : args.choose]).any(1), np.inf, stress[:, : args.choose].mean(1))
    return Outcome(
        stress,
        np.concatenate(losses, 1).reshape(*table, -1),
        np.asarray(state.points).reshape(*table, -1, dim),
        int(np.argmin(score)),
        compiled - began,
        done - compiled,
    )


@jax.jit
def _stress(points, targets):
    return jax.lax.map(lambda z: baselines.table_stress(z, targets, C, N_DIGITS), points)


@jax.jit
def _metrics(points, samples):
    return jax.lax.map(lambda z: evaluate.costly(z, C, samples), points)


def summary(optimizer: Optimizer, outcome: Outcome, n_choose: int, samples: Any) -> dict[str, Any]:
    """What is written and printed of one optimizer: mean and standard deviation over the seeds that did not choose."""
    points = outcome.points[outcome.best, n_choose:]
    stress = outcome.stress[outcome.best, n_choose:]
    metrics = _metrics(points, samples)
    names = ("triplet_accuracy", "ultrametric_correlation", "distortion")
    return {
        "optimizer": optimizer.label,
        "best_rate": optimizer.rates[outcome.best],
        "best_rate_at_end_of_grid": outcome.best in (0, len(optimizer.rates) - 1),
        "stress": _mean_sd(stress),
        **{name: _mean_sd(getattr(metrics, name)) for name in names},
        "rates": list(optimizer.rates),
        "stress_by_rate_and_seed": outcome.stress.tolist(),
        "compile_s": round(outcome.compile_s, 2),
        "run_s": round(outcome.run_s, 2),
    }


def _mean_sd(x):
    x = np.asarray(x, np.float64)
    return {"mean": float(x.mean()), "sd": float(x.std(ddof=1))}


def progress(text: str) -> None:
    """One line on stderr, overwritten."""
    print(f"\r{text:<78}", end="", file=sys.stderr, flush=True)


# --- the picture ------------------------------------------------------------------------------------------------------

HUES = ("#d1495b", "#2e86ab", "#d9a21b")


def tree_of(points: np.ndarray) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """The table moved so that the root is at 0, and per level L >= 1 (classes, arcs).

    The node of a residue class is the gyromidpoint of its points; arcs (3^L, 40, 2) run from the node of the parent
    along the geodesic. Moving all points by one isometry leaves every distance.
    """

    def midpoint(z):
        return poincare.gyromidpoint(z, jnp.ones(len(z)), C)

    def arc(x, y):
        along = poincare.log(x, y, C)
        return jax.vmap(lambda t: poincare.exp(x, t * along, C))(jnp.linspace(0, 1, 40))

    z = jnp.asarray(points)
    z = jax.vmap(poincare.mobius_add, (None, 0, None))(-midpoint(z), z, C)
    node, levels = midpoint(z)[None], []
    for level in range(1, N_DIGITS + 1):
        # Row i of (3^(D-L), 3^L, 2) holds the operations i 3^L + class.
        child = jax.vmap(midpoint, 1)(z.reshape(-1, 3**level, 2))
        classes = np.arange(3**level)
        levels.append((classes, np.asarray(jax.vmap(arc)(node[classes % 3 ** (level - 1)], child))))
        node = child
    return np.asarray(z), levels


def shade(classes: np.ndarray, level: int) -> np.ndarray:
    """The hue of the first digit, its lightness by the second, (n, 3)."""
    from matplotlib.colors import to_rgb

    hue = np.array([to_rgb(h) for h in HUES])[classes % 3]
    toward = np.array([0.0, 0.45, -0.32])[classes // 3 % 3] if level > 1 else np.zeros(len(classes))
    target = np.where(toward[:, None] > 0, 1.0, 0.0)
    return hue + np.abs(toward)[:, None] * (target - hue)


def draw_disc(ax: Any, points: np.ndarray) -> None:
    """One embedding: geodesic tree, points above it, the rim of the ball."""
    from matplotlib.collections import LineCollection
    from matplotlib.patches import Circle

    z, levels = tree_of(points)
    rim = Circle((0, 0), 1, facecolor="#fbfaf7", edgecolor="#33312e", linewidth=1.1, zorder=0)
    ax.add_patch(rim)
    for level, (classes, arcs) in reversed(list(enumerate(levels, 1))):
        width = (2.6, 1.7, 1.1, 0.7, 0.5)[level - 1]
        lines = LineCollection(list(arcs), colors=shade(classes, level), linewidths=width, capstyle="round", alpha=0.85)
        ax.add_collection(lines)
    ax.scatter(*z.T, s=9, c=shade(np.arange(len(z)), N_DIGITS), edgecolors="white", linewidths=0.3, zorder=3)
    ax.scatter(0, 0, s=22, c="#33312e", zorder=4)
    ax.set(xlim=(-1.03, 1.03), ylim=(-1.03, 1.32), aspect="equal")
    ax.axis("off")


def draw(outcomes: dict[int, list[Outcome]], rows: dict[int, list[dict[str, Any]]], n_choose: int, path: Any) -> None:
    """Discs of the best run of each optimizer; below, the descent and the dependence on the learning rate."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    figure = plt.figure(figsize=(13.5, 9.2), layout="constrained")
    rows_of_figure: Any = figure.subfigures(2, 1, height_ratios=(1.4, 1))
    top, bottom = rows_of_figure
    discs = top.subplots(1, len(OPTIMIZERS))
    for ax, optimizer, outcome, row in zip(discs, OPTIMIZERS, outcomes[2], rows[2], strict=True):
        reported = outcome.stress[outcome.best, n_choose:]
        draw_disc(ax, outcome.points[outcome.best, n_choose + int(np.argmin(reported))])
        stress = row["stress"]
        ax.text(0, 1.2, optimizer.label, ha="center", fontsize=13, color=optimizer.colour, weight="bold")
        found = f"stress {stress['mean']:.3f} ± {stress['sd']:.3f}, triplets {row['triplet_accuracy']['mean']:.3f}"
        ax.text(0, 1.08, found, ha="center", fontsize=10)
    descent, rate = bottom.subplots(1, 2)
    for dim, style in zip(outcomes, itertools.cycle(("-", "--", ":")), strict=False):
        for optimizer, outcome in zip(OPTIMIZERS, outcomes[dim], strict=True):
            losses = outcome.losses[outcome.best, n_choose:]
            losses = losses.reshape(len(losses), CHUNKS * POINTS_PER_CHUNK, -1).mean(-1)
            at = (np.arange(losses.shape[1]) + 0.5) * outcome.losses.shape[2] / losses.shape[1]
            label = f"{optimizer.label}, {dim}-d"
            descent.plot(at, losses.mean(0), style, color=optimizer.colour, linewidth=1.5, label=label)
            descent.fill_between(at, losses.min(0), losses.max(0), color=optimizer.colour, alpha=0.15, linewidth=0)
            relative = np.array(optimizer.rates) / optimizer.rates[outcome.best]
            rate.plot(relative, outcome.stress.mean(1), style + "o", color=optimizer.colour, markersize=3.5)
    descent.set(
        yscale="log", xlabel="step", ylabel="relative stress", title="At its own best rate: mean and range of seeds"
    )
    descent.legend(frameon=False, fontsize=8.5, loc="upper right")
    descent.margins(x=0.01)
    rate.axvline(1, color="#b8b4ab", linewidth=0.8, zorder=0)
    rate.set(xscale="log", yscale="log", xlabel="learning rate / best learning rate", ylabel="final relative stress")
    rate.set_title("All rates of the grids")
    figure.savefig(path, dpi=130, facecolor="white")
    plt.close(figure)


# --- the experiment ---------------------------------------------------------------------------------------------------


def main() -> None:
    """Fit, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 16], help="dimensions of the ball; 2 is drawn")
    parser.add_argument("--edge", type=float, default=1.0, help="length of an edge of the tree, at curvature -1")
    parser.add_argument("--steps", type=int, default=1800, help=f"updates, a multiple of {CHUNKS * POINTS_PER_CHUNK}")
    parser.add_argument("--pairs", type=int, default=512, help="pairs of operations per update")
    parser.add_argument("--seeds", type=int, default=6, help="runs per learning rate")
    parser.add_argument("--choose", type=int, default=2, help="how many of the seeds choose the rate")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results"), help="where to write")
    args = parser.parse_args()
    if args.steps % (CHUNKS * POINTS_PER_CHUNK) or args.steps < 1:
        parser.error(f"--steps must be a multiple of {CHUNKS * POINTS_PER_CHUNK}")
    if not 0 < args.choose < args.seeds - 1:
        parser.error("--choose must leave at least two seeds to report")

    began = time.perf_counter()
    samples = evaluate.draw_samples(n_digits=N_DIGITS)
    outcomes, rows = {}, {}
    for dim in args.dims:
        outcomes[dim] = [fit(optimizer, dim, args) for optimizer in OPTIMIZERS]
        progress(f"metrics, {dim}-d")
        rows[dim] = [
            summary(optimizer, outcome, args.choose, samples)
            for optimizer, outcome in zip(OPTIMIZERS, outcomes[dim], strict=True)
        ]
    args.out.mkdir(parents=True, exist_ok=True)
    if 2 in outcomes:
        progress("drawing")
        draw(outcomes, rows, args.choose, args.out / "embed_tree.png")
    progress("")
    print("\r", end="", file=sys.stderr)

    print(
        f"{ternary.n_operations(N_DIGITS)} operations, edge {args.edge}, {args.steps} steps of {args.pairs} pairs; ",
        end="",
    )
    print(f"rate chosen on {args.choose} seeds, mean ± sd of {args.seeds - args.choose} others")
    head = ("", "rate", "stress", "triplets", "ultrametric", "distortion", "run s")
    print("{:>4s} {:<28s}{:>8s}{:>18s}{:>18s}{:>19s}{:>18s}{:>8s}".format("dim", *head))
    for dim in args.dims:
        for row in rows[dim]:
            cells = [f"{row[k]['mean']:.4f} ± {row[k]['sd']:.4f}" for k in METRICS]
            end = "*" if row["best_rate_at_end_of_grid"] else ""
            line = "{:>4d} {:<28s}{:>8s}{:>18s}{:>18s}{:>19s}{:>18s}{:>8.1f}"
            print(line.format(dim, row["optimizer"], f"{row['best_rate']:g}{end}", *cells, row["run_s"]))
        stress = {row["optimizer"]: row["stress"]["mean"] for row in rows[dim]}
        best, euclidean = min(stress, key=lambda k: stress[k]), OPTIMIZERS[-1].label
        for optimizer in OPTIMIZERS[:-1]:
            print(
                f"     {euclidean} / {optimizer.label}: {stress[euclidean] / stress[optimizer.label]:.2f} x the stress"
            )
        print(f"     lowest: {best}")
    if any(row["best_rate_at_end_of_grid"] for dim in args.dims for row in rows[dim]):
        print("* the best rate is at the end of its grid: a wider one may do better")
    config = {k: v for k, v in vars(args).items() if k != "out"}
    report = {"config": config | {"c": C, "n_digits": N_DIGITS}, "seconds": round(time.perf_counter() - began, 1)}
    report |= {"results": {f"{dim}-d": rows[dim] for dim in args.dims}, "jax": jax.__version__}
    (args.out / "embed_tree.json").write_text(json.dumps(report, indent=1) + "\n")
    print(
        f"{time.perf_counter() - began:.0f} s; wrote {args.out}/embed_tree.json{' and .png' if 2 in outcomes else ''}"
    )


METRICS = ("stress", "triplet_accuracy", "ultrametric_correlation", "distortion")

if __name__ == "__main__":
    main()
