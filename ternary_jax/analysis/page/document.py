"""A page as one HTML file: its style, its scripts, bokeh and its data are all inside, and it requests nothing.

A content security policy in the page itself refuses every request, and every script but those of this module, by their
hashes: names in a workdir may be anyone's. A panel is drawn when it comes near the screen, so that a page of many
panels opens as fast as one of few.
"""

import base64
import hashlib
import itertools
import json
import re
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib import resources
from typing import Any

from ternary_jax.analysis.page.content import Beside, Page, Panel, Section, Table

MARK = "<!-- report of ternary_jax -->"  # in the first lines of every page, so that a page is told from other files


def html(page: Page, stamp: str | None = None) -> str:
    """The file. stamp: of a page that asks its server for a newer one, see `server`; None: of a file."""
    scripts = [_bokeh(), _own("page.js"), *([_own("watch.js")] if stamp is not None else [])]
    hashes = " ".join(f"'sha256-{_hash(one)}'" for one in scripts)
    connect = " connect-src 'self';" if stamp is not None else ""
    policy = f"default-src 'none'; script-src {hashes};{connect} style-src 'unsafe-inline'; img-src data:"
    names = [_slug(section.title) for section in page.sections]
    marked = f' data-stamp="{escape(stamp)}"' if stamp is not None else ""
    links = "".join(
        f'<li><a href="#{name}">{escape(section.title)}</a></li>'
        for name, section in zip(names, page.sections, strict=True)
    )
    notices = "".join(f'<p class="notice">{escape(one)}</p>' for one in page.notices)
    sections = "".join(_section(name, one) for name, one in zip(names, page.sections, strict=True))
    return f"""<!DOCTYPE html>
{MARK}
<html lang="en"{marked}>
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(page.title)}</title>
<style>{_own("page.css")}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the report</a>
<header><h1>{escape(page.title)}</h1><p>{escape(page.about)}</p>{notices}</header>
<nav aria-label="Sections"><ul>{links}</ul></nav>
<main id="main" tabindex="-1">{sections}</main>
<footer><p>Written by ternary_jax. A drag moves a plot, Ctrl and the wheel zoom. In a plot that has the focus, the arrow
keys move, + and - zoom, 0 shows all of it. This file needs no network.</p>
<noscript><p>The plots need JavaScript; tables and texts do not.</p></noscript></footer>
{"".join(f"<script>{one}</script>" for one in scripts)}
</body>
</html>
"""


def is_page(data: bytes) -> bool:
    """Whether a file with these first bytes is a page of this module."""
    return data.startswith(f"<!DOCTYPE html>\n{MARK}\n".encode())


# --- inside -----------------------------------------------------------------------------------------------------------


def _section(name: str, section: Section) -> str:
    texts = "".join(f"<p>{escape(one)}</p>" for one in section.texts)
    parts = ""
    for narrow, group in itertools.groupby(section.parts, lambda one: isinstance(one, Panel) and one.narrow):
        made = "".join(map(_part, group))
        parts += f'<div class="pair">{made}</div>' if narrow else made
    title = f'<h2 id="{name}-h">{escape(section.title)}</h2>'
    return f'<section id="{name}" aria-labelledby="{name}-h">{title}{texts}{parts}</section>'


def _part(part: Table | Panel | Beside) -> str:
    if isinstance(part, Beside):
        return _beside(part)
    return _table(part) if isinstance(part, Table) else _panel(part)


def _beside(group: Beside) -> str:
    name, title = _slug(group.name), escape(group.title)
    panels = "".join(_panel(one, "h4", f"{name}-t", f", {title}") for one in group.panels)
    return f'<div class="beside"><h3 id="{name}-t">{title}</h3><div class="pair">{panels}</div></div>'


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in table.head)
    rows = "".join(f"<tr>{_row(row)}</tr>" for row in table.rows)
    caption = escape(table.caption)
    # The frame scrolls where the table is wider than the screen; it has the focus then, so that keys scroll it.
    made = f'<div class="frame" role="group" tabindex="0" aria-label="{caption}">'
    made += f"<table><caption><span>{caption}</span></caption>"
    made += f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    return f"<details><summary>{caption}</summary>{made}</details>" if table.folded else made


def _row(cells: Sequence[str]) -> str:
    first, *others = map(escape, cells)
    return f'<th scope="row">{first}</th>' + "".join(f"<td>{one}</td>" for one in others)


def _panel(panel: Panel, level: str = "h3", above: str = "", more: str = "") -> str:
    """level: of its heading; above: the id of a heading that belongs to its name; more: of the names of its buttons."""
    name, title, text = _slug(panel.name), escape(panel.title), escape(panel.text)
    if panel.model is None:
        return f'<div class="panel"><{level}>{title}</{level}><p>{text}</p></div>'
    buttons = "".join(
        f'<button type="button" data-act="{act}" aria-label="{label}: {title}{more}">{sign}</button>'
        for act, label, sign in (("in", "Zoom in", "+"), ("out", "Zoom out", "−"), ("all", "Show all", "all"))
    )
    height = getattr(panel.model, "height", None) or 200  # of a layout it is not known before it is drawn
    names = f"{above} {name}-t".strip()
    plot = f'class="plot" id="{name}" role="group" tabindex="0" aria-labelledby="{names}"'
    return f"""<figure class="panel" aria-labelledby="{names}" aria-describedby="{name}-d">
<div class="top"><{level} id="{name}-t">{title}</{level}><div class="tools">{buttons}</div></div>
<div {plot} style="min-height:{height}px"></div>
<figcaption id="{name}-d">{text}</figcaption>
<script type="application/json" id="{name}-data">{_item(panel.model)}</script>
</figure>"""


def _item(model: Any) -> str:
    """The JSON of a model, in which no "<" could end the element that it stands in."""
    from bokeh.embed import json_item

    return json.dumps(json_item(model), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


@cache
def _bokeh() -> str:
    """The script of bokeh itself: not those of its widgets, tables and formulas, which no panel uses."""
    from bokeh.resources import Resources

    return "\n".join(Resources(mode="inline", components=["bokeh"], minified=True).js_raw)


@cache
def _own(name: str) -> str:
    return resources.files("ternary_jax.analysis.page").joinpath(name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "part"
