"""Pictures of a training: `ternary_jax.plot.disc(RUN)` is a matplotlib figure, and `plot.names(RUN)` lists them all.

RUN is the --workdir of a training, its reader (`ternary_jax.workdir.open`), or a loaded model (`ternary_jax.load`).
run=K takes the K-th of several runs; that of a loaded model is its own by default. `plot.curves`, `plot.controllers`
and `plot.generalisation` are there for every task; the others are those that its family registers, as `Task.views`.

`plot.data(RUN, "disc")` gives the arrays behind a picture. `plot.disc(RUN).savefig("disc.png")` writes a file; in a
notebook a figure shows itself. docs/pictures.md shows them.
"""

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ternary_jax import workdir
from ternary_jax.analysis import views as of_any_task
from ternary_jax.engine.task import View
from ternary_jax.errors import ViewError, WorkdirError
from ternary_jax.inference.model import Model

__all__ = ["data", "names", "views"]


def names(source: Any) -> dict[str, str]:
    """{name: one line on what is seen} of the pictures that the task of a run offers. source: a RUN as above."""
    return {name: view.title for name, view in views(source).items()}


def views(source: Any) -> dict[str, View]:
    """{name: View}, those of any task first. source: a RUN as above."""
    opened, _ = _opened(source, None)
    return {**of_any_task.VIEWS, **opened.views, **of_any_task.VIEWS}


def data(source: Any, name: str, *, run: int | None = None) -> Any:
    """The data of a picture, a NamedTuple of numpy arrays and texts. source: a RUN as above; run: its number."""
    return _found(source, name, run)[1]


def __getattr__(name: str) -> Callable[..., Any]:
    """The function that draws this picture. Which names there are depends on the task, so a call checks it."""
    if name.startswith("_"):
        raise AttributeError(f"module 'ternary_jax.plot' has no attribute {name!r}")

    def picture(source: Any, /, *, run: int | None = None) -> Any:
        view, found = _found(source, name, run)
        return view.figure(found)

    picture.__name__ = picture.__qualname__ = name
    picture.__doc__ = f"The picture {name} of a run, a matplotlib figure; the arguments are those of `data`."
    return picture


def __dir__() -> list[str]:
    return sorted([*__all__, *of_any_task.VIEWS])


# --- inside -----------------------------------------------------------------------------------------------------------


def _found(source: Any, name: str, run: int | None) -> tuple[View, Any]:
    """The view of a name, and its data of a run."""
    opened, k = _opened(source, run)
    offered: Mapping[str, View] = of_any_task.VIEWS
    if name not in offered:  # the task is made only where it is needed
        offered = {**offered, **opened.views, **offered}
    if name not in offered:
        raise ViewError(_missing(opened, name, offered))
    view = offered[name]
    if (found := view.data(opened, k)) is None:
        needs = view.needs or "more than this run has"
        raise ViewError(f"run {k} of {opened.path} has no data for plot.{name}, which needs {needs}")
    return view, found


def _opened(source: Any, run: int | None) -> tuple[workdir.Run, int]:
    """The reader of a workdir, and the number of a run in it."""
    if isinstance(source, Model):
        return _checked(source.source, source.about.run if run is None else run)
    if isinstance(source, str | Path):
        source = workdir.open(source)
    if isinstance(source, workdir.Sweep):
        raise WorkdirError(
            f"{source.path} is the folder of a sweep: give the workdir of one of its groups, {source.path}/group_000"
        )
    if not isinstance(source, workdir.Run):
        raise ViewError(
            f"{source!r:.60} is no run: give the --workdir of a training, its reader workdir.open(DIR), or a loaded "
            "model load(DIR)"
        )
    return _checked(source, 0 if run is None else run)


def _checked(opened: workdir.Run, k: int) -> tuple[workdir.Run, int]:
    opened.check_number(k)
    return opened, int(k)


def _missing(opened: workdir.Run, name: str, offered: Mapping[str, View]) -> str:
    near = difflib.get_close_matches(name, offered, 1)
    fix = f"did you mean plot.{near[0]}?" if near else "take one of these"
    return f"{opened.path} has no picture {name!r}; there are {', '.join(offered)}: {fix}"
