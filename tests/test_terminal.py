"""Progress lines and messages, on a simulated terminal and without one."""

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

from few_rows import NAMES, NAN, row

from ternary_jax import terminal

ROOT = Path(__file__).parents[1]

ROWS = [row(100, coverage=0.5, hierarchy=-0.3), row(100, run=1, coverage=0.6, hierarchy=0.1), row(100, run=2)]


def test_the_progress_line_tells_medians_and_how_many_run():
    one = terminal.progress_line(ROWS[:1], NAMES, "epoch 3/10", 1, 61234.5, 12.34)
    assert one == "epoch 3/10, 12.3 s left, loss 0.9901, coverage 0.50000, hierarchy -0.30000, 61k/s"
    several = terminal.progress_line(ROWS, NAMES, "step 3/10", 8, 61e3, 4000)
    assert several == "3 of 8 runs, step 3/10, 67 min left, loss 0.9901, coverage 0.50000, hierarchy -0.10000, 61k/s"
    unmeasured = terminal.progress_line([row(39, q=2.0, coverage=NAN, loss=NAN)], NAMES, "epoch 1/10", 1, 1.0, 9e3)
    assert unmeasured == "epoch 1/10, 2.5 h left, loss nan, q 2.00000, 1/s"


def test_without_a_terminal_progress_is_plain_lines_now_and_then(capfd):
    printed = terminal.progress("a", 60.0)
    assert terminal.progress("b", 60.0, printed) == printed
    terminal.say("careful")
    terminal.progress()
    terminal.progress("c", 0.0, printed)
    assert capfd.readouterr().err == "a\ncareful\nc\n"


def on_a_terminal(code, columns, term="xterm-256color"):
    """(what a process writes to a terminal of this width, its exit status)."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {**os.environ, "TERM": term}
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=env, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    written = b""
    with contextlib.suppress(OSError):  # at the end of what a terminal has, Linux gives an error
        while more := os.read(ours, 65536):
            written += more
    os.close(ours)
    return written.decode().replace("\r\n", "\n"), process.wait()


def screen(text):
    """The lines of a terminal after the text, by carriage return, line feed, and the sequences that rich writes."""
    lines, row, column = [[]], 0, 0
    for sign in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|.|\n", text, re.DOTALL):
        if sign in "\r\n":
            row, column = row + (sign == "\n"), 0
            lines += [[]] * (row == len(lines))
        elif sign == "\x1b[2K":
            lines[row] = []
        elif sign == "\x1b[1A":
            row -= 1
        elif sign[0] != "\x1b":
            lines[row] = [*lines[row], *" " * (column - len(lines[row]))]
            lines[row][column:] = [sign, *lines[row][column + 1 :]]
            column += 1
        else:
            assert sign[-1] == "m", f"{sign!r} is no sequence that this terminal knows"
    return ["".join(line).rstrip() for line in lines]


def test_on_a_terminal_progress_is_one_line_that_words_do_not_garble():
    """The output is interpreted as a terminal of 20 columns interprets carriage return and line feed."""
    code = (
        "from ternary_jax import terminal\n"
        "p = terminal.progress('a line far longer than the terminal is wide', 60.0)\n"
        "p = terminal.progress('rather short', 60.0, p); terminal.say('careful'); terminal.progress('end', 60.0, p)\n"
        "terminal.progress(); print('table')"
    )
    text, _ = on_a_terminal(code, 20)
    assert screen(text) == ["careful", "table", ""]
    assert all(len(line) < 20 for line in screen(text))
    assert "a line far longer " in text


BAR = """
import os, sys, time
from ternary_jax import terminal
with terminal.bar():
    terminal.say("runs/[red]x\\x1b[2J: compiling ...")
    terminal.doing("compiling a chunk of 39 steps of 1 run")
    time.sleep(0.6)  # as XLA does, it holds this thread and releases the lock of the interpreter
    values = {"loss": 12.5, "[b]coverage_B": 1.0, "hierarchy_B": -0.83205, "a metric that has no room here": 2.0}
    terminal.advance(terminal.Progress(0.5, "epoch 48/96", 92e3, 18.34, values))
    time.sleep(0.2)
    terminal.advance(terminal.Progress(0.75, "epoch 72/96", 92e3, 9.0, {"loss": 11.5}))
    time.sleep(0.2)
    print("[i]printed by a task")
    terminal.say_at_once("interrupted: it saves")
    time.sleep(0.2)
    if sys.argv[1:]:
        terminal.say_at_once("ended")
        os._exit(130)
print("table")
"""


def test_a_bar_moves_below_what_is_said_and_leaves_nothing():
    """Read as a terminal of 80 columns reads it: rich draws it, and neither it nor the terminal obeys a name."""
    text, status = on_a_terminal(BAR, 80)
    said = ["runs/[red]x\\x1b[2J: compiling ...", "[i]printed by a task", "interrupted: it saves", "table"]
    assert (screen(text)[:4], status) == (said, 0)
    assert not any(screen(text)[4:])
    frames = [screen(frame)[:2] for frame in re.split(r"\r\x1b\[2K(?:\x1b\[1A\x1b\[2K)*", text)]
    assert len({frame[0] for frame in frames if "compiling a chunk of 39 steps of 1 run, 0 s" in frame[0]}) > 2
    bars = [frame for frame in frames if frame[0].startswith("epoch")]
    assert bars[0][0].endswith(" 18.3 s left, 92k/s")
    assert {len(bar) for bar, _ in bars} == {79}
    assert bars[0][1] == "loss 12.5, [b]coverage_B 1.00000, hierarchy_B -0.83205"
    assert bars[-1][1] == "loss 11.5, [b]coverage_B 1.00000, hierarchy_B -0.83205"  # of the last evaluation
    assert "\x1b[?25l" not in text  # a hidden cursor would stay hidden after a kill


def test_a_process_that_ends_at_once_leaves_a_clean_line():
    text, status = on_a_terminal(BAR.replace("sys.argv[1:]", "True").replace("0.6", "0.1"), 50)
    assert (screen(text)[2:4], status) == (["interrupted: it saves", "ended"], 130)
    assert not any(screen(text)[4:])


def test_a_terminal_that_cannot_redraw_has_plain_lines():
    text, _ = on_a_terminal(re.sub(r"sleep.*", "sleep(0)", BAR), 80, term="dumb")
    assert text.splitlines() == screen(text)[:-1]
    assert screen(text)[1:] == ["[i]printed by a task", "interrupted: it saves", "table", ""]
