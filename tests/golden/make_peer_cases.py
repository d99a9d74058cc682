"""Writes peer_cases.npz beside itself: values and gradients of geoopt's Poincare ball in float64.

    python tests/golden/make_peer_cases.py          (needs the `bench` extra: torch and geoopt)

A case is one function, or one property, on one row of inputs. The functions and properties are those that geoopt's own
tests/test_gyrovector_math.py covers, for the ball (k = -c < 0), and its distances for k = 0. tests/test_peer_cases.py
has the same names as functions of ternary_jax, and says where a convention differs.

Keys: input/NAME (rows, ...), the inputs, all for each row; value/CASE (rows, ...); gradient/CASE/NAME (rows, ...), of
the sum of a value by the input, on the rows of input/generic alone: at 0, at x = y and at the edge the two differ by
convention, because geoopt clips there.
"""

# pyright: reportMissingImports=false, reportCallIssue=false, reportArgumentType=false
# (torch and geoopt are of the `bench` extra, and their types are not what they accept)

import itertools
import pathlib

import numpy as np
import torch
from geoopt.manifolds.stereographic import math as g

ROWS, DIM, CLOUD = 32, 3, 4
VECTORS = ("x", "y", "z", "u", "v")


def inputs():
    """The inputs by name, from a fixed numpy generator.

    x, y, z: points; u, v: vectors; t, r, s: numbers; matrix: two matrices; cloud: points with weights
    Rows 0 and 1 have x = y and x = -y, row 2 has x = 0, row 3 has y = 0, and row 4 is near the edge. Curvatures are 1,
    uniform in [0, 1], 4, and powers of ten down to 1e-15, where points have the norm of those of c = 1.
    """
    rng = np.random.default_rng(0)
    c = np.concatenate(
        [[1.0] * 6, rng.uniform(0.05, 1, 12), [4.0] * 6, 10.0 ** np.array([-1, -2, -3, -4, -5, -6, -9, -15])]
    )
    radius = np.minimum(1 / np.sqrt(c), 1)[:, None]

    def points(*shape):
        x = rng.normal(size=(ROWS, *shape, DIM))
        x *= rng.uniform(0.05, 0.9, (ROWS, *shape, 1)) / np.linalg.norm(x, axis=-1, keepdims=True)
        return x * radius.reshape(ROWS, *[1] * (x.ndim - 1))

    x, y, z = points(), points(), points()
    y[0], y[1], x[2], y[3] = x[0], -x[1], 0, 0
    x[4] *= 0.9999 / np.linalg.norm(x[4])
    return {
        "c": c[:, None],
        "x": x,
        "y": y,
        "z": z,
        "u": rng.normal(size=(ROWS, DIM)) * radius,
        "v": rng.normal(size=(ROWS, DIM)) * radius,
        "t": rng.uniform(0, 1, (ROWS, 1)),
        "r": rng.uniform(-1, 1, (ROWS, 1)),
        "s": rng.uniform(-1, 1, (ROWS, 1)),
        "matrix": rng.normal(size=(ROWS, 2, DIM, DIM)) / 2,
        "cloud": points(CLOUD),
        "weights": rng.uniform(0, 1, (ROWS, CLOUD)),
    }


def times(matrix, x):
    """matrix @ x, row by row."""
    return (matrix @ x[..., None])[..., 0]


def midpoint(a, weighted, lincomb):
    """The midpoint of each row's cloud: geoopt has one k for all rows of a call."""
    made = [
        g.weighted_midpoint(a["cloud"][i], a["weights"][i] if weighted else None, k=a["k"][i], lincomb=lincomb)
        for i in range(ROWS)
    ]
    return torch.stack(made)


def segments(a):
    """The lengths of 12 equal parts of the geodesic from x to y."""
    at = [g.geodesic(torch.tensor(i / 12), a["x"], a["y"], k=a["k"]) for i in range(13)]
    return torch.cat([g.dist(p, q, k=a["k"], keepdim=True) for p, q in itertools.pairwise(at)], -1)


def additions(a):
    """0, x, x (+) x, ... by addition, four times."""
    found = [torch.zeros_like(a["x"])]
    for _ in range(4):
        found.append(g.mobius_add(a["x"], found[-1], k=a["k"]))
    return torch.stack(found, 1)


def normal_distance(a):
    """The distance to the hyperplane through x with normal u, of the point at distance 1 along the normal."""
    unit = a["u"] / g.norm(a["x"], a["u"], k=a["k"], keepdim=True)
    return g.dist2plane(g.expmap(a["x"], unit, k=a["k"]), a["x"], unit, k=a["k"], keepdim=True)


