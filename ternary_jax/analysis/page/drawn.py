"""The views of a run as panels of a page. It knows no family: what there is to see is what `Task.views` says."""

from collections.abc import Mapping

from ternary_jax.analysis.page.content import Panel, Table
from ternary_jax.engine.task import View
from ternary_jax.errors import QuestionError, WorkdirError
from ternary_jax.workdir import Run


def panels(run: Run, k: int, views: Mapping[str, View]) -> list[Panel | Table]:
    """A panel for each view that has one, with its table; at the end, a table of those that this run has no data for.

    A view whose data cannot be read has a sentence in its place.
    """
    made: list[Panel | Table] = []
    empty = []
    for name, view in views.items():
        if view.panel is None:
            continue
        if (found := of_view(run, k, name, view)) is None:
            empty.append((title(view), view.needs or "more than this run has"))
        else:
            made += [found[0], *found[1]]
    caption = f"Not drawn, as run {k} has no data for {'it' if len(empty) == 1 else 'them'}: {len(empty)}"
    return made + ([Table(caption, ("view", "needs"), empty, folded=True)] if empty else [])


def of_view(run: Run, k: int, name: str, view: View) -> tuple[Panel, list[Table]] | None:
    """The panel of a view that has one, and its table if it has one; None where the run has no data for it."""
    assert view.panel is not None
    try:
        found = view.data(run, k)
    except (WorkdirError, QuestionError) as e:
        return Panel(name, title(view), f"Not drawn: {e}."), []
    if found is None:
        return None
    table = view.table(found) if view.table else None
    text = view.text(found) if view.text else ""
    return Panel(name, title(view), text, view.panel(found)), [Table(*table)] if table else []


def title(view: View) -> str:
    """The title of a view as a heading."""
    return view.title[:1].upper() + view.title[1:]
