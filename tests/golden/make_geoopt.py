"""Writes geoopt.npz beside itself: 200 steps of geoopt's Riemannian optimizers in float64.

    python tests/golden/make_geoopt.py          (needs the `bench` extra: torch and geoopt)

The problem is a field with closed form, so that the optimizers alone are compared: the Euclidean gradient at step t is
x matrix + wave[t] drive for points x (n, 5). matrix is the identity plus a rotation, so the steps turn and transport
matters; wave changes sign, so the moments never die out. All points are given for c = 1 and used as x / sqrt(c).

Exact is `PoincareBallExact` (exponential map), otherwise `PoincareBall` (retraction x + u). geoopt starts the momentum
buffer of RiemannianSGD from the *Euclidean* gradient of the first step, a tangent vector by accident. The buffer is
set to zeros before that step, through `optimizer.state`, where the published algorithm starts.

Keys: start (n, 5), matrix (5, 5), drive (n, 5), wave (200,), and for each run its (200, n, 5) points after each
step under the name `{optimizer}_{exact|retraction}_c{c}`.
"""

# pyright: reportMissingImports=false, reportCallIssue=false, reportArgumentType=false
# (torch and geoopt are of the `bench` extra, and their types are not what they accept)

import pathlib

import geoopt
import numpy as np
import torch

STEPS, POINTS, DIM = 200, 3, 5
CURVATURES = (0.5, 1.0, 2.0)
OPTIMIZERS = {
    "sgd": lambda p: geoopt.optim.RiemannianSGD(p, lr=0.05),
    "momentum": lambda p: geoopt.optim.RiemannianSGD(p, lr=0.015, momentum=0.9),
    "adam": lambda p: geoopt.optim.RiemannianAdam(p, lr=0.05, betas=(0.9, 0.99), eps=1e-8),
}


def problem():
    """The arrays that define the field, from a fixed numpy generator."""
    rng = np.random.default_rng(0)
    turn = rng.normal(size=(DIM, DIM))
    return {
        "start": rng.uniform(-0.35, 0.35, (POINTS, DIM)),
        "matrix": np.eye(DIM) + (turn - turn.T) / 2,
        "drive": rng.normal(size=(POINTS, DIM)),
        "wave": np.cos(np.arange(STEPS) / 7),
    }


def trajectory(make_optimizer, manifold, c, start, matrix, drive, wave):
    """The points after each step, (200, n, 5)."""
    x = geoopt.ManifoldParameter(torch.tensor(start / np.sqrt(c)), manifold=manifold)
    optimizer = make_optimizer([x])
    if isinstance(optimizer, geoopt.optim.RiemannianSGD):
        optimizer.state[x]["momentum_buffer"] = torch.zeros_like(x)
    matrix, drive = torch.tensor(matrix), torch.tensor(drive)
    points = []
    for factor in wave:
        x.grad = (x.detach() @ matrix + factor * drive).clone()
        optimizer.step()
        points.append(x.detach().numpy().copy())
    return np.stack(points)


def main():
    """Run all, check that no point came near geoopt's clipping, and write."""
    torch.set_default_dtype(torch.float64)
    arrays = problem()
    runs = {}
    for c in CURVATURES:
        for kind, ball in {"exact": geoopt.PoincareBallExact, "retraction": geoopt.PoincareBall}.items():
            for name, make_optimizer in OPTIMIZERS.items():
                points = trajectory(make_optimizer, ball(c=c), c, **arrays)
                norm = np.sqrt(c) * np.linalg.norm(points, axis=-1)
                print(f"{name:9s}{kind:11s}c = {c:3}  sqrt(c)|x| in [{norm.min():.3f}, {norm.max():.3f}]")
                assert norm.max() < 0.9, "a point came near the edge, where geoopt clips"
                runs[f"{name}_{kind}_c{c}"] = points
    path = pathlib.Path(__file__).with_name("geoopt.npz")
    np.savez_compressed(path, **arrays, **runs)
    print(f"{path.name}: {path.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