# Functions, with the gradients of their generic rows: case -> (geoopt's value, the inputs that it depends on).
FUNCTIONS = {
    "project_inside": (lambda a: g.project(a["z"], k=a["k"]), "z"),
    "conformal_factor": (lambda a: g.lambda_x(a["x"], k=a["k"], keepdim=True), "x"),
    "inner": (lambda a: g.inner(a["x"], a["u"], a["v"], k=a["k"], keepdim=True), "xuv"),
    "norm": (lambda a: g.norm(a["x"], a["u"], k=a["k"], keepdim=True), "xu"),
    "mobius_add": (lambda a: g.mobius_add(a["x"], a["y"], k=a["k"]), "xy"),
    "mobius_sub": (lambda a: g.mobius_sub(a["x"], a["y"], k=a["k"]), "xy"),
    "mobius_coadd": (lambda a: g.mobius_coadd(a["x"], a["y"], k=a["k"]), "xy"),
    "mobius_cosub": (lambda a: g.mobius_cosub(a["x"], a["y"], k=a["k"]), "xy"),
    "gyration": (lambda a: g.gyration(a["x"], a["y"], a["u"], k=a["k"]), "xyu"),
    "scalar_mul": (lambda a: g.mobius_scalar_mul(a["r"], a["x"], k=a["k"]), "rx"),
    "dist": (lambda a: g.dist(a["x"], a["y"], k=a["k"], keepdim=True), "xy"),
    "dist0": (lambda a: g.dist0(a["x"], k=a["k"], keepdim=True), "x"),
    "geodesic": (lambda a: g.geodesic(a["t"], a["x"], a["y"], k=a["k"]), "txy"),
    "geodesic_unit": (lambda a: g.geodesic_unit(a["t"], a["x"], a["u"], k=a["k"]), "txu"),
    "exp": (lambda a: g.expmap(a["x"], a["u"], k=a["k"]), "xu"),
    "exp0": (lambda a: g.expmap0(a["u"], k=a["k"]), "u"),
    "log": (lambda a: g.logmap(a["x"], a["y"], k=a["k"]), "xy"),
    "log0": (lambda a: g.logmap0(a["x"], k=a["k"]), "x"),
    "matvec": (lambda a: g.mobius_matvec(a["matrix"][:, 0], a["x"], k=a["k"]), "x"),
    "pointwise_mul": (lambda a: g.mobius_pointwise_mul(a["v"], a["x"], k=a["k"]), "vx"),
    "hyperplane_distance": (lambda a: g.dist2plane(a["x"], a["z"], a["u"], k=a["k"], keepdim=True), "xzu"),
    "hyperplane_distance_signed": (
        lambda a: g.dist2plane(a["x"], a["z"], a["u"], k=a["k"], keepdim=True, signed=True),
        "xzu",
    ),
    "transport": (lambda a: g.parallel_transport(a["x"], a["y"], a["u"], k=a["k"]), "xyu"),
    "transport0": (lambda a: g.parallel_transport0(a["x"], a["u"], k=a["k"]), "xu"),
    "transport0back": (lambda a: g.parallel_transport0back(a["x"], a["u"], k=a["k"]), "xu"),
    "riemannian_gradient": (lambda a: g.egrad2rgrad(a["x"], a["u"], k=a["k"]), "xu"),
    "to_hyperboloid": (lambda a: g.inv_sproj(a["x"], k=a["k"]), "x"),
    "antipode": (lambda a: g.antipode(a["x"], k=a["k"]), "x"),
    "flat_dist": (lambda a: g.dist(a["x"], a["y"], k=0 * a["k"], keepdim=True), "xy"),
    "flat_dist0": (lambda a: g.dist0(a["x"], k=0 * a["k"], keepdim=True), "x"),
    "flat_log0": (lambda a: g.logmap0(a["x"], k=0 * a["k"]), "x"),
}
PROPERTIES = {
    "project_outside": lambda a: g.project(3 * a["z"] / a["c"].sqrt() / a["z"].norm(dim=-1, keepdim=True), k=a["k"]),
    "midpoint_of_no_weight": lambda a: midpoint(a | {"weights": 0 * a["weights"]}, True, False),
    "midpoint": lambda a: midpoint(a, False, False),
    "midpoint_weighted": lambda a: midpoint(a, True, False),
    "midpoint_lincomb": lambda a: midpoint(a, True, True),
    "fn_apply": lambda a: g.mobius_fn_apply(lambda x: times(a["matrix"][:, 0], x), a["x"], k=a["k"]),
    "fn_apply_chain": lambda a: g.mobius_fn_apply_chain(
        a["x"], lambda x: times(a["matrix"][:, 0], x), lambda x: times(a["matrix"][:, 1], x), k=a["k"]
    ),
    "matvec_zeros": lambda a: g.mobius_matvec(0 * a["matrix"][:, 0], a["x"], k=a["k"]),
    "left_cancellation": lambda a: g.mobius_add(-a["x"], g.mobius_add(a["x"], a["y"], k=a["k"]), k=a["k"]),
    "zero_plus": lambda a: g.mobius_add(0 * a["x"], a["y"], k=a["k"]),
    "plus_zero": lambda a: g.mobius_add(a["x"], 0 * a["y"], k=a["k"]),
    "minus_itself": lambda a: g.mobius_add(a["x"], -a["x"], k=a["k"]),
    "negative_addition": lambda a: g.mobius_add(-a["y"], -a["x"], k=a["k"]),
    "n_additions": additions,
    "distributive": lambda a: g.mobius_add(
        g.mobius_scalar_mul(a["r"], a["x"], k=a["k"]), g.mobius_scalar_mul(a["s"], a["x"], k=a["k"]), k=a["k"]
    ),
    "associative": lambda a: g.mobius_scalar_mul(a["r"], g.mobius_scalar_mul(a["s"], a["x"], k=a["k"]), k=a["k"]),
    "geodesic_ends": lambda a: torch.cat(
        [g.geodesic(torch.tensor(end), a["x"], a["y"], k=a["k"]) for end in (0.0, 1.0)], -1
    ),
    "segments": segments,
    "unit_speed": lambda a: g.dist(a["x"], g.geodesic_unit(a["t"], a["x"], a["u"], k=a["k"]), k=a["k"], keepdim=True),
    "exp_log": lambda a: g.expmap(a["x"], g.logmap(a["x"], a["y"], k=a["k"]), k=a["k"]),
    "exp0_log0": lambda a: g.expmap0(g.logmap0(a["x"], k=a["k"]), k=a["k"]),
    "norm_of_log0": lambda a: g.norm(0 * a["x"], g.logmap0(a["x"], k=a["k"]), k=a["k"], keepdim=True),
    "inner_after_transport0": lambda a: g.inner(
        a["x"],
        g.parallel_transport0(a["x"], a["u"], k=a["k"]),
        g.parallel_transport0(a["x"], a["v"], k=a["k"]),
        k=a["k"],
        keepdim=True,
    ),
    "transport_from_zero": lambda a: g.parallel_transport(0 * a["x"], a["x"], a["u"], k=a["k"]),
    "inner_after_transport": lambda a: g.inner(
        a["y"],
        g.parallel_transport(a["x"], a["y"], a["u"], k=a["k"]),
        g.parallel_transport(a["x"], a["y"], a["v"], k=a["k"]),
        k=a["k"],
        keepdim=True,
    ),
    "coadd_cancels": lambda a: g.mobius_sub(g.mobius_coadd(a["z"], a["y"], k=a["k"]), a["y"], k=a["k"]),
    "cosub_cancels": lambda a: g.mobius_cosub(g.mobius_add(a["z"], a["y"], k=a["k"]), a["y"], k=a["k"]),
    "distance_along_the_normal": normal_distance,
    "from_hyperboloid": lambda a: g.sproj(g.inv_sproj(a["x"], k=a["k"]), k=a["k"]),
}


