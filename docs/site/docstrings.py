"""Our docstrings as HTML: a formula or a sentence first, prose, lines `name: text` on arguments, indented formulas.

Everything else of Markdown is left alone, as *, _ and | are signs of formulas.
"""

import html
import re

# The start of a line on an argument or a field: `x`, `x, y`, `x (n, dim)`, `losses.kl`, and a colon.
NAME = r"[A-Za-z_*`][\w.*`-]*(?: \([^()]*\))?"
NAMES = rf"{NAME}(?:, {NAME})*"
ENTRY = re.compile(rf"({NAMES}): (.*)")
NEXT = re.compile(rf"; (?={NAMES}: )")  # a line may have several
FORMULA = re.compile(r" [=<>] |->|\^|\w_\w|\|\w")  # what the first line of a function has, where it is a formula


def html_of(text: str, of_module: bool = False) -> str:
    """The elements of a docstring, one a line."""
    blocks = [block.strip("\n").splitlines() for block in re.split(r"\n\s*\n", text) if block.strip()]
    found = [_block(lines, number == 0 and not of_module) for number, lines in enumerate(blocks)]
    return f'<div class="docstring">{"".join(found)}</div>'


def _block(lines: list[str], first: bool) -> str:
    if all(line.startswith(" ") for line in lines):
        least = min(len(line) - len(line.lstrip()) for line in lines)
        return f"<pre><code>{html.escape(chr(10).join(line[least:] for line in lines))}</code></pre>"
    if ENTRY.fullmatch(lines[0]) and not first:
        return _entries(lines)
    if all(line.startswith(("- ", "  ")) for line in lines):
        return _items(lines)
    for number, line in enumerate(lines):  # a formula under a sentence, without an empty line between them
        if number and line.startswith("    ") and not ENTRY.fullmatch(lines[0]):
            return _block(lines[:number], first) + _block(lines[number:], False)
        if number and not first and ENTRY.fullmatch(line) and lines[number - 1].endswith("."):
            return _block(lines[:number], first) + _entries(lines[number:])
    name = ' class="formula"' if first and FORMULA.search(lines[0]) else ""
    return f"<p{name}>{_inline(' '.join(line.strip() for line in lines))}</p>"


def _entries(lines: list[str]) -> str:
    """Lines `name: text` as a list; a line without a name goes on with the text before it."""
    found: list[list[str]] = []
    for line in lines:
        first, *more = NEXT.split(line)
        entry = ENTRY.fullmatch(first)
        if entry:  # an indented line is none, as a name has no space before it
            found.append([entry[1], entry[2]])
        else:
            found[-1][1] += f" {first.strip()}"
        found += [[entry[1], entry[2]] for one in more if (entry := ENTRY.fullmatch(one))]
    rows = (f"<dt><code>{html.escape(name)}</code></dt><dd>{_inline(text)}</dd>" for name, text in found)
    return f"<dl>{''.join(rows)}</dl>"


def _items(lines: list[str]) -> str:
    items = " ".join(line.strip() if line.startswith("  ") else f"\n{line[2:]}" for line in lines).split("\n")[1:]
    return f"<ul>{''.join(f'<li>{_inline(item)}</li>' for item in items)}</ul>"


def _inline(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
