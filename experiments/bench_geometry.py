# pyright: reportMissingImports=false
"""How fast is the geometry? All distances between two sets of points, beside geoopt, in one run on one machine.

    python experiments/bench_geometry.py [--points 4096] [--dim 16] [--repeats 7]

Times the forward pass of `poincare.dist` and of `geoopt.PoincareBall.dist` over points x points pairs, taking turns,
both on all cores; prints medians and their ratio, and how far the two answers are apart. geoopt holds the coordinates
of every pair (1 GiB a time for 4,096 x 4,096 pairs of 16-d points), so it is also given slices of 256 rows, and the
better of the two counts. Writes results/bench_geometry.json. Needs the `bench` extra.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path

import jax
import numpy as np

from ternary_jax import poincare

BAR = 2.0


def ours():
    pairwise = jax.vmap(jax.vmap(poincare.dist, (None, 0, None)), (0, None, None))
    compiled = jax.jit(lambda x, y: pairwise(x, y, 1.0))
    return lambda x, y: jax.block_until_ready(compiled(x, y))


def theirs(rows):
    import geoopt
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    manifold = geoopt.PoincareBall()

    def pairwise(x, y):
        x, y = torch.from_numpy(x), torch.from_numpy(y)
        with torch.no_grad():
            return torch.cat([manifold.dist(part[:, None], y[None]) for part in x.split(rows or len(x))])

    return pairwise


def timed(f, *args):
    start = time.perf_counter()
    f(*args)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=4096, help="points in each of the two sets")
    parser.add_argument("--dim", type=int, default=16, help="dimension of the ball")
    parser.add_argument("--repeats", type=int, default=7, help="measurements of each, after one to warm up")
    options = parser.parse_args()

    try:
        candidates = {"ternary_jax": ours(), "geoopt": theirs(None), "geoopt, 256 rows at a time": theirs(256)}
    except ImportError as missing:
        sys.exit(f"{missing}: this comparison needs the bench extra, pip install -e '.[bench]'")
    rng = np.random.default_rng(0)
    points = rng.normal(size=(2, options.points, options.dim))
    points *= rng.uniform(0, 0.95, (2, options.points, 1)) / np.linalg.norm(points, axis=-1, keepdims=True)
    x, y = points.astype(np.float32)
    answers = [np.asarray(f(x, y)) for f in candidates.values()]
    seconds = {name: [] for name in candidates}
    for k in range(options.repeats):
        for name, f in candidates.items():
            seconds[name].append(timed(f, x, y))
        print(f"\rround {k + 1} of {options.repeats}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)

    medians = {name: statistics.median(s) for name, s in seconds.items()}
    print(f"{options.points} x {options.points} distances in {options.dim} dimensions, float32, {os.cpu_count()} cores")
    for name, s in medians.items():
        print(f"{name:>28} {1e3 * s:9.1f} ms {options.points**2 / s / 1e6:9.1f} M pairs/s")
    best = min(s for name, s in medians.items() if name != "ternary_jax")
    ratio = best / medians["ternary_jax"]
    apart = float(np.max(np.abs(answers[0] - answers[1])))
    print(f"ratio to the better geoopt: {ratio:.1f} (bar {BAR:g}); largest difference of a distance {apart:.1e}")
    out = Path(__file__).resolve().parents[1] / "results" / "bench_geometry.json"
    out.parent.mkdir(exist_ok=True)
    versions = dict(python=platform.python_version(), jax=jax.__version__)
    report = dict(vars(options), cores=os.cpu_count(), seconds=medians, ratio=ratio, largest_difference=apart)
    out.write_text(json.dumps(report | versions, indent=1) + "\n")


if __name__ == "__main__":
    main()
