"""Does a trained encoder hold the residue tree? Its points in the disc, and a clustering of the points alone.

Both panels keep the order and the ratios of the radii |z|; the right one magnifies them. The angle is a layout: each
residue class has a sector, split among its three classes of the next level in the order of their mean radius. A linear
projection could not show the tree: the first principal component of log_0(z) has nearly all of the variance, and that
is the first digit alone.

The measurement does not depend on this layout: an average-linkage clustering of all 193,700,403 hyperbolic distances,
and the number of residue classes {j : j = i mod 3^L} that are exactly one of its clusters. It needs 3 GB of memory.

    python experiments/disc.py                              trains configs/v5_12.py first: a minute on two cores
    python experiments/disc.py --config=configs/v5_12_rich.py
    python experiments/disc.py runs/first                   an existing workdir; writes results/disc.json and .png
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import lab
import numpy as np

from ternary_jax import terminal, ternary, workdir
from ternary_jax.config import load_config
from ternary_jax.tables import columns

WEDGE = 0.05  # share of the circle that stays free, for the names of the bands
DEPTH = 7  # levels of the tree that are drawn
ZOOMED = 3  # the second panel shows the operations of at least this valuation
PAPER, INK = "#0e1420", "#c9d3e0"


def points(args: argparse.Namespace) -> tuple[np.ndarray, int]:
    """z (N, dim) of branch B in the unit ball, and the number of digits: run 0 of the workdir, or of a new training."""
    with tempfile.TemporaryDirectory() as folder:
        path = args.workdir or Path(folder, "run")
        if not args.workdir:
            lab.trained(load_config(args.config), path)
        run = workdir.open(path)
        exported = run.embeddings(0)
        if "c" not in exported:
            raise SystemExit(f"{path} holds points of R^n, which has no disc: give a run of model.geometry=poincare")
        return exported["z_B"].astype(np.float64) * np.sqrt(exported["c"]), run.config["data.n_digits"]


# --- what is measured -------------------------------------------------------------------------------------------------


def distances(z: np.ndarray) -> np.ndarray:
    """d(x, y) = 2 arcsinh(|x - y| / sqrt((1 - |x|^2) (1 - |y|^2))) of all pairs, in the order of scipy's pdist."""
    from scipy.spatial.distance import pdist

    d, stretch, at = pdist(z), 1 / np.sqrt(1 - (z * z).sum(1)), 0
    for k in range(len(z) - 1):
        row = slice(at, at + len(z) - 1 - k)
        d[row] *= stretch[k] * stretch[k + 1 :]
        at = row.stop
    np.arcsinh(d, out=d)
    d *= 2
    return d


def classes_found(merges: np.ndarray, n_digits: int) -> list[int]:
    """How many of the 3^L residue classes of each level L = 1 .. D - 1 are exactly a cluster.

    merges: (N - 1, 4) of scipy's linkage, whose row k joins two clusters to the cluster N + k
    """
    n, levels = 3**n_digits, np.arange(1, n_digits)
    common = np.full((2 * n - 1, len(levels)), -1)  # the class that all members of a cluster share, or -1
    common[:n] = np.arange(n)[:, None] % 3**levels
    size = np.append(np.ones(n), merges[:, 3])
    for k, (one, other) in enumerate(merges[:, :2].astype(int)):
        common[n + k] = np.where(common[one] == common[other], common[one], -1)
    return ((common >= 0) & (size[:, None] == 3.0 ** (n_digits - levels))).sum(0).tolist()


