# pyright: reportMissingImports=false
"""How exact is the geometry? Errors of ternary_jax.poincare in float32 against mpmath, beside geoopt and arccosh.

    python experiments/accuracy_geometry.py [--points 4] [--dim 16]

For every norm sqrt(c)|x|, c in {0.1, 1, 4}, random pairs of that norm and pairs a distance 0.01 apart: the largest
relative error over the points, norm-wise for vectors, of the value and of the gradient under a fixed random cotangent.
The truth is computed from the same float32 inputs, by the textbook formulas, in 120 digits.
Writes the worst of each operation to results/accuracy_geometry.json, and every norm to results/raw/. Needs the `dev`
extra (mpmath); geoopt (`bench` extra) is shown where installed.
"""

import sys
from typing import Any

import jax
import jax.numpy as jnp
import lab
import numpy as np

from ternary_jax import poincare

sys.path.insert(0, str(lab.ROOT / "tests"))
from reference.accuracy import (
    CURVATURES,
    NORMS,
    OPERATIONS,
    draw,
    errors_of,
    is_scalar,
    pullbacks,
    true_values,
)

BAR = 5e-7
KINDS = ("jit", "eager", "geoopt", "arccosh")  # the implementations whose (value, gradient) errors are measured


def arccosh_dist(x, y, c):
    """The common form, with its clamp: (1/sqrt c) arccosh(1 + 2c|x - y|^2 / ((1 - c|x|^2)(1 - c|y|^2)))."""
    gap = (1 - c * jnp.sum(x * x)) * (1 - c * jnp.sum(y * y))
    return jnp.arccosh(jnp.maximum(1 + 2 * c * jnp.sum((x - y) ** 2) / gap, 1 + 1e-7)) / jnp.sqrt(c)


def geoopt_pullback(name, c, cotangents, args):
    """geoopt's values and gradients in float32, or None where it is not installed."""
    try:
        import geoopt
        import torch
    except ImportError:
        return None
    method = {"squared_dist": "dist", "log": "logmap", "log0": "logmap0", "transport": "transp"}.get(name) or name
    args = [torch.tensor(a, requires_grad=True) for a in args]
    value = getattr(geoopt.PoincareBall(c=c), method)(*args)
    value = value**2 if name == "squared_dist" else value
    gradients = torch.autograd.grad((value * torch.tensor(np.asarray(cotangents))).sum(), args)
    return value.detach().numpy(), [g.numpy() for g in gradients]


def measure(name, norm, c, near, n, dim, seed):
    """Errors {implementation: (value, gradient)} of one operation at one norm, and jit against eager."""
    rng = np.random.default_rng(seed)
    args = draw(name, rng, norm, c, near, n, dim)
    if not len(args[0]):
        return None
    cotangents = rng.normal(size=args[0].shape[:1] if is_scalar(name) else args[0].shape).astype(np.float32)
    truth = true_values(name, args, cotangents, c)
    jitted, eager = (f(np.float32(c), cotangents, *args) for f in pullbacks(getattr(poincare, name)))
    out: dict[str, Any] = {"jit": errors_of(jitted, truth), "eager": errors_of(eager, truth)}
    out["jit_eager"] = max(
        float((np.linalg.norm(a - b, axis=-1) / np.linalg.norm(b, axis=-1)).max())
        for a, b in zip(*(map(np.atleast_2d, jax.tree.leaves(r)) for r in (jitted, eager)), strict=True)
    )
    if name == "dist":
        out["arccosh"] = errors_of(pullbacks(arccosh_dist)[0](np.float32(c), cotangents, *args), truth)
    theirs = geoopt_pullback(name, c, cotangents, args)
    return out if theirs is None else out | {"geoopt": errors_of(theirs, truth)}


