"""What does Riemannian optimisation gain? The 3-adic tree as a free table of points, three optimizers, every rate.

243 operations (3^5, the leaves of the residue tree) are one point of the ball each, with no encoder between them and
the loss: relative stress against the path lengths of the tree. Riemannian Adam, Riemannian SGD and Euclidean Adam with
projection descend it from the same starts on the same pairs, each over its own grid of learning rates, all with a
cosine decay. All runs of one optimizer, rates x seeds, are one compiled program. The rate is chosen on some of the
seeds and reported on the others.

    python experiments/embed_tree.py            writes results/embed_tree.json and results/embed_tree.png
"""

import argparse
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import lab
import lab_table
import numpy as np
import optax
from jax import Array

from ternary_jax import poincare, terminal, ternary
from ternary_jax.riemannian import keep_inside, riemannian_adam, riemannian_sgd
from ternary_jax.tables import columns
from ternary_jax.vae import evaluate

C = 1.0
N_DIGITS = 5
CHUNKS = 10
POINTS_PER_CHUNK = 15  # smoothing of the drawn loss curves
METRICS = ("stress", "triplet_accuracy", "ultrametric_correlation", "distortion")


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
    n_runs = len(optimizer.rates) * args.seeds
    of = lab_table.Setting(N_DIGITS, dim, C, args.edge, args.steps, args.pairs, CHUNKS)
    fits = lab_table.Fits(optimizer.make, n_runs, of)
    rates = jnp.repeat(jnp.array(optimizer.rates), args.seeds)
    keys = jnp.tile(jax.random.split(jax.random.key(0), args.seeds), len(optimizer.rates))

    def progress(step):
        terminal.progress(f"{optimizer.label}, {dim}-d: {n_runs} runs, step {step} of {args.steps}")

    points, losses = fits(rates, keys, progress)
    table = (len(optimizer.rates), args.seeds)
    stress = np.asarray(_stress(points, lab_table.targets_of_tree(args.edge, N_DIGITS))).reshape(table)
    # A run that has left the ball is NaN, and is never chosen.
    score = np.where(np.isnan(stress[:, : args.choose]).any(1), np.inf, stress[:, : args.choose].mean(1))
    return Outcome(
        stress,
        losses.reshape(*table, -1),
        np.asarray(points).reshape(*table, -1, dim),
        int(np.argmin(score)),
        fits.compile_s,
        fits.run_s,
    )


@jax.jit
def _stress(points, targets):
    return jax.lax.map(lambda z: lab_table.stress(z, targets, C, N_DIGITS), points)


@jax.jit
def _metrics(points, samples):
    return jax.lax.map(lambda z: evaluate.costly(z, C, samples), points)


def summary(optimizer: Optimizer, outcome: Outcome, n_choose: int, samples: Any) -> dict[str, Any]:
    """The results of one optimizer: mean and standard deviation over the seeds that did not choose the rate."""
    metrics = _metrics(outcome.points[outcome.best, n_choose:], samples)
    found = {"stress": outcome.stress[outcome.best, n_choose:], **{k: getattr(metrics, k) for k in METRICS[1:]}}
    each = {name: np.asarray(x, np.float64) for name, x in found.items()}
    return {
        "optimizer": optimizer.label,
        "best_rate": optimizer.rates[outcome.best],
        "best_rate_at_end_of_grid": outcome.best in (0, len(optimizer.rates) - 1),
        **{name: {"mean": float(x.mean()), "sd": float(x.std(ddof=1))} for name, x in each.items()},
        "rates": list(optimizer.rates),
        "stress_by_rate_and_seed": outcome.stress.tolist(),
        "compile_s": round(outcome.compile_s, 2),
        "run_s": round(outcome.run_s, 2),
    }


# --- the picture ------------------------------------------------------------------------------------------------------

