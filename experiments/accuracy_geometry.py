# pyright: reportMissingImports=false
"""How exact is the geometry? Errors of ternary_jax.poincare in float32 against mpmath, beside geoopt and arccosh.

    python experiments/accuracy_geometry.py [--points 4] [--dim 16]

For every norm sqrt(c)|x|, c in {0.1, 1, 4}, random pairs of that norm and pairs a distance 0.01 apart: the largest
relative error over the points, norm-wise for vectors, of the value and of the gradient under a fixed random cotangent.
The truth is computed from the same float32 inputs, by the textbook formulas, in 120 digits.
Writes results/accuracy_geometry.json. Needs the `dev` extra (mpmath); geoopt (`bench` extra) is shown where installed.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ternary_jax import poincare

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from reference.accuracy import (  # noqa: E402
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
    manifold = geoopt.PoincareBall(c=c)
    method = {"squared_dist": "dist", "log": "logmap", "log0": "logmap0", "transport": "transp"}.get(name) or name
    args = [torch.tensor(a, requires_grad=True) for a in args]
    value = getattr(manifold, method)(*args)
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
    if theirs is not None:
        out["geoopt"] = errors_of(theirs, truth)
    return out


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
                v = (u + 0.005 * min(radius, 1) * v / np.linalg.norm(v, axis=-1, keepdims=True) if near else v).astype(
                    np.float32
                )
                cotangents = np.ones(n, np.float32)
                truth = true_values("tangent_dist", [u, v], cotangents, c)
                found = pullbacks(poincare.tangent_dist)[0](np.float32(c), cotangents, u, v)
                worst = np.maximum(worst, errors_of(found, truth))
            rows.append(dict(distance=radius, pairs="near" if near else "random", value=worst[0], gradient=worst[1]))
    return rows


def shown(pair):
    return f"{pair[0]:8.1e} {pair[1]:8.1e}" if pair is not None else " " * 17


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=4, help="points for each norm, curvature and kind of pair")
    parser.add_argument("--dim", type=int, default=16, help="dimension of the ball")
    parser.add_argument("--operations", nargs="*", default=list(OPERATIONS), choices=list(OPERATIONS), metavar="NAME")
    options = parser.parse_args()

    start, results = time.time(), []
    print(
        f"largest relative error over {options.points} points x c in {CURVATURES}, dim {options.dim}; value, gradient"
    )
    for name in options.operations:
        for near in (False, True)[: 1 + ("y" in OPERATIONS[name])]:
            sign = " of -x and y," if near and name == "mobius_add" else ""
            print(f"\n{name},{sign} pairs {'0.01 apart' if near else 'at random'}")
            print(f"{'norm':>12} {'jit':>17} {'eager':>17} {'jit-eager':>10} {'geoopt':>17} {'arccosh, clamp':>17}")
            for k, norm in enumerate(NORMS):
                rows = [measure(name, norm, c, near, options.points, options.dim, seed=k) for c in CURVATURES]
                rows = [r for r in rows if r]
                worst = {key: np.max([r[key] for r in rows], axis=0) for key in rows[0]} if rows else {}
                results.append(
                    dict(operation=name, near=near, norm=norm) | {k: np.asarray(v).tolist() for k, v in worst.items()}
                )
                cells = [shown(worst.get(key)) for key in ("jit", "eager", "geoopt", "arccosh")]
                print(
                    f"{norm:12.7g} {cells[0]} {cells[1]} {worst.get('jit_eager', np.nan):10.1e} {cells[2]} {cells[3]}",
                    flush=True,
                )

    print("\ntangent_dist, by the distance of both points from 0\n    distance   pairs   value    gradient")
    tangents = tangent(options.points, options.dim, seed=0)
    for row in tangents:
        print(f"{row['distance']:12g} {row['pairs']:>7} {row['value']:8.1e} {row['gradient']:8.1e}")

    worst = max((max(r[key]) for r in results for key in ("jit", "eager") if key in r), default=0.0)
    apart = max((r["jit_eager"] for r in results if "jit_eager" in r), default=0.0)
    print(
        f"\nworst of ours {worst:.2e} (bar {BAR:.0e}); jit against eager {apart:.1e} (bar 1e-6); "
        f"{time.time() - start:.0f} s"
    )
    out = ROOT / "results" / "accuracy_geometry.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(dict(worst=worst, jit_eager=apart, operations=results, tangent_dist=tangents), indent=1))


if __name__ == "__main__":
    main()
