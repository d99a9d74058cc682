"""What can be looked at in a trained cube, as `Task.views`: the face that is read after each update."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ternary_jax.engine.task import View
from ternary_jax.lattice.cube import views_panel
from ternary_jax.pictures import style
from ternary_jax.workdir import Run

SHOWN = 8  # updates whose face is drawn


class Activity(NamedTuple):
    """What a cube makes of the faces that the run is measured on, which are never trained on.

    updates: of a step in the training; more are shown
    read (t, B, height, width): the face of the last layer after each update, float64
    rms (t,): root of the mean square over the samples and cells; moved (t,): the same of the change since the update
        before, from the second one on, nan at first
    """

    updates: int
    read: NDArray
    rms: NDArray
    moved: NDArray


def data(run: Run, k: int) -> Activity | None:
    """The activity of run k; None where there is no checkpoint yet, or the cube reads one face alone."""
    found = run.exported(k)
    if found is None or "read" not in found or len(found["read"]) < 2:
        return None
    read = found["read"].astype(np.float64)
    inside = tuple(range(1, read.ndim))
    moved = np.sqrt((np.diff(read, axis=0) ** 2).mean(inside))
    height, width = read.shape[-2:]
    faces = read.reshape(len(read), -1, height, width)
    return Activity(
        int(run.config["model.updates"]), faces, np.sqrt((read**2).mean(inside)), np.concatenate([[np.nan], moved])
    )


@style.styled
def figure(found: Activity) -> Any:
    """The activity over the updates, and the face of the first sample after some of them."""
    made = style.figure(11, 4.4)
    top, bottom = made.subfigures(2, 1, height_ratios=(1.2, 1))
    ax, at = top.subplots(), np.arange(1, len(found.read) + 1)
    for values, (color, dash), label in zip(
        (found.rms, found.moved), style.SERIES, ("activity", "change by an update"), strict=False
    ):
        ax.plot(at, values, dash, color=color, label=f"{label}, root mean square", marker=".")
    ax.axvline(found.updates, **style.LINE, label="updates of a step in the training")
    ax.set_xlabel("update")
    ax.set_ylim(bottom=0)
    style.legend_beside(ax)
    shown = np.unique(np.linspace(0, len(at) - 1, min(SHOWN, len(at))).astype(int))
    limit = max(float(np.abs(found.read[:, 0]).max()), 1e-6)
    for ax, k in zip(bottom.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        ax.imshow(found.read[k, 0], cmap="cividis", vmin=-limit, vmax=limit)
        ax.set(title=f"update {at[k]}", xticks=[], yticks=[])
    made.suptitle("the face that is read after each update: the activity of four samples, and the face of the first")
    return made


VIEWS = {
    "activity": View(
        title="the face that a cube gives after each update, and how strong it is",
        data=data,
        figure=figure,
        panel=views_panel.panel,
        text=views_panel.text,
        needs="a checkpoint of a cube that is read after each update: config.model.schedule=all",
    )
}