def tangent(n, dim, seed):
    """Errors of `tangent_dist` by the distance of the points from 0, for random and for neighbouring pairs."""
    rng, rows = np.random.default_rng(seed), []
    for radius in (1e-3, 0.1, 1.0, 4.0, 8.0, 12.0, 20.0, 40.0):
        for near in (False, True):
            worst = np.zeros(2)
            for c in CURVATURES:
                u, v = rng.normal(size=(2, n, dim))
                u, v = (radius / 2 / np.sqrt(c) * a / np.linalg.norm(a, axis=-1, keepdims=True) for a in (u, v))
                u = u.astype(np.float32)
                beside = u + 0.005 * min(radius, 1) * v / np.linalg.norm(v, axis=-1, keepdims=True)
                v = (beside if near else v).astype(np.float32)
                cotangents = np.ones(n, np.float32)
                truth = true_values("tangent_dist", [u, v], cotangents, c)
                found = pullbacks(poincare.tangent_dist)[0](np.float32(c), cotangents, u, v)
                worst = np.maximum(worst, errors_of(found, truth))
            rows.append(dict(distance=radius, pairs="near" if near else "random", value=worst[0], gradient=worst[1]))
    return rows


def by_norm(name, near, n, dim):
    """A row of errors for each norm, the largest over the curvatures; prints them."""
    sign = " of -x and y," if near and name == "mobius_add" else ""
    print(f"\n{name},{sign} pairs {'0.01 apart' if near else 'at random'}")
    print(f"{'norm':>12} {'jit':>17} {'eager':>17} {'jit-eager':>10} {'geoopt':>17} {'arccosh, clamp':>17}")
    out = []
    for k, norm in enumerate(NORMS):
        rows = [row for c in CURVATURES if (row := measure(name, norm, c, near, n, dim, seed=k))]
        row = {key: np.max([r[key] for r in rows], axis=0) for key in (rows[0] if rows else ())}
        out.append(dict(operation=name, near=near, norm=norm) | row)
        cells = [f"{row[k][0]:8.1e} {row[k][1]:8.1e}" if k in row else " " * 17 for k in KINDS]
        apart = row.get("jit_eager", np.nan)
        print(f"{norm:12.7g} {cells[0]} {cells[1]} {apart:10.1e} {cells[2]} {cells[3]}", flush=True)
    return out


def worst_of(rows):
    """The row of an operation: its largest error of each kind over all norms."""
    keys = dict.fromkeys(key for row in rows for key in row if key in (*KINDS, "jit_eager"))
    worst = {key: np.max([row[key] for row in rows if key in row], axis=0) for key in keys}
    return {key: rows[0][key] for key in ("operation", "near")} | worst


def main():
    """Measure, print and write the results."""
    parser = lab.parser(__doc__)
    parser.add_argument("--points", type=int, default=4, help="points for each norm, curvature and kind of pair")
    parser.add_argument("--dim", type=int, default=16, help="dimension of the ball")
    parser.add_argument("--operations", nargs="*", default=list(OPERATIONS), choices=list(OPERATIONS), metavar="NAME")
    given = parser.parse_args()
    print(f"largest relative error over {given.points} points x c in {CURVATURES}, dim {given.dim}; value, gradient")
    pairs = [(name, near) for name in given.operations for near in (False, True)[: 1 + ("y" in OPERATIONS[name])]]
    rows = [by_norm(name, near, given.points, given.dim) for name, near in pairs]
    print("\ntangent_dist, by the distance of both points from 0\n    distance   pairs   value    gradient")
    tangents = tangent(given.points, given.dim, seed=0)
    for row in tangents:
        print(f"{row['distance']:12g} {row['pairs']:>7} {row['value']:8.1e} {row['gradient']:8.1e}")
    summary = [worst_of(one) for one in rows]
    worst = float(max((np.max([row["jit"], row["eager"]]) for row in summary), default=0.0))
    apart = max((float(row["jit_eager"]) for row in summary), default=0.0)
    print(f"\nworst of ours {worst:.2e} (bar {BAR:.0e}); jit against eager {apart:.1e} (bar 1e-6)")
    found = dict(worst=worst, jit_eager=apart, operations=summary, tangent_dist=tangents)
    lab.write("accuracy_geometry", found, given, raw={"operations": [row for one in rows for row in one]})


if __name__ == "__main__":
    main()
