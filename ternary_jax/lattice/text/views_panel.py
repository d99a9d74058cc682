"""The panel of what a lattice of texts finds, its table of examples, and what is seen in words."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ternary_jax.panels import style

SHOWN = 240  # characters of a text in a table
PLACES = ("found first", "second", "third")


def panel(found: Any) -> Any:
    """The ranks in bins, beside chance. found: a Retrieval."""
    made = style.plot("rank of the own right side", "share of the left sides", y_range=_limits(found))
    at, names = np.arange(len(found.ends)), ranges(found.ends)
    style.named_ticks(made, names)
    made.xaxis.major_label_orientation = 0.8
    columns = {"x": at, "top": found.share, "chance": found.chance, "left": at - 0.45, "right": at + 0.45}
    source = style.source(columns, {"ranks": names})
    look: dict[str, Any] = dict(fill_color=style.COLORS[0], line_color=None)
    bars = made.vbar("x", 0.8, "top", source=source, **look)
    chance = style.ink(made.segment("left", "chance", "right", "chance", source=source, line_width=2, line_dash=[4, 2]))
    style.legend(made, [("left sides", [bars]), ("chance", [chance])])
    tips = [("ranks", "@ranks"), ("share", "@top{0.0000}"), ("by chance", "@chance{0.0000}")]
    style.hover(made, [bars], tips)
    return made


def text(found: Any) -> str:
    """Recall beside chance, the median rank, and what the table has. found: a Retrieval."""
    n = len(found.ranks)
    parts = [
        f"{n:,} left sides of {found.corpus} that were never trained on, each among the right sides of all of them",
        *recalls(found),
        f"the median rank is {np.median(found.ranks):.10g}, and {(n + 1) / 2:.10g} by chance",
    ]
    if not found.examples:
        return f"{'; '.join(parts)}. The corpus has vectors and no texts, so there are no examples to read."
    return (
        f"{'; '.join(parts)}. The table has {len(found.examples)} of them, at even distances in the order of their "
        "ranks, with the right sides of the greatest cosines."
    )


def table(found: Any) -> tuple[str, tuple[str, ...], list[tuple[str, ...]]] | None:
    """The examples: (caption, head, rows); None where there are none. found: a Retrieval."""
    if not found.examples:
        return None
    best = len(found.examples[0].found)
    head = ("left side", "its own right side", *PLACES[:best], "rank of its own", "cosine")
    rows = [
        (
            *map(shortened, (one.left, one.own)),
            *(f"{'✓ ' * x.right}{x.cosine:.3f} {shortened(x.text)}" for x in one.found),
            f"{one.rank:.10g}",
            f"{one.cosine:.3f}",
        )
        for one in found.examples
    ]
    return f"What is found for some left sides, with cosines; ✓: its own right side. {found.credit}", head, rows


def recalls(found: Any) -> list[str]:
    """A line for each recall, beside chance. found: a Retrieval."""
    n = len(found.ranks)
    return [f"recall@{k} {value:.3f}, by chance {k / n:.3f}" for k, value in found.recall.items()]


def ranges(ends: NDArray) -> list[str]:
    """Names of bins of ranks: "1", "2", "3-4", "5-8", ..."""
    begins = [1, *(ends[:-1] + 1)]
    return [f"{end}" if begin == end else f"{begin}-{end}" for begin, end in zip(begins, ends, strict=True)]


def shortened(text: str, most: int = SHOWN) -> str:
    """The text on one line, cut after `most` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 4]} ..."


def _limits(found: Any) -> tuple[float, float]:
    return 0.0, 1.05 * float(max(found.share.max(), found.chance.max()))
