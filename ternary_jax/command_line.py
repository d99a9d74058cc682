"""Parsing of the command line: --config, its overrides, and the other flags. An error is one sentence and status 2.

A value follows its flag after = or after a space.
"""

import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, NoReturn

from ternary_jax import terminal
from ternary_jax.errors import INTERRUPTED

IS_FLAG = re.compile(r"--?[A-Za-z]")  # does not match a negative number


class Flags(NamedTuple):
    """The flags of a command.

    module: of the command, as in `python -m ternary_jax.main`
    values: flags with a value, and the placeholder of the value in a message
    alone: flags that can be given without a value
    repeated: flags that may be given several times, each with another value
    """

    module: str
    values: Mapping[str, str]
    alone: Sequence[str]
    repeated: Sequence[str] = ()


MAIN = Flags(
    "ternary_jax.main",
    {"--config": "FILE", "--workdir": "DIR", "--keys": "PATTERN", "--dry-run": "compile"},
    ("--sweep", "--yes", "--keys", "--dry-run"),
)


class Given(NamedTuple):
    """What was typed.

    config_path: FILE or a bare name, or one of them with :ARG after it
    overrides: "KEY=VALUE" each, in the order they were given in
    workdir: None if it was not given
    sweep: whether the runs are those of sweep(add)
    keys: the pattern of the keys to list, "" for all; None: not asked for
    dry_run: "" or "compile"; None: not asked for
    yes: whether a large sweep is confirmed
    """

    config_path: str
    overrides: tuple[str, ...]
    workdir: str | None
    sweep: bool
    keys: str | None
    dry_run: str | None
    yes: bool


def program(flags: Flags = MAIN) -> list[str]:
    """The words that start this program: `ternary-jax` if that was typed, else `python -m` and its module."""
    if flags is MAIN and os.path.basename(sys.argv[0]) == "ternary-jax":
        return ["ternary-jax"]
    return ["python", "-m", flags.module]


def joined(argv: Sequence[str], flags: Flags = MAIN) -> list[str]:
    """One argument for each flag and its value: `--config FILE` becomes `--config=FILE`.

    An argument that begins like a flag is never a value: in `--config --sweep`, --config has no value.
    """
    takes_value = re.compile(f"--?(config\\.[^=]+|{'|'.join(name[2:] for name in flags.values)})")
    out, rest = [], list(argv)
    while rest:
        arg = rest.pop(0)
        if rest and takes_value.fullmatch(arg) and not IS_FLAG.match(rest[0]):
            arg = f"{arg}={rest.pop(0)}"
        out.append(arg)
    return out


def workdir_and_again(argv: Sequence[str], config: str, workdir: str | None, flags: Flags) -> tuple[str, str]:
    """(the workdir, by default a new one below runs/; the command that goes on in it)."""
    from ternary_jax.config import config_name

    workdir = workdir or f"runs/{config_name(config)}/{time.strftime('%Y%m%d-%H%M%S')}"
    typed = [arg for arg in joined(argv, flags) if not arg.lstrip("-").startswith("workdir=")]
    return workdir, shlex.join([*program(flags), *typed, f"--workdir={workdir}"])


def parse(argv: Sequence[str], text: str) -> Given:
    """The arguments of main that follow the program's name, or one sentence on what is wrong, and exit."""
    values, overrides, _ = parse_flags(argv, text, MAIN)
    keys, dry_run = values.get("--keys"), checked_dry_run(values)
    if None not in (keys, dry_run):
        fail("--keys and --dry-run are both given, and each prints something else: leave one of them out")
    sweep, yes = (flag in values for flag in ("--sweep", "--yes"))
    return Given(values["--config"], tuple(overrides), values.get("--workdir"), sweep, keys, dry_run, yes)


def parse_flags(argv: Sequence[str], text: str, flags: Flags) -> tuple[dict[str, str], list[str], list[str]]:
    """({flag: value}, overrides of the config, values of repeated flags), or one sentence on what is wrong, and exit.

    --help prints the text. Of a flag that is given twice, the last one holds, unless it may be repeated.
    """
    if {"-h", "-help", "--help"} & set(argv):
        show(text.strip())
        sys.exit(0)
    values, overrides, repeated = {}, [], []
    for arg in joined(argv, flags):
        name, equals, value = re.sub("^--?", "--", arg).partition("=")
        name, value = name.rstrip(), value.strip() if name.startswith("--config.") else value
        if name in flags.alone and not equals:
            values[name] = ""
        elif name not in flags.values and not name.startswith("--config."):
            fail(f"{arg!r} is no flag{_what_was_meant(name, flags)}; {_usage(flags)}")
        elif not value:
            fail(f"{name} has no value: type {name}={flags.values.get(name, 'VALUE')}")
        elif name.startswith("--config."):
            overrides.append(f"{name.removeprefix('--config.')}={value}")
        elif name in flags.repeated:
            repeated.append(value)
        else:
            values[name] = value
    if "--config" not in values:
        fail(f"no --config; type: {' '.join(program(flags))} --config=v5_12")
    return values, overrides, repeated


