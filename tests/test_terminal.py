"""Progress lines and messages, on a simulated terminal and without one."""

import os
import pty
import struct
import subprocess
import sys
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


def test_on_a_terminal_progress_is_one_line_that_words_do_not_garble():
    """The output is interpreted as a terminal of 20 columns interprets carriage return and line feed."""
    code = (
        "import sys; from ternary_jax import terminal\n"
        "p = terminal.progress('a line far longer than the terminal is wide', 60.0)\n"
        "p = terminal.progress('rather short', 60.0, p); terminal.say('careful'); terminal.progress('end', 60.0, p)\n"
        "terminal.progress(); print('table')"
    )
    ours, theirs = pty.openpty()
    import fcntl
    import termios

    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 5, 20, 0, 0))
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=theirs, stderr=theirs, check=True)
    os.close(theirs)
    text = os.read(ours, 10000).decode().replace("\r\n", "\n")
    os.close(ours)
    screen, column = [[]], 0
    for sign in text:
        if sign in "\r\n":
            column = 0
            screen += [[]] if sign == "\n" else []
        else:
            screen[-1][column:] = [sign, *screen[-1][column + 1 :]]
            column += 1
    assert all(len(line) < 20 for line in screen)
    assert ["".join(line).rstrip() for line in screen] == ["careful", "table", ""]
    assert "a line far longer " in text