def measured(z: np.ndarray, n_digits: int) -> dict[str, Any]:
    """Clusters, bands and variance, for disc.json."""
    from scipy.cluster.hierarchy import linkage

    norm, v = np.linalg.norm(z, axis=1), ternary.valuations(n_digits)
    terminal.say("clustering all pairs ...")
    found = classes_found(linkage(distances(z), "average"), n_digits)
    tangent = z * (2 * np.arctanh(norm) / norm)[:, None]
    spread = np.linalg.svd(tangent - tangent.mean(0), compute_uv=False) ** 2
    bands = [{"v": k, "low": x.min(), "mean": x.mean(), "high": x.max()} for k in set(v) for x in [norm[v == k]]]
    return {
        "classes": [3**k for k in range(1, n_digits)],
        "found": found,
        "bands": bands,
        "variance_of_components": (spread / spread.sum())[:3],
    }


# --- what is drawn ----------------------------------------------------------------------------------------------------


def layout(norm: np.ndarray, n_digits: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(angles, radii), each with an array (3^L,) for every level L = 0 .. D: the middle of a sector, the mean |z|."""
    radii = [norm.reshape(-1, 3**k).mean(0) for k in range(n_digits + 1)]
    start = np.zeros(1)
    angles = [np.full(1, np.pi / 2)]
    for k in range(n_digits):
        children = np.arange(3**k)[:, None] + 3**k * np.arange(3)
        children = np.take_along_axis(children, np.argsort(radii[k + 1][children], 1), 1)
        starts = np.zeros(3 ** (k + 1))
        starts[children] = start[:, None] + np.arange(3) / 3 ** (k + 1)
        start = starts
        share = WEDGE / 2 + (1 - WEDGE) * (start + 0.5 / 3 ** (k + 1))
        angles.append(np.pi / 2 + 2 * np.pi * share)
    return angles, radii


def colours(angles: np.ndarray) -> np.ndarray:
    """A hue for each angle, (n, 3), of one lightness and chroma in OKLCH."""
    hue = angles + 2.4
    a, b = 0.13 * np.cos(hue), 0.13 * np.sin(hue)
    lms = 0.74 + np.stack([0.3963 * a + 0.2158 * b, -0.1056 * a - 0.0639 * b, -0.0895 * a - 1.2915 * b], -1)
    to_rgb = np.array([[4.0767, -3.3077, 0.2310], [-1.2684, 2.6098, -0.3413], [-0.0042, -0.7034, 1.7076]])
    linear = np.clip(lms**3 @ to_rgb.T, 0, 1)
    return np.where(linear > 0.0031, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)


def draw_tree(ax: Any, angles: list[np.ndarray], radii: list[np.ndarray], depth: int, scale: float) -> None:
    """Edges from each class to its three; a node of level L lies at (L / depth)^0.8 of its mean radius."""
    t = np.linspace(0, 1, 24)
    bend = 3 * t**2 - 2 * t**3
    for k in range(depth):
        drawn = [radii[level] * scale * (level / depth) ** 0.8 for level in (k, k + 1)]
        tints = colours(angles[k + 1])
        for child in range(3 ** (k + 1)):
            parent = child % 3**k
            begin = angles[k][parent] if k else angles[1][child]
            angle = begin + (angles[k + 1][child] - begin) * bend
            r = drawn[0][parent] + (drawn[1][child] - drawn[0][parent]) * t
            ax.plot(r * np.cos(angle), r * np.sin(angle), color=tints[child], lw=1.7 * 0.7**k, alpha=0.8, zorder=2)


def circle() -> tuple[np.ndarray, np.ndarray]:
    """(x, y) of the unit circle."""
    turn = np.linspace(0, 2 * np.pi, 361)
    return np.cos(turn), np.sin(turn)


def draw_bands(ax: Any, bands: list[dict[str, Any]], first: int, named: int, scale: float) -> None:
    """The radii of each valuation as a ring, from the smallest to the largest, and its name in the free wedge."""
    x, y = circle()
    for band in bands[first:]:
        low, mean, high = (band[name] * scale for name in ("low", "mean", "high"))
        ring = [np.append(high * line, low * line[::-1]) for line in (x, y)]
        ax.fill(*ring, color="#1d2a40" if band["v"] % 2 == 0 else "#18314a", lw=0, zorder=1)
        if band["v"] < first + named:
            ax.text(0, mean, f"v = {band['v']}", ha="center", va="center", color=INK, fontsize=8, zorder=4)


def name_digits(ax: Any, norm: np.ndarray, angles: list[np.ndarray], which: str) -> None:
    """The value of a digit, outside the points of its sector."""
    for digit, angle in enumerate(angles[1]):
        r = norm[digit::3].max() + 0.04
        turn = np.degrees(angle) % 180 - 90
        x, y = r * np.cos(angle), r * np.sin(angle)
        ax.text(x, y, f"{which} digit {digit}", rotation=turn, ha="center", va="center", color=INK, fontsize=8)


def panel(ax: Any, norm: np.ndarray, bands: list[dict[str, Any]], first: int, n_digits: int) -> None:
    """The operations of valuation `first` and more, which are those of n_digits - first digits, in a disc."""
    own = norm[:: 3**first]
    scale = 1.0 if not first else 0.93 / own.max()
    angles, radii = layout(own, n_digits - first)
    ax.set(xlim=(-1.02, 1.02), ylim=(-1.02, 1.02), aspect="equal")
    ax.axis("off")
    if not first:
        ax.plot(*circle(), color=INK, lw=1)
    name_digits(ax, scale * own, angles, "fourth" if first else "first")
    draw_bands(ax, bands, first, 2 if not first else 3, scale)
    draw_tree(ax, angles, radii, min(DEPTH, n_digits - first - 1), scale)
    x, y = scale * own * np.cos(angles[-1]), scale * own * np.sin(angles[-1])
    ax.scatter(x, y, s=2.5 if not first else 7, c=colours(angles[-1]), lw=0, zorder=3)


def draw(z: np.ndarray, found: dict[str, Any], n_digits: int) -> Any:
    """All operations; and beside them those of at least ZOOMED, magnified."""
    norm = np.linalg.norm(z, axis=1)
    figure = lab.figure(9.6, 5.21)
    figure.set_layout_engine("none")
    paper = figure.add_axes((0, 0, 1, 1), facecolor=PAPER)
    paper.set(xticks=[], yticks=[])
    few = 3 ** (n_digits - ZOOMED)
    titles = (
        f"all {3**n_digits:,} operations",
        f"the {few} divisible by {3**ZOOMED}, magnified {0.93 / norm[:: 3**ZOOMED].max():.1f} times",
    )
    for left, first, title in zip((0.01, 0.51), (0, ZOOMED), titles, strict=True):
        panel(figure.add_axes((left, 0.06, 0.48, 0.885)), norm, found["bands"], first, n_digits)
        paper.text(left + 0.24, 0.965, title, ha="center", va="center", color=INK, fontsize=11)
    below = (
        "radius: |z|; white: |z| = 1.   rings: range of |z| of each v.   lines: the residue tree.   angle, colour: "
        f"residue class.   clusters of distances: {sum(found['found']):,} of {sum(found['classes']):,} classes"
    )
    paper.text(0.5, 0.028, below, ha="center", va="center", color=INK, fontsize=7.8)
    return figure


def main() -> None:
    """Train or open, measure, draw."""
    parser = lab.parser(__doc__)
    parser.add_argument("workdir", nargs="?", type=Path, help="workdir of a training; default: train --config")
    parser.add_argument("--config", default=str(lab.CONFIGS / "v5_12.py"))
    args = parser.parse_args()
    z, n_digits = points(args)
    found = measured(z, n_digits)
    pairs = zip(found["classes"], found["found"], strict=True)
    print(columns([["residue classes", "that are clusters"], *([f"{n:,}", f"{k:,}"] for n, k in pairs)]))
    lab.write("disc", found, args)
    terminal.say(f"wrote {lab.save(draw(z, found, n_digits), 'disc', args)}")


if __name__ == "__main__":
    main()
