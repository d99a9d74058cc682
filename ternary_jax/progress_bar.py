"""The progress bar of a training on a terminal; or, instead of it, what a training waits for.

    epoch 12/96 ━━━━━━━━╺━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 18.3 s left, 92k/s
    loss 12.5, coverage_B 1.00000, hierarchy_B -0.83205, richness_B 0.00554

    ⠹ compiling a chunk of 39 steps, 12 s

A thread of rich draws it, also while XLA compiles, as the compiler releases the lock of Python's interpreter. The
cursor stays visible: rich would hide it, and a process that a signal ends could not show it again.
"""

import sys
import time
from collections.abc import Iterator
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.text import Text

from ternary_jax.tables import cell, span, speed
from ternary_jax.terminal import Progress, printable

DRAWN_PER_S = 8
LEAST_WIDTH = 8  # characters of a bar: where there is less room, it is left out


class Bar:
    """The bottom lines of the terminal while it is open: a thread draws them, any thread changes what they say.

    It is an object with a state, as there is one terminal: any function may print a message, and none has the bar as an
    argument.
    """

    def __init__(self) -> None:
        """Open it, with nothing to show."""
        self.lines = 0  # number of lines that are drawn
        self._doing, self._since = "", 0.0
        self._progress: Progress | None = None
        # Without markup: rich would obey tags such as [red] in names and in what a task prints.
        file: Any = _Lenient(sys.stderr)
        self._console = _Console(file=file, force_terminal=True, markup=False, emoji=False, highlight=False)
        self._spinner = Spinner("line" if self._console.options.ascii_only else "dots")
        stdout = sys.stdout is not None and sys.stdout.isatty()  # what goes into a file is not for the terminal
        self._live = Live(
            self, console=self._console, refresh_per_second=DRAWN_PER_S, transient=True, redirect_stdout=stdout
        )
        self._live.start()

    def close(self) -> None:
        """Remove it from the terminal."""
        self._live.stop()
        self.lines = 0

    def say(self, text: str) -> None:
        """Print a text above it. Long lines are not broken, so that a command in them can be copied."""
        self._console.print(Text(text), soft_wrap=True)

    def do(self, what: str) -> None:
        """Show what is waited for, and for how many seconds; "": the progress again."""
        self._doing, self._since = what, time.monotonic()

    def show(self, progress: Progress) -> None:
        """Show the progress. Values that it lacks stay as they were."""
        before = self._progress.values if self._progress else {}
        self._progress, self._doing = progress._replace(values={**before, **progress.values}), ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Any]:
        """The lines as they are now, by the protocol of rich."""
        width, doing, progress = options.max_width - 1, self._doing, self._progress
        if doing:
            lines = [self._waiting(doing, console.get_time(), width)]
        elif progress:
            lines = [_bar(progress, console, options, width), Text(_values(progress, width))]
        else:
            lines = []
        self.lines = len(lines)
        for line in lines:
            line.truncate(width)
            yield line

    def _waiting(self, doing: str, now: float, width: int) -> Text:
        frame, seconds = self._spinner.render(now), f", {time.monotonic() - self._since:.0f} s"
        assert isinstance(frame, Text)
        about = Text(printable(doing))
        about.truncate(max(width - cell_len(seconds) - 2, 1), overflow="ellipsis")
        return Text.assemble(frame, " ", about, seconds)


def _bar(progress: Progress, console: Console, options: ConsoleOptions, width: int) -> Text:
    """The line of the bar: the place, the bar, the time that is left and the speed. What has no room is left out."""
    where = printable(progress.where)
    left = f"{span(progress.left_s)} left" if progress.left_s is not None else ""
    rate = speed(progress.rate) if progress.rate is not None else ""
    for about in (", ".join(filter(None, (left, rate))), left):
        room = width - cell_len(where) - len(about) - 2
        if room >= LEAST_WIDTH:
            share = ProgressBar(total=1.0, completed=min(progress.share, 1.0), width=room)
            (drawn,) = console.render_lines(share, options.update_width(room))
            return Text.assemble(where, " ", *((one.text, one.style or "") for one in drawn), " ", about)
    return Text(", ".join(filter(None, (where, left))))


def _values(progress: Progress, width: int) -> str:
    """The loss and as many of the metrics as have room."""
    shown = ""
    for name, value in progress.values.items():
        one = f"loss {value:.4g}" if name == "loss" else f"{printable(name)} {cell(value)}"
        if shown and cell_len(f"{shown}, {one}") > width:
            continue
        shown = f"{shown}, {one}" if shown else one
    return shown


class _Console(Console):
    """A console that leaves the cursor visible."""

    def show_cursor(self, show: bool = True) -> bool:
        return False


class _Lenient:
    """A file without its errors: a terminal that is closed must not end a training, nor the thread that draws."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, text: str) -> int:
        try:
            return self._file.write(text)
        except (OSError, ValueError):
            return len(text)

    def flush(self) -> None:
        try:
            self._file.flush()
        except (OSError, ValueError):
            return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
