"""Messages on stderr; the progress of a training: a bar on a terminal, plain lines now and then elsewhere."""

import contextlib
import math
import os
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from ternary_jax.tables import cell, span, speed

Row = Mapping[str, Any]

UP_AND_ERASE = "\x1b[1A\x1b[2K"  # the cursor moves up by a line, which is erased


class Progress(NamedTuple):
    """How far a training is, for the bar.

    share: of its steps that are done, from 0 to 1
    where: the same in words, such as "epoch 3/96"
    rate: samples per second of all runs together; None before it is known
    left_s: seconds to go; None before it is known
    values: the loss and metrics by name, the most important ones first
    """

    share: float
    where: str
    rate: float | None
    left_s: float | None
    values: Mapping[str, float]


class _Bottom:
    """What is open at the bottom of the terminal. bar: a `progress_bar.Bar`; None: nothing."""

    bar: Any = None


def printable(text: str) -> str:
    r"""The text with escapes such as \x1b for all that a terminal would act on rather than show, but ends of lines.

    Names and values from a workdir or a config may hold anything: a terminal obeys escape sequences, and marks that
    reverse the direction of writing disguise a text.
    """
    return "".join(x if x.isprintable() or x == "\n" else x.encode("unicode_escape").decode() for x in text)


@contextlib.contextmanager
def bar() -> Iterator[None]:
    """A progress bar at the bottom of the terminal, for as long as the context; nothing where stderr is no terminal.

    Within it, `doing` says what is waited for, and `advance` how far the training is. Within another bar nothing more
    is opened.
    """
    if _Bottom.bar or not _width():
        yield
        return
    from ternary_jax.progress_bar import Bar  # here, as rich takes time to import, and `--help` is to answer at once

    _Bottom.bar = Bar()
    try:
        yield
    finally:
        _Bottom.bar, opened = None, _Bottom.bar
        opened.close()


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """A bar that shows what takes time, for as long as the context."""
    with bar():
        doing(what)
        yield
        doing("")


def doing(what: str) -> None:
    """Show in the bar, beside something that moves, what takes time now; "": nothing."""
    if _Bottom.bar:
        _Bottom.bar.do(what)


def advance(progress: Progress) -> None:
    """Show the progress in the bar. Values that it lacks stay as they were."""
    if _Bottom.bar:
        _Bottom.bar.show(progress)


def has_bar() -> bool:
    """Whether a bar is open, so that `advance` has something to show."""
    return _Bottom.bar is not None


def medians(rows: Sequence[Row], names: Sequence[str]) -> dict[str, float]:
    """The median of each value over the rows that have a finite one; nan where none has."""
    finite = {k: [v for row in rows if math.isfinite(v := row.get(k, math.nan))] for k in names}
    return {k: statistics.median(v) if v else math.nan for k, v in finite.items()}


def progress_line(rows: Sequence[Row], shown: Sequence[str], where: str, runs: int, rate: float, left_s: float) -> str:
    """The progress line: medians over the newest rows of the runs that are still running.

    shown: metrics in order of preference; the line has the first two that have finite values
    where: the progress, such as "epoch 3/96"
    runs: number of all runs
    rate: samples per second of all runs together; left_s: seconds to go
    """
    median = medians(rows, ("loss", *shown))
    parts = [f"{len(rows)} of {runs} runs"] * (runs > 1)
    parts += [f"{where}, {span(left_s)} left, loss {median['loss']:.4g}"]
    parts += [f"{k} {cell(median[k])}" for k in [k for k in shown if math.isfinite(median[k])][:2]]
    return ", ".join([*parts, speed(rate)])


def progress(line: str = "", every_s: float = 0.0, printed: float = -math.inf) -> float:
    """Show the line in place on a terminal, elsewhere at most every `every_s` seconds; -> the next call's `printed`.

    Where a bar is open, it shows the line.
    """
    width, now, line = _width(), time.monotonic(), printable(line)
    if _Bottom.bar:
        _Bottom.bar.do(line)
        return now
    if width or (line and now - printed >= every_s):
        _put(f"\r{line[: width - 1]:{width - 1}}\r" if width else line + "\n")
        return now
    return printed


def say(text: str) -> None:
    """Print to stderr: over the progress line, or above the bar. A handler of a signal calls `say_at_once` instead."""
    width, text = _width(), printable(text)
    if _Bottom.bar:
        _Bottom.bar.say(text)
    else:
        _put(f"\r{text:{width - 1}}\n" if width else text + "\n")


def say_at_once(text: str) -> None:
    """Print to stderr from the handler of a signal, or before the process ends at once: by one write, without a lock.

    `say` would wait for a lock that the interrupted thread may hold. The text takes the place of the lines of the bar;
    the new lines after it put the cursor where the thread that draws them expects it.
    """
    lines = _Bottom.bar.lines if _Bottom.bar else 0
    before, after = (f"\r\x1b[2K{UP_AND_ERASE * (lines - 1)}", "\n" * lines) if lines else ("", "\n")
    with suppress(OSError):
        os.write(2, f"{before}{printable(text)}{after}".encode())


def _width() -> int:
    """Columns of the terminal; 0 where stderr is none, or one that cannot go back to the start of a line."""
    with suppress(OSError, ValueError, AttributeError):  # stderr is no terminal
        columns = os.get_terminal_size(sys.stderr.fileno()).columns or 80
        return 0 if os.environ.get("TERM") in ("dumb", "unknown") else columns
    return 0


def _put(text: str) -> None:
    with suppress(OSError, ValueError, AttributeError):  # a closed terminal must not end the run
        print(text, end="", file=sys.stderr, flush=True)
