"""What can be looked at in trained flows, as `Task.views`: where they go, where they land, and what they carry."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ternary_jax.engine.task import View
from ternary_jax.lattice.energy_flow import figures, views_panel
from ternary_jax.pictures import style
from ternary_jax.workdir import Run


class Ways(NamedTuple):
    """The flows of one of the faces that the run is measured on, which are never trained on.

    size: width, height and depth of the lattice, in cells
    paths (steps, n, 3): where the n flows are after each step, x, y, z in cells; float64
    inputs (height, width); targets, outputs (planes, height, width): what goes in, should come out, and comes out
    """

    size: tuple[int, int, int]
    paths: NDArray
    inputs: NDArray
    targets: NDArray
    outputs: NDArray


def data(run: Run, k: int) -> Ways | None:
    """The flows of run k on the first face; None where there is no checkpoint yet, or texts are carried."""
    found = run.exported(k)
    if found is None or "paths" not in found or "targets" not in found:
        return None
    width, height, depth = (int(run.config[f"lattice.{name}"]) for name in ("width", "height", "depth"))
    first = {name: found[name][0].astype(np.float64) for name in ("inputs", "targets", "outputs")}
    return Ways((width, height, depth), found["paths"][:, 0].astype(np.float64), **first)


@style.styled
def figure(found: Ways) -> Any:
    """The ways through the lattice, where they end on the output face, and the faces."""
    made = style.figure(11, 4.6)
    left, right = made.subfigures(1, 2, width_ratios=(1.1, 1))
    figures.ways(left.subplots(subplot_kw={"projection": "3d"}), found.paths, found.size)
    top, bottom = right.subfigures(2, 1, height_ratios=(1.35, 1))
    ax = top.subplots()
    figures.landings(ax, found.paths[-1, :, :2], found.size)
    ax.set_title("where the flows end on the output face")
    limit = max(float(np.abs(found.targets).max()), 1e-6)
    faces = {"input": found.inputs, "target": found.targets[0], "output": found.outputs[0]}
    for ax, (name, face) in zip(bottom.subplots(1, 3), faces.items(), strict=True):
        ax.imshow(face, cmap="cividis", vmin=-limit, vmax=limit)
        ax.set(title=name, xticks=[], yticks=[])
    made.suptitle("flows of one face: dots at the input face are blue, at the end of a way red")
    return made


VIEWS = {
    "flows": View(
        title="the ways of the flows through the lattice, where they land, and the faces that they carry",
        data=data,
        figure=figure,
        panel=views_panel.panel,
        text=views_panel.text,
        needs="a checkpoint of a lattice that carries faces",
    )
}