HUES = np.array([[0xD1, 0x49, 0x5B], [0x2E, 0x86, 0xAB], [0xD9, 0xA2, 0x1B]]) / 255
INK = "#33312e"


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
    """Colors (n, 3): the hue is that of the first digit, the lightness that of the second."""
    hue = HUES[classes % 3]
    toward = np.array([0.0, 0.45, -0.32])[classes // 3 % 3] if level > 1 else np.zeros(len(classes))
    target = np.where(toward[:, None] > 0, 1.0, 0.0)
    return hue + np.abs(toward)[:, None] * (target - hue)


def draw_disc(ax: Any, points: np.ndarray) -> None:
    """Draw one embedding: the geodesic tree, the points above it, the rim of the ball."""
    z, levels = tree_of(points)
    angle = np.linspace(0, 2 * np.pi, 400)
    ax.fill(np.cos(angle), np.sin(angle), facecolor="#fbfaf7", edgecolor=INK, linewidth=1.1, zorder=0)
    for level, (classes, arcs) in reversed(list(enumerate(levels, 1))):
        width = (2.6, 1.7, 1.1, 0.7, 0.5)[level - 1]
        for arc, colour in zip(arcs, shade(classes, level), strict=True):
            ax.plot(*arc.T, color=colour, linewidth=width, solid_capstyle="round", alpha=0.85, zorder=2)
    ax.scatter(*z.T, s=9, c=shade(np.arange(len(z)), N_DIGITS), edgecolors="white", linewidths=0.3, zorder=3)
    ax.scatter(0, 0, s=22, c=INK, zorder=4)
    ax.set(xlim=(-1.03, 1.03), ylim=(-1.03, 1.32), aspect="equal")
    ax.axis("off")


def draw(outcomes: dict[int, list[Outcome]], rows: dict[int, list[dict[str, Any]]], n_choose: int) -> Any:
    """The figure: discs of the best run of each optimizer; below, loss curves and stress by learning rate."""
    figure = lab.figure(13.5, 9.2)
    top, bottom = figure.subfigures(2, 1, height_ratios=(1.4, 1))
    for ax, optimizer, outcome, row in zip(
        top.subplots(1, len(OPTIMIZERS)), OPTIMIZERS, outcomes[2], rows[2], strict=True
    ):
        reported = outcome.stress[outcome.best, n_choose:]
        draw_disc(ax, outcome.points[outcome.best, n_choose + int(np.argmin(reported))])
        ax.text(0, 1.2, optimizer.label, ha="center", fontsize=13, color=optimizer.colour, weight="bold")
        stress, triplets = row["stress"], row["triplet_accuracy"]["mean"]
        said = f"stress {stress['mean']:.3f} ± {stress['sd']:.3f}, triplets {triplets:.3f}"
        ax.text(0, 1.08, said, ha="center", fontsize=10)
    descent, rate = bottom.subplots(1, 2)
    draw_curves(descent, rate, outcomes, n_choose)
    return figure


def draw_curves(descent: Any, rate: Any, outcomes: dict[int, list[Outcome]], n_choose: int) -> None:
    """Draw the loss of the best rate over the steps, and the final stress of every rate."""
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
    descent.set(yscale="log", xlabel="step", ylabel="relative stress")
    descent.set_title("At its own best rate: mean and range of seeds")
    descent.legend(fontsize=8.5, loc="upper right")
    descent.margins(x=0.01)
    rate.axvline(1, color="#b8b4ab", linewidth=0.8, zorder=0)
    rate.set(xscale="log", yscale="log", xlabel="learning rate / best learning rate", ylabel="final relative stress")
    rate.set_title("All rates of the grids")


# --- the experiment ---------------------------------------------------------------------------------------------------


def table(rows: dict[int, list[dict[str, Any]]]) -> str:
    """The table: a line for each dimension and optimizer; then the ratio of the Euclidean stress to the best."""
    lines, below = [["dim", "", "rate", "stress", "triplets", "ultrametric", "distortion", "run s"]], []
    for dim, own in rows.items():
        for row in own:
            rate = f"{row['best_rate']:g}{'*' * row['best_rate_at_end_of_grid']}"
            cells = [f"{row[k]['mean']:.4f} ± {row[k]['sd']:.4f}" for k in METRICS]
            lines.append([f"{dim}", row["optimizer"], rate, *cells, f"{row['run_s']:.1f}"])
        *ours, euclidean = ((row["optimizer"], row["stress"]["mean"]) for row in own)
        below += [f"{dim}-d, {euclidean[0]} / {name}: {euclidean[1] / x:.2f} x the stress" for name, x in ours]
    if any(row["best_rate_at_end_of_grid"] for own in rows.values() for row in own):
        below.append("* the best rate is at the end of its grid: a wider one may do better")
    return "\n".join([columns(lines), *below])


def main() -> None:
    """Fit, print and write the results."""
    parser = lab.parser(__doc__, seeds=6)
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 16], help="dimensions of the ball; 2 is drawn")
    parser.add_argument("--edge", type=float, default=1.0, help="length of an edge of the tree, at curvature -1")
    parser.add_argument("--steps", type=int, default=1800, help=f"updates, a multiple of {CHUNKS * POINTS_PER_CHUNK}")
    parser.add_argument("--pairs", type=int, default=512, help="pairs of operations per update")
    parser.add_argument("--choose", type=int, default=2, help="how many of the seeds choose the rate")
    args = parser.parse_args()
    if args.steps % (CHUNKS * POINTS_PER_CHUNK) or args.steps < 1:
        parser.error(f"--steps must be a multiple of {CHUNKS * POINTS_PER_CHUNK}")
    if not 0 < args.choose < args.seeds - 1:
        parser.error("--choose must leave at least two seeds to report")
    samples, outcomes, rows = evaluate.draw_samples(n_digits=N_DIGITS), {}, {}
    for dim in args.dims:
        outcomes[dim] = [fit(optimizer, dim, args) for optimizer in OPTIMIZERS]
        pairs = zip(OPTIMIZERS, outcomes[dim], strict=True)
        rows[dim] = [summary(optimizer, outcome, args.choose, samples) for optimizer, outcome in pairs]
    about = f"{ternary.n_operations(N_DIGITS)} operations, edge {args.edge}, {args.steps} steps of {args.pairs} pairs"
    print(f"{about}; rate chosen on {args.choose} seeds, mean ± sd of {args.seeds - args.choose} others")
    print(table(rows))
    config = {k: v for k, v in vars(args).items() if k != "out"} | {"c": C, "n_digits": N_DIGITS}
    lab.write("embed_tree", {"config": config, "results": {f"{dim}-d": rows[dim] for dim in args.dims}}, args)
    if 2 in outcomes:
        lab.save(draw(outcomes, rows, args.choose), "embed_tree", args)


if __name__ == "__main__":
    main()
