"""The views of a run as panels of a page. It knows no family: what there is to see is what `Task.views` says."""

from collections.abc import Mapping

from ternary_jax.analysis.page.content import Panel
from ternary_jax.engine.task import View
from ternary_jax.errors import QuestionError, WorkdirError
from ternary_jax.workdir import Run


def panels(run: Run, k: int, views: Mapping[str, View]) -> list[Panel]:
    """A panel for each view that has one; a sentence in its place where this run has nothing to show in it."""
    return [_panel(run, k, name, view) for name, view in views.items() if view.panel is not None]


def _panel(run: Run, k: int, name: str, view: View) -> Panel:
    title = view.title[:1].upper() + view.title[1:]
    assert view.panel is not None
    try:
        found = view.data(run, k)
    except (WorkdirError, QuestionError) as e:
        return Panel(name, title, f"Not drawn: {e}.")
    if found is None:
        return Panel(name, title, f"Not drawn: run {k} has no data for it, which needs {view.needs or 'more than it has'}.")
    return Panel(name, title, view.text(found) if view.text else "", view.panel(found))
