"""The parts of a page: texts, tables and panels. Nothing of it is HTML; `document` escapes all texts."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class Table(NamedTuple):
    """A table. The first cell of a row is its header.

    caption: one sentence on what the rows are
    folded: whether it is shown only when the reader opens it
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: bool = False


class Panel(NamedTuple):
    """A drawing.

    name: within its page, made of letters, digits, "-" and "_"
    title: one line, which says what is seen
    text: what is seen, in words and numbers, for a reader who does not see it
    model: of bokeh; None: the text says why there is none
    narrow: whether two such panels may stand side by side
    """

    name: str
    title: str
    text: str
    model: Any = None
    narrow: bool = False


class Beside(NamedTuple):
    """The same drawing of several trainings, side by side, or below each other on a phone.

    name: within its page, as that of a panel
    title: one line, which says what is seen in each
    panels: their titles name the trainings
    """

    name: str
    title: str
    panels: Sequence[Panel]


class Section(NamedTuple):
    """A part of a page. texts: paragraphs; parts: tables, panels and groups of panels, in their order."""

    title: str
    texts: Sequence[str]
    parts: Sequence[Table | Panel | Beside]


class Page(NamedTuple):
    """A page.

    title: of the page; about: a sentence on what it shows
    notices: sentences that have to be read first, such as that a training is not finished
    """

    title: str
    about: str
    notices: Sequence[str]
    sections: Sequence[Section]
