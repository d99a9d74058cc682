"""Text for the terminal: aligned columns, short cells, durations, commands."""

import math
import shlex
from collections.abc import Sequence

WIDTH = 80  # characters of a line that every terminal has room for


def columns(lines: Sequence[Sequence[str]], gap: str = "  ") -> str:
    """A table as text: the first column is aligned to the left, the others to the right. gap: between two columns."""
    widths = _widths(lines)
    rows = (gap.join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines)
    return "\n".join(map(str.rstrip, rows))


def fitted(lines: Sequence[Sequence[str]], keys: int = 1) -> str:
    """A table as by `columns`, in lines of at most 80 characters: with single spaces, or else in parts.

    Each part has some of the columns, after those that say what a row is. A column that is too wide beside these makes
    a part of its own, which stays wider than 80 characters.

    keys: number of the first columns, which say what a row is. If these are several and leave no room for the widest
        column, the rows are numbered instead
    """
    for gap in ("  ", " "):
        if max(map(len, (text := columns(lines, gap)).splitlines())) <= WIDTH:
            return text
    widths = [width + 2 for width in _widths(lines)]
    if keys > 1 and sum(widths[:keys]) + max(widths[keys:]) > WIDTH + 2:
        numbered = [["row", *lines[0]], *([f"{n}", *line] for n, line in enumerate(lines[1:], 1))]
        return fitted(numbered)
    first: list[int] = [*range(keys)]
    parts: list[list[int]] = [[]]
    for k in range(keys, len(widths)):
        if parts[-1] and sum(widths[j] for j in [*first, *parts[-1], k]) > WIDTH + 2:
            parts.append([])
        parts[-1].append(k)
    return "\n\n".join(columns([[line[k] for k in [*first, *part]] for line in lines]) for part in parts)


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*lines, strict=True)]


def cell(value: float | None) -> str:
    """A number in few characters; "-" for None."""
    return "-" if value is None else f"{value:.2e}" if 0 < abs(value) < 1e-3 else f"{value:.5f}"


def reference_cell(value: float | None) -> str:
    """A ceiling, chance or untrained value, not coarser than `cell`; "-" for None and nan."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.3g}" if abs(value) < 1e-3 else f"{value:.6g}"


def counted(n: int, noun: str) -> str:
    """A number with its noun: "1 step", "1,872 steps"."""
    return f"{n:,} {noun}{'s' * (n != 1)}"


def command_of(module: str, folder: str) -> str:
    """The command of a module on a folder, as it is typed in a shell."""
    return shlex.join(["python", "-m", module, f"./{folder}" if folder.startswith("-") else folder])


def span(s: float | None) -> str:
    """A duration in seconds, minutes or hours; "-" for None."""
    return "-" if s is None else f"{s:.1f} s" if s < 120 else f"{s / 60:.0f} min" if s < 7200 else f"{s / 3600:.1f} h"


def speed(per_s: float) -> str:
    """Samples per second in few characters."""
    return f"{per_s / 1e3:,.0f}k/s" if per_s >= 1e4 else f"{per_s:,.0f}/s"


def size(n: float) -> str:
    """A number of bytes, of at most three digits, with its unit."""
    for name in ("B", "kB", "MB"):
        if n < 1000:
            return f"{n:.3g} {name}"
        n /= 1000
    return f"{n:.3g} GB"
