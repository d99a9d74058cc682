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
        title = view.title[:1].upper() + view.title[1:]
        try:
            found = view.data(run, k)
        except (WorkdirError, QuestionError) as e:
            made.append(Panel(name, title, f"Not drawn: {e}."))
            continue
        if found is None:
            empty.append((title, view.needs or "more than this run has"))
        else:
            made.append(Panel(name, title, view.text(found) if view.text else "", view.panel(found)))
            if view.table and (table := view.table(found)):
                made.append(Table(*table))
    caption = f"Not drawn, as run {k} has no data for {'it' if len(empty) == 1 else 'them'}: {len(empty)}"
    return made + ([Table(caption, ("view", "needs"), empty, folded=True)] if empty else [])
