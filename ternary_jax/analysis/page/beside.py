"""The views of several trainings side by side: a group of panels for each view, a panel for each training.

A page of many workdirs stays small and quick to write: MOST of them are looked at, and when the columns of the panels
have MOST_BYTES together, the views that are left are named and not drawn.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ternary_jax.analysis.page import drawn
from ternary_jax.analysis.page.content import Beside, Panel, Section, Table
from ternary_jax.errors import ConfigError, WorkdirError
from ternary_jax.panels import style
from ternary_jax.workdir import Run

MOST = 4  # trainings whose models are looked at
MOST_BYTES = 9_000_000  # of columns, which are about 6 MB in the file


class Training(NamedTuple):
    """A training to look at. label: on the page; run: its workdir; k: the run of it whose model is looked at."""

    label: str
    run: Run
    k: int


def sections(given: Sequence[Training], what: str) -> tuple[list[Section], list[str]]:
    """(what the first MOST of them have learned, if their task has views; notices). what: they are, in the plural."""
    shown = [*given[:MOST]]
    try:  # a view may know the config of its run, so each run gives its own
        views = [one.run.views for one in shown]
    except (ConfigError, WorkdirError) as e:
        return [], [f"What was learned is not drawn: {e}."]
    texts = [f"The first {MOST} of {len(given)} {what} are looked at."] if len(given) > MOST else []
    texts += [f"{one.label}: run {one.k} of {one.run.path}." for one in shown]
    parts: list[Any] = []
    left, size = [], 0
    for name, view in views[0].items():
        title = drawn.title(view)
        if not all(name in own and own[name].panel is not None for own in views):
            continue
        if size > MOST_BYTES:
            left.append((title, "the report of a single workdir has it: this page would be too large"))
            continue
        each = [_of(one, f"{name}-{k}", own[name]) for k, (one, own) in enumerate(zip(shown, views, strict=True))]
        made = [panel for panel, _ in each]
        size += sum(style.weight(panel.model) for panel in made if panel.model is not None)
        if sum(panel.model is not None for panel in made) < 2:
            left.append((title, f"{view.needs or 'more than these trainings have'}, in two of them at least"))
            continue
        parts += [Beside(name, title, made), *(table for _, tables in each for table in tables)]
    if left:
        parts.append(Table(f"Not drawn side by side: {len(left)}", ("view", "needs"), left, folded=True))
    return ([Section("What was learned", texts, parts)] if parts else []), []


# --- inside -----------------------------------------------------------------------------------------------------------


def _of(one: Training, name: str, view: Any) -> tuple[Panel, list[Table]]:
    """The panel of a view of one training, and its tables, both with its label."""
    made = drawn.of_view(one.run, one.k, name, view)
    if made is None:
        return Panel(name, one.label, f"Not drawn: it needs {view.needs or 'more than this run has'}."), []
    panel, tables = made
    return panel._replace(title=one.label), [
        table._replace(caption=f"{one.label}: {table.caption}", folded=True) for table in tables
    ]
