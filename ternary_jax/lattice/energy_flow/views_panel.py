"""The panel of the flows, and what it shows in words."""

from typing import Any

import numpy as np

from ternary_jax.panels import faces, style

MOST = 256  # flows whose ways are drawn, evenly chosen


def panel(found: Any) -> Any:
    """Ways from the side and from above, landings, and the faces. found: Ways of views.py."""
    width, height, _ = found.size
    chosen = np.unique(np.linspace(0, found.paths.shape[1] - 1, min(MOST, found.paths.shape[1])).astype(int))
    ways = faces.ways(found.paths[:, chosen], ((2, 0), (2, 1)), ("x", "y", "z, from the input face to the output face"))
    carried = {"input": found.inputs, "target": found.targets[0], "output": found.outputs[0]}
    landings = faces.landings(found.paths[-1, :, :2], width, height)
    return style.below([style.wrapped([*ways, landings]), style.wrapped(faces.row(carried), 170)])


def text(found: Any) -> str:
    """How many flows there are, how far they get, and how near the output is to its target. found: Ways of views.py."""
    steps, n, _ = found.paths.shape
    depth = found.size[2] - 1
    arrived = np.mean(found.paths[-1, :, 2] >= depth - 0.5)
    error = np.sqrt(np.mean((found.outputs[0] - found.targets[0]) ** 2))
    return (
        f"{n:,} flows of one face, over {steps - 1} steps: circles are where they start, squares where they end. "
        f"{arrived:.1%} end on the output face. The third plot shows where on it. Below: the face that goes in, the "
        f"one that should come out, and the one that does; they differ by {error:.3g} (root mean square). Yellow is "
        "high."
    )
