# pyright: reportMissingImports=false
"""How fast is the geometry? All distances between two sets of points, beside geoopt, in one run on one machine.

    python experiments/bench_geometry.py [--points 4096] [--dim 16] [--repeats 7]

Times the forward pass of `poincare.dist` and of `geoopt.PoincareBall.dist` over points x points pairs, in turns,
both on all cores; prints medians and their ratio, and how far the two answers are apart. geoopt holds the coordinates
of every pair (1 GiB a time for 4,096 x 4,096 pairs of 16-d points), so it is also given slices of 256 rows, and the
better of the two counts. Writes results/bench_geometry.json. Needs the `bench` extra.
"""

import functools
import os
import sys
import time

import jax
import lab
import numpy as np

from ternary_jax import poincare

BAR = 2.0


def ours():
    """x (n, dim), y (m, dim) -> distances (n, m)."""
    pairwise = jax.vmap(jax.vmap(poincare.dist, (None, 0, None)), (0, None, None))
    compiled = jax.jit(lambda x, y: pairwise(x, y, 1.0))
    return lambda x, y: jax.block_until_ready(compiled(x, y))


def theirs(rows):
    """The distances (n, m) by geoopt, computed in slices of rows."""
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
    """Seconds of one call."""
    start = time.perf_counter()
    f(*args)
    return time.perf_counter() - start


def main():
    """Measure, print and write the results."""
    parser = lab.parser(__doc__)
    parser.add_argument("--points", type=int, default=4096, help="points in each of the two sets")
    parser.add_argument("--dim", type=int, default=16, help="dimension of the ball")
    parser.add_argument("--repeats", type=int, default=7, help="measurements of each, after one to warm up")
    given = parser.parse_args()
    try:
        candidates = {"ternary_jax": ours(), "geoopt": theirs(None), "geoopt, 256 rows at a time": theirs(256)}
    except ImportError as missing:
        sys.exit(f"{missing}: this comparison needs the bench extra, pip install -e '.[bench]'")
    rng = np.random.default_rng(0)
    points = rng.normal(size=(2, given.points, given.dim))
    points *= rng.uniform(0, 0.95, (2, given.points, 1)) / np.linalg.norm(points, axis=-1, keepdims=True)
    x, y = points.astype(np.float32)
    answers = [np.asarray(f(x, y)) for f in candidates.values()]
    calls = {name: functools.partial(timed, f, x, y) for name, f in candidates.items()}
    seconds = lab.in_turns(calls, given.repeats)
    medians = {name: float(np.median(s)) for name, s in seconds.items()}
    print(f"{given.points} x {given.points} distances in {given.dim} dimensions, float32, {os.cpu_count()} cores")
    for name, s in medians.items():
        print(f"{name:>28} {1e3 * s:9.1f} ms {given.points**2 / s / 1e6:9.1f} M pairs/s")
    best = min((name for name in medians if name != "ternary_jax"), key=lambda name: medians[name])
    ratio = lab.paired_ratio(seconds[best], seconds["ternary_jax"])
    apart = float(np.max(np.abs(answers[0] - answers[1])))
    print(f"ratio to the better geoopt: {ratio[0]:.1f} [{ratio[1]:.1f}, {ratio[2]:.1f}] (bar {BAR:g}); ", end="")
    print(f"largest difference of a distance {apart:.1e}")
    found = {"points": given.points, "dim": given.dim, "repeats": given.repeats, "seconds": medians}
    found |= {"ratio": ratio[0], "ratio_interval": ratio[1:], "largest_difference": apart}
    lab.write("bench_geometry", found, given)


if __name__ == "__main__":
    main()
