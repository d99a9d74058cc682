"""An independent judge of an exported embedding, numpy and scipy in float64, nothing of the package.

    python tests/reference/judge.py FILE.npz

reads z_A, z_B (N, dim), c, prediction_A, prediction_B (N, D) trits, and prints one JSON object per branch. Status 2
and a sentence for a file that does not hold that. Ball formulas by log1p, levels by divisibility, level statistics by
loops, where the package has arcsinh, residues and strides.
"""

import json
import sys
import zipfile

import numpy as np
from scipy.stats import rankdata


def valuation_of_integer(i, n_digits):
    v = np.full(np.shape(i), n_digits)
    for k in reversed(range(n_digits)):
        v[np.asarray(i) % 3 ** (k + 1) != 0] = k
    return v


def geodesic(x, y, c):
    w = c * np.square(x - y).sum(1) / ((1 - c * np.square(x).sum(1)) * (1 - c * np.square(y).sum(1)))
    return np.log1p(2 * (w + np.sqrt(w * (1 + w)))) / np.sqrt(c)


def spearman(a, b):
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def trits(n_digits):
    rows = []
    for i in range(3**n_digits):
        row = []
        for _ in range(n_digits):
            i, x = divmod(i, 3)
            row.append(x - 1)
        rows.append(row)
    return np.array(rows)


def judge(z, prediction, c, seed=0):
    z, c = np.asarray(z, np.float64), float(c)
    n, n_digits = prediction.shape
    if n != 3**n_digits or len(z) != n:
        raise ValueError(f"{len(z)} points and {n} predictions of {n_digits} trits: both must have 3^{n_digits} rows")
    s = np.sqrt(c) * np.sqrt(np.square(z).sum(1))
    if not (s < 1).all():
        raise ValueError(f"{(~(s < 1)).sum()} of {n} points are not inside the ball of c = {c}")
    r = np.log1p(2 * s / (1 - s)) / np.sqrt(c)
    v = valuation_of_integer(np.arange(n), n_digits)
    out = {"coverage": float(np.mean([np.array_equal(a, b) for a, b in zip(prediction, trits(n_digits), strict=True)]))}
    out["hierarchy"] = spearman(v, s)
    for name, radius in (("richness", s), ("richness_geodesic", r)):
        out[name] = float(
            np.mean([np.mean((radius[v == k] - radius[v == k].mean()) ** 2) for k in range(n_digits + 1)])
        )

    rng = np.random.default_rng(seed)
    rows = rng.choice(n, min(1000, n), replace=False)
    ij = np.array([(a, b) for k, a in enumerate(rows) for b in rows[k + 1 :]]).T
    out["dist_corr"] = spearman(abs(s[ij[0]] - s[ij[1]]), abs(v[ij[0]] - v[ij[1]]))
    out["q"] = out["dist_corr"] + 1.5 * abs(out["hierarchy"])

    i, j = rng.integers(0, n, (2, 200_000))
    i, j = i[i != j], j[i != j]
    out["ultrametric_correlation"] = spearman(valuation_of_integer(i - j, n_digits), geodesic(z[i], z[j], c))

    def at_level(i, level):
        unit = 3 * rng.integers(0, n, i.size)
        unit += rng.integers(1, 3, i.size)
        j = (i + unit * 3**level) % n
        assert (valuation_of_integer(i - j, n_digits) == level).all()
        return j

    i, levels = rng.integers(0, n, 100_000), rng.integers(0, n_digits, (2, 100_000))
    near, far = geodesic(z[i], z[at_level(i, levels.max(0))], c), geodesic(z[i], z[at_level(i, levels.min(0))], c)
    decided = levels[0] != levels[1]
    out["triplet_accuracy"] = float(np.mean(near[decided] < far[decided])) if decided.any() else float("nan")

    i, level = rng.integers(0, n, 100_000), rng.integers(0, n_digits, 100_000)
    d = geodesic(z[i], z[at_level(i, level)], c)
    out["distortion"] = float("nan")
    if (d > 0).all():
        design = np.stack([np.ones(d.size), level * -np.log(3.0)], 1)
        out["distortion"] = float(np.std(np.log(d) - design @ np.linalg.lstsq(design, np.log(d), rcond=None)[0]))
    return out


def main(path):
    try:
        with np.load(path) as f:
            results = {b: judge(f[f"z_{b}"], f[f"prediction_{b}"], np.ravel(f["c"])[0]) for b in "AB"}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as e:
        print(f"{path}: {e.args[0] if isinstance(e, KeyError) else e}", file=sys.stderr)
        return 2
    for branch, metrics in results.items():
        print(json.dumps({"branch": branch} | metrics))
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print("type: python tests/reference/judge.py FILE.npz", file=sys.stderr)
        sys.exit(2)
    sys.exit(main(sys.argv[1]))
