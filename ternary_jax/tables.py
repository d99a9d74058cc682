"""Numbers as text for the terminal: aligned columns, short cells, durations."""

import math
from collections.abc import Sequence


def columns(lines: Sequence[Sequence[str]]) -> str:
    """A table as text: the first column is aligned to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = ("  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines)
    return "\n".join(map(str.rstrip, rows))


def cell(value: float | None) -> str:
    """A number in few characters; "-" for None."""
    return "-" if value is None else f"{value:.2e}" if 0 < abs(value) < 1e-3 else f"{value:.5f}"


def reference_cell(value: float | None) -> str:
    """A ceiling, chance or untrained value, not coarser than `cell`; "-" for None and nan."""
    return "-" if value is None or math.isnan(value) else f"{value:.6g}"


def counted(n: int, noun: str) -> str:
    """A number with its noun: "1 step", "1,872 steps"."""
    return f"{n:,} {noun}{'s' * (n != 1)}"


def span(s: float | None) -> str:
    """A duration in seconds, minutes or hours; "-" for None."""
    return "-" if s is None else f"{s:.1f} s" if s < 120 else f"{s / 60:.0f} min" if s < 7200 else f"{s / 3600:.1f} h"


def size(n: float) -> str:
    """A number of bytes, of at most three digits, with its unit."""
    for name in ("B", "kB", "MB"):
        if n < 1000:
            return f"{n:.3g} {name}"
        n /= 1000
    return f"{n:.3g} GB"
