"""Does a trained encoder hold the residue tree? Its points in the disc, and a clustering of the points alone.

The picture is `ternary_jax.plot.disc` (docs/pictures.md), and one line more: the result of the measurement, which does
not depend on the layout of the picture. It is an average-linkage clustering of all 193,700,403 hyperbolic distances,
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

from ternary_jax import plot, terminal, ternary, workdir
from ternary_jax.config import load_config
from ternary_jax.errors import ViewError
from ternary_jax.tables import columns
from ternary_jax.vae.views import disc_figure
from ternary_jax.vae.views.disc import Disc


def points(args: argparse.Namespace) -> tuple[np.ndarray, Disc]:
    """z (N, dim) of branch B in the unit ball, and its disc: run 0 of the workdir, or of a new training."""
    with tempfile.TemporaryDirectory() as folder:
        path = args.workdir or Path(folder, "run")
        if not args.workdir:
            lab.trained(load_config(args.config), path)
        run = workdir.open(path)
        try:
            found, exported = plot.data(run, "disc"), run.embeddings(0)
        except ViewError as e:
            raise SystemExit(str(e)) from None
        return exported["z_B"].astype(np.float64) * np.sqrt(exported["c"]), found


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


def main() -> None:
    """Train or open, measure, draw."""
    parser = lab.parser(__doc__)
    parser.add_argument("workdir", nargs="?", type=Path, help="workdir of a training; default: train --config")
    parser.add_argument("--config", default=str(lab.CONFIGS / "v5_12.py"))
    args = parser.parse_args()
    z, disc = points(args)
    found = measured(z, disc.n_digits)
    pairs = zip(found["classes"], found["found"], strict=True)
    print(columns([["residue classes", "that are clusters"], *([f"{n:,}", f"{k:,}"] for n, k in pairs)]))
    lab.write("disc", found, args)
    remark = f"clusters of distances: {sum(found['found']):,} of {sum(found['classes']):,} classes"
    terminal.say(f"wrote {lab.save(disc_figure.figure(disc, remark), 'disc', args)}")


if __name__ == "__main__":
    main()