def checked_dry_run(values: Mapping[str, str]) -> str | None:
    """The value of --dry-run, "" or "compile"; None where it is not given."""
    dry_run = values.get("--dry-run")
    if dry_run not in (None, "", "compile"):
        fail(f"--dry-run={dry_run} is not allowed: type --dry-run, or --dry-run=compile")
    return dry_run


def count(values: Mapping[str, str], flag: str, most: int) -> int | None:
    """The value of a flag that counts something, from 1 to `most`; None where it is not given."""
    if flag not in values:
        return None
    if not values[flag].isdecimal() or not 1 <= int(values[flag]) <= most:
        fail(f"{flag}={values[flag]} is not allowed: give an int from 1 to {most}")
    return int(values[flag])


def _usage(flags: Flags) -> str:
    """The flags of a command: those with a value that they need, first --config; then the others."""
    needed = [f"{name}={value}" for name, value in flags.values.items() if name not in flags.alone]
    names = [needed[0], "--config.KEY=VALUE", *needed[1:], *flags.alone]
    return f"what can be given is {', '.join(names[:-1])} and {names[-1]}"


def _what_was_meant(name: str, flags: Flags) -> str:
    """A note on a flag with a character that looks like another one, that is a key, or that is near a flag; else ""."""
    import difflib

    from ternary_jax.config.keys import not_ascii  # here, as these import jax, and --help is to answer at once
    from ternary_jax.config.table import KEYS

    key = name[2:].replace("-", "_")
    found = [one for one in KEYS if name.startswith("--") and key in (one, one.rpartition(".")[2])]
    names = [one[2:] for one in (*flags.values, *flags.alone) if one != name]
    near = difflib.get_close_matches(name[2:], names, 1, 0.85)
    nearest = f"; the nearest is --{near[0]}" if near else ""
    return not_ascii(name) or (f"; to set that key, type --config.{found[0]}=VALUE" if found else nearest)


def fail(sentence: str, status: int = 2) -> NoReturn:
    """Print the sentence to stderr and exit."""
    print(terminal.printable(sentence), file=sys.stderr)
    sys.exit(status)


def begin(idle: str) -> None:
    """Begin a command that reads a config: it can import modules of the current folder, and answers signals at once.

    idle: what is said to SIGINT and SIGTERM while no training is under way, also within an import or the compiler; a
    training answers them itself
    """
    try:
        here = os.getcwd()
    except FileNotFoundError:
        fail("the current folder has been deleted: change to one that exists, with cd")
    if not sys.flags.safe_path and here not in sys.path:  # `python -m` has put it there, `ternary-jax` has not
        sys.path.insert(0, here)
    answer_signals(idle, INTERRUPTED)


def answer_signals(sentence: str, status: int) -> None:
    """Let SIGINT and SIGTERM print the sentence and end the process at once."""

    def answer(number: int, _: object) -> None:
        exit_at_once(f"{signal.Signals(number).name}: {sentence}", status)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, answer)


@contextmanager
def answering(sentence: str, status: int) -> Iterator[None]:
    """`answer_signals` within the context; in a thread that is not the main one, which may set no handlers, nothing."""
    import threading  # --help need not wait for it

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    answer_signals(sentence, status)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def exit_at_once(sentence: str, status: int) -> NoReturn:
    """Print the sentence to stderr and end the process, from the handler of a signal.

    An exception was rejected: a signal may arrive within an import, and libraries catch what an import raises.
    """
    terminal.say_at_once(sentence)
    os._exit(status)


def show(text: str) -> None:
    """Print to stdout, without control characters. Where stdout takes no more, exit: 141 for a closed pipe, else 1.

    141 is the status of SIGPIPE, as after `| head`. The signal itself stays ignored, as Python has it: it would also
    end a training whose stderr goes into a pipe.
    """
    complete = "what this command has written into a workdir is complete"
    if sys.stdout is None:  # as after >&-; print would write nothing
        fail(f"stdout cannot be written (it is closed): send it to a terminal or a file; {complete}", 1)
    try:
        print(terminal.printable(text), flush=True)
    except OSError as e:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes stdout again when it exits
        if isinstance(e, BrokenPipeError):
            sys.exit(128 + signal.SIGPIPE)
        fail(f"stdout cannot be written ({e.strerror}): send it to where there is space; {complete}", 1)
