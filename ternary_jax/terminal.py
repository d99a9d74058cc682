"""Messages on stderr, and a progress line that is updated in place."""

import math
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ternary_jax.tables import cell, span

Row = Mapping[str, Any]


def printable(text: str) -> str:
    r"""The text with escapes such as \x1b for all that a terminal would act on rather than show, but ends of lines.

    Names and values from a workdir or a config may hold anything: a terminal obeys escape sequences, and marks that
    reverse the direction of writing disguise a text.
    """
    return "".join(x if x.isprintable() or x == "\n" else x.encode("unicode_escape").decode() for x in text)


def progress_line(rows: Sequence[Row], shown: Sequence[str], where: str, runs: int, rate: float, left_s: float) -> str:
    """The progress line: medians over the newest rows of the runs that are still running.

    shown: metrics in order of preference; the line has the first two that have finite values
    where: the progress, such as "epoch 3/96"
    runs: number of all runs
    rate: samples per second of all runs together; left_s: seconds to go
    """
    finite = {k: [v for row in rows if math.isfinite(v := row.get(k, math.nan))] for k in ("loss", *shown)}
    median = {k: statistics.median(v) if v else math.nan for k, v in finite.items()}
    parts = [f"{len(rows)} of {runs} runs"] * (runs > 1)
    parts += [f"{where}, {span(left_s)} left, loss {median['loss']:.4g}"]
    parts += [f"{k} {cell(median[k])}" for k in [k for k in shown if finite[k]][:2]]
    return ", ".join([*parts, f"{rate / 1e3:,.0f}k/s" if rate >= 1e4 else f"{rate:,.0f}/s"])


def progress(line: str = "", every_s: float = 0.0, printed: float = -math.inf) -> float:
    """Show the line in place on a terminal, elsewhere at most every `every_s` seconds; -> the next call's `printed`."""
    width, now, line = _width(), time.monotonic(), printable(line)
    if width or (line and now - printed >= every_s):
        _put(f"\r{line[: width - 1]:{width - 1}}\r" if width else line + "\n")
        return now
    return printed


def say(text: str) -> None:
    """Print to stderr, over the progress line."""
    width, text = _width(), printable(text)
    _put(f"\r{text:{width - 1}}\n" if width else text + "\n")


def _width() -> int:
    with suppress(OSError, ValueError, AttributeError):  # stderr is no terminal
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    return 0


def _put(text: str) -> None:
    with suppress(OSError, ValueError, AttributeError):  # a closed terminal must not end the run
        print(text, end="", file=sys.stderr, flush=True)