def main():
    """Run all, refuse what geoopt does not compute, and write."""
    torch.set_default_dtype(torch.float64)
    arrays = inputs()
    generic = (np.arange(ROWS) >= 5) & (arrays["c"][:, 0] >= 1e-3)
    written = {f"input/{name}": array for name, array in arrays.items()} | {"input/generic": generic}
    for case, (function, given) in FUNCTIONS.items():
        a = {name: torch.tensor(array, requires_grad=True) for name, array in arrays.items()}
        value = function(a | {"k": -a["c"]})
        value.sum().backward()
        written[f"value/{case}"] = value.detach().numpy()
        for name in given if case.startswith("flat") or case in ("project_inside", "antipode") else [*given, "c"]:
            written[f"gradient/{case}/{name}"] = a[name].grad.numpy()[generic]
    a = {name: torch.tensor(array) for name, array in arrays.items()}
    written |= {f"value/{case}": f(a | {"k": -a["c"]}).numpy() for case, f in PROPERTIES.items()}
    if bad := [key for key, array in written.items() if not np.isfinite(array).all()]:
        raise SystemExit(f"geoopt returns no number for {bad}")
    path = pathlib.Path(__file__).with_name("peer_cases.npz")
    np.savez_compressed(path, **written)
    cases = len(FUNCTIONS) + len(PROPERTIES)
    print(f"{path.name}: {cases} functions and properties, {cases * ROWS} cases, {path.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
