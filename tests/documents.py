"""What the pages of the project say in code style: blocks, commands, single words. Read by the tests of the pages.

A page is plain Markdown. Blocks with a fence have a language: `sh` is commands, `python` is code, without one it is
output or a picture. An indented block is commands, one a line, each perhaps followed by two spaces and an explanation.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Whole pages that commands write: their words are those of result files. Their commands are read as those of others.
GENERATED = ("results.md", "ablations.md")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
WRITTEN = [page for page in PAGES if page.name not in GENERATED]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?<=\n\n)(?:    .*\n)+")
PROGRAMS = ("python", "python3", "pip", "pytest", "ruff", "pyright", "mkdocs", ".ci/run", "ternary-jax")
FOREIGN = (".", "pre-commit", "tensorboard", "xprof", "ssh")  # of the shell, and of packages that nothing here needs


def fenced(page: Path, language: str) -> list[str]:
    """The blocks of a page that have a fence with this language."""
    return [text for found, text in FENCE.findall(page.read_text()) if found == language]


def inline(page: Path) -> list[str]:
    """What a page has in code style within its lines, without the blocks."""
    text = INDENTED.sub("\n", FENCE.sub("", page.read_text()))
    return [" ".join(found.split()) for found in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)]


def commands(page: Path) -> list[list[str]]:
    """The words of all commands of a page: those of its blocks, and those within its lines."""
    text = page.read_text()
    found = [*fenced(page, "sh"), *INDENTED.findall(FENCE.sub("", text))]
    found += [one for one in map(_in_full, inline(page)) if one.partition(" ")[0] in PROGRAMS and one != "python"]
    return [words for block in found for words in _lines(block)]


def _lines(block: str) -> Iterator[list[str]]:
    """The commands of a block, in words. A line that ends with a backslash goes on; && joins two commands."""
    for line in re.sub(r"\\\n *", "", block).splitlines():
        command = re.split(r" {2,}| #", line.strip())[0]
        for part in command.split("&&"):
            yield shlex.split(part)


def _in_full(span: str) -> str:
    """The command that a span stands for, as some tables say: their commands stand after `python experiments/`, ..."""
    first = span.partition(" ")[0]
    if first.startswith("--config="):
        return f"python -m ternary_jax.main {span}"
    if first.startswith("tests/") and " " in span:
        return f"pytest {span}"
    if " " in span and (ROOT / "experiments" / first).is_file():
        return f"python experiments/{span}"
    return span
